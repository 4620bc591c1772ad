//! The table of the cache, line by line: memory that costs something only where it was touched.
//!
//! Two slots, and then what is told of the keys in them: all that a verification reads of a key lies in one page, which the
//! processor has to find once.

use crate::sync::AtomicU64;

use super::PAIR;

/// The words of a line.
pub(super) const WORDS: usize = 8;

/// The words of a pair of slots.
const PAIR_WORDS: usize = PAIR * WORDS;

pub(super) type Line = [AtomicU64; WORDS];

pub(super) struct Lines {
    words: Box<[AtomicU64]>,
    /// Where the first line begins: at a whole pair, and at a whole pair of what is told of them.
    first: usize,
}

impl Lines {
    /// For so many slots: whole pairs of them.
    pub(super) fn new(slots: usize) -> Self {
        let words = super::zeros((slots + PAIR) * 2 * WORDS);
        let first = if cfg!(feature = "shuttle") { 0 } else { first_pair(&words) };
        Self { words, first }
    }

    /// What a slot says.
    #[inline]
    pub(super) fn slot(&self, number: usize) -> Option<&Line> {
        self.words.get(self.place(number)..)?.first_chunk()
    }

    /// What is told of the key in a slot.
    #[inline]
    pub(super) fn told(&self, number: usize) -> Option<&Line> {
        self.words.get(self.place(number) + PAIR_WORDS..)?.first_chunk()
    }

    /// Has the memory of a pair of slots brought, from its first one's number on.
    #[inline]
    pub(super) fn fetch_slots(&self, number: usize) {
        self.fetch_pair(self.place(number));
    }

    /// Has what is told of the keys in a pair of slots brought.
    #[inline]
    pub(super) fn fetch_told_pair(&self, number: usize) {
        self.fetch_pair(self.place(number) + PAIR_WORDS);
    }

    /// Has what is told of the key in a slot brought.
    #[inline]
    pub(super) fn fetch_told(&self, number: usize) {
        if let Some([first, ..]) = self.told(number) {
            branches::prefetch_read_data::<_, 0>(first);
        }
    }

    #[inline]
    fn fetch_pair(&self, place: usize) {
        let words = self.words.get(place..).and_then(|words| words.first_chunk::<PAIR_WORDS>());
        if let Some([first, .., last]) = words {
            branches::prefetch_read_data::<_, 0>(first);
            branches::prefetch_read_data::<_, 0>(last);
        }
    }

    /// Where a slot begins: every pair before it has as much again told of it.
    #[inline]
    fn place(&self, number: usize) -> usize {
        self.first + (number + number / PAIR * PAIR) * WORDS
    }
}

/// How many words into an allocation its first whole pair begins, with what is told of it.
fn first_pair(words: &[AtomicU64]) -> usize {
    (words.as_ptr() as usize).wrapping_neg() % (2 * PAIR_WORDS * size_of::<u64>()) / size_of::<u64>()
}
