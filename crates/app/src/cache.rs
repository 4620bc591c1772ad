//! The cache behind every verification: a flat table of 64-byte slots, one cache line a key, read without a lock.
//!
//! A slot holds all that `decide` needs, so that a hit costs one line of memory however many keys there are. What a
//! caller is told of a key beyond that is its [`Record`], kept beside the table.
//!
//! What must stay true:
//! - A reader sees a slot as one writer left it (a sequence lock: odd while it is being written).
//! - Every write to a shard's slots happens under that shard's lock.
//! - [`Cache::evict`] bumps the shard's generation. A load takes the generation before it reads the database and
//!   inserts only where it is still the same, so what has been revoked is never cached again (security.md 37, 40).
//! - The table never grows: what does not fit makes room among its neighbours (security.md 40, 60).

mod room;
mod uses;

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use keywright_core::secret::Digest;

pub(crate) use self::uses::{Use, mark};
use crate::record::Record;
use crate::sync::{AtomicU64, Mutex, MutexGuard, fence, lock};

/// How far from its place a key may lie.
const WINDOW: usize = 16;
/// Slots whose memory is fetched together: a processor that misses one line brings its twin, too. A key's place is the
/// beginning of a pair, so that one who finds it taken looks next where it costs nothing.
const PAIR: usize = 2;
/// Steps from its place up to which a key's slot is brought near: nearly all keys lie within them.
const APPROACHED: usize = 4;
/// Slots that share a bit which says that one of them was used: few enough to look through, and so many that the bits
/// of ten million keys stay near.
const PART: usize = 16;
/// Absent digests each shard remembers.
const ABSENT: usize = 256;

type Slot = [AtomicU64; 8];
// A slot's words.
const SEQUENCE: usize = 0;
const TAG_HIGH: usize = 1;
const TAG_LOW: usize = 2;
const DEADLINE: usize = 3;
const INDEXES: usize = 4;
const ACCOUNT: usize = 5;
/// When it was last used, and above that the short mark of what was last asked of it and noted.
const LAST_USED: usize = 6;
const USES: usize = 7;

/// A slot that was never used: nothing lies beyond it.
const EMPTY: u64 = 0;
/// A slot that was used: something may lie beyond it.
const GONE: u64 = 1;

/// What a slot says of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// When the key or its secret ends, in milliseconds.
    pub(crate) deadline_ms: i64,
    /// Which access it has.
    pub(crate) access: u32,
    /// Which account it belongs to.
    pub(crate) account: u32,
    /// Its environment's number; `u8::MAX` for none.
    pub(crate) environment: u8,
    /// [`flag`]s.
    pub(crate) flags: u8,
}

/// What a slot's flags say.
pub(crate) mod flag {
    /// The key is revoked.
    pub(crate) const REVOKED: u8 = 1;
    /// The key is switched off.
    pub(crate) const DISABLED: u8 = 2;
    /// The record has more to check: an allow-list, limits or credits.
    pub(crate) const MORE: u8 = 4;
}

/// A key found in the cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub(crate) facts: Facts,
    slot: usize,
    sequence: u64,
    record: u32,
}

/// What the cache says of a digest.
pub(crate) enum Lookup {
    /// It is this key's.
    Known(Hit),
    /// It is nobody's.
    Absent,
    /// Ask the database, and come back with this.
    Unknown(Ticket),
}

/// Permission to insert what is about to be loaded, unless something in its shard is evicted meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    generation: u64,
}

pub(crate) struct Cache {
    /// All slots' words; the first slot begins at the first whole cache line.
    words: Box<[AtomicU64]>,
    first_word: usize,
    shards: Box<[Mutex<Shard>]>,
    slots_each: usize,
    /// One bit for so many slots as [`PART`] says: one of them was used since the last [`Cache::drain_uses`].
    used: Box<[AtomicU64]>,
}

struct Shard {
    generation: u64,
    records: Vec<Option<Arc<Record>>>,
    free: Vec<u32>,
    absent: Box<[[u64; 2]]>,
    /// Uses of keys that have had to make room.
    uses: Vec<Use>,
}

/// Fresh pages of zeros: a slot costs memory only once it is used.
#[cfg(not(feature = "shuttle"))]
fn zeros(count: usize) -> Box<[AtomicU64]> {
    bytemuck::allocation::zeroed_slice_box(count)
}

#[cfg(feature = "shuttle")]
fn zeros(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// How many words into an allocation its first whole pair of cache lines begins.
fn first_line(words: &[AtomicU64]) -> usize {
    (words.as_ptr() as usize).wrapping_neg() % (PAIR * 64) / size_of::<u64>()
}

impl Cache {
    /// A cache for `keys` keys, in `shards` parts.
    pub(crate) fn new(keys: usize, shards: usize) -> Self {
        let slots_each = (keys / shards * 3 / 2).max(WINDOW).next_multiple_of(PAIR);
        let slots = slots_each * shards;
        let shard = || {
            Mutex::new(Shard {
                generation: 0,
                records: Vec::new(),
                free: Vec::new(),
                absent: vec![[EMPTY; 2]; ABSENT].into(),
                uses: Vec::new(),
            })
        };
        let words = zeros((slots + PAIR) * 8);
        let first_word = if cfg!(feature = "shuttle") { 0 } else { first_line(&words) };
        let shards = (0..shards).map(|_| shard()).collect();
        Self { words, first_word, shards, slots_each, used: zeros(slots.div_ceil(64 * PART)) }
    }

    #[inline]
    fn slot(&self, number: usize) -> Option<&Slot> {
        self.words.get(self.first_word + number * 8..)?.first_chunk()
    }

    /// Looks a digest up.
    #[inline]
    pub(crate) fn find(&self, digest: &Digest) -> Lookup {
        let tag = tag(digest);
        match self.find_slot(tag) {
            Some(hit) => Lookup::Known(hit),
            None => self.find_absent(tag),
        }
    }

    #[inline]
    fn find_slot(&self, tag: [u64; 2]) -> Option<Hit> {
        let (first, home) = self.place(tag);
        for step in 0..WINDOW.min(self.slots_each) {
            let number = first + self.wrap(home + step);
            let slot = self.slot(number)?;
            match read(slot, tag) {
                Seen::Match { sequence, words: [deadline, indexes, account] } => {
                    return Some(Hit {
                        facts: unpack(deadline, indexes, account),
                        slot: number,
                        sequence,
                        record: indexes as u32,
                    });
                }
                Seen::Other => {}
                Seen::Empty => return None,
            }
        }
        None
    }

    #[cold]
    fn find_absent(&self, tag: [u64; 2]) -> Lookup {
        let shard = self.shard(tag);
        // Found and not found must be told under one lock: an insert may have come between.
        if let Some(hit) = self.find_slot(tag) {
            return Lookup::Known(hit);
        }
        if shard.absent.get(absent_place(tag)) == Some(&tag) {
            return Lookup::Absent;
        }
        Lookup::Unknown(Ticket { generation: shard.generation })
    }

    /// Brings the slots of several digests near, so that their misses overlap.
    pub(crate) fn approach<'a>(&self, digests: impl Iterator<Item = &'a Digest>) {
        // Wave by wave, each for those the one before did not find: as many misses overlap as there are keys, and no line
        // is fetched that nobody needs.
        let mut tags: Vec<[u64; 2]> = digests.map(tag).collect();
        for steps in 0..APPROACHED {
            tags.retain(|tag| ![tag[0], EMPTY].contains(&self.near_tag(*tag, steps)));
        }
    }

    /// The first word of the tag in the slot so many steps from a tag's place.
    #[inline]
    fn near_tag(&self, tag: [u64; 2], steps: usize) -> u64 {
        let (first, home) = self.place(tag);
        self.slot(first + self.wrap(home + steps)).map_or(EMPTY, |slot| slot[TAG_HIGH].load(Relaxed))
    }

    /// What more there is to know of a key just found; `None` where it has since made room for another.
    pub(crate) fn record(&self, hit: &Hit) -> Option<Arc<Record>> {
        let shard = lock(self.shards.get(hit.slot / self.slots_each)?);
        let unchanged = self.slot(hit.slot)?[SEQUENCE].load(Relaxed) == hit.sequence;
        shard.records.get(hit.record as usize).filter(|_| unchanged)?.clone()
    }

    /// Keeps what was loaded, unless something was evicted since the ticket was given.
    pub(crate) fn insert(&self, ticket: Ticket, digest: &Digest, facts: Facts, record: Arc<Record>) {
        let tag = tag(digest);
        let mut shard = self.shard(tag);
        if shard.generation != ticket.generation || self.find_slot(tag).is_some() {
            return;
        }
        let number = self.make_room(&mut shard, tag);
        let Some(slot) = self.slot(number) else { return };
        let index = shard.free.pop().unwrap_or(shard.records.len() as u32);
        if index as usize == shard.records.len() {
            shard.records.push(None);
        }
        if let Some(kept) = shard.records.get_mut(index as usize) {
            *kept = Some(record);
        }
        let [deadline, indexes, account] = pack(facts, index);
        write(slot, |sequence| {
            slot[TAG_LOW].store(tag[1], Relaxed);
            slot[DEADLINE].store(deadline, Relaxed);
            slot[INDEXES].store(indexes, Relaxed);
            slot[ACCOUNT].store(account, Relaxed);
            slot[LAST_USED].store(0, Relaxed);
            slot[USES].store(sequence << 32, Relaxed);
            slot[TAG_HIGH].store(tag[0], Relaxed);
        });
    }

    /// Remembers that a digest is nobody's, unless something was evicted since the ticket was given.
    pub(crate) fn insert_absent(&self, ticket: Ticket, digest: &Digest) {
        let tag = tag(digest);
        let mut shard = self.shard(tag);
        if shard.generation == ticket.generation
            && let Some(kept) = shard.absent.get_mut(absent_place(tag))
        {
            *kept = tag;
        }
    }

    /// Forgets a digest, and lets no load that has begun bring it back.
    pub(crate) fn evict(&self, digest: &Digest) {
        let tag = tag(digest);
        let mut shard = self.shard(tag);
        shard.generation += 1;
        if let Some(kept) = shard.absent.get_mut(absent_place(tag)).filter(|kept| **kept == tag) {
            *kept = [EMPTY; 2];
        }
        if let Some(hit) = self.find_slot(tag) {
            self.clear(&mut shard, hit.slot);
        }
    }

    /// Forgets everything, and lets no load that has begun bring anything back.
    pub(crate) fn evict_all(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = lock(shard);
            shard.generation += 1;
            shard.absent.fill([EMPTY; 2]);
            for slot in number * self.slots_each..(number + 1) * self.slots_each {
                if self.slot(slot).is_some_and(|slot| slot[TAG_HIGH].load(Relaxed) > GONE) {
                    self.clear(&mut shard, slot);
                }
            }
        }
    }

    /// A slot for `tag`: a free one near its place, or that of the neighbour used longest ago.
    fn make_room(&self, shard: &mut Shard, tag: [u64; 2]) -> usize {
        let (first, home) = self.place(tag);
        let near = (0..WINDOW.min(self.slots_each)).map(|step| first + self.wrap(home + step));
        let mut oldest = (u64::MAX, first + home);
        for number in near {
            let Some(slot) = self.slot(number) else { continue };
            if slot[TAG_HIGH].load(Relaxed) <= GONE {
                return number;
            }
            oldest = oldest.min((slot[LAST_USED].load(Relaxed) & uses::MILLIS, number));
        }
        self.clear(shard, oldest.1);
        oldest.1
    }

    fn clear(&self, shard: &mut Shard, number: usize) {
        let Some(slot) = self.slot(number) else { return };
        self.take_uses(shard, number);
        if let Some(word) = self.used.get(number / 64) {
            word.fetch_and(!(1 << (number % 64)), Relaxed);
        }
        let index = slot[INDEXES].load(Relaxed) as u32;
        write(slot, |sequence| {
            slot[USES].store(sequence << 32, Relaxed);
            slot[TAG_HIGH].store(GONE, Relaxed);
        });
        if let Some(record) = shard.records.get_mut(index as usize) {
            *record = None;
            shard.free.push(index);
        }
    }

    /// The first slot of the tag's shard, and the tag's place from there.
    #[inline]
    fn place(&self, tag: [u64; 2]) -> (usize, usize) {
        (self.shard_number(tag) * self.slots_each, scale(tag[0], self.slots_each / PAIR) * PAIR)
    }

    /// A place beyond a shard's end is one at its beginning.
    #[inline]
    fn wrap(&self, place: usize) -> usize {
        if place < self.slots_each { place } else { place - self.slots_each }
    }

    #[inline]
    fn shard_number(&self, tag: [u64; 2]) -> usize {
        scale(tag[1], self.shards.len())
    }

    fn shard(&self, tag: [u64; 2]) -> MutexGuard<'_, Shard> {
        let number = self.shard_number(tag);
        // `scale` stays below the count, and there is at least one shard.
        #[expect(clippy::indexing_slicing, reason = "the number was scaled to the shards there are")]
        lock(&self.shards[number])
    }
}

/// Two words that are never [`EMPTY`] or [`GONE`].
#[inline]
fn tag(digest: &Digest) -> [u64; 2] {
    let [high, low] = digest.words();
    [high | 2, low]
}

/// `word` scaled down to less than `count`.
#[inline]
fn scale(word: u64, count: usize) -> usize {
    ((u128::from(word) * count as u128) >> 64) as usize
}

fn absent_place(tag: [u64; 2]) -> usize {
    tag[0] as usize / 4 % ABSENT
}

enum Seen {
    Match { sequence: u64, words: [u64; 3] },
    Other,
    Empty,
}

/// Reads a slot as one writer left it.
#[inline]
fn read(slot: &Slot, tag: [u64; 2]) -> Seen {
    loop {
        let sequence = slot[SEQUENCE].load(Acquire);
        let seen = [slot[TAG_HIGH].load(Relaxed), slot[TAG_LOW].load(Relaxed)];
        let words = [slot[DEADLINE].load(Relaxed), slot[INDEXES].load(Relaxed), slot[ACCOUNT].load(Relaxed)];
        fence(Acquire);
        if sequence.is_multiple_of(2) && slot[SEQUENCE].load(Relaxed) == sequence {
            // Tags are keyed digests: how long they take to compare tells nothing about a key.
            return if (seen[0] ^ tag[0]) | (seen[1] ^ tag[1]) == 0 {
                Seen::Match { sequence, words }
            } else if seen[0] == EMPTY {
                Seen::Empty
            } else {
                Seen::Other
            };
        }
        wait();
    }
}

/// Writes a slot; the caller holds its shard's lock. `change` is told the sequence the slot will have.
fn write(slot: &Slot, change: impl FnOnce(u64)) {
    let sequence = slot[SEQUENCE].load(Relaxed);
    slot[SEQUENCE].store(sequence + 1, Relaxed);
    fence(Release);
    change(sequence + 2);
    slot[SEQUENCE].store(sequence + 2, Release);
}

fn wait() {
    #[cfg(feature = "shuttle")]
    shuttle::thread::yield_now();
    #[cfg(not(feature = "shuttle"))]
    std::hint::spin_loop();
}

fn pack(facts: Facts, record: u32) -> [u64; 3] {
    [
        facts.deadline_ms as u64,
        u64::from(facts.access) << 32 | u64::from(record),
        u64::from(facts.account) << 32 | u64::from(facts.environment) << 8 | u64::from(facts.flags),
    ]
}

#[inline]
fn unpack(deadline: u64, indexes: u64, account: u64) -> Facts {
    Facts {
        deadline_ms: deadline as i64,
        access: (indexes >> 32) as u32,
        account: (account >> 32) as u32,
        environment: (account >> 8) as u8,
        flags: account as u8,
    }
}

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
