//! Where Keywright keeps everything: SQLite or PostgreSQL behind one set of functions.
//!
//! SQL and drivers exist in this crate and nowhere else. A function that reads takes a [`Db`] or a [`Tx`], one that
//! writes takes a [`Tx`] and says how many rows it expects to change; what it changed is in [`Tx::touched`].

pub mod accounts;
pub mod audit;
pub mod credits;
mod db;
pub mod denials;
pub mod ending;
mod error;
pub mod factors;
pub mod identities;
pub mod keyring;
pub mod keys;
pub mod mail;
pub mod members;
mod migrations;
pub mod permission_uses;
mod read;
pub mod registry;
pub mod replays;
mod row;
pub mod secrets;
pub mod sessions;
pub mod setup;
mod sql;
pub mod ssh_keys;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
pub mod usage;
pub mod usage_batches;
pub mod users;
pub mod uses;
mod value;

pub use db::{Claim, Db};
pub use error::StoreError;
pub use migrations::Upgrade;
pub use read::Read;
pub use tx::{Touched, Tx};
