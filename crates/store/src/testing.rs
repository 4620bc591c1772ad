//! Fresh databases for tests: one of SQLite always, one of PostgreSQL where a server is named.
//!
//! `KEYWRIGHT_TEST_POSTGRES` is the URL of a server on which the test may create databases. Without it tests say that
//! they skip PostgreSQL; with `KEYWRIGHT_CI=1` they fail instead, so that CI cannot lose half its suite unnoticed.

#![expect(clippy::expect_used, reason = "only tests use this module, and a test that cannot begin has failed")]

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::db::Db;
pub use crate::sql::Sql;

/// A database of one test's own, dropped with this.
pub struct Fresh {
    /// The database, open.
    pub db: Db,
    /// Its URL.
    pub url: String,
    _cleanup: Cleanup,
}

enum Cleanup {
    Folder { _folder: tempfile::TempDir },
    Database { server: String, name: String },
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Self::Database { server, name } = self {
            let (server, command) = (server.clone(), format!(r#"drop database if exists "{name}" with (force)"#));
            // A destructor cannot wait on the test's own runtime. A database left behind is no failure.
            let dropped = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.is_ok_and(|runtime| runtime.block_on(Db::command(&server, command)).is_ok())
            });
            let _ = dropped.join();
        }
    }
}

/// A fresh SQLite database in a folder of its own.
pub async fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("keywright.db").display());
    let db = Db::open(&url).await.expect("a fresh SQLite database opens");
    Fresh { db, url, _cleanup: Cleanup::Folder { _folder: folder } }
}

/// A fresh PostgreSQL database, where there is a server for it.
///
/// # Panics
/// There is none, and `KEYWRIGHT_CI` says there must be.
pub async fn postgres() -> Option<Fresh> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var("KEYWRIGHT_TEST_POSTGRES") else {
        let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
        assert!(!ci, "KEYWRIGHT_TEST_POSTGRES must name a PostgreSQL server in CI");
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "skipped on PostgreSQL: KEYWRIGHT_TEST_POSTGRES is not set");
        return None;
    };
    let name = format!("keywright_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    Db::command(&server, format!(r#"drop database if exists "{name}" with (force)"#)).await.expect("a server answers");
    Db::command(&server, format!(r#"create database "{name}""#)).await.expect("a database can be created");
    let url = with_database(&server, &name);
    let db = Db::open(&url).await.expect("a fresh PostgreSQL database opens");
    Some(Fresh { db, url, _cleanup: Cleanup::Database { server, name } })
}

/// A fresh database of each engine there is.
pub async fn databases() -> Vec<Fresh> {
    std::iter::once(sqlite().await).chain(postgres().await).collect()
}

/// A server's URL with another database in it.
fn with_database(server: &str, name: &str) -> String {
    let (place, query) = server.split_once('?').unwrap_or((server, ""));
    let start = place.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = place.split_at_checked(start).unwrap_or_default();
    let authority = rest.split('/').next().unwrap_or_default();
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("{scheme}{authority}/{name}{query}")
}

/// Every statement of every file, with its name.
#[must_use]
pub fn statements() -> Vec<(&'static str, Sql)> {
    [
        crate::accounts::STATEMENTS,
        crate::audit::STATEMENTS,
        crate::credits::STATEMENTS,
        crate::db::STATEMENTS,
        crate::denials::STATEMENTS,
        crate::ending::STATEMENTS,
        crate::factors::STATEMENTS,
        crate::identities::STATEMENTS,
        crate::keyring::STATEMENTS,
        crate::keys::STATEMENTS,
        crate::mail::STATEMENTS,
        crate::members::STATEMENTS,
        crate::permission_uses::STATEMENTS,
        crate::registry::STATEMENTS,
        crate::replays::STATEMENTS,
        crate::secrets::STATEMENTS,
        crate::sessions::STATEMENTS,
        crate::setup::STATEMENTS,
        crate::ssh_keys::STATEMENTS,
        crate::usage::STATEMENTS,
        crate::usage_batches::STATEMENTS,
        crate::users::STATEMENTS,
        crate::uses::STATEMENTS,
    ]
    .concat()
}
