//! How the server is, for an operator: what `/ready` and the metrics know, and what waits.

use keywright_core::time::Time;
use keywright_core::verify::Outcome;
use keywright_store::mail::Waiting;

use crate::App;
use crate::caller::Caller;
use crate::error::Error;

/// How the server is.
#[derive(Clone, Debug)]
pub struct Health {
    /// When it was started.
    pub started_at: Time,
    /// What keeps its data.
    pub engine: &'static str,
    /// What is wrong with that, where something is.
    pub storage_fault: Option<String>,
    /// Letters that wait; none where no mail is sent, or storage is out of reach.
    pub mail: Option<Waiting>,
    /// Whether mail is sent at all.
    pub sends_mail: bool,
    /// Since when the present key signs tokens, by the algorithm of the policy.
    pub signing_since: Option<Time>,
    /// Keys in memory, and how many there is room for.
    pub cached: (usize, usize),
    /// Since when the policy is in force.
    pub policy_since: Time,
    /// Locks that hold.
    pub locks: usize,
    /// Verifications since the start, by outcome.
    pub verifications: Vec<(Outcome, u64)>,
    /// Passwords hashed since the start.
    pub password_hashes: u64,
}

impl App {
    /// How the server is. Parts that are out of reach are told, and fail nothing else.
    ///
    /// # Errors
    /// The caller is no operator, or may not see metrics.
    pub async fn get_health(&self, caller: &Caller) -> Result<Health, Error> {
        let world = self.world();
        caller.must_be_operator()?;
        caller.must(&world.policy.catalog, "metrics:read")?;
        let storage_fault = self.db.ping().await.err().map(|error| error.to_string());
        let mail = if self.sends_mail() { self.waiting_mail().await.ok() } else { None };
        Ok(Health {
            started_at: self.started_at,
            engine: self.db.engine(),
            storage_fault,
            mail,
            sends_mail: self.sends_mail(),
            signing_since: self.keyring.signing_key(world.policy.algorithm).map(|key| key.created_at()),
            cached: (self.cache.held(), self.cache.room()),
            policy_since: world.since,
            locks: self.lockouts.count(self.clock.now()),
            verifications: self.verification_totals(),
            password_hashes: self.password_hashes(),
        })
    }
}
