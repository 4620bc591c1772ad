//! Keywright without HTTP: one function a use case, shared by the API, the dashboard, the gateway and the command line,
//! and open to a Rust service that embeds it.
//!
//! Two flows matter. *Verifying* (`verify.rs`) reads the cache and, on a miss, the database, and never waits for a
//! writer. *Changing* (`write.rs`) is one transaction with its audit event, after which everything it touched is
//! evicted before anybody hears of it.

pub mod accounts;
mod audit;
mod cache;
pub mod caller;
pub mod clock;
mod credits;
pub mod error;
pub mod import;
mod keyring;
pub mod keys;
mod lease;
mod legacy;
mod limits;
mod lockouts;
pub mod own;
mod password;
#[cfg(feature = "bench")]
mod preload;
mod record;
pub mod replay;
mod sync;
mod tasks;
pub mod usage;
pub mod verify;
mod widen;
mod world;
mod write;

pub use keyring::Keyring;
pub use keywright_core as core;
pub use keywright_store as store;
pub use record::{Access, Record};
pub use tasks::Tasks;
pub use world::World;

use keywright_store::Db;

use clock::Clock;

/// A running Keywright.
pub struct App {
    db: Db,
    clock: Clock,
    worlds: world::Worlds,
    keyring: Keyring,
    cache: cache::Cache,
    accounts: record::AccountStates,
    accesses: record::Accesses,
    limits: limits::LimitBook,
    pools: credits::PoolBook,
    lockouts: lockouts::Lockouts,
    usage: usage::Usage,
    legacy: legacy::Legacy,
    lease: lease::Lease,
    writer: write::Writer,
}

/// What a Keywright is started with.
pub struct Settings {
    /// The policy in force.
    pub policy: keywright_core::policy::Policy,
    /// The clock it goes by.
    pub clock: Clock,
    /// How many keys are kept in memory.
    pub cached_keys: usize,
}

impl App {
    /// The time it goes by.
    #[must_use]
    pub fn now(&self) -> keywright_core::time::Time {
        self.clock.now()
    }

    /// Where its data is kept.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }
}
