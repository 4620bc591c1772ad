//! Counting the uses of keys where they are, in their slots.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use keywright_core::id::KeyId;
use keywright_core::secret::Digest;
use keywright_core::time::Time;

use super::lines::Line;
use super::told;
use super::{Cache, Hit, LAST_USED, PART, SEQUENCE, Shard, TAG_LOW, USES};
use crate::sync::lock;

/// A secret's use since it was last asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) key: KeyId,
    /// Which of the key's secrets: its [`mark`].
    pub(crate) secret: i64,
    pub(crate) count: u32,
    pub(crate) last: Time,
}

/// A part of a digest that tells a key's secrets apart.
pub(crate) fn mark(digest: &Digest) -> i64 {
    digest.word() as i64
}

/// The bits of a slot's last use that are the time, in milliseconds; the others are a short mark.
pub(super) const MILLIS: u64 = u64::MAX >> 16;

/// A count of uses that no finding's sequence goes with.
pub(super) const NOBODYS: u64 = u64::MAX;

/// What a use was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The key's first since the last [`Cache::drain_uses`].
    pub(crate) is_first: bool,
    /// The short mark of what was last asked of the key and noted; zero where nothing was.
    pub(crate) noted: u16,
}

impl Cache {
    /// Has the mark brought that a use of a slot's key sets. There is one for so many slots that it is rarely near, and whoever set
    /// it waited for it at the next key: a use is counted by an instruction that waits for every store before it.
    #[inline]
    pub(super) fn fetch_mark(&self, slot: usize) {
        if let Some(used) = self.used.get(slot / PART) {
            // For reading: for writing it would be taken from the other processors each time, and 2,048 slots share a line of marks.
            branches::prefetch_read_data::<_, 0>(used);
        }
    }

    /// Counts a use.
    #[inline]
    pub(crate) fn count_use(&self, hit: &Hit, now: Time) -> Counted {
        let uncounted = Counted { is_first: false, noted: 0 };
        let Some(slot) = self.slot(hit.slot) else { return uncounted };
        let generation = hit.sequence as u32;
        let counted = slot[USES].fetch_update(Relaxed, Relaxed, |uses| {
            // The slot may be another key's by now; then this one use goes uncounted rather than miscounted.
            ((uses >> 32) as u32 == generation).then(|| uses.wrapping_add(1))
        });
        let Ok(before) = counted else { return uncounted };
        let last = slot[LAST_USED].load(Relaxed);
        slot[LAST_USED].store(last & !MILLIS | now.millis() as u64 & MILLIS, Relaxed);
        let is_first = before as u32 == 0;
        if is_first && let Some(used) = self.used.get(hit.slot / PART) {
            // Whoever takes this out sees the count, too.
            used.store(1, Release);
        }
        Counted { is_first, noted: (last >> 48) as u16 }
    }

    /// Remembers what was asked of a key and is noted.
    pub(crate) fn set_noted(&self, hit: &Hit, noted: u16) {
        let Some(slot) = self.slot(hit.slot) else { return };
        // Another key's by now: its own is noted at its next use.
        if slot[SEQUENCE].load(Relaxed) == hit.sequence {
            let last = slot[LAST_USED].load(Relaxed);
            slot[LAST_USED].store(last & MILLIS | u64::from(noted) << 48, Relaxed);
        }
    }

    /// What tells a key that was found from others, until the process ends.
    pub(crate) fn sign(&self, hit: &Hit) -> u64 {
        self.slot(hit.slot).map_or(0, |slot| slot[TAG_LOW].load(Relaxed))
    }

    /// Takes out every key's use since the last time.
    pub(crate) fn drain_uses(&self) -> Vec<Use> {
        let mut uses: Vec<Use> = Vec::new();
        for shard in &self.shards {
            uses.append(&mut lock(shard).uses);
        }
        for (part, used) in self.used.iter().enumerate() {
            if used.load(Relaxed) == 0 {
                continue;
            }
            used.swap(0, Acquire);
            for number in part * PART..(part + 1) * PART {
                let used = self.slot(number).filter(|slot| slot[USES].load(Relaxed) as u32 > 0);
                if let (Some(slot), Some(line)) = (used, self.line(number))
                    && let Some(shard) = self.shards.get(number / self.slots_each)
                {
                    let mut shard = lock(shard);
                    let count = slot[USES].fetch_and(u64::MAX << 32, Relaxed) as u32;
                    keep_uses(&mut shard, slot, line, count);
                    uses.append(&mut shard.uses);
                }
            }
        }
        uses
    }
}

/// Keeps how often a slot's key was used. The caller holds its shard's lock.
pub(super) fn keep_uses(shard: &mut Shard, slot: &Line, line: &Line, count: u32) {
    if count > 0 {
        let (key, secret) = told::whose(line);
        let last = Time::from_millis((slot[LAST_USED].load(Relaxed) & MILLIS) as i64);
        shard.uses.push(Use { key, secret, count, last });
    }
}
