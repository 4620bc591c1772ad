//! The database: with `db/schema.rs` the only file that names a driver, and the one place where the two engines part.
//!
//! SQLite has one connection that writes and a few that only read, so a write never waits for another in the same
//! process and readers see a committed state. PostgreSQL has a pool for each. What this file must keep: no error
//! carries a bound value, nothing waits without a limit, and a connection whose state is in doubt is closed.

use std::borrow::Cow;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::error::ErrorKind;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection as _, Pool, Row as _};

use crate::error::StoreError;
use crate::value::Value;

mod schema;

use schema::migrate;

/// How long a caller waits for a connection, and a connection for a lock.
const QUEUE: Duration = Duration::from_secs(5);
/// How long one statement may take before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for PostgreSQL's side, which ends the statement rather than the connection, so it has to be first.
const STATEMENT_MS: &str = "25000";
const READERS: u32 = 4;
const POSTGRES_WRITERS: u32 = 4;
/// What the advisory lock of a serving process is called: "keywrght" in ASCII.
const CLAIM: i64 = 0x6b65_7977_7267_6874;

/// A database, open and migrated. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Db(Engine);

#[derive(Clone, Debug)]
enum Engine {
    Sqlite { options: SqliteConnectOptions, writer: Pool<Sqlite>, readers: Pool<Sqlite> },
    Postgres { options: PgConnectOptions, writers: Pool<Postgres>, readers: Pool<Postgres> },
}

impl Db {
    /// Opens `sqlite:PATH` or `postgres://…`, creating the file and bringing the schema up to date.
    ///
    /// # Errors
    /// Unavailable, with what to do: the database cannot be opened, or a newer Keywright has written it. Corrupt: it is
    /// not a database, or its schema's history has been changed.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Self::open_sqlite(Path::new(path.strip_prefix("//").unwrap_or(path))).await;
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Self::open_postgres(url).await;
        }
        Err(StoreError::unavailable("the database URL is neither `sqlite:PATH` nor `postgres://…`"))
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(QUEUE)
            .pragma("temp_store", "memory")
            // A bulk import grows the log; this gives the space back.
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging();
        let mut first = limited(options.connect()).await?;
        migrate(&mut first, |migration| migration.sqlite).await?;
        limited(first.close()).await?;
        let writer = pool::<Sqlite>(1).connect_lazy_with(options.clone().pragma("cache_size", "-16384"));
        let readers = pool::<Sqlite>(READERS).connect_lazy_with(options.clone().pragma("query_only", "on"));
        let db = Self(Engine::Sqlite { options, writer, readers });
        db.ping().await?;
        Ok(db)
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        // The driver's own words could repeat the URL, and with it the password.
        let wrong = |_| StoreError::unavailable("the database URL is not of the form postgres://user:password@host/db");
        let options = PgConnectOptions::from_str(url)
            .map_err(wrong)?
            .application_name("keywright")
            .options([("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")])
            .disable_statement_logging();
        let mut first = limited(options.connect()).await?;
        migrate(&mut first, |migration| migration.postgres).await?;
        limited(first.close()).await?;
        let limits = [
            ("statement_timeout", STATEMENT_MS),
            ("lock_timeout", "5000"),
            // A process that stops in the middle of a transaction must not hold its locks for ever.
            ("idle_in_transaction_session_timeout", "60000"),
        ];
        let pooled = options.clone().options(limits);
        let writers = pool::<Postgres>(POSTGRES_WRITERS).connect_lazy_with(pooled.clone());
        let readers = pool::<Postgres>(READERS).connect_lazy_with(pooled);
        let db = Self(Engine::Postgres { options, writers, readers });
        db.ping().await?;
        Ok(db)
    }

    /// The engine's name: `sqlite` or `postgres`.
    #[must_use]
    pub const fn engine(&self) -> &'static str {
        match &self.0 {
            Engine::Sqlite { .. } => "sqlite",
            Engine::Postgres { .. } => "postgres",
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Unavailable, with the reason.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reader().await?.rows("select 1".into(), Vec::new()).await.map(drop)
    }

    /// Closes every connection, once its work is done; SQLite then folds its log into the file.
    pub async fn close(&self) {
        match &self.0 {
            Engine::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Engine::Postgres { writers, readers, .. } => {
                readers.close().await;
                writers.close().await;
            }
        }
    }

    /// Writes a consistent copy to `path`, which must not exist, while the database is in use.
    ///
    /// # Errors
    /// Unavailable: the copy cannot be written, or the engine is PostgreSQL, which brings its own tool.
    pub async fn backup_to(&self, path: &Path) -> Result<(), StoreError> {
        let options = match &self.0 {
            Engine::Sqlite { options, .. } => options,
            Engine::Postgres { .. } => {
                return Err(StoreError::unavailable("PostgreSQL is backed up with its own tool: run pg_dump"));
            }
        };
        Self::copy(options, path).await
    }

    /// [`Db::backup_to`] of an SQLite file that another process has open: nothing of it is created or changed, its
    /// schema included.
    ///
    /// # Errors
    /// Unavailable: there is no such file, or the copy cannot be written.
    pub async fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
        Self::copy(&as_it_is(from), to).await
    }

    async fn copy(options: &SqliteConnectOptions, path: &Path) -> Result<(), StoreError> {
        let target = path.to_str().ok_or_else(|| StoreError::unavailable("the backup's path is not UTF-8"))?;
        if path.exists() {
            return Err(StoreError::unavailable(format!("{target} exists already: choose another name")));
        }
        // An empty file is what `vacuum into` accepts; made here, nobody else can read it.
        create_private(path)?;
        // A connection of its own, so that a long copy takes no reader's place; and no limit on its time.
        let mut connection = limited(options.connect()).await?;
        let copied = sqlx::query("vacuum into $1").bind(target).execute(&mut connection).await;
        let file = path.to_owned();
        let synced = tokio::task::spawn_blocking(move || std::fs::File::open(file)?.sync_all()).await;
        let result = match (copied, synced) {
            (Ok(_), Ok(Ok(()))) => Ok(()),
            (Err(error), _) => Err(translate(error)),
            (Ok(_), _) => Err(StoreError::unavailable(format!("{target} could not be flushed to disk"))),
        };
        if result.is_err() {
            // The first error is the one to report; half a copy must not look like a whole one.
            let _ = std::fs::remove_file(path);
        }
        result
    }

    /// Makes this process the only one that serves the database. On SQLite it always succeeds: its file's folder is
    /// locked by whoever opens it.
    ///
    /// # Errors
    /// Unavailable, naming who serves it already.
    pub async fn claim(&self) -> Result<Claim, StoreError> {
        let options = match &self.0 {
            Engine::Sqlite { .. } => return Ok(Claim(None)),
            Engine::Postgres { options, .. } => options,
        };
        let mut connection = limited(options.connect()).await?;
        let taken = sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock($1)").bind(CLAIM);
        if limited(taken.fetch_one(&mut connection)).await? {
            return Ok(Claim(Some(connection)));
        }
        let holder = sqlx::query_scalar::<_, String>(
            "select 'process ' || pid || ', connected from ' || coalesce(host(client_addr), 'a local socket') \
             from pg_locks join pg_stat_activity using (pid) join pg_database on pg_database.oid = pg_locks.database \
             where locktype = 'advisory' and granted and pg_database.datname = current_database() \
             and (classid::bigint << 32) + objid::bigint = $1",
        );
        let holder = limited(holder.bind(CLAIM).fetch_optional(&mut connection)).await?;
        let holder = holder.unwrap_or_else(|| "a process that has just gone".into());
        Err(StoreError::unavailable(format!("another Keywright serves this database ({holder}): stop it first")))
    }

    pub(crate) async fn reader(&self) -> Result<Connection, StoreError> {
        match &self.0 {
            Engine::Sqlite { readers, .. } => Ok(Connection::Sqlite(readers.acquire().await.map_err(translate)?)),
            Engine::Postgres { readers, .. } => Ok(Connection::Postgres(readers.acquire().await.map_err(translate)?)),
        }
    }

    pub(crate) async fn writer(&self) -> Result<Connection, StoreError> {
        match &self.0 {
            Engine::Sqlite { writer, .. } => Ok(Connection::Sqlite(writer.acquire().await.map_err(translate)?)),
            Engine::Postgres { writers, .. } => Ok(Connection::Postgres(writers.acquire().await.map_err(translate)?)),
        }
    }
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
            Some(connection) => limited(connection.ping()).await.map_err(|_| {
                StoreError::unavailable("the connection that claims the database for this process is lost")
            }),
        }
    }
}

/// One connection, checked out of its pool.
pub(crate) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
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
    pub(crate) async fn rows(&mut self, sql: Cow<'static, str>, values: Vec<Value>) -> Result<Vec<RawRow>, StoreError> {
        let sql = AssertSqlSafe(sql);
        let result = match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_with(sql, arguments::<SqliteArguments>(values)?);
                limited(query.fetch_all(&mut **connection)).await.map(|rows| wrap(rows, RawRow::Sqlite))
            }
            Self::Postgres(connection) => {
                let query = sqlx::query_with(sql, arguments::<PgArguments>(values)?);
                limited(query.fetch_all(&mut **connection)).await.map(|rows| wrap(rows, RawRow::Postgres))
            }
        };
        result.inspect_err(|error| self.doubt(error))
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: Cow<'static, str>, values: Vec<Value>) -> Result<u64, StoreError> {
        let sql = AssertSqlSafe(sql);
        let result = match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_with(sql, arguments::<SqliteArguments>(values)?);
                limited(query.execute(&mut **connection)).await.map(|done| done.rows_affected())
            }
            Self::Postgres(connection) => {
                let query = sqlx::query_with(sql, arguments::<PgArguments>(values)?);
                limited(query.execute(&mut **connection)).await.map(|done| done.rows_affected())
            }
        };
        result.inspect_err(|error| self.doubt(error))
    }

    /// Runs `begin`, `commit` and the like: no parameters, nothing prepared.
    pub(crate) async fn control(&mut self, sql: impl Into<Cow<'static, str>>) -> Result<(), StoreError> {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Self::Sqlite(connection) => limited(sqlx::raw_sql(sql).execute(&mut **connection)).await.map(drop),
            Self::Postgres(connection) => limited(sqlx::raw_sql(sql).execute(&mut **connection)).await.map(drop),
        }
        .inspect_err(|error| self.doubt(error))
    }

    /// A statement that did not end in time may still be running.
    fn doubt(&mut self, error: &StoreError) {
        if matches!(error, StoreError::Unavailable(_)) {
            self.discard();
        }
    }

    /// Has the connection closed instead of used again; whatever it had begun is rolled back.
    pub(crate) fn discard(&mut self) {
        match self {
            Self::Sqlite(connection) => connection.close_on_drop(),
            Self::Postgres(connection) => connection.close_on_drop(),
        }
    }
}

/// A row as its driver hands it out.
pub(crate) enum RawRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A getter answers `None` where the column does not hold its type, `Some(None)` where it holds null.
macro_rules! getter {
    ($name:ident -> $type:ty) => {
        pub(crate) fn $name(&self, at: usize) -> Option<Option<$type>> {
            match self {
                Self::Sqlite(row) => row.try_get(at).ok(),
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
            Self::Sqlite(row) => row.columns().get(at).map(sqlx::Column::name),
            Self::Postgres(row) => row.columns().get(at).map(sqlx::Column::name),
        }
        .unwrap_or("?")
    }
}

fn wrap<R>(rows: Vec<R>, as_raw: impl Fn(R) -> RawRow) -> Vec<RawRow> {
    rows.into_iter().map(as_raw).collect()
}

fn arguments<A>(values: Vec<Value>) -> Result<A, StoreError>
where
    A: Arguments,
    for<'t> Option<i64>: sqlx::Encode<'t, A::Database> + sqlx::Type<A::Database>,
    for<'t> Option<String>: sqlx::Encode<'t, A::Database> + sqlx::Type<A::Database>,
    for<'t> Option<Vec<u8>>: sqlx::Encode<'t, A::Database> + sqlx::Type<A::Database>,
{
    let mut arguments = A::default();
    for value in values {
        match value {
            Value::Int(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(|_| StoreError::corrupt("a value is too large for the database"))?;
    }
    Ok(arguments)
}

fn pool<D: sqlx::Database>(connections: u32) -> PoolOptions<D> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(QUEUE)
        .idle_timeout(None)
        .max_lifetime(None)
        // Asking before every use costs a round trip; a connection that has just been used is as good as asked.
        .test_before_acquire(false)
        .before_acquire(|connection: &mut D::Connection, meta| {
            Box::pin(async move {
                if meta.idle_for > Duration::from_secs(1) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// A new file that only its owner may read, and whatever SQLite puts beside it; an existing one stays as it is.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let cannot = |error| StoreError::unavailable(format!("{} cannot be opened for writing: {error}", path.display()));
    options.open(path).map(drop).map_err(cannot)
}

/// An SQLite file, opened by somebody who is not to change it.
fn as_it_is(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
    options.busy_timeout(QUEUE).pragma("temp_store", "memory").disable_statement_logging()
}

/// Nothing waits for a database without a limit.
async fn limited<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(translate),
        Err(_) => Err(StoreError::unavailable("the database did not answer in time")),
    }
}

/// One error for another. Only texts that cannot hold a value are passed on.
#[expect(clippy::wildcard_enum_match_arm, reason = "sqlx's errors are open-ended: what is not listed is unavailable")]
fn translate(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => match error.kind() {
            // The row a reference points to is gone, or was never there: as good as changed since it was read.
            ErrorKind::UniqueViolation | ErrorKind::ForeignKeyViolation => StoreError::Conflict,
            _ => match error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                Some(error) => translate_postgres(error.code(), error.message()),
                None => translate_sqlite(error.code().and_then(|code| code.parse().ok()), error.message()),
            },
        },
        sqlx::Error::PoolTimedOut => StoreError::unavailable("no connection to the database was free in time"),
        sqlx::Error::Io(error) => StoreError::unavailable(format!("the connection to the database failed: {error}")),
        sqlx::Error::Tls(_) => StoreError::unavailable("no secure connection to the database could be made"),
        sqlx::Error::Configuration(_) => StoreError::unavailable("the database cannot be connected to as configured"),
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_) => {
            StoreError::corrupt("a value does not have the type of its column")
        }
        _ => StoreError::unavailable("the connection to the database broke off"),
    }
}

/// By SQLSTATE. Classes 22 and 23 are about values, so their messages are dropped.
fn translate_postgres(code: &str, message: &str) -> StoreError {
    match code.get(..2).unwrap_or_default() {
        "40" => StoreError::Conflict,
        "22" | "23" => StoreError::corrupt(format!("PostgreSQL refused a value (SQLSTATE {code})")),
        "42" | "XX" => StoreError::corrupt(format!("PostgreSQL: {message} (SQLSTATE {code})")),
        _ => StoreError::unavailable(format!("PostgreSQL: {message} (SQLSTATE {code})")),
    }
}

/// By primary result code. SQLite's messages name tables and columns, never values.
fn translate_sqlite(code: Option<i64>, message: &str) -> StoreError {
    // SQLITE_ERROR, SQLITE_CORRUPT, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_NOTADB
    match code.map(|code| code & 0xff) {
        Some(1 | 11 | 19 | 20 | 26) => StoreError::corrupt(format!("SQLite: {message}")),
        _ => StoreError::unavailable(format!("SQLite: {message}")),
    }
}

/// What only tests do: the suite for both engines, databases made and dropped, damage done on purpose.
#[cfg(feature = "testing")]
impl Db {
    /// Runs SQL as it stands, on the connection that writes.
    ///
    /// # Errors
    /// As everything else here.
    pub async fn run_raw(&self, sql: &str) -> Result<(), StoreError> {
        self.writer().await?.control(sql.to_owned()).await
    }

    /// Prepares a statement, and names the types PostgreSQL gives its parameters.
    ///
    /// # Errors
    /// The engine refuses it.
    pub async fn prepare(&self, sql: crate::sql::Sql) -> Result<Vec<String>, StoreError> {
        use sqlx::{Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _};
        let sql = sql.text().into_sql_str();
        match self.writer().await? {
            Connection::Sqlite(mut connection) => limited(connection.prepare(sql)).await.map(|_| Vec::new()),
            Connection::Postgres(mut connection) => {
                let statement = limited(connection.prepare(sql)).await?;
                let types = statement.parameters().and_then(sqlx::Either::left).unwrap_or_default();
                Ok(types.iter().map(|kind| kind.name().to_owned()).collect())
            }
        }
    }

    /// Runs one command on a PostgreSQL server.
    pub(crate) async fn command(url: &str, sql: String) -> Result<(), StoreError> {
        let mut connection = limited(PgConnection::connect(url)).await?;
        limited(sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection)).await?;
        limited(connection.close()).await
    }
}
