//! Several keys at once: each that is fetched from memory hides how long the others take.

use arrayvec::ArrayVec;
use keywright_core::verify::Outcome;

use crate::App;
use crate::cache::{Spot, Tag};
use crate::verdict::Verdict;
use crate::verify::Ask;
use crate::world::World;

/// Keys whose memory is fetched side by side: so few that it fits into the nearest cache with what they are read into.
pub const AT_ONCE: usize = 20;

/// A key that has been read, and whose memory is on its way.
#[derive(Clone, Copy)]
pub struct Recognised<'a> {
    world: &'a World,
    /// What it is looked for by; `None` where it is malformed.
    tag: Option<Tag>,
}

impl App {
    /// Verifies several keys as [`App::verify_cached`] does.
    #[must_use]
    pub fn verify_cached_batch(&self, keys: &[&[u8]], ask: &Ask<'_>) -> Vec<Option<Outcome>> {
        if !self.lease.holds() {
            return vec![None; keys.len()];
        }
        let now = self.clock.now();
        let mut outcomes = Vec::with_capacity(keys.len());
        for some in keys.chunks(AT_ONCE) {
            let recognised = self.recognise_each(some.iter().copied(), ask.kind, |tag| {
                self.cache.approach_further(tag);
            });
            let verify = |(key, Recognised { world, tag }): (&&[u8], Recognised<'_>)| match tag {
                Some(tag) => self.verify_in_slot(world, key, tag, ask, now),
                None => Some(self.refuse_malformed(world, key, ask).0),
            };
            outcomes.extend(some.iter().zip(recognised).map(verify));
        }
        outcomes
    }

    /// Reads keys that are about to be verified, and has all brought that it takes: of the first [`AT_ONCE`].
    pub fn recognise_all<'k>(&self, keys: impl Iterator<Item = &'k [u8]> + Clone) -> ArrayVec<Recognised<'_>, AT_ONCE> {
        self.recognise_each(keys, None, |tag| self.cache.approach_told_further(tag))
    }

    /// Verifies a key that has been recognised, as [`App::verify_at_once`] does.
    pub fn verify_recognised(&self, recognised: &Recognised<'_>, key: &[u8], ask: &Ask<'_>) -> Option<Verdict> {
        if !self.lease.holds() {
            return None;
        }
        let world = recognised.world;
        match recognised.tag {
            Some(tag) => self.verify_in_memory(world, key, tag, ask, self.clock.now()),
            None => Some(Verdict::refused(self.refuse_malformed(world, key, ask))),
        }
    }

    /// `further` has brought what a key takes beyond its spot's memory, once that has come.
    #[inline]
    fn recognise_each<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        kind: Option<u8>,
        further: impl Fn(Tag),
    ) -> ArrayVec<Recognised<'_>, AT_ONCE> {
        let world = self.world();
        let keys = keys.take(AT_ONCE);
        let spots: ArrayVec<Spot, AT_ONCE> = keys.clone().map(|key| self.cache.approach(key)).collect();
        let recognise = |(key, spot)| Recognised { world, tag: self.recognise(world, key, kind, || spot) };
        let recognised: ArrayVec<_, AT_ONCE> = keys.zip(spots).map(recognise).collect();
        recognised.iter().filter_map(|one| one.tag).for_each(further);
        recognised
    }
}
