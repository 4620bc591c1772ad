//! Plain requests answered from a connection's own bytes, before the HTTP library sees them: `POST /v1/keys/verify`, and what
//! passes the gate.
//!
//! These are the calls that are made all the time, and nearly always look the same: one short head, a length, a body that is
//! there already. The library's way around such a call costs more than what is done for it.
//!
//! What must stay true: a request is answered here only where no two readers could see different things in its bytes.
//! Whatever is out of the ordinary in the least is left as it came, with all that follows it on the connection, to the
//! library and to `framing.rs`, which watches what the library reads. Nothing is waited for without an end.

mod head;
mod line;
mod timer;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::response::Response;
use keywright_app::clock::monotonic_ms;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use self::head::{MOST_FIELDS, Next, next};
pub(crate) use self::line::{Line, field};
pub(crate) use self::timer::Timer;
use crate::extract::BODY_TIME;
use crate::framing::PATIENCE;
use crate::gateway::{self, Client, Relayed};
use crate::serve::{Caller, HEAD_TIME, verify_first};

/// Room for an answer, and for a request.
const ROOM: usize = 1_024;
/// The most that is kept of it between two of them.
const MOST_ROOM: usize = 8 * ROOM;

/// What is left to the library.
pub(crate) struct Left {
    /// What was read, from the first byte of a request.
    pub(crate) read: Vec<u8>,
    /// The answer to that first request, where there is one already and the library is only to send it.
    pub(crate) answer: Option<Response>,
}

impl Left {
    /// What has not been looked at.
    fn unanswered(read: Vec<u8>) -> Self {
        Self { read, answer: None }
    }
}

/// Answers plain requests for as long as nothing else is asked, and gives back what is left to the library; nothing where the
/// connection is over.
///
/// # Errors
/// The connection broke off.
pub(crate) async fn answer_plain<T>(
    caller: &Caller<'_>,
    stream: &mut T,
    begun: Vec<u8>,
    stopping: &watch::Receiver<()>,
) -> io::Result<Option<Left>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut talk = Talk { caller, stream, read: begun, line: Line::default(), way: gateway::Room::default() };
    let mut patience = Patience::default();
    let mut timer = pin!(sleep(HEAD_TIME));
    // Waited for all along, on a watch of its own: whoever reads on is to see it, too.
    let mut stop = stopping.clone();
    let mut stop = pin!(stop.changed());
    loop {
        match talk.answer_whole(stopping).await? {
            After::Answered => patience = Patience::default(),
            After::Nothing => {}
            After::Left(answer) => return Ok(Some(Left { read: talk.read, answer })),
            After::Over => return Ok(None),
        }
        let Talk { stream, read, .. } = &mut talk;
        let is_over = tokio::select! {
            biased;
            more = stream.read_buf(read) => match more? {
                // What was begun will not be ended: whose end is missing is for the library to say.
                0 => true,
                more => {
                    if more == read.len() {
                        patience = Patience::default();
                    }
                    false
                }
            },
            _ = &mut stop => true,
            () = &mut timer => match patience.left(!read.is_empty()) {
                Some(left) => {
                    timer.set(sleep(left));
                    false
                }
                None => true,
            },
        };
        if is_over {
            let read = talk.read;
            return Ok((!read.is_empty()).then(|| Left::unanswered(read)));
        }
    }
}

/// What became of what was read.
enum After {
    /// Something was answered, and more may come.
    Answered,
    /// There was nothing whole.
    Nothing,
    /// What comes next is the library's, with its answer where there is one.
    Left(Option<Response>),
    /// The connection is.
    Over,
}

/// A connection that is talked on.
struct Talk<'t, T> {
    caller: &'t Caller<'t>,
    stream: &'t mut T,
    /// What has been read and not been answered.
    read: Vec<u8>,
    line: Line,
    way: gateway::Room,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Talk<'_, T> {
    /// Answers the whole requests at the beginning of what was read.
    async fn answer_whole(&mut self, stopping: &watch::Receiver<()>) -> io::Result<After> {
        let server = self.caller.server;
        let (mut used, mut answered) = (0, false);
        loop {
            let rest = self.read.get(used..).unwrap_or_default();
            let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
            match next(rest, &mut fields, |path| gateway::is_for_gate(server, path)) {
                Next::Verification { fields, body, length } => {
                    let answer = verify_first(self.caller, fields, std::future::ready(Ok(body))).await;
                    self.line.write(server.app.now(), &answer, stopping.has_changed().unwrap_or(true));
                    (used, answered) = (used + length, true);
                }
                Next::Other { head, length } => {
                    let Some(request) = head.request() else { return self.leave(used).await };
                    self.send(used).await?;
                    used = 0;
                    let asked: Vec<u8> = self.read.drain(..length).collect();
                    let Self { caller, stream, read, line, way } = self;
                    let mut client = Client { peer: caller.peer.ip(), stream, read, line, room: way, stopping };
                    match gateway::relay(server, request, &mut client).await? {
                        Relayed::Answered => answered = true,
                        Relayed::Left(answer) => {
                            self.read.splice(..0, asked);
                            return Ok(After::Left(answer.map(|answer| *answer)));
                        }
                        Relayed::Over => return Ok(After::Over),
                    }
                }
                Next::Part | Next::Short | Next::Strange if used > 0 => {
                    // What was answered goes out first.
                    self.send(used).await?;
                    used = 0;
                }
                Next::Part => return Ok(if answered { After::Answered } else { After::Nothing }),
                // What is refused is refused before its body is here: where that is not all here, the library sees to it.
                Next::Short => {
                    if !self.read_at_once().await? {
                        return Ok(After::Left(None));
                    }
                }
                Next::Strange => return Ok(After::Left(None)),
            }
        }
    }

    /// Leaves what comes next to the library, once what came before has been answered.
    async fn leave(&mut self, used: usize) -> io::Result<After> {
        self.send(used).await?;
        Ok(After::Left(None))
    }

    /// Reads what is there to read. Says whether there was anything.
    async fn read_at_once(&mut self) -> io::Result<bool> {
        let mut more = pin!(self.stream.read_buf(&mut self.read));
        match poll_fn(|context| Poll::Ready(more.as_mut().poll(context))).await {
            Poll::Ready(more) => more.map(|more| more > 0),
            Poll::Pending => Ok(false),
        }
    }

    /// Sends what was answered of so much that was read.
    async fn send(&mut self, used: usize) -> io::Result<()> {
        send(self.stream, &self.line.out, PATIENCE).await?;
        self.line.out.clear();
        self.read.drain(..used);
        // What a long request took is not kept for short ones.
        if self.read.is_empty() && self.read.capacity() > MOST_ROOM {
            self.read = Vec::with_capacity(ROOM);
        }
        Ok(())
    }
}

/// Sends bytes. Whoever takes nothing of them is let go; only one that does not take them at once is waited for by the clock.
pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], patience: Duration) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut sent = pin!(async {
        stream.write_all(bytes).await?;
        stream.flush().await
    });
    match poll_fn(|context| Poll::Ready(sent.as_mut().poll(context))).await {
        Poll::Ready(sent) => sent,
        Poll::Pending => timeout(patience, sent).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}

/// Since when something is waited for. The timer is set anew only when it has run out: nearly none ever does.
struct Patience {
    since_ms: i64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { since_ms: monotonic_ms() }
    }
}

impl Patience {
    /// How much longer to wait for the beginning of a request, or for the rest of one.
    fn left(&self, is_begun: bool) -> Option<Duration> {
        let waited = Duration::from_millis((monotonic_ms() - self.since_ms).unsigned_abs());
        let most = if is_begun { BODY_TIME } else { HEAD_TIME };
        most.checked_sub(waited).filter(|left| !left.is_zero())
    }
}
