//! Wrong guesses at keys: whom they are held against, on whatever path they come.

use std::net::IpAddr;

use keywright_core::time::{Span, Time};

use crate::App;
use crate::lockouts::{Failed, Subject};
use crate::world::World;

impl App {
    /// How long a presented key or its address is still locked.
    #[cold]
    pub(crate) fn locked_for(&self, world: &World, key: &[u8], ip: Option<IpAddr>, now: Time) -> Option<Span> {
        let (number, public) = self.subject_of(world, key);
        let by_key = public.and_then(|public| self.lockouts.locked(&Subject::Key(number, public), now));
        let by_address = ip.and_then(|ip| self.lockouts.locked(&Subject::Address(number, ip), now));
        by_key.max(by_address)
    }

    /// Counts a wrong guess against the key it was aimed at and the address it came from. Says how long either is locked,
    /// where an earlier guess has locked it.
    pub(crate) fn count_guess(&self, world: &World, key: &[u8], ip: Option<IpAddr>, now: Time) -> Option<Span> {
        let (number, public) = self.subject_of(world, key);
        let kind = world.policy.kind_at(number)?;
        let by_address = kind.ip_lockout.zip(ip).map(|(rule, ip)| (Subject::Address(number, ip), rule));
        let by_key = kind.key_lockout.zip(public).map(|(rule, public)| (Subject::Key(number, public), rule));
        let mut wait = None;
        for (subject, rule) in by_address.into_iter().chain(by_key) {
            match self.lockouts.fail(subject, rule, now) {
                Failed::Counted => {}
                Failed::Locks => tracing::warn!(kind = kind.name, "locked out after too many wrong keys"),
                Failed::Locked(left) => wait = wait.max(Some(left)),
            }
        }
        wait
    }

    /// The kind a presented key seems to be of, and its public part where it is well-formed.
    fn subject_of(&self, world: &World, key: &[u8]) -> (u8, Option<Box<[u8]>>) {
        match world.policy.read(key, self.legacy.any_imported()) {
            Some((number, reading)) => (number, key.get(..reading.shown).map(Box::from)),
            None => (world.policy.seems(key), None),
        }
    }
}
