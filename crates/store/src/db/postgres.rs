//! PostgreSQL: a pool of connections that write, and one of those that read.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::error::ErrorKind;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::{PATIENCE, QUEUE, READERS};
use crate::error::StoreError;
use crate::migrations::Upgrade;
use crate::sql::Sql;
use crate::value::Value;

pub(super) mod schema;

/// How long one statement may take, for PostgreSQL's side, which ends the statement rather than the connection, so it
/// has to be first.
const STATEMENT_MS: &str = "25000";
const WRITERS: u32 = 4;
/// Parameters of a statement that is run for many rows.
const PARAMETERS: usize = 960;
/// What the advisory lock of a serving process is called: "keywrght" in ASCII.
const CLAIM: i64 = 0x6b65_7977_7267_6874;

type Pool = sqlx::Pool<sqlx::Postgres>;

/// A database on a server. Clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    options: PgConnectOptions,
    writers: Pool,
    readers: Pool,
}

impl Postgres {
    /// Connects, and brings the schema up to date.
    pub(super) async fn open(url: &str, tell: impl FnOnce(Upgrade)) -> Result<Self, StoreError> {
        let options = options(url)?.application_name("keywright");
        let options = options.options([
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ]);
        let mut first = limited(options.connect()).await?;
        schema::migrate(&mut first, tell).await?;
        limited(first.close()).await?;
        let limits = [
            ("statement_timeout", STATEMENT_MS),
            ("lock_timeout", "5000"),
            // A process that stops in the middle of a transaction must not hold its locks for ever.
            ("idle_in_transaction_session_timeout", "60000"),
        ];
        let pooled = options.clone().options(limits);
        let (writers, readers) = (pool(WRITERS, &pooled), pool(READERS, &pooled));
        Ok(Self { options, writers, readers })
    }

    pub(super) async fn reader(&self) -> Result<PostgresConnection, StoreError> {
        self.readers.acquire().await.map(PostgresConnection).map_err(translate)
    }

    pub(super) async fn writer(&self) -> Result<PostgresConnection, StoreError> {
        self.writers.acquire().await.map(PostgresConnection).map_err(translate)
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }

    /// Takes the lock of the one process that serves a database; it is held as long as the connection.
    pub(super) async fn claim(&self) -> Result<PgConnection, StoreError> {
        let mut connection = limited(self.options.connect()).await?;
        let taken = sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock($1)").bind(CLAIM);
        if limited(taken.fetch_one(&mut connection)).await? {
            return Ok(connection);
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
}

/// Whether a connection is still there.
pub(super) async fn ping(connection: &mut PgConnection) -> Result<(), StoreError> {
    limited(connection.ping()).await
}

/// A connection, checked out of its pool.
pub(crate) struct PostgresConnection(PoolConnection<sqlx::Postgres>);

impl PostgresConnection {
    pub(super) async fn rows(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<PgRow>, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments(values)?);
        limited(query.fetch_all(&mut *self.0)).await
    }

    pub(super) async fn execute(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(sql.into()), arguments(values)?);
        limited(query.execute(&mut *self.0)).await.map(|done| done.rows_affected())
    }

    /// Runs a statement for as many rows at a time as one statement takes.
    pub(super) async fn execute_each(&mut self, sql: Sql, rows: &[Vec<Value>]) -> Result<u64, StoreError> {
        let most = (PARAMETERS / rows.first().map_or(1, Vec::len).max(1)).max(1);
        let whole: Cow<'static, str> = sql.repeated(most.min(rows.len()))?;
        let mut changed = 0;
        for rows in rows.chunks(most) {
            let text = if rows.len() == most { whole.clone() } else { sql.repeated(rows.len())? };
            changed += self.execute(text, &rows.concat()).await?;
        }
        Ok(changed)
    }

    /// Runs statements without parameters, and prepares nothing.
    pub(super) async fn batch(&mut self, sql: impl Into<Cow<'static, str>>) -> Result<(), StoreError> {
        limited(sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(&mut *self.0)).await.map(drop)
    }

    /// Commits. What the server says is so; where it says nothing, it may have kept everything or not.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        match tokio::time::timeout(PATIENCE, sqlx::raw_sql("commit").execute(&mut *self.0)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(refused @ sqlx::Error::Database(_))) => Err(translate(refused)),
            Ok(Err(_)) | Err(_) => Err(StoreError::Unanswered),
        }
    }

    /// Has the connection closed instead of used again; whatever it had begun is rolled back.
    pub(super) fn discard(&mut self) {
        self.0.close_on_drop();
    }

    /// Prepares a statement, and names the types of its parameters.
    #[cfg(feature = "testing")]
    pub(super) async fn prepare(&mut self, sql: &'static str) -> Result<Vec<String>, StoreError> {
        use sqlx::{Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _};
        let statement = limited(self.0.prepare(sql.into_sql_str())).await?;
        let types = statement.parameters().and_then(sqlx::Either::left).unwrap_or_default();
        Ok(types.iter().map(|kind| kind.name().to_owned()).collect())
    }
}

/// Runs one command on a server.
#[cfg(feature = "testing")]
pub(super) async fn command(url: &str, sql: String) -> Result<(), StoreError> {
    let mut connection = limited(PgConnection::connect(url)).await?;
    limited(sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection)).await?;
    limited(connection.close()).await
}

/// What a URL says.
fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    // The driver's own words could repeat the URL, and with it the password.
    let wrong = |_| StoreError::unavailable("the database URL is not of the form postgres://user:password@host/db");
    PgConnectOptions::from_str(url).map(PgConnectOptions::disable_statement_logging).map_err(wrong)
}

fn pool(connections: u32, options: &PgConnectOptions) -> Pool {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(QUEUE)
        .idle_timeout(None)
        .max_lifetime(None)
        // Asking before every use costs a round trip; a connection that has just been used is as good as asked.
        .test_before_acquire(false)
        .before_acquire(|connection: &mut PgConnection, meta| {
            Box::pin(async move {
                if meta.idle_for > Duration::from_secs(1) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone())
}

fn arguments(values: &[Value]) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
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
            _ => translate_state(error.code().as_deref().unwrap_or_default(), error.message()),
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
fn translate_state(code: &str, message: &str) -> StoreError {
    match code.get(..2).unwrap_or_default() {
        "40" => StoreError::Conflict,
        "22" | "23" => StoreError::corrupt(format!("PostgreSQL refused a value (SQLSTATE {code})")),
        "42" | "XX" => StoreError::corrupt(format!("PostgreSQL: {message} (SQLSTATE {code})")),
        _ => StoreError::unavailable(format!("PostgreSQL: {message} (SQLSTATE {code})")),
    }
}
