//! Keywright without HTTP: one function a use case, shared by the API, the dashboard, the gateway and the command line,
//! and open to a Rust service that embeds it.
//!
//! Two flows matter. *Verifying* (`verify.rs`) reads the cache and, on a miss, the database, and never waits for a
//! writer. *Changing* (`write.rs`) is one transaction with its audit event, after which everything it touched is
//! evicted before anybody hears of it.

pub mod account_keys;
pub mod accounts;
mod audit;
pub mod batch;
mod cache;
pub mod caller;
pub mod clock;
mod credits;
mod ending;
pub mod error;
pub mod explain;
pub mod factors;
mod granted;
mod guesses;
pub mod health;
pub mod holding;
mod identities;
pub mod import;
pub mod invitations;
mod issuers;
mod keyring;
pub mod keys;
mod lease;
mod legacy;
mod limits;
pub mod lockouts;
pub mod logins;
pub mod mail;
pub mod members;
pub mod metering;
pub mod operators;
pub mod outbound;
pub mod own;
mod password;
mod personal;
#[cfg(feature = "bench")]
mod preload;
mod record;
mod registration;
pub mod registry;
pub mod replay;
mod rotation;
pub mod sessions;
pub mod setup;
mod spend;
pub mod ssh_keys;
mod sync;
mod tasks;
pub mod tokens;
pub mod trials;
pub mod trust;
pub mod usage;
pub mod users;
mod verdict;
pub mod verify;
mod widen;
mod world;
mod write;

pub use granted::{PermissionUse, PermissionUses};
pub use keyring::Keyring;
pub use keywright_core as core;
pub use keywright_store as store;
pub use record::{Access, Record};
pub use tasks::Tasks;
pub use world::World;

use std::sync::atomic::AtomicU64;

use keywright_store::Db;

use clock::Clock;

/// A running Keywright.
pub struct App {
    db: Db,
    clock: Clock,
    started_at: keywright_core::time::Time,
    worlds: world::Worlds,
    keyring: Keyring,
    cache: cache::Cache,
    accounts: record::AccountStates,
    accesses: record::Accesses,
    limits: limits::LimitBook,
    pools: credits::PoolBook,
    lockouts: lockouts::Lockouts,
    issued: trials::Issued,
    sources: issuers::Sources,
    usage: usage::Usage,
    granted: std::sync::Arc<granted::Granted>,
    legacy: legacy::Legacy,
    lease: lease::Lease,
    key_ids: clock::KeyIds,
    writer: write::Writer,
    /// How many commits have changed something.
    changes: AtomicU64,
    hasher: password::Hasher,
    /// Who issues tokens, and whom they are for.
    issuer: String,
    /// Where people find this server.
    site: Option<String>,
    mail: mail::Mail,
}

/// What a Keywright is started with.
pub struct Settings {
    /// The policy in force.
    pub policy: keywright_core::policy::Policy,
    /// The clock it goes by.
    pub clock: Clock,
    /// How many keys are kept in memory.
    pub cached_keys: usize,
    /// Who issues tokens: the public address, where there is one.
    pub issuer: Option<String>,
    /// Where people find this server: links in mails lead there.
    pub site: Option<String>,
    /// How letters go out.
    pub post: mail::Post,
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
