//! Services to stand behind the gate, down to their bytes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What an upstream was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Method and path.
    pub(crate) line: String,
    /// Names as they came, and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What came after the last chunk.
    pub(crate) trailers: String,
}

impl Seen {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {:?}", self.headers);
        all[0]
    }
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Answers every request alike.
    pub(crate) async fn saying(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::answering(move |_| answer.clone()).await
    }

    /// Answers 200 with a body.
    pub(crate) async fn fine() -> Self {
        Self::saying("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine").await
    }

    /// Answers each request with the bytes made of it; with none, hangs up.
    pub(crate) async fn answering(answer: impl Fn(&Seen) -> String + Send + Sync + 'static) -> Self {
        let (seen, answer) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::new(answer));
        let all = Arc::clone(&seen);
        let upstream = Self::raw(move |mut stream| {
            let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
            async move {
                while let Some(request) = read(&mut stream).await {
                    let bytes = answer(&request);
                    all.lock().unwrap().push(request);
                    if bytes.is_empty() || stream.write_all(bytes.as_bytes()).await.is_err() {
                        break;
                    }
                }
            }
        })
        .await;
        Self { seen, ..upstream }
    }

    /// Does as it is told with each connection.
    pub(crate) async fn raw<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream));
            }
        });
        Self { address, seen: Arc::default(), connections }
    }

    /// As a policy names it.
    pub(crate) fn url(&self) -> String {
        format!("\"http://{}\"", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The last it was asked.
    #[track_caller]
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// An address nobody listens at.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Reads bytes up to and including these.
async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(bytes)
}

/// Reads a head.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<Seen> {
    let head = String::from_utf8(read_until(stream, b"\r\n\r\n").await?).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let fields = lines.map(|line| line.split_once(':').unwrap());
    let headers = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Some(Seen { line, headers, ..Seen::default() })
}

/// Reads a whole request.
async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut seen = read_head(stream).await?;
    if let Some(length) = seen.all("content-length").first() {
        seen.body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut seen.body).await.ok()?;
    } else if seen.all("transfer-encoding") == ["chunked"] {
        loop {
            let line = String::from_utf8(read_until(stream, b"\r\n").await?).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            let mut piece = vec![0; size + 2];
            stream.read_exact(&mut piece).await.ok()?;
            seen.body.extend(&piece[..size]);
        }
        loop {
            let line = String::from_utf8(read_until(stream, b"\r\n").await?).unwrap();
            if line == "\r\n" {
                break;
            }
            seen.trailers.push_str(&line);
        }
    }
    Some(seen)
}
