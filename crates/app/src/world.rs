//! The policy in force. A reload puts another in its place; a verification keeps to the one it began with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keywright_core::policy::{Policy, PolicyError};
use keywright_core::time::Time;

use crate::App;
use crate::caller::Caller;
use crate::error::Error;

/// A policy, and how many there were before it.
#[derive(Debug)]
pub struct World {
    /// The policy.
    pub policy: Policy,
    /// When it was put in force.
    pub since: Time,
    pub(crate) epoch: u64,
}

/// Every policy since the start.
///
/// They are kept until the end, some tens of kilobytes each: reloads are few, and so the hot path comes to the one in
/// force by reading a number, where counting its readers would cost a tenth of a verification.
pub(crate) struct Worlds {
    first: Arc<World>,
    later: boxcar::Vec<Arc<World>>,
    reloads: AtomicUsize,
}

impl Worlds {
    pub(crate) fn new(policy: Policy, since: Time) -> Self {
        let first = World { policy, since, epoch: 0 }.into();
        Self { first, later: boxcar::Vec::new(), reloads: AtomicUsize::new(0) }
    }

    /// The one in force.
    #[inline]
    pub(crate) fn load(&self) -> &Arc<World> {
        let reloads = self.reloads.load(Ordering::Acquire);
        reloads.checked_sub(1).and_then(|last| self.later.get(last)).unwrap_or(&self.first)
    }

    fn store(&self, policy: Policy, since: Time) {
        let last = self.later.push_with(|before| World { policy, since, epoch: before as u64 + 1 }.into());
        // Of two reloads at once the later stays.
        self.reloads.fetch_max(last + 1, Ordering::AcqRel);
    }
}

impl App {
    /// Puts a new policy in force, or keeps the old one where the new is wrong.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn reload_policy(&self, text: &str) -> Result<(), Vec<PolicyError>> {
        self.put_in_force(Policy::parse(text)?);
        Ok(())
    }

    /// Puts a new policy in force.
    pub fn put_in_force(&self, policy: Policy) {
        self.worlds.store(policy, self.clock.now());
        // What was numbered under the old policy means nothing under the new one.
        self.cache.evict_all();
    }

    /// The policy in force, for an operator to read.
    ///
    /// # Errors
    /// The caller is no operator, or may not see it.
    pub fn get_policy(&self, caller: &Caller) -> Result<&Arc<World>, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "policy:read")?;
        Ok(self.world())
    }

    /// The policy in force.
    #[must_use]
    #[inline]
    pub fn world(&self) -> &Arc<World> {
        self.worlds.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_in_force_and_what_began_before_keeps_its_own() {
        let worlds = Worlds::new(Policy::parse(Policy::DEV).unwrap(), Time::from_millis(1));
        let before = worlds.load();
        worlds.store(Policy::parse(Policy::STARTER).unwrap(), Time::from_millis(2));
        worlds.store(Policy::parse(Policy::STARTER).unwrap(), Time::from_millis(2));
        assert_eq!((before.epoch, worlds.load().epoch), (0, 2));
        assert!(before.policy.kind("wavis").is_some() && worlds.load().policy.kind("wavis").is_none());
    }
}
