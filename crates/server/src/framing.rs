//! Where one request of a connection ends and the next begins, held to the letter.
//!
//! What must stay true: no request is answered whose end two readers could see in two places. Two lengths, a length beside
//! chunks, a line that ends without a carriage return: the HTTP library mends these, and what it has mended can no longer
//! be seen in what it hands on. So the bytes are looked at on their way to it. The rules are RFC 9112's, 2.2, 6.3 and 7.1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use memchr::{memchr, memchr_iter};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::silence::Silence;

/// The longest line that is looked at. The library refuses longer ones itself.
const LONGEST_LINE: usize = 512 * 1_024;
/// How long a client may take nothing of what it is sent, where nothing else is said.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client that is still sending what nobody will read has for reading why.
const LINGER: Duration = Duration::from_secs(5);

/// A connection whose requests are looked at as they are read.
pub(crate) struct Watched<T> {
    stream: T,
    /// What was read before it was known what is spoken.
    begun: Bytes,
    framing: Framing,
    seen: Arc<Seen>,
    /// How long the client has taken nothing of what it is sent.
    silence: Silence,
    end: End,
}

/// What is known of a connection on both sides of the HTTP library.
pub(crate) struct Seen {
    is_broken: AtomicBool,
    is_under_way: AtomicBool,
    is_other: AtomicBool,
    patience_ms: AtomicU64,
}

impl Default for Seen {
    fn default() -> Self {
        let patience_ms = AtomicU64::new(PATIENCE.as_millis() as u64);
        let [is_broken, is_under_way, is_other] = [const { AtomicBool::new(false) }; 3];
        Self { is_broken, is_under_way, is_other, patience_ms }
    }
}

impl Seen {
    /// Whether a request was out of order.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// Whether more of the request's body is to come.
    pub(crate) fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Acquire)
    }

    /// For so long the client may take nothing of the answer that is sent now.
    pub(crate) fn waits_for(&self, patience: Duration) {
        self.patience_ms.store(patience.as_millis() as u64, Ordering::Relaxed);
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms.load(Ordering::Relaxed))
    }

    /// What comes now are no requests.
    pub(crate) fn becomes_other(&self) {
        self.is_other.store(true, Ordering::Release);
    }
}

/// How far the end of a connection has come.
enum End {
    Open,
    /// Nothing more is said, and what still comes is read.
    Lingering(Pin<Box<Sleep>>),
    Over,
}

impl<T> Watched<T> {
    /// Watches a connection of which so much has been read.
    pub(crate) fn new(begun: Vec<u8>, stream: T) -> (Self, Arc<Seen>) {
        let seen = Arc::<Seen>::default();
        let framing = Framing::default();
        (
            Self {
                stream,
                begun: begun.into(),
                framing,
                seen: Arc::clone(&seen),
                silence: Silence::default(),
                end: End::Open,
            },
            seen,
        )
    }

    /// A connection whose requests are told apart in another way.
    pub(crate) fn unwatched(begun: Vec<u8>, stream: T) -> Self {
        let framing = Framing { at: At::Over, ..Framing::default() };
        Self { stream, begun: begun.into(), framing, seen: Arc::default(), silence: Silence::default(), end: End::Open }
    }
}

impl<T: AsyncRead + Unpin> Watched<T> {
    /// Reads what the client is still sending, until that is all of it, or it has seen that nobody listens, or has had its
    /// time. Where a connection is closed with bytes unread, the machine takes back what was answered.
    fn poll_linger(&mut self, context: &mut Context<'_>, ends: &mut Pin<Box<Sleep>>) -> Poll<()> {
        let mut space = [0; 8 * 1_024];
        loop {
            if ends.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let mut piece = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece));
            if read.is_err() || piece.filled().is_empty() {
                return Poll::Ready(());
            }
            self.framing.read(piece.filled());
            if self.framing.at == At::Head {
                return Poll::Ready(());
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = if this.begun.is_empty() {
            Pin::new(&mut this.stream).poll_read(context, buffer)
        } else {
            buffer.put_slice(&this.begun.split_to(this.begun.len().min(buffer.remaining())));
            Poll::Ready(Ok(()))
        };
        if this.seen.is_other.load(Ordering::Acquire) {
            this.framing.end();
        }
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() && !this.framing.read(new) {
            this.seen.is_broken.store(true, Ordering::Release);
        }
        this.seen.is_under_way.store(this.framing.is_under_way(), Ordering::Release);
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let tried = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.silence.of_write(context, this.seen.patience(), tried)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let tried = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        this.silence.of_write(context, this.seen.patience(), tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let tried = Pin::new(&mut this.stream).poll_flush(context);
        this.silence.of_write(context, this.seen.patience(), tried)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.end, End::Open) {
            let tried = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(this.silence.of_write(context, this.seen.patience(), tried))?;
            let is_unread = this.framing.is_under_way() || this.seen.is_broken();
            this.end = if is_unread { End::Lingering(Box::pin(sleep(LINGER))) } else { End::Over };
        }
        if let End::Lingering(mut ends) = std::mem::replace(&mut this.end, End::Over)
            && this.poll_linger(context, &mut ends).is_pending()
        {
            this.end = End::Lingering(ends);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether there is one reading of a request of which so much has come.
pub(crate) fn is_sound(begun: &[u8]) -> bool {
    Framing::default().read(begun)
}

/// How long the body is of a request whose whole head this is, where it says so plainly; `None` where it comes in chunks, or
/// its end could be seen in two places.
pub(crate) fn plain_length(head: &[u8]) -> Option<u64> {
    let mut framing = Framing::default();
    if !framing.read(head) {
        return None;
    }
    match framing.at {
        At::Head => Some(0),
        At::Body(length) => Some(length),
        At::ChunkSize | At::Chunk(_) | At::ChunkEnd | At::Trailers | At::Over => None,
    }
}

/// What is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    /// So many bytes of a body that has a length.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Nothing more is looked at.
    Over,
}

/// What is known of the request under way.
struct Framing {
    at: At,
    /// The beginning of a line whose end has not been read yet.
    line: Vec<u8>,
    /// Whether the request line has been read.
    is_begun: bool,
    length: Option<u64>,
    is_chunked: bool,
}

impl Default for Framing {
    fn default() -> Self {
        Self { at: At::Head, line: Vec::new(), is_begun: false, length: None, is_chunked: false }
    }
}

/// Something two readers could read differently.
struct Broken;

impl Framing {
    /// Reads on, and says whether all is in order so far. After the first that is not, nothing more is looked at.
    fn read(&mut self, bytes: &[u8]) -> bool {
        let is_sound = self.read_on(bytes).is_ok();
        if !is_sound {
            self.end();
        }
        is_sound
    }

    /// Nothing more is looked at.
    fn end(&mut self) {
        if self.at != At::Over {
            *self = Self { at: At::Over, ..Self::default() };
        }
    }

    /// Whether there is more to come of a body.
    fn is_under_way(&self) -> bool {
        !matches!(self.at, At::Head | At::Over)
    }

    fn read_on(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            match self.at {
                At::Over => return Ok(()),
                At::Body(left) => {
                    let rest;
                    (rest, bytes) = skip(left, bytes);
                    self.at = if rest == 0 { At::Head } else { At::Body(rest) };
                }
                At::Chunk(left) => {
                    let rest;
                    (rest, bytes) = skip(left, bytes);
                    self.at = if rest == 0 { At::ChunkEnd } else { At::Chunk(rest) };
                }
                At::Head | At::ChunkSize | At::ChunkEnd | At::Trailers => bytes = self.read_lines(bytes)?,
            }
        }
        Ok(())
    }

    /// Reads lines for as long as lines are what comes, and gives back what is beyond.
    fn read_lines<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Broken> {
        let mut begun = 0;
        // One pass over all of it: lines are short, and looking for the end of each anew would cost twice as much.
        for end in memchr_iter(b'\n', bytes) {
            let line = bytes.get(begun..end).unwrap_or_default();
            begun = end + 1;
            if self.line.is_empty() {
                self.end_line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.end_line(&whole)?;
            }
            if matches!(self.at, At::Body(_) | At::Chunk(_)) {
                return Ok(bytes.get(begun..).unwrap_or_default());
            }
        }
        self.line.extend_from_slice(bytes.get(begun..).unwrap_or_default());
        if self.line.len() > LONGEST_LINE {
            self.end();
        }
        Ok(&[])
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), Broken> {
        // One that stands alone within a line is refused by the library.
        let line = line.strip_suffix(b"\r").ok_or(Broken)?;
        match self.at {
            At::Head if line.is_empty() => return self.end_head(),
            At::Head if self.is_begun => return self.field(line),
            // A fragment is for clients alone: some servers cut it off, and some do not.
            At::Head if memchr(b'#', line).is_some() => return Err(Broken),
            At::Head => self.is_begun = true,
            At::ChunkSize => self.at = chunk(line)?,
            At::ChunkEnd if line.is_empty() => self.at = At::ChunkSize,
            At::ChunkEnd => return Err(Broken),
            At::Trailers if line.is_empty() => *self = Self::default(),
            At::Trailers | At::Body(_) | At::Chunk(_) | At::Over => {}
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Broken> {
        // Nearly no field begins like the two that matter.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return Ok(());
        }
        if let Some(value) = value_of(line, b"content-length:") {
            let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = digits.and_then(|text| text.parse().ok()).ok_or(Broken)?;
            return if self.length.replace(length).is_none() { Ok(()) } else { Err(Broken) };
        }
        if let Some(value) = value_of(line, b"transfer-encoding:") {
            let is_first = !std::mem::replace(&mut self.is_chunked, true);
            return if is_first && value.eq_ignore_ascii_case(b"chunked") { Ok(()) } else { Err(Broken) };
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), Broken> {
        let next = match (self.length, self.is_chunked) {
            (Some(_), true) => return Err(Broken),
            (None, true) => At::ChunkSize,
            (None | Some(0), false) => At::Head,
            (Some(length), false) => At::Body(length),
        };
        (self.at, self.is_begun, self.length, self.is_chunked) = (next, false, None, false);
        Ok(())
    }
}

/// The value of a field of this name. A space before the colon is refused by the library.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (begin, value) = line.split_at_checked(name.len())?;
    begin.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// How much of so many bytes is still to come after these, and what of these is beyond them.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (left - here as u64, bytes.get(here..).unwrap_or_default())
}

fn chunk(line: &[u8]) -> Result<At, Broken> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at(digits);
    let is_sound = (1..=16).contains(&digits.len()) && matches!(extension.first(), None | Some(b';' | b' ' | b'\t'));
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match size.filter(|_| is_sound) {
        Some(0) => Ok(At::Trailers),
        Some(size) => Ok(At::Chunk(size)),
        None => Err(Broken),
    }
}

/// Whether these bytes are whole requests in order.
#[cfg(test)]
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let mut framing = Framing::default();
    framing.read(bytes) && framing.at == At::Head && !framing.is_begun && framing.line.is_empty()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Whether requests are in order, however their bytes come in.
    fn is_sound(bytes: &[u8]) -> bool {
        let whole = Framing::default().read(bytes);
        let mut framing = Framing::default();
        let single = bytes.iter().all(|byte| framing.read(&[*byte]));
        assert_eq!(whole, single, "{:?}", String::from_utf8_lossy(bytes));
        whole
    }

    #[test]
    fn requests_in_order_pass() {
        for text in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\n\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n\n\na\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding:Chunked \r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nx-content-length: nonsense\r\ncookie: a\r\n\r\n",
        ] {
            assert!(is_sound(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn whatever_has_two_readings_is_seen() {
        let post = |fields: &str| format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
        for text in [
            "GET / HTTP/1.1\n\n".to_owned(),
            "GET / HTTP/1.1\r\nhost: a\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nhost: a\r\n\n".to_owned(),
            "GET /a#/../b HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            post("Content-Length: 4\r\nContent-Length: 4"),
            post("Content-Length: 4\r\nContent-Length: 5"),
            post("Content-Length: 4, 4"),
            post("Content-Length: +4"),
            post("Content-Length: 0x4"),
            post("Content-Length:"),
            post("Content-Length: 99999999999999999999"),
            post("Content-Length: 4\r\nTransfer-Encoding: chunked"),
            post("Transfer-Encoding: chunked\r\nContent-Length: 4"),
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            post("Transfer-Encoding: gzip, chunked"),
            post("Transfer-Encoding: identity"),
            post("Transfer-Encoding: chunked, identity"),
            post("Transfer-Encoding: xchunked"),
            post("Transfer-Encoding: \u{b}chunked"),
            post("Transfer-Encoding: chunked") + "3\nabc\r\n0\r\n\r\n",
            post("Transfer-Encoding: chunked") + "0x3\r\nabc\r\n0\r\n\r\n",
            post("Transfer-Encoding: chunked") + "3\r\nabcd\r\n0\r\n\r\n",
            post("Transfer-Encoding: chunked") + "\r\nabc\r\n",
            post("Transfer-Encoding: chunked") + "fffffffffffffffff\r\n",
            post("Transfer-Encoding: chunked") + "0\r\nx: y\n\r\n",
            // The second of two on one connection.
            post("Content-Length: 2") + "ab" + &post("Content-Length: 1\r\nTransfer-Encoding: chunked"),
        ] {
            assert!(!is_sound(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_endless_memory() {
        let mut framing = Framing::default();
        for _ in 0..10_000 {
            assert!(framing.read(&[b'a'; 1_024]));
        }
        assert!(framing.line.capacity() <= 4 * LONGEST_LINE);
    }
    /// What a connection has become is nobody's request, and none of it is kept.
    #[tokio::test]
    async fn what_is_no_request_any_more_is_not_looked_at() {
        let (mut client, stream) = tokio::io::duplex(64 * 1_024);
        let (mut watched, seen) = Watched::new(b"GET / HTTP/1.1\r\n\r\n".to_vec(), stream);
        let mut space = vec![0; 64 * 1_024];
        assert_eq!(watched.read(&mut space).await.unwrap(), 18);
        seen.becomes_other();
        for said in [vec![b'a'; 60_000], b"a\nb".to_vec()] {
            client.write_all(&said).await.unwrap();
            watched.read_exact(&mut space[..said.len()]).await.unwrap();
        }
        assert!(watched.framing.line.is_empty() && !seen.is_broken());
    }

    #[tokio::test]
    async fn whoever_still_sends_is_listened_to_until_they_have_read_why() {
        let (client, stream) = tokio::io::duplex(1_024);
        let (mut watched, _) = Watched::new(b"PUT / HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n".to_vec(), stream);
        assert!(watched.read(&mut [0; 1_024]).await.is_ok());
        watched.write_all(b"answer").await.unwrap();
        let (mut from, mut to) = tokio::io::split(client);
        let client = async {
            to.write_all(&[0; 100_000]).await.unwrap();
            let mut read = Vec::new();
            from.read_to_end(&mut read).await.unwrap();
            drop((from, to));
            read
        };
        let (read, ended) = tokio::join!(client, watched.shutdown());
        assert_eq!((read.as_slice(), ended.is_ok()), (b"answer".as_slice(), true));
    }
}
