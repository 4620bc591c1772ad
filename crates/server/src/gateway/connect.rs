//! Connections to upstreams: plain, or over TLS to whoever proves to be the host that was meant.
//!
//! What must stay true: nothing of a request is sent to an https address before its certificate has been checked, and it is
//! never sent there without.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use keywright_app::trust::Trust;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::silence::Silence;

type Broken = Box<dyn std::error::Error + Send + Sync>;
type Connecting = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, Broken>> + Send>>;

/// An upstream did not prove who it is. Says why, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unproven(pub(super) String);

/// Connects, within this time, to whom this trust believes.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    trust: Option<Trust>,
    longest: Duration,
    idle: Duration,
}

impl Connector {
    /// Connections it makes end where an upstream takes nothing for as long as it may be idle.
    pub(super) fn new(trust: Option<Trust>, longest: Duration, idle: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // With several addresses each has its share of this.
        tcp.set_connect_timeout(Some(longest));
        Self { tcp, trust, longest, idle }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Broken;
    type Future = Connecting;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let (is_tls, host) = (uri.scheme() == Some(&Scheme::HTTPS), uri.host().unwrap_or_default().to_owned());
        let (connecting, trust, longest, idle) = (self.tcp.call(uri), self.trust.clone(), self.longest, self.idle);
        Box::pin(async move {
            let made = tokio::time::timeout(longest, async {
                let stream = connecting.await?.into_inner();
                let way = if is_tls { encrypt(stream, &host, trust).await? } else { Way::Plain(stream) };
                Ok(TokioIo::new(Stream { way, idle, silence: Silence::default() }))
            });
            made.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

async fn encrypt(stream: TcpStream, host: &str, trust: Option<Trust>) -> Result<Way, Broken> {
    let trust = trust.ok_or_else(|| Unproven("there is no TLS".into()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|_| Unproven("no certificate can be for such a name".into()))?;
    let connected = TlsConnector::from(Arc::clone(trust.config())).connect(name, stream).await;
    connected.map(|stream| Way::Encrypted(Box::new(stream))).map_err(|error| Unproven(reason(&error)).into())
}

/// Why there is no TLS, in words for the log.
fn reason(error: &io::Error) -> String {
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) = known {
        return "nobody vouches for the upstream's certificate: name its authority with `ca` under [upstreams.NAME] of the \
                configuration, or have the machine trust it"
            .into();
    }
    format!("no TLS to the upstream: {error}")
}

/// A connection to an upstream.
pub(super) struct Stream {
    way: Way,
    idle: Duration,
    /// How long it has taken nothing of what it is sent.
    silence: Silence,
}

impl Stream {
    /// Whether nothing has come over it, its end least of all.
    pub(super) fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        match &mut self.way {
            // Asked without leaving word for whoever waits: nobody does.
            Way::Plain(stream) => {
                stream.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Way::Encrypted(stream) => {
                let mut nobody = Context::from_waker(Waker::noop());
                Pin::new(stream).poll_read(&mut nobody, &mut ReadBuf::new(&mut byte)).is_pending()
            }
        }
    }
}

enum Way {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match &self.way {
            Way::Plain(stream) => stream.connected(),
            Way::Encrypted(stream) => stream.get_ref().0.connected(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Way::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let tried = match &mut this.way {
            Way::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Way::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        this.silence.of_write(context, this.idle, tried)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let tried = match &mut this.way {
            Way::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Way::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        };
        this.silence.of_write(context, this.idle, tried)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.way {
            Way::Plain(stream) => stream.is_write_vectored(),
            Way::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let tried = match &mut this.way {
            Way::Plain(stream) => Pin::new(stream).poll_flush(context),
            Way::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        };
        this.silence.of_write(context, this.idle, tried)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let tried = match &mut this.way {
            Way::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Way::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        };
        this.silence.of_write(context, this.idle, tried)
    }
}
