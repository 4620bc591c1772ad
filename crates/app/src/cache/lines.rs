//! A table of cache lines, which costs memory only where it was touched.

use crate::sync::AtomicU64;

use super::PAIR;

/// The words of a line.
pub(super) const WORDS: usize = 8;

pub(super) type Line = [AtomicU64; WORDS];

pub(super) struct Lines {
    words: Box<[AtomicU64]>,
    /// Where the first line begins: at a whole pair of cache lines.
    first: usize,
}

impl Lines {
    pub(super) fn new(count: usize) -> Self {
        let words = super::zeros((count + PAIR) * WORDS);
        let first = if cfg!(feature = "shuttle") { 0 } else { first_pair(&words) };
        Self { words, first }
    }

    #[inline]
    pub(super) fn at(&self, number: usize) -> Option<&Line> {
        self.words.get(self.first + number * WORDS..)?.first_chunk()
    }

    /// Has the memory of a line brought.
    #[inline]
    pub(super) fn fetch(&self, number: usize) {
        if let Some([first, ..]) = self.at(number) {
            branches::prefetch_read_data::<_, 0>(first);
        }
    }

    /// Has the memory of a pair brought, from its first line's number on.
    #[inline]
    pub(super) fn fetch_pair(&self, number: usize) {
        let words =
            self.words.get(self.first + number * WORDS..).and_then(|words| words.first_chunk::<{ PAIR * WORDS }>());
        if let Some([first, .., last]) = words {
            branches::prefetch_read_data::<_, 0>(first);
            branches::prefetch_read_data::<_, 0>(last);
        }
    }
}

/// How many words into an allocation its first whole pair of cache lines begins.
fn first_pair(words: &[AtomicU64]) -> usize {
    (words.as_ptr() as usize).wrapping_neg() % (PAIR * 64) / size_of::<u64>()
}
