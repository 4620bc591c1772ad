//! Requests written byte by byte, and as much of an answer as is looked at.

use std::time::Duration;

use anyhow::{Context as _, Result};
use http::Uri;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection, and then an answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may pause that has begun.
const PAUSE: Duration = Duration::from_secs(1);
/// The most of an answer that is read.
const MOST_BYTES: u64 = 256 * 1_024;

/// Where a proxy listens.
pub(super) struct Proxy {
    authority: String,
    host: String,
    port: u16,
    is_encrypted: bool,
}

/// An answer, or as much of it as came in time.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Head and body.
    pub(super) text: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let status = text.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, text })
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines().take_while(|line| !line.is_empty());
        let mut fields = lines.filter_map(|line| line.split_once(':'));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Proxy {
    /// The one at an address.
    ///
    /// # Errors
    /// It names no host.
    pub(super) fn new(url: &Uri) -> Result<Self> {
        let authority = url.authority().context("an address without a host")?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_encrypted = url.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        Ok(Self { authority: authority.as_str().to_owned(), host, port, is_encrypted })
    }

    /// As the Host header names it.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends these bytes on a connection of their own. `None` where the proxy hangs up without a word, or never answers.
    ///
    /// # Errors
    /// There is no connection.
    pub(super) async fn exchange(&self, bytes: &[u8]) -> Result<Option<Answer>, String> {
        let mut stream = timeout(PATIENCE, self.connect()).await.map_err(|_| "no connection in time")??;
        // A proxy may refuse, and hang up, before it has read all.
        drop(stream.write_all(bytes).await);
        drop(stream.flush().await);
        let mut answer = Vec::new();
        let mut stream = stream.take(MOST_BYTES);
        let mut patience = PATIENCE;
        while let Ok(Ok(1..)) = timeout(patience, stream.read_buf(&mut answer)).await {
            // Some answers keep the connection open.
            patience = PAUSE;
        }
        Ok(Answer::read(&answer))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let reached = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = reached.map_err(|error| format!("out of reach: {error}"))?;
        if !self.is_encrypted {
            return Ok(Box::new(stream));
        }
        let stream = keywright_app::outbound::encrypt(&self.host, stream).await?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_far_as_it_came() {
        let answer =
            Answer::read(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n\r\nx-not: a header").unwrap();
        assert_eq!(
            (answer.status, answer.header("www-authenticate"), answer.header("x-not")),
            (401, Some("Bearer"), None)
        );
        assert!(Answer::read(b"").is_none() && Answer::read(b"SSH-2.0-x\r\n").is_none());
    }
}
