//! Calls this server makes to others. It serves nothing: see `docs/decisions/0010-external-identities.md`.
//!
//! What must stay true: certificates are checked; plain http reaches this machine and no other; no redirect is followed; an
//! answer is bounded in length and in time; a call that is given up leaves no connection behind.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::trust::Trust;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A stream, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Gets what is at an address: an answer of at most so many bytes, whatever its status, all of it within this time.
///
/// # Errors
/// Why there is none, in words for the log.
pub(crate) async fn get(url: &str, most_bytes: usize, within: Duration) -> Result<Answer, String> {
    let answered = tokio::time::timeout(within, call(url, most_bytes)).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {} s", within.as_secs())))
}

async fn call(url: &str, most_bytes: usize) -> Result<Answer, String> {
    let url: Uri = url.parse().map_err(|_| "not an address")?;
    let authority = url.authority().ok_or("an address without a host")?.clone();
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .header(USER_AGENT, "keywright")
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let stream = connect(&url).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("no HTTP: {error}"))?;
    // Dropped with this call, which ends the connection.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, most_bytes).collect().await.map_err(|error| format!("no whole answer: {error}"))?;
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
}

async fn connect(url: &Uri) -> Result<Box<dyn Stream>, String> {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_plain = url.scheme() == Some(&Scheme::HTTP);
    let port = url.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| format!("no such host: {error}"))?;
    let found: Vec<SocketAddr> = found.filter(|at| !is_plain || at.ip().to_canonical().is_loopback()).collect();
    let stream = reach(&found).await.map_err(|error| format!("out of reach: {error}"))?;
    if is_plain {
        return Ok(Box::new(stream));
    }
    Ok(Box::new(encrypt(host, stream).await?))
}

/// Encrypts a connection to a host whose certificate this machine trusts.
///
/// # Errors
/// It does not speak TLS, or its certificate is another's, or nobody's. In words for the log.
pub async fn encrypt(host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let tls = TlsConnector::from(Arc::clone(Trust::machine().ok_or("there is no TLS")?.config()));
    let name = ServerName::try_from(host.to_owned()).map_err(|_| "no name a certificate could be for")?;
    tls.connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))
}

/// Connects to the first of these that answers.
async fn reach(all: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "it has no address that may be called");
    for at in all {
        match TcpStream::connect(at).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// Serves this text once to whoever connects, and says what was asked.
    async fn serve(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys?a=b", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4_096];
            let read = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (url, served)
    }

    #[tokio::test]
    async fn an_answer_is_read_whole_and_a_redirect_is_only_an_answer() {
        let (url, served) =
            serve("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nhi").await;
        let answer = get(&url, 2, SOON).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (302, b"hi".as_slice()));
        assert_eq!(answer.headers["location"], "http://127.0.0.1:1/");
        let asked = served.await.unwrap();
        assert!(asked.starts_with("GET /keys?a=b HTTP/1.1\r\nhost: 127.0.0.1:"), "{asked}");
    }

    #[tokio::test]
    async fn an_answer_has_a_limit_and_an_end() {
        let (url, _served) = serve("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi!").await;
        assert!(get(&url, 2, SOON).await.unwrap_err().contains("no whole answer"));
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let refused = get(&url, 2, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(refused, "no answer within 0 s");
    }

    #[tokio::test]
    async fn plain_http_goes_nowhere_but_here_and_tls_is_tls() {
        for url in ["http://192.0.2.1/", "http://[2001:db8::1]/", "/keys", "https://", "http://127.0.0.1:1/"] {
            assert!(get(url, 2, SOON).await.is_err(), "{url}");
        }
        let (url, _served) = serve("HTTP/1.1 200 OK\r\n\r\n").await;
        let refused = get(&url.replace("http://", "https://"), 2, SOON).await.unwrap_err();
        assert!(refused.starts_with("no TLS"), "{refused}");
    }
}
