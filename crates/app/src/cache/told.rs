//! What a caller is told of a key: a line of memory for each slot, near it, so that both are fetched together.
//!
//! A line is written and read with its slot, under the slot's sequence. A key that has more to tell than fits, a long name or
//! what few keys have, has a whole [`Record`] behind its shard's lock, and its line says which.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use keywright_core::id::KeyId;

use super::lines::{Line, WORDS};
use super::{Cache, Hit, SEQUENCE, Shard, Tag};
use crate::record::{Name, Record};
use crate::sync::{fence, lock};

// A line's words.
const ID_HIGH: usize = 0;
const ID_LOW: usize = 1;
const SECRET: usize = 2;
/// The first of a name's words.
const NAME: usize = 3;
/// How long the name is, and above that which of the shard's records is the key's, counted from 1; 0 where all is here.
const REST: usize = 6;

/// A key, and which of its secrets it was found by.
pub(super) fn whose(line: &Line) -> (KeyId, i64) {
    let id = u128::from(line[ID_HIGH].load(Relaxed)) << 64 | u128::from(line[ID_LOW].load(Relaxed));
    (KeyId::from_bits(id), line[SECRET].load(Relaxed) as i64)
}

/// What a line is to say of another key than now. The caller holds its shard's lock, and nobody reads the slot any more.
pub(super) fn words(line: &Line, shard: &mut Shard, record: Record) -> [u64; WORDS] {
    if let Some(before) = kept(line[REST].load(Relaxed)) {
        shard.records.remove(before);
    }
    let (id, secret) = (record.id.bits(), record.secret as u64);
    let ([first, second, third], rest) = match record {
        Record { name: Name::Short(words, length), more: None, .. } => (words, length.into()),
        record => ([0; 3], (u64::from(shard.records.put(record)) + 1) << 32),
    };
    [(id >> 64) as u64, id as u64, secret, first, second, third, rest, 0]
}

/// Which of the shard's records a line's last word says the key has.
fn kept(rest: u64) -> Option<u32> {
    ((rest >> 32) as u32).checked_sub(1)
}

impl Cache {
    #[inline]
    pub(super) fn line(&self, number: usize) -> Option<&Line> {
        self.lines.told(number)
    }

    /// Has what is told of a key brought, whichever slot of its first pair it lies in.
    #[inline]
    pub(crate) fn approach_told(&self, tag: Tag) {
        self.lines.fetch_told_pair(tag.spot.0);
    }

    /// What more there is to know of a key just found; `None` where it has since been evicted or made room for another.
    #[inline]
    pub(crate) fn record(&self, hit: &Hit) -> Option<Record> {
        let line = self.line(hit.slot)?;
        let (id, secret) = whose(line);
        let name = [line[NAME].load(Relaxed), line[NAME + 1].load(Relaxed), line[NAME + 2].load(Relaxed)];
        let rest = line[REST].load(Relaxed);
        fence(Acquire);
        if !self.is_the_same(hit) {
            return None;
        }
        match kept(rest) {
            Some(number) => self.kept_record(hit, number),
            None => Some(Record { id, secret, name: Name::Short(name, rest as u8), more: None }),
        }
    }

    fn kept_record(&self, hit: &Hit, number: u32) -> Option<Record> {
        let shard = lock(self.shards.get(hit.slot / self.slots_each)?);
        // Nobody writes the slot now.
        if self.is_the_same(hit) { shard.records.get(number).cloned() } else { None }
    }

    /// Whether a slot is as it was when it was found, and that counts still.
    #[inline]
    fn is_the_same(&self, hit: &Hit) -> bool {
        let sequence = self.slot(hit.slot).map(|slot| slot[SEQUENCE].load(Relaxed));
        sequence == Some(hit.sequence) && self.is_current(hit)
    }
}
