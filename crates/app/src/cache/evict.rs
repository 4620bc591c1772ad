//! Forgetting what is known, as everybody sees once a change has been answered.

use std::sync::atomic::Ordering::AcqRel;

use keywright_core::secret::Digest;

use super::places::Mark;
use super::{Cache, OVER, write};
use crate::sync::lock;

impl Cache {
    /// Forgets a digest, and lets no load that has begun bring it back.
    pub(crate) fn evict(&self, digest: &Digest) {
        let mark = Mark::of(digest);
        let mut part = self.places.part(mark);
        part.evictions = part.evictions.wrapping_add(1);
        let listed = part.slots(mark, |slot| self.mark(slot));
        drop(part);
        for number in listed {
            let (Some(slot), Some(shard)) = (self.slot(number), self.shards.get(number / self.slots_each)) else {
                continue;
            };
            let _shard = lock(shard);
            // It may have had to make room meanwhile.
            if self.mark(number) == mark {
                write(slot, OVER, |_| {});
            }
        }
    }

    /// Forgets that a digest is nobody's, and lets no load that has begun bring that back.
    pub(crate) fn forget_absence(&self, digest: &Digest) {
        if let Some(generation) = self.absences.get(self.bucket(digest)) {
            generation.fetch_add(1, AcqRel);
        }
    }

    /// Forgets who is nobody: they may be somebody now by another digest than the one they were kept with.
    pub(crate) fn forget_absences(&self) {
        for generation in &self.absences {
            generation.fetch_add(1, AcqRel);
        }
    }

    /// Forgets everything, and lets no load that has begun bring anything back.
    pub(crate) fn evict_all(&self) {
        self.epoch.fetch_add(1, AcqRel);
        self.forget_absences();
    }
}
