//! The schema on a server: brought up to date when a database is opened, or only looked at.

use sqlx::migrate::{Migrate as _, MigrateError, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, SqlSafeStr as _};

use super::{limited, options, translate};
use crate::error::StoreError;
use crate::migrations::{self, MIGRATIONS, Migration, Upgrade};

/// Where the driver keeps which migrations were applied.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";
/// `undefined_table` (PostgreSQL, appendix A).
const NO_TABLE: &str = "42P01";

/// Applies what a database has not seen yet, and tells of that where it has seen something.
#[expect(clippy::wildcard_enum_match_arm, reason = "sqlx's errors are open-ended: what is not listed is unavailable")]
pub(super) async fn migrate(connection: &mut PgConnection, tell: impl FnOnce(Upgrade)) -> Result<(), StoreError> {
    if let Some(upgrade) = Upgrade::of(seen(connection).await?) {
        tell(upgrade);
    }
    let step = |migration: &Migration| {
        let (sql, kind) = (migration.postgres.into_sql_str(), MigrationType::Simple);
        sqlx::migrate::Migration::new(migration.version, migration.name.into(), kind, sql, false)
    };
    let migrator = Migrator::with_migrations(MIGRATIONS.iter().map(step).collect());
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => migrations::is_newer(found),
        MigrateError::VersionMismatch(found) | MigrateError::Dirty(found) => migrations::is_changed(found),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => translate(error),
        other => StoreError::unavailable(format!("the schema could not be brought up to date: {other}")),
    })
}

/// The newest migration a database has seen; where none was ever applied there is no table of them.
pub(in crate::db) async fn newest(url: &str) -> Result<Option<i64>, StoreError> {
    seen(&mut limited(options(url)?.connect()).await?).await
}

async fn seen(connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
    match connection.list_applied_migrations(MIGRATIONS_TABLE).await {
        Ok(applied) => Ok(applied.iter().map(|migration| migration.version).max()),
        Err(MigrateError::Execute(sqlx::Error::Database(error))) if error.code().as_deref() == Some(NO_TABLE) => {
            Ok(None)
        }
        Err(MigrateError::Execute(error)) => Err(translate(error)),
        Err(error) => Err(StoreError::unavailable(format!("the schema cannot be read: {error}"))),
    }
}
