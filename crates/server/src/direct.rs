//! Plain requests answered from a connection's own bytes, before the HTTP library sees them: `POST /v1/keys/verify`, and what
//! passes the gate.
//!
//! These are the calls that are made all the time, and nearly always look the same: one short head, a length, a body that is
//! there already. The library's way around such a call costs more than what is done for it.
//!
//! What must stay true: a request is answered here only where no two readers could see different things in its bytes.
//! Whatever is out of the ordinary in the least is left as it came, with all that follows it on the connection, to the
//! library and to `framing.rs`, which watches what the library reads. Nothing is waited for without an end.

mod familiar;
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
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;

use self::head::{MOST_FIELDS, Next, is_verification, next};
pub(crate) use self::line::{Line, field};
pub(crate) use self::timer::Timer;
use crate::extract::{BODY_TIME, Who};
use crate::framing::PATIENCE;
use crate::gateway::{self, Client, Relayed};
use crate::room::{read_more, take_back};
use crate::serve::{Caller, HEAD_TIME, verify_at_once, verify_first};

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
    let mut talk = Talk { caller, stream, read: begun, line: Line::default(), timer: Timer::default() };
    // For the beginning of a request, and from there for its end.
    let longest = |read: &Vec<u8>| if read.is_empty() { HEAD_TIME } else { BODY_TIME };
    let mut due_ms = talk.timer.begin(longest(&talk.read));
    // Waited for all along, on a watch of its own: whoever reads on is to see it, too.
    let mut stop = stopping.clone();
    let mut stop = pin!(stop.changed());
    let mut is_heard = false;
    loop {
        match talk.answer_whole(stopping).await? {
            After::Answered => due_ms = talk.timer.begin(longest(&talk.read)),
            After::Nothing => {}
            After::Left(answer) => return Ok(Some(Left { read: talk.read, answer })),
            After::Over => return Ok(None),
        }
        let Talk { stream, read, timer, .. } = &mut talk;
        let stopped = poll_fn(|context| {
            // To wait takes a lock that all connections share. Once will do: the task that is woken stays the same.
            if is_heard && !stopping.has_changed().unwrap_or(true) {
                return Poll::Pending;
            }
            is_heard = true;
            stop.as_mut().poll(context).map(drop)
        });
        let is_over = tokio::select! {
            biased;
            more = read_more(*stream, read) => match more? {
                // What was begun will not be ended: whose end is missing is for the library to say.
                0 => true,
                more => {
                    if more == read.len() {
                        due_ms = timer.begin(longest(read));
                    }
                    false
                }
            },
            () = stopped => true,
            () = timer.over(due_ms) => true,
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

/// What became of the bytes of a request.
enum Step {
    /// So many were a verification, whose answer is yet to be sent.
    Verified(usize),
    /// So many were passed on.
    Relayed(Relayed, usize),
    /// There is nothing whole.
    Part,
    /// There is a head, and not all of its body.
    Short,
    /// It is the library's.
    Strange,
}

/// A connection that is talked on.
struct Talk<'t, T> {
    caller: &'t Caller<'t>,
    stream: &'t mut T,
    /// What has been read and not been answered.
    read: Vec<u8>,
    line: Line,
    timer: Timer,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Talk<'_, T> {
    /// Answers the whole requests at the beginning of what was read.
    async fn answer_whole(&mut self, stopping: &watch::Receiver<()>) -> io::Result<After> {
        let (mut used, mut answered) = (0, false);
        loop {
            // Lent to whoever looks at it: what is read meanwhile is kept apart.
            let mut held = std::mem::take(&mut self.read);
            let bytes = held.get(used..).unwrap_or_default();
            let step = match self.verify_at_once(bytes, stopping) {
                Ok(length) => Step::Verified(length),
                Err(known) => self.answer_next(bytes, known, stopping).await?,
            };
            let (relayed, length) = match step {
                Step::Relayed(relayed, length) => (relayed, length),
                step @ (Step::Verified(_) | Step::Part | Step::Short | Step::Strange) => {
                    self.read = held;
                    match step {
                        Step::Verified(length) => (used, answered) = (used + length, true),
                        // What was answered goes out first.
                        Step::Part | Step::Short | Step::Strange if used > 0 => {
                            self.send(used).await?;
                            used = 0;
                        }
                        Step::Part => return Ok(if answered { After::Answered } else { After::Nothing }),
                        // What is refused is refused before its body is here: where that is not all here, the library
                        // sees to it.
                        Step::Short if self.read_at_once().await? => {}
                        Step::Short | Step::Strange | Step::Relayed(..) => return Ok(After::Left(None)),
                    }
                    continue;
                }
            };
            let asked = used..used + length;
            (used, answered) = (0, true);
            match relayed {
                Relayed::Answered => take_back(&mut held),
                Relayed::Left(answer) => {
                    self.read.splice(..0, held.get(asked).unwrap_or_default().iter().copied());
                    return Ok(After::Left(answer.map(|answer| *answer)));
                }
                Relayed::Over => return Ok(After::Over),
            }
        }
    }

    /// Answers the verification at the beginning of these bytes, where all that it takes is in memory, as nearly always; says how
    /// long it was, or who asks where it came so far. Nothing of it is waited for, so that it needs no memory of the connection's.
    fn verify_at_once(&mut self, bytes: &[u8], stopping: &watch::Receiver<()>) -> Result<usize, Option<Box<Who>>> {
        if !is_verification(bytes) {
            return Err(None);
        }
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut known = familiar::Read::new();
        let recalled = familiar::recall(bytes, &mut known);
        let (fields, body, length) = match recalled {
            Some((body, length)) => (known.as_slice(), body, length),
            None => match next(bytes, &mut room, |_| false) {
                Next::Verification { fields, body, length } => (fields, body, length),
                Next::Other { .. } | Next::Part | Next::Short | Next::Strange => return Err(None),
            },
        };
        let answer = verify_at_once(self.caller, fields, body)?;
        // What strangers send takes nobody's place.
        if recalled.is_none() && answer.answer.is_ok() {
            familiar::remember(bytes.get(..length - body.len()).unwrap_or_default(), fields, body.len());
        }
        self.line.verified(self.caller.server.app.now(), answer, stopping.has_changed().unwrap_or(true));
        Ok(length)
    }

    /// Answers the request at the beginning of these bytes. The answer to a verification stands in the line, and goes out later;
    /// who asks for it may be known already.
    async fn answer_next(
        &mut self,
        bytes: &[u8],
        known: Option<Box<Who>>,
        stopping: &watch::Receiver<()>,
    ) -> io::Result<Step> {
        let server = self.caller.server;
        let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        match next(bytes, &mut fields, |path| gateway::is_for_gate(server, path)) {
            Next::Verification { fields, body, length } => {
                let answer = verify_first(self.caller, fields, known, std::future::ready(Ok(body))).await;
                self.line.verified(server.app.now(), answer, stopping.has_changed().unwrap_or(true));
                Ok(Step::Verified(length))
            }
            Next::Other { call, body, length } => {
                self.send(0).await?;
                let ahead = bytes.get(length..).unwrap_or_default();
                if !ahead.is_empty() {
                    self.read.extend_from_slice(ahead);
                }
                let Self { caller, stream, read, line, timer } = self;
                let mut client = Client { peer: caller.peer.ip(), stream, read, line, timer, stopping };
                Ok(Step::Relayed(gateway::relay(server, &call, body, &mut client).await?, length))
            }
            Next::Part => Ok(Step::Part),
            Next::Short => Ok(Step::Short),
            Next::Strange => Ok(Step::Strange),
        }
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
        take_back(&mut self.line.out);
        self.read.drain(..used);
        if self.read.is_empty() {
            take_back(&mut self.read);
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
