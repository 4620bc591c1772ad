//! Several keys at once: each that is fetched from memory hides how long the others take.

use arrayvec::ArrayVec;
use keywright_core::time::Time;

use crate::App;
use crate::cache::{Cache, Looked, Spot, Tag};
use crate::verdict::Verdict;
use crate::verify::Ask;
use crate::world::World;

/// Keys whose memory is fetched side by side: so few that it fits into the nearest cache with what they are read into.
pub const AT_ONCE: usize = 20;

/// A key that has been read, and whose memory is on its way.
#[derive(Clone, Copy)]
pub struct Recognised<'a> {
    world: &'a World,
    /// When it was read: for all of them at once, as the clock is a thirtieth of a verification.
    at: Time,
    /// What it is looked for by; `None` where it is malformed.
    tag: Option<Tag>,
}

impl App {
    /// Reads keys that are about to be verified, and has all brought that it takes: of the first [`AT_ONCE`].
    pub fn recognise_all<'k>(&self, keys: impl Iterator<Item = &'k [u8]> + Clone) -> ArrayVec<Recognised<'_>, AT_ONCE> {
        let (world, at) = (self.world(), self.clock.now());
        let keys = keys.take(AT_ONCE);
        let spots: ArrayVec<Spot, AT_ONCE> = keys.clone().map(|key| self.cache.approach(key)).collect();
        let recognise = |(key, spot)| Recognised { world, at, tag: self.recognise(world, key, None, || spot) };
        let mut recognised: ArrayVec<_, AT_ONCE> = keys.zip(spots).map(recognise).collect();
        self.locate(&mut recognised);
        recognised
    }

    /// Verifies a key that has been recognised, as [`App::verify_at_once`] does.
    pub fn verify_recognised(&self, recognised: &Recognised<'_>, key: &[u8], ask: &Ask<'_>) -> Option<Verdict> {
        if !self.lease.holds() {
            return None;
        }
        let Recognised { world, at, tag } = *recognised;
        match tag {
            Some(tag) => self.verify_in_memory(world, key, tag, ask, at),
            None => Some(Verdict::refused(self.refuse_malformed(world, key, ask))),
        }
    }

    /// Looks where the keys lie: a pair of slots of each, and then the next of each that may lie beyond. What is told of
    /// those that are seen is on its way from now on.
    #[inline]
    fn locate(&self, recognised: &mut [Recognised<'_>]) {
        let mut sought: ArrayVec<&mut Recognised<'_>, AT_ONCE> = recognised.iter_mut().collect();
        for pairs in 0..Cache::PAIRS {
            sought.retain(|one| match one.tag.map(|tag| self.cache.look(tag, pairs)) {
                Some(Looked::Beyond) => true,
                Some(Looked::Seen(tag)) => {
                    self.cache.approach_line(tag);
                    one.tag = Some(tag);
                    false
                }
                Some(Looked::Missing) | None => false,
            });
        }
    }
}
