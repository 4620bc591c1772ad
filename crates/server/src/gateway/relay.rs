//! Plain requests through the gate from a connection's own bytes to an upstream's, without the HTTP library.
//!
//! Who passes, and what is said of them, is decided where it is for every request; only the reading and writing differs.
//! Whatever an upstream answers that is not plain is read on by the library, and sent by it.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::watch;

use super::body::wait;
use super::exchange::{Flow, Reply, ask};
use super::request::Call;
use super::{Onward, Stopped};
use crate::direct::{Line, Timer, send};
use crate::extract::Context;
use crate::request_id::RequestId;
use crate::router::{Asked, begins_like_own, passed_gate};
use crate::{Server, room};

/// The most that is read ahead of what a client asks next.
const MOST_AHEAD: usize = 64 * 1_024;
/// How much of a large body is read at a time.
const PIECE: usize = 64 * 1_024;

/// Whoever asks, at the other end of a connection.
pub(crate) struct Client<'c, T> {
    pub(crate) peer: IpAddr,
    pub(crate) stream: &'c mut T,
    /// What was read after the request.
    pub(crate) read: &'c mut Vec<u8>,
    pub(crate) line: &'c mut Line,
    pub(crate) timer: &'c mut Timer,
    pub(crate) stopping: &'c watch::Receiver<()>,
}

/// What became of a request.
pub(crate) enum Relayed {
    /// It has its answer.
    Answered,
    /// It is the library's, with its answer where there is one.
    Left(Option<Box<Response>>),
    /// Its connection is over.
    Over,
}

/// Why something is not waited for any longer.
pub(super) enum Ceased {
    /// It takes too long.
    Late,
    /// The client has gone.
    Gone,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<'_, T> {
    /// Waits for something until then, or for as long as the client is there.
    pub(super) async fn until<R>(&mut self, due_ms: i64, what: impl Future<Output = R>) -> Result<R, Ceased> {
        let Self { stream, read, timer, .. } = self;
        tokio::select! {
            biased;
            done = what => Ok(done),
            () = gone(*stream, read) => Err(Ceased::Gone),
            () = timer.over(due_ms) => Err(Ceased::Late),
        }
    }

    pub(super) fn is_last(&self) -> bool {
        self.stopping.has_changed().unwrap_or(true)
    }

    async fn send(&mut self, patience: Duration) -> io::Result<()> {
        send(self.stream, &self.line.out, patience).await?;
        room::take_back(&mut self.line.out);
        Ok(())
    }
}

/// Waits for a client's end, and reads what it asks meanwhile.
async fn gone(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) {
    while read.len() < MOST_AHEAD {
        if !matches!(room::read_more(stream, read).await, Ok(more) if more > 0) {
            return;
        }
    }
    std::future::pending().await
}

/// Whether a path may lead through the gate.
pub(crate) fn is_for_gate(server: &Server, target: &str) -> bool {
    let end = target.bytes().position(|byte| byte == b'?').unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    !server.app.world().policy.routes().is_empty() && !begins_like_own(path)
}

/// Answers a plain request, if there is a route for it.
///
/// # Errors
/// One of the connections broke off, and the answer with it.
pub(crate) async fn relay<T: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    call: &Call<'_, [httparse::Header<'_>]>,
    body: &[u8],
    client: &mut Client<'_, T>,
) -> io::Result<Relayed> {
    let request_id = RequestId::of(call.fields);
    let context = Context { peer: Some(client.peer), request_id, is_local: false };
    let method = call.method;
    let asked = || Asked::at_gate(&context, method);
    let world = server.app.world();
    let known = Onward::at_once(server, &world.policy, &context, call);
    let known = match known {
        Some(known) => known,
        None => Box::pin(Onward::of(server, &world.policy, &context, call)).await,
    };
    let onward = match known {
        Ok(Some(onward)) => onward,
        Ok(None) => return Ok(Relayed::Left(None)),
        Err(stopped) => return stop(stopped, &context, asked(), server, client).await,
    };
    let reply = match ask(&onward, body, client).await {
        Ok(reply) => reply,
        Err(problem) => return stop(onward.stopped(problem), &context, asked(), server, client).await,
    };
    let idle = wait(onward.route.timeouts.idle);
    match reply {
        Some(Reply::Plain(status, flow)) => {
            passed_gate(server, &context, method, status);
            carry(server, &onward, flow, client, idle).await
        }
        Some(Reply::Other(response)) => {
            Ok(Relayed::Left(Some(Box::new(asked().answered(server, onward.answered(response))))))
        }
        None => Ok(Relayed::Over),
    }
}

/// Answers a request that stops at the gate.
async fn stop<T: AsyncRead + AsyncWrite + Unpin>(
    stopped: Stopped,
    context: &Context,
    asked: Asked,
    server: &Server,
    client: &mut Client<'_, T>,
) -> io::Result<Relayed> {
    let answer = asked.answered(server, stopped.answer(context));
    let is_last = answer.status() == StatusCode::BAD_REQUEST;
    client.line.write(server.app.now(), &answer, !is_last && client.is_last());
    client.send(crate::framing::PATIENCE).await?;
    Ok(if is_last { Relayed::Over } else { Relayed::Answered })
}

/// Passes on what is left of an answer whose beginning stands in the line.
async fn carry<T: AsyncRead + AsyncWrite + Unpin, F: ?Sized>(
    server: &Server,
    onward: &Onward<'_, F>,
    flow: Flow<'_>,
    client: &mut Client<'_, T>,
    idle: Duration,
) -> io::Result<Relayed> {
    let Flow { mut stream, place, mut left, stays } = flow;
    if left > 0 {
        client.send(idle).await?;
    }
    let mut got = Vec::new();
    while left > 0 {
        got.clear();
        got.reserve(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        let due_ms = client.timer.begin(idle);
        // What is cut off here ends the connection: its client sees that something is missing.
        let more = client.until(due_ms, (&mut stream).take(left).read_buf(&mut got)).await;
        let more = more.map_err(|_| io::ErrorKind::TimedOut)??;
        if more == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= more as u64;
        send(client.stream, &got, idle).await?;
    }
    if stays {
        server.gateway.kept.put(&place, onward.route.timeouts, stream);
    }
    client.send(idle).await?;
    Ok(Relayed::Answered)
}
