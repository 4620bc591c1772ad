//! The database: the one place where the two engines part. With its folder the only one that names a driver.
//!
//! SQLite has one connection that writes and a few that only read, so a write never waits for another in the same
//! process and readers see a committed state. PostgreSQL has a pool for each. What this must keep: no error carries a
//! bound value, nothing waits without a limit, and a connection whose state is in doubt is closed.

use std::path::Path;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::error::StoreError;
use crate::migrations::{self, Upgrade};
use crate::sql::{Sql, statements};
use crate::value::Value;

mod postgres;
mod sqlite;

use postgres::{Postgres, PostgresConnection};
use sqlite::{Open, Role, Sqlite, SqliteConnection, SqliteRow, Taken as _, aside};

statements! {
    PING = "select 1";
}

/// How long a caller waits for a connection, and a connection for a lock.
const QUEUE: Duration = Duration::from_secs(5);
/// How long one statement is waited for, but for SQLite's writes: whoever asks for those has a limit of their own.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that read.
const READERS: u32 = 4;

/// A database, open and migrated. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Db(Engine);

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Db {
    /// Opens `sqlite:PATH` or `postgres://…`, creating the file and bringing the schema up to date.
    ///
    /// # Errors
    /// Unavailable, with what to do: the database cannot be opened, or a newer Keywright has written it. Corrupt: it is
    /// not a database, or its schema's history has been changed.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_telling(url, |_| {}).await
    }

    /// The same, which tells of a schema that is older before it is brought up to date.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub async fn open_telling(url: &str, tell: impl FnOnce(Upgrade) + Send + 'static) -> Result<Self, StoreError> {
        let engine = if let Some(path) = sqlite_path(url) {
            Engine::Sqlite(Sqlite::open(path, tell).await?)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Engine::Postgres(Box::new(Postgres::open(url, tell).await?))
        } else {
            return Err(StoreError::unavailable("the database URL is neither `sqlite:PATH` nor `postgres://…`"));
        };
        let db = Self(engine);
        db.ping().await?;
        Ok(db)
    }

    /// The schema a database is at, where it has one, and the one this Keywright knows. Nothing is created or changed.
    ///
    /// # Errors
    /// Unavailable: the database cannot be reached.
    pub async fn find_schema(url: &str) -> Result<(Option<i64>, i64), StoreError> {
        let found = if let Some(path) = sqlite_path(url) {
            let path = path.to_owned();
            aside(move || sqlite::schema::newest(&Open::new(&path, Role::Guest)?)).await?
        } else {
            postgres::schema::newest(url).await?
        };
        Ok((found, migrations::newest()))
    }

    /// The engine's name: `sqlite` or `postgres`.
    #[must_use]
    pub const fn engine(&self) -> &'static str {
        match &self.0 {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgres",
        }
    }

    /// Whether a transaction holds up the thread it runs on, so that many belong on one of their own.
    #[must_use]
    pub const fn blocks(&self) -> bool {
        matches!(self.0, Engine::Sqlite(_))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Unavailable, with the reason.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reader().await?.rows(PING, Vec::new()).await.map(drop)
    }

    /// Closes every connection, once its work is done; SQLite then folds its log into the file.
    pub async fn close(&self) {
        match &self.0 {
            Engine::Sqlite(file) => file.close().await,
            Engine::Postgres(server) => server.close().await,
        }
    }

    /// Writes a consistent copy to `path`, which must not exist, while the database is in use.
    ///
    /// # Errors
    /// Unavailable: the copy cannot be written, or the engine is PostgreSQL, which brings its own tool.
    pub async fn backup_to(&self, path: &Path) -> Result<(), StoreError> {
        match &self.0 {
            Engine::Sqlite(file) => Self::copy_file(file.path(), path).await,
            Engine::Postgres(_) => {
                Err(StoreError::unavailable("PostgreSQL is backed up with its own tool: run pg_dump"))
            }
        }
    }

    /// [`Db::backup_to`] of an SQLite file that another process has open: nothing of it is created or changed, its
    /// schema included.
    ///
    /// # Errors
    /// Unavailable: there is no such file, or the copy cannot be written.
    pub async fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        // A connection of its own, so that a long copy takes no reader's place.
        aside(move || sqlite::copy(&from, &to)).await
    }

    /// Makes this process the only one that serves the database. On SQLite it always succeeds: its file's folder is
    /// locked by whoever opens it.
    ///
    /// # Errors
    /// Unavailable, naming who serves it already.
    pub async fn claim(&self) -> Result<Claim, StoreError> {
        match &self.0 {
            Engine::Sqlite(_) => Ok(Claim(None)),
            Engine::Postgres(server) => server.claim().await.map(|held| Claim(Some(held))),
        }
    }

    pub(crate) async fn reader(&self) -> Result<Connection, StoreError> {
        match &self.0 {
            Engine::Sqlite(file) => file.reader().await.map(Connection::Sqlite),
            Engine::Postgres(server) => server.reader().await.map(Connection::Postgres),
        }
    }

    pub(crate) async fn writer(&self) -> Result<Connection, StoreError> {
        match &self.0 {
            Engine::Sqlite(file) => file.writer().await.map(Connection::Sqlite),
            Engine::Postgres(server) => server.writer().await.map(Connection::Postgres),
        }
    }
}

fn sqlite_path(url: &str) -> Option<&Path> {
    url.strip_prefix("sqlite:").map(|path| Path::new(path.strip_prefix("//").unwrap_or(path)))
}

/// The right to serve a database, held until it is dropped.
#[derive(Debug)]
pub struct Claim(Option<PgConnection>);

impl Claim {
    /// Whether the claim can be lost, and has to be renewed: not where the data folder's lock does its work.
    #[must_use]
    pub const fn needs_renewal(&self) -> bool {
        self.0.is_some()
    }

    /// Checks that the claim still holds.
    ///
    /// # Errors
    /// Unavailable: the connection that held it is lost, so another process may serve the database by now.
    pub async fn renew(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            None => Ok(()),
            Some(connection) => postgres::ping(connection).await.map_err(|_| {
                StoreError::unavailable("the connection that claims the database for this process is lost")
            }),
        }
    }
}

/// One connection, checked out.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PostgresConnection),
}

impl Connection {
    /// What begins a transaction that writes. SQLite locks at once, for a reader that turns writer may be refused.
    pub(crate) const fn begin(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "begin immediate",
            Self::Postgres(_) => "begin",
        }
    }

    /// Runs a statement that answers with rows.
    pub(crate) async fn rows(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<RawRow>, StoreError> {
        match self {
            Self::Sqlite(file) => {
                file.rows(sql.with_question_marks(), values).await.map(|rows| wrap(rows, RawRow::Sqlite))
            }
            Self::Postgres(server) => server.rows(sql.text(), &values).await.map(|rows| wrap(rows, RawRow::Postgres)),
        }
        .inspect_err(|error| self.doubt(error))
    }

    /// Runs a write for what its rows hold, or held, and answers with rows.
    pub(crate) async fn write_returning(&mut self, sql: Sql, values: &[Value]) -> Result<Vec<RawRow>, StoreError> {
        match self {
            Self::Sqlite(file) => {
                file.rows_here(sql.with_question_marks(), values).map(|rows| wrap(rows, RawRow::Sqlite))
            }
            Self::Postgres(server) => server.rows(sql.text(), values).await.map(|rows| wrap(rows, RawRow::Postgres)),
        }
        .inspect_err(|error| self.doubt(error))
    }

    /// Runs a write and says how many rows it changed.
    pub(crate) async fn write(&mut self, sql: Sql, values: &[Value]) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(file) => file.execute(sql.with_question_marks(), values),
            Self::Postgres(server) => server.execute(sql.text(), values).await,
        }
        .inspect_err(|error| self.doubt(error))
    }

    /// Runs a write for each of many rows, and says how many it changed in all: one after the other where each costs no
    /// more than its work, many at once where each costs a journey.
    pub(crate) async fn write_each(&mut self, sql: Sql, rows: &[Vec<Value>]) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(file) => file.execute_each(sql.with_question_marks(), rows),
            Self::Postgres(server) => server.execute_each(sql, rows).await,
        }
        .inspect_err(|error| self.doubt(error))
    }

    /// Runs `begin`, `rollback` and the like, which have no parameters.
    pub(crate) async fn control(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(file) => file.execute(sql, &[]).map(drop),
            Self::Postgres(server) => server.batch(sql).await,
        }
        .inspect_err(|error| self.doubt(error))
    }

    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(file) => file.commit(),
            Self::Postgres(server) => server.commit().await,
        }
        .inspect_err(|error| self.doubt(error))
    }

    /// A statement that did not end in time may still be running.
    fn doubt(&mut self, error: &StoreError) {
        if matches!(error, StoreError::Unavailable(_) | StoreError::Unanswered) {
            self.discard();
        }
    }

    /// Has the connection closed instead of used again; whatever it had begun is rolled back.
    pub(crate) fn discard(&mut self) {
        match self {
            Self::Sqlite(file) => file.discard(),
            Self::Postgres(server) => server.discard(),
        }
    }
}

/// A row as its driver hands it out.
pub(crate) enum RawRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Takes a column out: `None` where it does not hold the type, `Some(None)` where it holds null.
macro_rules! getter {
    ($name:ident -> $type:ty) => {
        pub(crate) fn $name(&mut self, at: usize) -> Option<Option<$type>> {
            match self {
                Self::Sqlite(row) => <$type>::take(row, at),
                Self::Postgres(row) => row.try_get(at).ok(),
            }
        }
    };
}

impl RawRow {
    getter!(int -> i64);
    getter!(text -> String);
    getter!(bytes -> Vec<u8>);

    pub(crate) fn column(&self, at: usize) -> &str {
        match self {
            Self::Sqlite(row) => row.name(at),
            Self::Postgres(row) => row.columns().get(at).map(sqlx::Column::name),
        }
        .unwrap_or("?")
    }
}

fn wrap<R>(rows: Vec<R>, as_raw: impl Fn(R) -> RawRow) -> Vec<RawRow> {
    rows.into_iter().map(as_raw).collect()
}

/// What only tests do: the suite for both engines, databases made and dropped, damage done on purpose.
#[cfg(feature = "testing")]
impl Db {
    /// Runs SQL as it stands, on the connection that writes.
    ///
    /// # Errors
    /// As everything else here.
    pub async fn run_raw(&self, sql: &str) -> Result<(), StoreError> {
        match self.writer().await? {
            Connection::Sqlite(mut file) => file.batch(sql),
            Connection::Postgres(mut server) => server.batch(sql.to_owned()).await,
        }
    }

    /// Prepares a statement, and names the types PostgreSQL gives its parameters.
    ///
    /// # Errors
    /// The engine refuses it.
    pub async fn prepare(&self, sql: Sql) -> Result<Vec<String>, StoreError> {
        match self.writer().await? {
            Connection::Sqlite(mut file) => file.prepare(sql.with_question_marks()).map(|()| Vec::new()),
            Connection::Postgres(mut server) => server.prepare(sql.text()).await,
        }
    }

    /// Runs one command on a PostgreSQL server.
    pub(crate) async fn command(url: &str, sql: String) -> Result<(), StoreError> {
        postgres::command(url, sql).await
    }
}
