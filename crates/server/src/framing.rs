//! Where one request of a connection ends and the next begins, held to the letter.
//!
//! What must stay true: no request is answered whose end two readers could see in two places. Two lengths, a length beside
//! chunks, a line that ends without a carriage return: the HTTP library mends these, and what it has mended can no longer
//! be seen in what it hands on. So the bytes are looked at on their way to it. The rules are RFC 9112's, 2.2, 6.3 and 7.1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use memchr::memchr_iter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest line that is looked at. The library refuses longer ones itself.
const LONGEST_LINE: usize = 512 * 1_024;

/// A connection whose requests are looked at as they are read.
pub(crate) struct Watched<T> {
    stream: T,
    /// What was read before it was known what is spoken.
    begun: Bytes,
    framing: Framing,
    is_broken: Arc<AtomicBool>,
}

impl<T> Watched<T> {
    /// Watches a connection of which so much has been read. What comes with it says whether a request was out of order.
    pub(crate) fn new(begun: Vec<u8>, stream: T) -> (Self, Arc<AtomicBool>) {
        let is_broken = Arc::new(AtomicBool::new(false));
        let framing = Framing::default();
        (Self { stream, begun: begun.into(), framing, is_broken: Arc::clone(&is_broken) }, is_broken)
    }

    /// A connection whose requests are told apart in another way.
    pub(crate) fn unwatched(begun: Vec<u8>, stream: T) -> Self {
        let framing = Framing { at: At::Over, ..Framing::default() };
        Self { stream, begun: begun.into(), framing, is_broken: Arc::default() }
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
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() && !this.framing.read(new) {
            this.is_broken.store(true, Ordering::Release);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
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
            *self = Self { at: At::Over, ..Self::default() };
        }
        is_sound
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
            *self = Self { at: At::Over, ..Self::default() };
        }
        Ok(&[])
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), Broken> {
        // One that stands alone within a line is refused by the library.
        let line = line.strip_suffix(b"\r").ok_or(Broken)?;
        match self.at {
            At::Head if line.is_empty() => return self.end_head(),
            At::Head if self.is_begun => return self.field(line),
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
}
