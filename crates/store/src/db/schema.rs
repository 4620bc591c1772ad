//! The schema: brought up to date when a database is opened, or only looked at.

use std::borrow::Cow;
use std::path::Path;
use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::migrate::{MigrateError, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;

use super::{Db, as_it_is, limited, translate};
use crate::error::StoreError;
use crate::migrations::MIGRATIONS;

/// Where the driver keeps which migrations were applied.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

impl Db {
    /// The schema a database is at, where it has one, and the one this Keywright knows. Nothing is created or changed.
    ///
    /// # Errors
    /// Unavailable: the database cannot be reached.
    pub async fn find_schema(url: &str) -> Result<(Option<i64>, i64), StoreError> {
        let newest = MIGRATIONS.last().map_or(0, |migration| migration.version);
        let found = if let Some(path) = url.strip_prefix("sqlite:") {
            let path = Path::new(path.strip_prefix("//").unwrap_or(path));
            applied(&mut limited(as_it_is(path).connect()).await?).await?
        } else {
            let wrong =
                |_| StoreError::unavailable("the database URL is not of the form postgres://user:password@host/db");
            let options = PgConnectOptions::from_str(url).map_err(wrong)?.disable_statement_logging();
            applied(&mut limited(options.connect()).await?).await?
        };
        Ok((found, newest))
    }
}

/// Applies what a database has not seen yet.
#[expect(clippy::wildcard_enum_match_arm, reason = "sqlx's errors are open-ended: what is not listed is unavailable")]
pub(super) async fn migrate<C: sqlx::migrate::Migrate>(
    connection: &mut C,
    text: impl Fn(&crate::migrations::Migration) -> &'static str,
) -> Result<(), StoreError> {
    let step = |migration: &crate::migrations::Migration| {
        let sql = sqlx::SqlSafeStr::into_sql_str(text(migration));
        let kind = MigrationType::Simple;
        sqlx::migrate::Migration::new(migration.version, migration.name.into(), kind, sql, false)
    };
    let migrator = Migrator::with_migrations(MIGRATIONS.iter().map(step).collect());
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.version);
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => StoreError::unavailable(format!(
            "the database is at schema {found} and this Keywright knows {newest}: run the newer Keywright that \
             upgraded it, or restore the backup made before"
        )),
        MigrateError::VersionMismatch(found) | MigrateError::Dirty(found) => {
            StoreError::corrupt(format!("migration {found} was applied in another form than this Keywright knows"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => translate(error),
        other => StoreError::unavailable(format!("the schema could not be brought up to date: {other}")),
    })
}

/// The newest migration a database has seen; where none was ever applied there is no table of them.
async fn applied<C: sqlx::migrate::Migrate>(connection: &mut C) -> Result<Option<i64>, StoreError> {
    // SQLITE_ERROR, which a statement without parameters gets for nothing else, and undefined_table.
    let is_missing = |code: Option<Cow<'_, str>>| matches!(code.as_deref(), Some("1" | "42P01"));
    match connection.list_applied_migrations(MIGRATIONS_TABLE).await {
        Ok(applied) => Ok(applied.iter().map(|migration| migration.version).max()),
        Err(MigrateError::Execute(sqlx::Error::Database(error))) if is_missing(error.code()) => Ok(None),
        Err(MigrateError::Execute(error)) => Err(translate(error)),
        Err(error) => Err(StoreError::unavailable(format!("the schema cannot be read: {error}"))),
    }
}
