//! Which slots hold what was loaded for which digest: the way from a digest, all that is known of a key that is changed, to
//! the slot that its text leads to.
//!
//! What must stay true:
//! - A slot that holds a key is listed, in the part its digest belongs to.
//! - A slot's mark changes only while it is listed nowhere: a list is searched by the marks of its slots.
//! - Who holds a shard's lock may take a part's, never the other way about.

use hashbrown::HashTable;
use keywright_core::secret::Digest;

use crate::sync::{Mutex, MutexGuard, lock};

/// Parts there are at least.
const PARTS: usize = if cfg!(feature = "shuttle") { 1 } else { 64 };
/// Keys a part is to hold: nearly as many as a list of 2,048 places takes before it grows.
const KEYS_EACH: usize = 1_700;

/// So much of a digest as a slot has room for. Digests may share it: then they are evicted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(pub(super) u32);

impl Mark {
    pub(super) fn of(digest: &Digest) -> Self {
        Self(digest.word() as u32)
    }

    /// A list takes its places from the lowest bits and from the highest; which part it is was told by the highest.
    fn hash(self) -> u64 {
        u64::from(self.0) << 40 | u64::from(self.0)
    }
}

pub(super) struct Places(Box<[Mutex<Part>]>);

/// One part's digests.
#[derive(Default)]
pub(super) struct Part {
    /// How often one of its digests was evicted.
    pub(super) evictions: u32,
    slots: HashTable<u32>,
}

impl Places {
    /// For a cache of so many keys.
    pub(super) fn new(keys: usize) -> Self {
        Self((0..(keys / KEYS_EACH).max(PARTS)).map(|_| Mutex::default()).collect())
    }

    pub(super) fn part(&self, mark: Mark) -> MutexGuard<'_, Part> {
        let number = (u64::from(mark.0) * self.0.len() as u64) >> 32;
        // That is less than the parts there are, and there is at least one.
        #[expect(clippy::indexing_slicing, reason = "the number was scaled to the parts there are")]
        lock(&self.0[number as usize])
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
impl Places {
    pub(super) fn listed(&self) -> usize {
        self.0.iter().map(|part| lock(part).slots.len()).sum()
    }
}

impl Part {
    /// The slots that a digest with this mark may be in.
    pub(super) fn slots(&self, mark: Mark, mark_of: impl Fn(usize) -> Mark) -> Vec<usize> {
        let listed = self.slots.iter_hash(mark.hash()).map(|slot| *slot as usize);
        listed.filter(|slot| mark_of(*slot) == mark).collect()
    }

    /// Lists a slot, which has its mark already.
    pub(super) fn list(&mut self, slot: usize, mark: Mark, mark_of: impl Fn(usize) -> Mark) {
        self.slots.insert_unique(mark.hash(), slot as u32, |slot| mark_of(*slot as usize).hash());
    }

    /// Lists a slot no more, which has its mark still.
    pub(super) fn unlist(&mut self, slot: usize, mark: Mark) {
        if let Ok(listed) = self.slots.find_entry(mark.hash(), |listed| *listed as usize == slot) {
            listed.remove();
        }
    }
}
