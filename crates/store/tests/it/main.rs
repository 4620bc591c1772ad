//! One suite for both engines: every test here runs on SQLite and on PostgreSQL.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod audit;
mod credits;
mod ending;
mod factors;
mod faults;
mod identities;
mod keyring;
mod keys;
mod mail;
mod members;
mod postgres_only;
mod registry;
mod replays;
mod samples;
mod schema;
mod secrets;
mod sessions;
mod setup;
mod sqlite_only;
mod ssh_keys;
mod tx;
mod usage;
mod users;

/// Makes of each function `async fn name(fresh: &Fresh)` a test per engine. One that is left out is dead code, which
/// the lints refuse.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&keywright_store::testing::sqlite().await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(fresh) = keywright_store::testing::postgres().await {
                    super::$name(&fresh).await;
                }
            })+
        }
    };
}
pub(crate) use on_both_engines;
