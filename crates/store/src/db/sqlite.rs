//! SQLite: one connection that writes, on the thread that asks, and a few that read, on threads that may wait.
//!
//! A statement of a write costs less than handing it to another thread and back would, so it runs where it is asked
//! for, and whoever makes many of them does so on a thread of its own (`Db::blocks`). What reads is asked for by tasks
//! that share their threads with verifications, so it never runs on theirs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{PATIENCE, QUEUE, READERS};
use crate::error::StoreError;
use crate::migrations::Upgrade;
use crate::value::Value;

mod fold;
pub(super) mod schema;
mod threads;
mod values;

use fold::Folder;
use threads::Threads;
use values::{Names, bind};
pub(super) use values::{SqliteRow, Taken};

/// Statements a connection keeps ready: as many as there are, near enough.
const READY: usize = 256;
/// Steps of SQLite's machine that are counted as one stride.
const STRIDE: i32 = 1_000_000;
/// Strides a statement may take: half a minute, or what a slow machine takes for them.
const STRIDES: u32 = 2_000;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Writing, and making the file where there is none.
    Writer,
    /// Reading, and nothing else.
    Reader,
    /// Copying the log into the file.
    Folder,
    /// Looking at a file of somebody else's: nothing of it is created or changed.
    Guest,
}

impl Role {
    /// What is set where the connection is opened. A file has the pages it was made with: they are small, for a change in
    /// one place is logged as a whole page. A bulk import grows the log; the size limit gives the space back. A commit folds
    /// the log into the file itself only where the folder has not come to it for 64,000 pages (128 MiB).
    const fn pragmas(self) -> &'static str {
        match self {
            Self::Writer => {
                "pragma page_size = 2048; pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; \
                 pragma temp_store = memory; pragma journal_size_limit = 67108864; pragma cache_size = -16384; \
                 pragma wal_autocheckpoint = 64000"
            }
            Self::Folder => "pragma synchronous = full",
            Self::Reader => "pragma foreign_keys = on; pragma temp_store = memory; pragma query_only = on",
            Self::Guest => "pragma temp_store = memory",
        }
    }
}

/// A connection, with how far its statement has come.
#[derive(Debug)]
pub(super) struct Open {
    connection: Connection,
    strides: Arc<AtomicU32>,
    /// By where the statement's text lies, for as long as the program runs, and its length.
    names: RefCell<HashMap<(usize, usize), Names>>,
}

impl Open {
    pub(super) fn new(path: &Path, role: Role) -> Result<Self, StoreError> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, role == Role::Writer);
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(QUEUE)?;
            connection.set_prepared_statement_cache_capacity(READY);
            let strides = Arc::new(AtomicU32::new(0));
            let taken = Arc::clone(&strides);
            let goes_on_for_ever = move || taken.fetch_add(1, Ordering::Relaxed) >= STRIDES;
            connection.progress_handler(STRIDE, Some(goes_on_for_ever))?;
            connection.execute_batch(role.pragmas())?;
            Ok(Self { connection, strides, names: RefCell::default() })
        };
        open().map_err(translate)
    }

    /// Runs something that may not go on for ever.
    fn limited<T>(&self, work: impl FnOnce(&Self) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.strides.store(0, Ordering::Relaxed);
        work(self).map_err(translate)
    }

    /// The connection, for what takes as long as it takes.
    fn without_limit(&mut self) -> rusqlite::Result<&mut Connection> {
        self.connection.progress_handler(STRIDE, None::<fn() -> bool>)?;
        Ok(&mut self.connection)
    }

    fn rows(&self, sql: &'static str, values: &[Value]) -> rusqlite::Result<Vec<SqliteRow>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, values)?;
        let names = self.names(sql, &statement);
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            found.push(SqliteRow::copied(row, &names)?);
        }
        Ok(found)
    }

    /// What a statement's columns are called, for errors.
    fn names(&self, sql: &'static str, statement: &Statement<'_>) -> Names {
        let mut known = self.names.borrow_mut();
        let names = || statement.column_names().into_iter().map(str::to_owned).collect();
        Arc::clone(known.entry((sql.as_ptr().addr(), sql.len())).or_insert_with(names))
    }
}

/// The connections of one role.
#[derive(Debug)]
pub(super) struct Lane {
    path: PathBuf,
    role: Role,
    room: u32,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Open>>,
    /// Told whenever a connection comes back, and of the end.
    returned: Arc<Notify>,
    threads: Threads,
}

impl Lane {
    fn new(path: &Path, role: Role, room: u32) -> Result<Arc<Self>, StoreError> {
        let (path, turns, threads) = (path.to_owned(), Arc::new(Semaphore::new(room as usize)), Threads::new(room)?);
        let (idle, returned) = (Mutex::default(), Arc::default());
        Ok(Arc::new(Self { path, role, room, turns, idle, returned, threads }))
    }

    /// Waits for a connection that nobody uses.
    async fn acquire(self: &Arc<Self>) -> Result<Lent, StoreError> {
        let turn = tokio::time::timeout(QUEUE, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| StoreError::unavailable("no connection to the database was free in time"))?;
        let turn = turn.map_err(|_| StoreError::unavailable("the database is closed"))?;
        let open = lock(&self.idle).pop();
        Ok(Lent { open, lane: Arc::clone(self), is_doubtful: false, _turn: turn })
    }

    /// Closes every connection, once nobody uses it any more.
    async fn close(&self) {
        // Where a statement does not end, its connection is closed when it does.
        let all = tokio::time::timeout(PATIENCE, self.turns.acquire_many(self.room)).await;
        self.turns.close();
        drop(all);
        self.returned.notify_one();
        let idle = std::mem::take(&mut *lock(&self.idle));
        // Closing the last one folds the log into the file.
        drop(tokio::task::spawn_blocking(move || drop(idle)).await);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.returned.notify_one();
    }
}

/// A connection that has been lent; it goes back when it is dropped.
struct Lent {
    /// There is none until there is something to run.
    open: Option<Open>,
    lane: Arc<Lane>,
    is_doubtful: bool,
    _turn: OwnedSemaphorePermit,
}

impl Lent {
    fn run<T>(&mut self, work: impl FnOnce(&Open) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(&self.lane.path, self.lane.role)?),
        };
        open.limited(work)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(open) = self.open.take()
            && !self.is_doubtful
            && !self.lane.turns.is_closed()
        {
            lock(&self.lane.idle).push(open);
            self.lane.returned.notify_one();
        }
    }
}

/// A connection, checked out for one statement or one transaction.
pub(crate) struct SqliteConnection(Option<Box<Lent>>);

impl SqliteConnection {
    fn gone() -> StoreError {
        StoreError::unavailable("the connection to the database broke off")
    }

    /// Runs a statement where it is asked for.
    fn here<T>(&mut self, work: impl FnOnce(&Open) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.0.as_mut().ok_or_else(Self::gone)?.run(work)
    }

    pub(super) async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<SqliteRow>, StoreError> {
        let work = move |open: &Open| open.rows(sql, &values);
        if self.0.as_ref().is_some_and(|lent| lent.lane.role == Role::Writer) {
            return self.here(work);
        }
        // Where the caller goes away meanwhile, the connection goes back once the statement has ended.
        let mut lent = self.0.take().ok_or_else(Self::gone)?;
        let lane = Arc::clone(&lent.lane);
        let aside = lane.threads.run(move || {
            let done = lent.run(work);
            (lent, done)
        })?;
        // A disk that does not answer holds up that thread, and nobody who asks.
        let late = |_| StoreError::unavailable("the database did not answer in time");
        let (lent, done) = tokio::time::timeout(PATIENCE, aside).await.map_err(late)?.map_err(|_| Self::gone())?;
        self.0 = Some(lent);
        done
    }

    /// [`SqliteConnection::rows`] of a transaction.
    pub(super) fn rows_here(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<SqliteRow>, StoreError> {
        self.here(|open| open.rows(sql, values))
    }

    pub(super) fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, StoreError> {
        self.here(|open| {
            let mut statement = open.connection.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            statement.raw_execute().map(|changed| changed as u64)
        })
    }

    pub(super) fn execute_each(&mut self, sql: &'static str, rows: &[Vec<Value>]) -> Result<u64, StoreError> {
        self.here(|open| {
            let mut statement = open.connection.prepare_cached(sql)?;
            rows.iter().try_fold(0, |changed, values| {
                bind(&mut statement, values)?;
                Ok(changed + statement.raw_execute()? as u64)
            })
        })
    }

    /// Commits. Where the disk fails at it, all of it may stand in the log, and count for whoever opens the database next.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        let is_kept = self.here(|open| match open.connection.prepare_cached("commit")?.raw_execute() {
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::SystemIoFailure => Ok(false),
            done => done.map(|_| true),
        })?;
        if is_kept { Ok(()) } else { Err(StoreError::Unanswered) }
    }

    /// Has the connection closed instead of used again; whatever it had begun is rolled back.
    pub(super) fn discard(&mut self) {
        if let Some(lent) = &mut self.0 {
            lent.is_doubtful = true;
        }
    }

    /// Runs several statements as they stand.
    #[cfg(feature = "testing")]
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.here(|open| open.connection.execute_batch(sql))
    }

    /// Prepares a statement.
    #[cfg(feature = "testing")]
    pub(super) fn prepare(&mut self, sql: &str) -> Result<(), StoreError> {
        self.here(|open| open.connection.prepare(sql).map(drop))
    }
}

/// A database in a file. Clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    writer: Arc<Lane>,
    readers: Arc<Lane>,
    folder: Arc<Folder>,
}

impl Sqlite {
    /// Opens a file and brings its schema up to date.
    pub(super) async fn open(path: &Path, tell: impl FnOnce(Upgrade) + Send + 'static) -> Result<Self, StoreError> {
        let file = path.to_owned();
        let first = move || {
            create_private(&file)?;
            let mut open = Open::new(&file, Role::Writer)?;
            schema::migrate(&mut open, tell)
        };
        aside(first).await?;
        let (writer, readers) = (Lane::new(path, Role::Writer, 1)?, Lane::new(path, Role::Reader, READERS)?);
        let folder = Arc::new(Folder::of(&writer));
        Ok(Self { writer, readers, folder })
    }

    pub(super) async fn reader(&self) -> Result<SqliteConnection, StoreError> {
        self.readers.acquire().await.map(|lent| SqliteConnection(Some(Box::new(lent))))
    }

    pub(super) async fn writer(&self) -> Result<SqliteConnection, StoreError> {
        self.writer.acquire().await.map(|lent| SqliteConnection(Some(Box::new(lent))))
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        self.folder.end().await;
    }

    pub(super) fn path(&self) -> &Path {
        &self.writer.path
    }
}

/// Writes a consistent copy of a file to a new one, while the file may be in use.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let target = to.to_str().ok_or_else(|| StoreError::unavailable("the backup's path is not UTF-8"))?;
    if to.exists() {
        return Err(StoreError::unavailable(format!("{target} exists already: choose another name")));
    }
    let mut from = Open::new(from, Role::Guest)?;
    // An empty file is what `vacuum into` accepts; made here, nobody else can read it.
    create_private(to)?;
    let copied = from.without_limit().and_then(|connection| connection.execute("vacuum into ?1", [target]));
    let copied = copied.map_err(translate);
    let is_flushed = || std::fs::File::open(to).and_then(|file| file.sync_all());
    let flushed = copied.and_then(|_| {
        is_flushed().map_err(|_| StoreError::unavailable(format!("{target} could not be flushed to disk")))
    });
    // The first error is the one to report; half a copy must not look like a whole one.
    flushed.inspect_err(|_| drop(std::fs::remove_file(to)))
}

/// Runs something that blocks on a thread that may.
pub(super) async fn aside<T, F>(work: F) -> Result<T, StoreError>
where
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
    T: Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(StoreError::unavailable("the database's thread is gone")))
}

/// A new file that only its owner may read, and whatever SQLite puts beside it; an existing one stays as it is.
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let cannot = |error| StoreError::unavailable(format!("{} cannot be opened for writing: {error}", path.display()));
    options.open(path).map(drop).map_err(cannot)
}

/// One error for another. Only texts that cannot hold a value are passed on: SQLite's name tables and columns.
#[expect(clippy::wildcard_enum_match_arm, reason = "rusqlite's errors are open-ended: what is not listed is corrupt")]
pub(super) fn translate(error: rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(error, message) => translate_code(error.extended_code, message),
        rusqlite::Error::SqlInputError { error, msg, .. } => translate_code(error.extended_code, Some(msg)),
        rusqlite::Error::InvalidPath(_) => StoreError::unavailable("the database's path is none SQLite can open"),
        _ => StoreError::corrupt("a statement does not fit the database"),
    }
}

/// By result code, and by the primary one, its last byte, where no other counts.
fn translate_code(code: i32, message: Option<String>) -> StoreError {
    let message = message.unwrap_or_else(|| ffi::code_to_str(code).to_owned());
    match (code, code & 0xff) {
        // The row a reference points to is gone, or was never there: as good as changed since it was read.
        (ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_FOREIGNKEY, _) => {
            StoreError::Conflict
        }
        (_, ffi::SQLITE_INTERRUPT) => StoreError::unavailable("the database did not answer in time"),
        (
            _,
            ffi::SQLITE_ERROR
            | ffi::SQLITE_CORRUPT
            | ffi::SQLITE_CONSTRAINT
            | ffi::SQLITE_MISMATCH
            | ffi::SQLITE_TOOBIG
            | ffi::SQLITE_NOTADB,
        ) => StoreError::corrupt(format!("SQLite: {message}")),
        _ => StoreError::unavailable(format!("SQLite: {message}")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
