//! The cache behind every verification: a flat table of 64-byte slots, one cache line a key, read without a lock.
//!
//! A slot holds all that `decide` needs. What a caller is told of a key beyond that is its [`Record`], in a second line of
//! memory, which lies near the slot and is fetched with it (`lines.rs`, `told.rs`). A key is found by its [`Tag`], which costs
//! a third of the digest it is stored under: that one is made only where the database has to be asked.
//!
//! What must stay true:
//! - A reader sees a slot as one writer left it (a sequence lock: odd while it is being written).
//! - Every write to a shard's slots happens under that shard's lock.
//! - [`Cache::evict`] finds a digest's slot by its [`Places`], and ends what it says. A load takes a [`Ticket`] before it reads
//!   the database, which an eviction of its digest spoils: what has been revoked is never accepted again, whenever it is
//!   put in (security.md 37, 40).
//! - The table never grows: what does not fit makes room among its neighbours (security.md 40, 60).

mod evict;
mod lines;
mod places;
mod records;
mod room;
mod several;
mod tag;
mod told;
mod uses;

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use keywright_core::secret::Digest;

use self::lines::{Line, Lines};
use self::places::{Mark, Places};
use self::records::Records;
pub(crate) use self::several::Looked;
pub(crate) use self::tag::{Spot, Tag};
use self::tag::{Tagger, scale};
pub(crate) use self::uses::{Use, mark};
use crate::record::Record;
use crate::sync::{AtomicU8, AtomicU32, Mutex, MutexGuard, fence, lock};

/// How far from its place a key may lie.
const WINDOW: usize = if cfg!(feature = "shuttle") { 1 } else { 16 };
/// Slots whose memory is fetched together. A key's place is the beginning of a pair, so that one who finds it taken looks
/// next where it costs nothing.
const PAIR: usize = 2;
/// Slots that share a byte which says that one of them was used: few enough to look through, and so many that the bytes
/// of ten million keys stay near.
const PART: usize = 32;
/// Slots for each generation of absences: so few that a new key makes hardly any other's absence be forgotten.
const PER_GENERATION: usize = 16;
/// Generations there are at least.
const GENERATIONS: usize = if cfg!(feature = "shuttle") { 1 } else { 4_096 };
/// Absent keys each shard remembers.
const ABSENT: usize = 256;

/// The last moment a slot can say that a key ends at, in milliseconds: in the year 10889.
const MOST_DEADLINE: i64 = (1 << 48) - 1;

// A slot's words.
/// How often it was written, and above that the epoch of what it holds.
const SEQUENCE: usize = 0;
const TAG_HIGH: usize = 1;
const TAG_LOW: usize = 2;
const DEADLINE: usize = 3;
const ACCESS: usize = 4;
/// The mark of its digest, and above that which account it belongs to.
const ACCOUNT: usize = 5;
/// When it was last used, and above that the short mark of what was last asked of it and noted.
const LAST_USED: usize = 6;
const USES: usize = 7;

/// A slot that was never used: nothing lies beyond it.
const EMPTY: u64 = 0;
/// The epoch of what does not count any more.
const OVER: u32 = 0;

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

/// A key found in the cache. What its slot says stays in the slot's words, which are cheaper to hand on than what they mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    words: [u64; 3],
    slot: usize,
    sequence: u64,
}

impl Hit {
    /// What its slot says of it.
    #[inline]
    pub(crate) fn facts(&self) -> Facts {
        unpack(self.words)
    }
}

/// What the cache says of a key.
pub(crate) enum Lookup {
    /// It is this one.
    Known(Hit),
    /// There is none.
    Absent,
    /// Ask the database.
    Unknown,
}

/// How things are with a digest that is about to be looked for. What is found counts unless that changes meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    mark: Mark,
    evictions: u32,
    epoch: u32,
    bucket: u32,
    absence: u32,
}

pub(crate) struct Cache {
    lines: Lines,
    shards: Box<[Mutex<Shard>]>,
    /// Places of keys in each shard.
    homes: usize,
    slots_each: usize,
    tagger: Tagger,
    /// What is kept counts while it is of this epoch.
    epoch: AtomicU32,
    places: Places,
    /// The generations of what is known to be nobody's, by bucket: digests share one.
    absences: Box<[AtomicU32]>,
    /// One for so many slots as [`PART`] says: whether one of them was used since the last [`Cache::drain_uses`].
    used: Box<[AtomicU8]>,
}

struct Shard {
    /// How many of its slots are taken.
    taken: usize,
    /// Those of keys that have more to tell than fits a line.
    records: Records,
    absent: Box<[Absence]>,
    /// Uses of keys that have had to make room.
    uses: Vec<Use>,
}

/// That a key was nobody's: its tag, its digest's bucket, and that one's generation of absences. Whole numbers, so that a
/// shard's costs no memory before there is one.
type Absence = [u64; 3];

/// Fresh pages of zeros: a slot costs memory only once it is used.
#[cfg(not(feature = "shuttle"))]
fn zeros<T: bytemuck::Zeroable>(count: usize) -> Box<[T]> {
    bytemuck::allocation::zeroed_slice_box(count)
}

#[cfg(feature = "shuttle")]
fn zeros<T: Default>(count: usize) -> Box<[T]> {
    (0..count).map(|_| T::default()).collect()
}

impl Cache {
    /// A cache for `keys` keys, in `shards` parts.
    pub(crate) fn new(keys: usize, shards: usize) -> Self {
        let homes = (keys / shards * 29 / 20).div_ceil(PAIR).max(1);
        // A key whose place is a shard's last may lie beyond it, too.
        let slots_each = (homes * PAIR).max((homes - 1) * PAIR + WINDOW);
        let slots = slots_each * shards;
        let shard = || {
            let absent = vec![[EMPTY; 3]; ABSENT].into();
            Mutex::new(Shard { taken: 0, records: Records::default(), absent, uses: Vec::new() })
        };
        let buckets = (slots / PER_GENERATION).max(GENERATIONS);
        Self {
            lines: Lines::new(slots),
            shards: (0..shards).map(|_| shard()).collect(),
            homes,
            slots_each,
            tagger: Tagger::new(),
            epoch: AtomicU32::new(OVER + 1),
            places: Places::new(keys),
            absences: zeros(buckets),
            used: zeros(slots.div_ceil(PART)),
        }
    }

    #[inline]
    fn slot(&self, number: usize) -> Option<&Line> {
        self.lines.slot(number)
    }

    /// Where a key is looked for. Its memory is on its way from now on.
    #[inline]
    pub(crate) fn approach(&self, key: &[u8]) -> Spot {
        let (shard, home) = self.tagger.place(key, self.shards.len(), self.homes);
        let spot = Spot(shard * self.slots_each + home * PAIR);
        self.lines.fetch_slots(spot.0);
        self.fetch_mark(spot.0);
        spot
    }

    /// What a key is looked for by, there.
    #[inline]
    pub(crate) fn tag(&self, spot: Spot, key: &[u8]) -> Tag {
        self.tagger.tag(spot, key)
    }

    /// What a key is looked for by, where nothing is done meanwhile.
    pub(crate) fn tag_of(&self, key: &[u8]) -> Tag {
        self.tag(self.approach(key), key)
    }

    /// Looks a key up.
    #[inline]
    pub(crate) fn find(&self, tag: Tag) -> Lookup {
        match self.find_slot(tag) {
            Some(hit) if self.is_current(&hit) => Lookup::Known(hit),
            Some(_) | None if self.is_absent(tag) => Lookup::Absent,
            Some(_) | None => Lookup::Unknown,
        }
    }

    /// The slot of a key, also of one that was evicted: from where it was seen on.
    #[inline]
    fn find_slot(&self, tag: Tag) -> Option<Hit> {
        for number in tag.spot.0 + tag.seen..tag.spot.0 + WINDOW {
            match read(self.slot(number)?, tag) {
                Seen::Match { sequence, words } => {
                    return Some(Hit { words, slot: number, sequence });
                }
                Seen::Other => {}
                Seen::Empty => return None,
            }
        }
        None
    }

    /// Whether what was found has not been evicted since it was loaded.
    #[inline]
    fn is_current(&self, hit: &Hit) -> bool {
        (hit.sequence >> 32) as u32 == self.epoch.load(Acquire)
    }

    #[cold]
    fn is_absent(&self, tag: Tag) -> bool {
        let kept = self.shard(tag).absent.get(absent_place(tag)).copied();
        kept.is_some_and(|[high, low, when]| {
            [high, low] == [tag.high, tag.low] && self.absence((when >> 32) as usize) == when as u32
        })
    }

    /// To be taken before a digest is looked for in the database.
    pub(crate) fn ticket(&self, digest: &Digest) -> Ticket {
        let (mark, bucket) = (Mark::of(digest), self.bucket(digest));
        let evictions = self.places.part(mark).evictions;
        let [epoch, absence] = [self.epoch.load(Acquire), self.absence(bucket)];
        Ticket { mark, evictions, epoch, bucket: bucket as u32, absence }
    }

    /// Keeps what was loaded, unless it was evicted since the ticket was given.
    pub(crate) fn insert(&self, tag: Tag, ticket: Ticket, facts: Facts, record: Record) {
        let mut shard = self.shard(tag);
        // All its slots are looked at, wherever it was seen: it must not be put in twice.
        let number = match self.find_slot(Tag { seen: 0, ..tag }) {
            Some(hit) if self.is_current(&hit) => return,
            Some(evicted) => evicted.slot,
            None => self.make_room(tag),
        };
        let (Some(slot), Some(line)) = (self.slot(number), self.line(number)) else { return };
        let is_new = slot[TAG_HIGH].load(Relaxed) == EMPTY;
        if !is_new {
            self.vacate(slot, number);
        }
        let mut part = self.places.part(ticket.mark);
        if part.evictions != ticket.evictions {
            return;
        }
        if is_new {
            shard.taken += 1;
        } else {
            let uses = slot[USES].swap(uses::NOBODYS, Relaxed) as u32;
            uses::keep_uses(&mut shard, slot, line, uses);
        }
        let [deadline, access, account] = pack(facts, ticket.mark);
        let told = told::words(line, &mut shard, record);
        write(slot, ticket.epoch, |sequence| {
            slot[TAG_LOW].store(tag.low, Relaxed);
            slot[DEADLINE].store(deadline, Relaxed);
            slot[ACCESS].store(access, Relaxed);
            slot[ACCOUNT].store(account, Relaxed);
            slot[LAST_USED].store(0, Relaxed);
            slot[USES].store(u64::from(sequence) << 32, Relaxed);
            slot[TAG_HIGH].store(tag.high, Relaxed);
            line.iter().zip(told).for_each(|(word, of_key)| word.store(of_key, Relaxed));
        });
        part.list(number, ticket.mark, |slot| self.mark(slot));
    }

    /// Ends what a slot says, and that it says it of a digest. The caller holds its shard's lock.
    fn vacate(&self, slot: &Line, number: usize) {
        write(slot, OVER, |_| {});
        let mark = self.mark(number);
        self.places.part(mark).unlist(number, mark);
    }

    /// The mark of the digest that a slot holds, or held.
    fn mark(&self, number: usize) -> Mark {
        Mark(self.slot(number).map_or(0, |slot| slot[ACCOUNT].load(Relaxed) as u32))
    }

    /// Remembers that a key is nobody's, which counts unless its digest became somebody's since the ticket was given.
    pub(crate) fn insert_absent(&self, tag: Tag, ticket: Ticket) {
        if let Some(kept) = self.shard(tag).absent.get_mut(absent_place(tag)) {
            *kept = [tag.high, tag.low, u64::from(ticket.bucket) << 32 | u64::from(ticket.absence)];
        }
    }

    /// A slot near a key's place: one never used, or that of the key used longest ago.
    fn make_room(&self, tag: Tag) -> usize {
        let mut oldest = (u64::MAX, tag.spot.0);
        for number in tag.spot.0..tag.spot.0 + WINDOW {
            let Some(slot) = self.slot(number) else { continue };
            if slot[TAG_HIGH].load(Relaxed) == EMPTY {
                return number;
            }
            oldest = oldest.min((slot[LAST_USED].load(Relaxed) & uses::MILLIS, number));
        }
        oldest.1
    }

    fn bucket(&self, digest: &Digest) -> usize {
        scale(digest.word(), self.absences.len()).0
    }

    fn absence(&self, bucket: usize) -> u32 {
        self.absences.get(bucket).map_or(0, |generation| generation.load(Acquire))
    }

    fn shard(&self, tag: Tag) -> MutexGuard<'_, Shard> {
        // A spot is a slot's number, and each slot is in one of the shards.
        #[expect(clippy::indexing_slicing, reason = "the number is one of the slots there are")]
        lock(&self.shards[tag.spot.0 / self.slots_each])
    }
}

fn absent_place(tag: Tag) -> usize {
    tag.high as usize / 4 % ABSENT
}

enum Seen {
    Match { sequence: u64, words: [u64; 3] },
    Other,
    Empty,
}

/// Reads a slot as one writer left it.
#[inline]
fn read(slot: &Line, tag: Tag) -> Seen {
    loop {
        let sequence = slot[SEQUENCE].load(Acquire);
        let seen = [slot[TAG_HIGH].load(Relaxed), slot[TAG_LOW].load(Relaxed)];
        let words = [slot[DEADLINE].load(Relaxed), slot[ACCESS].load(Relaxed), slot[ACCOUNT].load(Relaxed)];
        fence(Acquire);
        if sequence.is_multiple_of(2) && slot[SEQUENCE].load(Relaxed) == sequence {
            // In constant time, though a tag is keyed and how long it takes to compare tells nothing about a key.
            return if (seen[0] ^ tag.high) | (seen[1] ^ tag.low) == 0 {
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
fn write(slot: &Line, epoch: u32, change: impl FnOnce(u32)) {
    let before = slot[SEQUENCE].load(Relaxed);
    slot[SEQUENCE].store(before | 1, Relaxed);
    fence(Release);
    let sequence = (before as u32).wrapping_add(2);
    change(sequence);
    slot[SEQUENCE].store(u64::from(epoch) << 32 | u64::from(sequence), Release);
}

fn wait() {
    #[cfg(feature = "shuttle")]
    shuttle::thread::yield_now();
    #[cfg(not(feature = "shuttle"))]
    std::hint::spin_loop();
}

fn pack(facts: Facts, mark: Mark) -> [u64; 3] {
    let deadline = facts.deadline_ms.clamp(0, MOST_DEADLINE) as u64;
    [
        deadline << 16 | u64::from(facts.environment) << 8 | u64::from(facts.flags),
        u64::from(facts.access),
        u64::from(facts.account) << 32 | u64::from(mark.0),
    ]
}

#[inline]
fn unpack([deadline, access, account]: [u64; 3]) -> Facts {
    Facts {
        deadline_ms: (deadline >> 16) as i64,
        access: access as u32,
        account: (account >> 32) as u32,
        environment: (deadline >> 8) as u8,
        flags: deadline as u8,
    }
}

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
