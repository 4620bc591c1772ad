//! `POST /v1/keys/verify` answered from a connection's own bytes, before the HTTP library sees them.
//!
//! It is the call that services make on every request of theirs, and nearly always looks the same: one short head, a
//! length, a body that is there already. The library's way around such a call costs more than the verification.
//!
//! What must stay true: a request is answered here only where no two readers could see different things in its bytes.
//! Whatever is out of the ordinary in the least is left as it came, with all that follows it on the connection, to the
//! library and to `framing.rs`, which watches what the library reads. Nothing is waited for without an end.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, EXPECT, HOST, UPGRADE};
use keywright_app::clock::monotonic_ms;
use keywright_core::time::Time;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::Server;
use crate::extract::{BODY_TIME, MOST_BYTES};
use crate::fields::Fields;
use crate::framing::{PATIENCE, plain_length};
use crate::serve::{Caller, HEAD_TIME, verify_first};

/// What every request that is answered here begins with.
const REQUEST_LINE: &[u8] = b"POST /v1/keys/verify HTTP/1.1\r\n";
/// The longest head that is read here.
const LONGEST_HEAD: usize = 4 * 1_024;
/// The most fields a head may have to be read here.
const MOST_FIELDS: usize = 32;
/// Room for an answer, and for a request.
const ROOM: usize = 1_024;
/// The most that is kept of it between two of them.
const MOST_ROOM: usize = 8 * ROOM;

/// Answers verifications for as long as nothing else is asked, and gives back what was read of something else; `None` where
/// the connection is over.
///
/// # Errors
/// The connection broke off.
pub(crate) async fn answer_verifications<T>(
    caller: &Caller<'_>,
    stream: &mut T,
    begun: Vec<u8>,
    stopping: &mut watch::Receiver<()>,
) -> io::Result<Option<Vec<u8>>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut read = begun;
    let mut line = Line { out: Vec::with_capacity(ROOM), date: Date::default() };
    let mut patience = Patience::default();
    let mut timer = pin!(sleep(HEAD_TIME));
    loop {
        let (used, is_ours) = answer_whole(caller, &read, &mut line, stopping).await;
        if used > 0 {
            send(stream, &line.out).await?;
            line.out.clear();
            read.drain(..used);
            // What a long request took is not kept for short ones.
            if read.is_empty() && read.capacity() > MOST_ROOM {
                read = Vec::with_capacity(ROOM);
            }
            patience = Patience::default();
        }
        if !is_ours {
            return Ok(Some(read));
        }
        tokio::select! {
            biased;
            more = stream.read_buf(&mut read) => match more? {
                // What was begun will not be ended: whose end is missing is for the library to say.
                0 => return Ok((!read.is_empty()).then_some(read)),
                more if more == read.len() => patience = Patience::default(),
                _ => {}
            },
            changed = stopping.changed() => {
                // Whoever reads on is to see it, too.
                if changed.is_ok() {
                    stopping.mark_changed();
                }
                return Ok((!read.is_empty()).then_some(read));
            }
            () = &mut timer => match patience.left(!read.is_empty()) {
                Some(left) => timer.set(sleep(left)),
                None => return Ok((!read.is_empty()).then_some(read)),
            },
        }
    }
}

/// Sends answers. Whoever takes nothing of them is let go; only one that is not taken at once is waited for by the clock.
async fn send(stream: &mut (impl AsyncWrite + Unpin), answers: &[u8]) -> io::Result<()> {
    let mut sent = pin!(stream.write_all(answers));
    match poll_fn(|context| Poll::Ready(sent.as_mut().poll(context))).await {
        Poll::Ready(sent) => sent,
        Poll::Pending => timeout(PATIENCE, sent).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
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

/// Answers the whole requests at the beginning of what was read. Says how much of it that was, and whether what follows may
/// be for this place, too.
async fn answer_whole(
    caller: &Caller<'_>,
    read: &[u8],
    line: &mut Line,
    stopping: &watch::Receiver<()>,
) -> (usize, bool) {
    let mut used = 0;
    loop {
        let rest = read.get(used..).unwrap_or_default();
        let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        match next(rest, &mut fields) {
            Next::Whole { fields, body, length } => {
                used += length;
                let answer = verify_first(caller, fields, std::future::ready(Ok(body))).await;
                line.write(caller.server, &answer, stopping.has_changed().unwrap_or(true));
            }
            Next::Part => return (used, true),
            Next::Other => return (used, false),
        }
    }
}

/// What comes next on a connection.
enum Next<'b> {
    /// A request that is answered here, with its body, and its whole length.
    Whole { fields: &'b [httparse::Header<'b>], body: &'b [u8], length: usize },
    /// Nothing yet, or the beginning of such a request.
    Part,
    /// Something else.
    Other,
}

fn next<'b>(bytes: &'b [u8], room: &'b mut [MaybeUninit<httparse::Header<'b>>]) -> Next<'b> {
    let line = bytes.get(..REQUEST_LINE.len()).unwrap_or(bytes);
    if !REQUEST_LINE.starts_with(line) {
        return Next::Other;
    }
    let Some(end) = memmem::find(bytes.get(..LONGEST_HEAD).unwrap_or(bytes), b"\r\n\r\n") else {
        return if bytes.len() < LONGEST_HEAD { Next::Part } else { Next::Other };
    };
    let (head, body) = bytes.split_at(end + 4);
    let length = plain_length(head).and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length <= MOST_BYTES) else { return Next::Other };
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(head, room);
    if !parsed.is_ok_and(|parsed| parsed.is_complete()) || !is_ordinary(request.headers) {
        return Next::Other;
    }
    match body.get(..length) {
        Some(body) => Next::Whole { fields: request.headers, body, length: head.len() + length },
        None => Next::Part,
    }
}

/// Whether a head asks for nothing but its answer.
fn is_ordinary(fields: &[httparse::Header<'_>]) -> bool {
    let stays = |value: &[u8]| value.eq_ignore_ascii_case(b"keep-alive");
    fields.all(&HOST).count() == 1
        && fields.all(&CONNECTION).all(stays)
        && [EXPECT, UPGRADE].iter().all(|name| fields.all(name).next().is_none())
}

/// Answers on their way out.
struct Line {
    out: Vec<u8>,
    date: Date,
}

impl Line {
    /// Writes an answer as the library would.
    fn write(&mut self, server: &Server, answer: &Response<Bytes>, is_last: bool) {
        let out = &mut self.out;
        let (status, body) = (answer.status(), answer.body());
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        for (name, value) in answer.headers() {
            field(out, name.as_str(), value.as_bytes());
        }
        if is_last {
            field(out, CONNECTION.as_str(), b"close");
        }
        field(out, "content-length", body.len().to_string().as_bytes());
        field(out, "date", self.date.at(server.app.now()).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [b"\r\n", name.as_bytes(), b": ", value] {
        out.extend_from_slice(part);
    }
}

/// The date as HTTP writes it, written once a second.
#[derive(Default)]
struct Date {
    second: i64,
    text: String,
}

impl Date {
    fn at(&mut self, now: Time) -> &str {
        let second = now.millis().div_euclid(1_000);
        if self.text.is_empty() || second != self.second {
            let since = Duration::from_secs(second.unsigned_abs());
            *self = Self { second, text: httpdate::fmt_http_date(std::time::UNIX_EPOCH + since) };
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::framing::is_whole;

    const ORDINARY: &str = "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer b\r\n\
        Content-Type: application/json\r\nConnection: keep-alive\r\nContent-Length: 11\r\n\r\n{\"key\":\"c\"}";

    /// How long the request is that would be answered; nothing for the beginning of one.
    fn seen(bytes: &[u8]) -> Result<Option<usize>, ()> {
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        match next(bytes, &mut room) {
            Next::Whole { length, .. } => Ok(Some(length)),
            Next::Part => Ok(None),
            Next::Other => Err(()),
        }
    }

    #[test]
    fn a_request_is_waited_for_to_its_last_byte_and_no_further() {
        let twice = ORDINARY.repeat(2);
        for end in 0..ORDINARY.len() {
            assert_eq!(seen(&twice.as_bytes()[..end]), Ok(None), "{end}");
        }
        for end in ORDINARY.len()..twice.len() {
            assert_eq!(seen(&twice.as_bytes()[..end]), Ok(Some(ORDINARY.len())), "{end}");
        }
    }

    #[test]
    fn whatever_is_out_of_the_ordinary_is_left_to_the_library() {
        let long = format!("Host: a\r\nX: {}", "x".repeat(LONGEST_HEAD));
        let many = format!("Host: a{}", "\r\nX: x".repeat(MOST_FIELDS));
        for (what, instead) in [
            ("POST /v1/keys/verify HTTP/1.1", "GET /v1/keys/verify HTTP/1.1"),
            ("POST /v1/keys/verify HTTP/1.1", "POST /v1/keys/verify?a HTTP/1.1"),
            ("POST /v1/keys/verify HTTP/1.1", "POST /v1/keys/verify-batch HTTP/1.1"),
            ("POST /v1/keys/verify HTTP/1.1", "POST http://a/v1/keys/verify HTTP/1.1"),
            ("POST /v1/keys/verify HTTP/1.1", "POST /v1/keys/verify HTTP/1.0"),
            ("POST /v1/keys/verify HTTP/1.1\r\n", "\r\nPOST /v1/keys/verify HTTP/1.1\r\n"),
            ("POST /v1/keys/verify HTTP/1.1\r\n", "POST /v1/keys/verify HTTP/1.1\n"),
            ("Host: a", "Host: a\r\nHost: b"),
            ("Host: a", "X: a"),
            ("Host: a", "Host: a\r\nExpect: 100-continue"),
            ("Host: a", "Host: a\r\nUpgrade: h2c"),
            ("Host: a", "Host : a"),
            ("Host: a", "Host: a\r\n b"),
            ("Host: a", "Host: a\0"),
            ("Host: a\r\n", "Host: a\n"),
            ("Host: a", &long),
            ("Host: a", &many),
            ("Connection: keep-alive", "Connection: close"),
            ("Connection: keep-alive", "Connection: keep-alive, te"),
            ("Connection: keep-alive", "Connection: keep-alive\r\nConnection: x-api-key"),
            ("Content-Length: 11", "Content-Length: 11\r\nContent-Length: 11"),
            ("Content-Length: 11", "Content-Length: +11"),
            ("Content-Length: 11", "Content-Length: 65537"),
            ("Content-Length: 11", "Transfer-Encoding: chunked"),
            ("Content-Length: 11", "Content-Length: 11\r\nTransfer-Encoding: chunked"),
        ] {
            let text = ORDINARY.replace(what, instead);
            assert!(text != ORDINARY && seen(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    proptest! {
        /// Whatever is answered here ends, for those who watch the library's reader, where it ends here.
        #[test]
        fn no_two_readers_see_two_requests(
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(b"\r\n :;,\0\t0x1aT".as_slice()), any::<bool>()),
                1..4,
            )
        ) {
            let mut bytes = ORDINARY.as_bytes().to_vec();
            for (at, byte, is_added) in changes {
                let at = at.index(bytes.len());
                if is_added { bytes.insert(at, byte) } else { bytes[at] = byte }
            }
            bytes.extend_from_slice(ORDINARY.as_bytes());
            if let Ok(Some(length)) = seen(&bytes) {
                prop_assert!(is_whole(&bytes[..length]), "{:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}
