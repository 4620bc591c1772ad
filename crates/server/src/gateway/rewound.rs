//! An answer the library is needed for, though it was not for the request: one that comes in pieces, or after others.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::connect::Stream;
use super::tries::Failure;

/// Has the library read the answer to a request that has been sent, of which so much has been read.
pub(super) async fn read_on(
    method: &Method,
    begun: Vec<u8>,
    stream: Stream,
    longest: Duration,
) -> Result<Response<Incoming>, Failure> {
    let rewound = Rewound { begun: begun.into(), stream, reader: None, is_asked: false };
    let (mut sender, connection) = http1::handshake(TokioIo::new(rewound)).await.map_err(|_| Failure::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to an upstream broke off");
        }
    });
    // What the library has to have asked to know what it is the answer to.
    let mut asked = Request::new(Empty::<Bytes>::new());
    *asked.method_mut() = method.clone();
    match timeout(longest, sender.send_request(asked)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => Err(Failure::Broken),
        Err(_) => Err(Failure::Slow),
    }
}

/// A connection as it was before an answer began. What is asked on it again goes nowhere: it has been.
struct Rewound {
    begun: Bytes,
    stream: Stream,
    /// Who waits for the answer before it has been asked for.
    reader: Option<Waker>,
    is_asked: bool,
}

impl AsyncRead for Rewound {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_asked {
            this.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        if this.begun.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        buffer.put_slice(&this.begun.split_to(this.begun.len().min(buffer.remaining())));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.is_asked = true;
        if let Some(reader) = this.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
