//! Handshakes: a connection's first bytes, until it is encrypted or known for what it is.
//!
//! What must stay true: a client that is slow, silent or hostile keeps nobody else out. Each handshake has its own task and
//! an end in time; where there are too many, the one that has taken longest makes room, which is never the one that is
//! about to be done.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;

/// How long a handshake may take.
const LONGEST: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const MOST: usize = 1_000;
/// What a TLS connection begins with: a record of a handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// What a connection turned out to be.
pub(crate) enum Begun {
    /// An encrypted one.
    Encrypted(Box<TlsStream<TcpStream>>),
    /// One that is not, whatever it is.
    Plain(TcpStream),
}

impl Tls {
    /// Begins a connection; none where it came to nothing.
    pub(crate) async fn begin(&self, stream: TcpStream) -> Option<Begun> {
        self.begin_within(stream, LONGEST).await
    }

    async fn begin_within(&self, stream: TcpStream, longest: Duration) -> Option<Begun> {
        let turn = self.0.handshakes.begin();
        let begun = tokio::select! {
            begun = tokio::time::timeout(longest, self.shake_hands(stream)) => begun,
            () = turn.gives_way.notified() => {
                tracing::debug!("a handshake made room for another");
                return None;
            }
        };
        match begun {
            Ok(Ok(begun)) => Some(begun),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a handshake took too long");
                None
            }
        }
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Begun> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            return Ok(Begun::Plain(stream));
        }
        let config = Arc::clone(self.0.pair.load().config());
        TlsAcceptor::from(config).accept(stream).await.map(|stream| Begun::Encrypted(Box::new(stream)))
    }
}

/// Handshakes under way, the oldest first.
pub(super) struct Handshakes {
    most: usize,
    under_way: Mutex<VecDeque<Arc<Notify>>>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self { most: MOST, under_way: Mutex::default() }
    }
}

/// A handshake's place among those under way.
struct Turn<'h> {
    of: &'h Handshakes,
    gives_way: Arc<Notify>,
}

impl Handshakes {
    fn begin(&self) -> Turn<'_> {
        let gives_way = Arc::new(Notify::new());
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.len() >= self.most
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.notify_one();
        }
        under_way.push_back(Arc::clone(&gives_way));
        Turn { of: self, gives_way }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut under_way = self.of.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|other| !Arc::ptr_eq(other, &self.gives_way));
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::tls::pair::tests::written;

    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_handshake_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::open(written(folder.path(), 4_000)).unwrap();
        let (_client, stream) = connection().await;
        assert!(tls.begin_within(stream, Duration::from_millis(20)).await.is_none());
        assert!(tls.0.handshakes.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn of_too_many_handshakes_the_oldest_makes_room() {
        let handshakes = Handshakes { most: 2, under_way: Mutex::default() };
        let (first, second) = (handshakes.begin(), handshakes.begin());
        let third = handshakes.begin();
        first.gives_way.notified().await;
        let soon = Duration::from_millis(1);
        for later in [&second, &third] {
            assert!(tokio::time::timeout(soon, later.gives_way.notified()).await.is_err());
        }
        drop(second);
        drop(first);
        let fourth = handshakes.begin();
        assert!(tokio::time::timeout(soon, third.gives_way.notified()).await.is_err(), "there was room");
        drop(fourth);
        assert_eq!(handshakes.under_way.lock().unwrap().len(), 1);
    }
}
