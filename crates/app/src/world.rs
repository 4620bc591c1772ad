//! The policy in force. A reload swaps it whole; a verification keeps to the one it began with.

use keywright_core::policy::{Policy, PolicyError};

use crate::App;

/// A policy and how many there were before it.
#[derive(Debug)]
pub struct World {
    /// The policy.
    pub policy: Policy,
    pub(crate) epoch: u64,
}

impl App {
    /// Puts a new policy in force, or keeps the old one where the new is wrong.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn reload_policy(&self, text: &str) -> Result<(), Vec<PolicyError>> {
        let policy = Policy::parse(text)?;
        let epoch = self.world.load().epoch + 1;
        self.world.store(World { policy, epoch }.into());
        // What was numbered under the old policy means nothing under the new one.
        self.cache.evict_all();
        Ok(())
    }

    /// The policy in force.
    #[must_use]
    pub fn world(&self) -> std::sync::Arc<World> {
        self.world.load_full()
    }
}
