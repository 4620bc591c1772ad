//! Connections to upstreams: plain, or over TLS to whoever proves to be the host that was meant.
//!
//! What must stay true: nothing of a request is sent to an https address before its certificate has been checked, and it is
//! never sent there without.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
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
}

impl Connector {
    pub(super) fn new(trust: Option<Trust>, longest: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // With several addresses each has its share of this.
        tcp.set_connect_timeout(Some(longest));
        Self { tcp, trust, longest }
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
        let (connecting, trust, longest) = (self.tcp.call(uri), self.trust.clone(), self.longest);
        Box::pin(async move {
            let made = tokio::time::timeout(longest, async {
                let stream = connecting.await?.into_inner();
                let stream = if is_tls { encrypt(stream, &host, trust).await? } else { Stream::Plain(stream) };
                Ok(TokioIo::new(stream))
            });
            made.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

async fn encrypt(stream: TcpStream, host: &str, trust: Option<Trust>) -> Result<Stream, Broken> {
    let trust = trust.ok_or_else(|| Unproven("there is no TLS".into()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|_| Unproven("no certificate can be for such a name".into()))?;
    let connected = TlsConnector::from(Arc::clone(trust.config())).connect(name, stream).await;
    connected.map(|stream| Stream::Encrypted(Box::new(stream))).map_err(|error| Unproven(reason(&error)).into())
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
pub(super) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(stream) => stream.connected(),
            Self::Encrypted(stream) => stream.get_ref().0.connected(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
