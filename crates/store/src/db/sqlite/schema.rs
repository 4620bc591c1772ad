//! The schema of a file: its history is kept as `sqlx`, which kept it first, keeps PostgreSQL's, so every file there is can
//! still be opened, by older Keywrights too.

use rusqlite::{Connection, TransactionBehavior, params};
use sha2::{Digest as _, Sha384};

use super::{Open, translate};
use crate::error::StoreError;
use crate::migrations::{self, MIGRATIONS, Migration, Upgrade};

const HISTORY: &str = "create table if not exists _sqlx_migrations (version bigint primary key, \
    description text not null, installed_on timestamp not null default current_timestamp, success boolean not null, \
    checksum blob not null, execution_time bigint not null)";

/// A step a file has seen.
struct Applied {
    version: i64,
    checksum: Vec<u8>,
    is_whole: bool,
}

/// Applies what a file has not seen yet: all of it, or nothing. Tells of that where it has seen something.
pub(super) fn migrate(open: &mut Open, tell: impl FnOnce(Upgrade)) -> Result<(), StoreError> {
    if missing(&applied(&open.connection)?.unwrap_or_default())?.is_empty() {
        return Ok(());
    }
    if let Some(upgrade) = Upgrade::of(newest(open)?) {
        tell(upgrade);
    }
    let begun = open.without_limit().and_then(|file| file.transaction_with_behavior(TransactionBehavior::Immediate));
    let tx = begun.map_err(translate)?;
    tx.execute_batch(HISTORY).map_err(translate)?;
    // Another process may have been first.
    for migration in missing(&applied(&tx)?.unwrap_or_default())? {
        apply(&tx, migration).map_err(translate)?;
    }
    tx.commit().map_err(translate)
}

/// The newest step a file has seen; `None` where it has seen none.
pub(in crate::db) fn newest(open: &Open) -> Result<Option<i64>, StoreError> {
    Ok(applied(&open.connection)?.and_then(|applied| applied.iter().map(|step| step.version).max()))
}

fn apply(connection: &Connection, migration: &Migration) -> rusqlite::Result<()> {
    connection.execute_batch(migration.sqlite)?;
    // How long it took is not measured: that is what -1 says.
    let insert = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
        values (?1, ?2, 1, ?3, -1)";
    connection.execute(insert, params![migration.version, migration.name, checksum(migration)]).map(drop)
}

/// Steps in their order; `None` where there is no history.
fn applied(connection: &Connection) -> Result<Option<Vec<Applied>>, StoreError> {
    let read = || {
        if !connection.table_exists(None, "_sqlx_migrations")? {
            return Ok(None);
        }
        let mut statement =
            connection.prepare("select version, checksum, success from _sqlx_migrations order by version")?;
        let steps = statement
            .query_map([], |row| Ok(Applied { version: row.get(0)?, checksum: row.get(1)?, is_whole: row.get(2)? }))?;
        steps.collect::<Result<_, _>>().map(Some)
    };
    read().map_err(translate)
}

/// What is still to be applied, where everything that was is known and unchanged.
fn missing(applied: &[Applied]) -> Result<Vec<&'static Migration>, StoreError> {
    for step in applied {
        let Some(known) = MIGRATIONS.iter().find(|known| known.version == step.version) else {
            return Err(migrations::is_newer(step.version));
        };
        if !step.is_whole || step.checksum != checksum(known) {
            return Err(migrations::is_changed(step.version));
        }
    }
    let is_new = |known: &&Migration| applied.iter().all(|step| step.version != known.version);
    Ok(MIGRATIONS.iter().filter(is_new).collect())
}

fn checksum(migration: &Migration) -> Vec<u8> {
    Sha384::digest(migration.sqlite).to_vec()
}
