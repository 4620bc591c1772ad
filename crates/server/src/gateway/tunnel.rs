//! WebSockets: the one thing a connection may become, where its route allows it.
//!
//! What must stay true: one is open for as long as what opened it works, and no longer than a look more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use keywright_app::App;
use keywright_app::holding::Held;
use keywright_core::route::Route;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::body::wait;
use crate::Server;
use crate::problem::Problem;

/// How often it is asked whether what opened one still works.
const LOOK: Duration = Duration::from_millis(500);
/// Of so many looks one asks the database though nothing was changed.
const SELDOM: u32 = 10;

/// Whether a request is for a WebSocket (RFC 6455, 4.1). Whatever else a connection is to become is not asked for.
pub(super) fn is_wanted(parts: &Parts) -> bool {
    let has = |name: HeaderName, word: &str| {
        let mut all = parts.headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        all.any(|line| line.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let only = |headers: &HeaderMap| {
        let mut all = headers.get_all(UPGRADE).iter();
        all.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) && all.next().is_none()
    };
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && has(CONNECTION, "upgrade")
        && only(&parts.headers)
        && parts.headers.contains_key("sec-websocket-key")
        && parts.extensions.get::<OnUpgrade>().is_some()
}

/// Joins both ends once the client has been told.
pub(super) fn join(
    server: &Server,
    route: &Route,
    held: Held,
    parts: &Parts,
    response: &mut Response<Incoming>,
) -> Result<(), Problem> {
    let place = Arc::clone(&server.gateway.tunnels).try_acquire_owned();
    let place = place.map_err(|_| Problem::new("UNAVAILABLE", "too many WebSockets are open: try again later"))?;
    let Some(client) = parts.extensions.get::<OnUpgrade>().cloned() else {
        return Err(Problem::new("UPSTREAM_UNREACHABLE", "the upstream switches protocols unasked"));
    };
    let upstream = hyper::upgrade::on(response);
    let (app, idle) = (Arc::clone(&server.app), wait(route.timeouts.idle));
    tokio::spawn(async move {
        if let (Ok(upstream), Ok(client)) = (upstream.await, client.await) {
            let heard = Arc::new(Notify::new());
            let (mut upstream, mut client) = (End::new(upstream, &heard), End::new(client, &heard));
            let silent = async { while timeout(idle, heard.notified()).await.is_ok() {} };
            tokio::select! {
                // However it ends, both ends are closed.
                _ = copy_bidirectional(&mut upstream, &mut client) => {}
                () = silent => {}
                () = ended(&app, &held) => tracing::debug!("a WebSocket was closed: what opened it works no more"),
            }
        }
        drop(place);
    });
    Ok(())
}

/// Waits until what opened a WebSocket works no more.
async fn ended(app: &App, held: &Held) {
    let (mut seen, mut looks) = (app.changes(), 0_u32);
    loop {
        sleep(LOOK).await;
        looks = looks.wrapping_add(1);
        let changes = app.changes();
        // Where nothing was changed, time alone can have ended it; that is asked for each time only where it is in memory.
        if changes == seen && !held.is_in_memory() && !looks.is_multiple_of(SELDOM) {
            continue;
        }
        match app.still_holds(held).await {
            Ok(true) => seen = changes,
            Ok(false) => return,
            // What would end it is written to the very database that cannot be asked.
            Err(_) => {}
        }
    }
}

/// One end, which says when something comes from it.
struct End {
    io: TokioIo<Upgraded>,
    heard: Arc<Notify>,
}

impl End {
    fn new(upgraded: Upgraded, heard: &Arc<Notify>) -> Self {
        Self { io: TokioIo::new(upgraded), heard: Arc::clone(heard) }
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        if read.is_ready() {
            this.heard.notify_one();
        }
        read
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
