//! Lines of a file of any size, each with its number and where it ends. Memory is bounded, whatever the file holds.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// The longest line that is kept; what is beyond is skipped and the line refused.
pub(super) const MOST_BYTES: usize = 64 * 1_024;

/// A line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Its text, cut off where it is too long.
    pub(super) bytes: Vec<u8>,
    /// Whether it was.
    pub(super) too_long: bool,
    /// The byte of the file after it.
    pub(super) end: u64,
}

/// Reads lines, and takes some back.
pub(super) struct Lines<R> {
    from: R,
    at: u64,
    number: u64,
    back: VecDeque<Line>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `from`, which stands at byte `at`, after so many lines.
    pub(super) fn new(from: R, at: u64, number: u64) -> Self {
        Self { from, at, number, back: VecDeque::new() }
    }

    /// Lines to be read again, in their order.
    pub(super) fn give_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.back.push_front(line);
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.back.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Line { number: self.number + 1, bytes: Vec::new(), too_long: false, end: self.at };
        loop {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            let room = MOST_BYTES - line.bytes.len();
            line.too_long |= part.len() > room;
            line.bytes.extend(part.iter().take(room));
            let used = part.len() + usize::from(end.is_some());
            self.from.consume(used);
            line.end += used as u64;
            if end.is_some() {
                break;
            }
        }
        if line.end == self.at {
            return Ok(None);
        }
        (self.at, self.number) = (line.end, line.number);
        if line.bytes.last() == Some(&b'\r') {
            line.bytes.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u64, Vec<u8>, bool, u64)> {
        // A small buffer, so that lines span several.
        let mut lines = Lines::new(io::BufReader::with_capacity(3, text), 0, 0);
        std::iter::from_fn(|| lines.next().unwrap())
            .map(|line| (line.number, line.bytes, line.too_long, line.end))
            .collect()
    }

    #[test]
    fn lines_know_their_numbers_and_ends() {
        assert_eq!(
            all(b"a\r\n\nlast"),
            [(1, b"a".to_vec(), false, 3), (2, vec![], false, 4), (3, b"last".to_vec(), false, 8)]
        );
        assert!(all(b"").is_empty());
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let text = [vec![b'x'; MOST_BYTES + 10], b"\nnext".to_vec()].concat();
        let lines = all(&text);
        assert!(lines[0].2 && lines[0].1.len() == MOST_BYTES);
        assert_eq!(lines[1], (2, b"next".to_vec(), false, text.len() as u64));
    }
}
