//! A transaction, and what it has touched.
//!
//! After an error a transaction does nothing more until the job it came in is undone, and cannot be committed. On
//! both engines, and for a reason on each: PostgreSQL answers the `commit` of a failed transaction with success and
//! rolls back, and SQLite may have rolled back a transaction on its own when the disk is full, so that the next write
//! would commit by itself.

use keywright_core::id::{AccountId, KeyId};
use keywright_core::secret::Digest;
use tokio::sync::Mutex;

use crate::db::{Connection, Db, RawRow};
use crate::error::StoreError;
use crate::row::Row;
use crate::sql::Sql;
use crate::value::Value;

/// What a transaction has written to, for caches to forget. It may name more than was changed, never less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Digests that were changed, or belong to a key that was.
    pub digests: Vec<Digest>,
    /// Digests that were added: nothing can have been known of them but that they were nobody's.
    pub added: Vec<Digest>,
    /// Whether digests were added that keys may be looked for under others than.
    pub imported: bool,
    /// Keys that were added or changed.
    pub keys: Vec<KeyId>,
    /// Accounts that were added or changed: every key of theirs is affected.
    pub accounts: Vec<AccountId>,
    /// Whether a letter was queued: whoever delivers is to be woken.
    pub mail: bool,
}

/// How many rows a write must change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Exactly one; none is a conflict.
    One,
    /// One or none.
    AtMostOne,
    /// Any number.
    Any,
}

impl Rows {
    fn check(self, changed: u64) -> Result<(), StoreError> {
        match (self, changed) {
            (Self::One, 0) => Err(StoreError::Conflict),
            (Self::One, 1) | (Self::AtMostOne, 0 | 1) | (Self::Any, _) => Ok(()),
            (Self::One | Self::AtMostOne, _) => {
                Err(StoreError::corrupt("a write for one row would have changed several"))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everything so far was done.
    Sound,
    /// The last step failed, or was dropped half way.
    Failed,
    /// It is committed or rolled back.
    Over,
}

/// A write, with all there is to know to do it again.
enum Write {
    Plain(Sql, Vec<Value>),
    Returning(Sql, Vec<Value>),
    Each(Sql, Vec<Vec<Value>>),
}

/// What came of a write.
enum Outcome {
    Changed(u64),
    Rows(Vec<RawRow>),
}

impl Outcome {
    const fn count(&self) -> u64 {
        match self {
            Self::Changed(changed) => *changed,
            Self::Rows(rows) => rows.len() as u64,
        }
    }
}

/// The connection of a transaction. Closed when dropped before the transaction is over, which rolls it back.
struct Open {
    connection: Connection,
    state: State,
}

impl Open {
    /// Begins a step. Until `end` it counts as failed, so a step whose future is dropped stays so.
    fn start(&mut self) -> Result<&mut Connection, StoreError> {
        match self.state {
            State::Sound => {
                self.state = State::Failed;
                Ok(&mut self.connection)
            }
            State::Failed | State::Over => {
                Err(StoreError::unavailable("the transaction has failed and can only be rolled back"))
            }
        }
    }

    const fn end<T>(&mut self, done: T, state: State) -> T {
        self.state = state;
        done
    }

    async fn rows(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let rows = self.start()?.rows(sql, values).await?;
        Ok(self.end(rows.into_iter().map(Row::new).collect(), State::Sound))
    }

    async fn write(&mut self, write: &Write, expect: Rows) -> Result<Outcome, StoreError> {
        let connection = self.start()?;
        let outcome = match write {
            Write::Plain(sql, values) => Outcome::Changed(connection.write(*sql, values).await?),
            Write::Returning(sql, values) => Outcome::Rows(connection.write_returning(*sql, values).await?),
            Write::Each(sql, rows) => Outcome::Changed(connection.write_each(*sql, rows).await?),
        };
        expect.check(outcome.count())?;
        Ok(self.end(outcome, State::Sound))
    }

    async fn control(&mut self, sql: &'static str, then: State) -> Result<(), StoreError> {
        self.start()?.control(sql).await?;
        self.end((), then);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.start()?.commit().await?;
        self.end((), State::Over);
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.state != State::Over {
            self.connection.discard();
        }
    }
}

/// A transaction that writes. It owns its connection; dropped before it is committed, it is rolled back.
pub struct Tx {
    // Reading takes `&self`, as it does on a `Db`; writing takes `&mut self`. The lock is never waited for.
    open: Mutex<Open>,
    /// The writes since the savepoint, or since the transaction began: of the jobs before this one, then this one's, each
    /// with how many rows it changed.
    done: Vec<(Write, u64)>,
    /// How many of them are of the jobs before.
    kept: usize,
    has_savepoint: bool,
    /// What it has written to so far, undone jobs included: forgetting too much is safe.
    pub touched: Touched,
}

impl Db {
    /// Begins a transaction that writes. On SQLite it waits until the one before it is over.
    ///
    /// # Errors
    /// Unavailable: the database is out of reach, or another transaction takes too long.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let mut open = Open { connection: self.writer().await?, state: State::Sound };
        let begin = open.connection.begin();
        open.control(begin, State::Sound).await?;
        let has_savepoint = !self.blocks();
        if has_savepoint {
            open.control("savepoint jobs", State::Sound).await?;
        }
        Ok(Tx { open: Mutex::new(open), done: Vec::new(), kept: 0, has_savepoint, touched: Touched::default() })
    }
}

impl Tx {
    /// Begins a job: what is written from here on can be undone alone, until the next one begins.
    ///
    /// # Errors
    /// Unavailable: the transaction has failed.
    pub fn begin_job(&mut self) -> Result<(), StoreError> {
        self.kept = self.done.len();
        self.open.get_mut().start()?;
        self.open.get_mut().end((), State::Sound);
        Ok(())
    }

    /// Undoes what was written since the job began. A transaction that had failed since then is sound again.
    ///
    /// Jobs seldom fail once they have written something, so none pays for a savepoint of its own: everything is undone, and
    /// the jobs before this one are written again. On SQLite, which copies every page that is changed after a savepoint, there
    /// is none before the first job has failed: the transaction begins anew, and nobody else writes meanwhile.
    ///
    /// # Errors
    /// Unavailable: the whole transaction is lost.
    pub async fn undo_job(&mut self) -> Result<(), StoreError> {
        let open = self.open.get_mut();
        if open.state == State::Sound && self.done.len() == self.kept {
            return Ok(());
        }
        if open.state == State::Failed {
            open.state = State::Sound;
        }
        let lost = |error| StoreError::unavailable(format!("the transaction is lost: {error}"));
        if self.has_savepoint {
            open.control("rollback to savepoint jobs", State::Sound).await.map_err(lost)?;
        } else {
            let begin = open.connection.begin();
            open.control("rollback", State::Sound).await.map_err(lost)?;
            open.control(begin, State::Sound).await.map_err(lost)?;
        }
        self.done.truncate(self.kept);
        for (write, changed) in &self.done {
            if open.write(write, Rows::Any).await.map_err(lost)?.count() != *changed {
                open.state = State::Failed;
                return Err(lost(StoreError::unavailable("a write did not change the same rows again")));
            }
        }
        if self.has_savepoint && self.done.is_empty() {
            return Ok(());
        }
        // From here on, so that nothing is written a third time however many jobs fail.
        if self.has_savepoint {
            open.control("release savepoint jobs", State::Sound).await.map_err(lost)?;
        }
        open.control("savepoint jobs", State::Sound).await.map_err(lost)?;
        self.has_savepoint = true;
        self.done.clear();
        self.kept = 0;
        Ok(())
    }

    /// Makes everything durable and visible.
    ///
    /// # Errors
    /// Unavailable: nothing was kept, unless SQLite's disk failed in its flush and the process ends before the next change.
    /// Unanswered: everything was, or nothing. Caches forget what was touched either way.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.open.into_inner().commit().await
    }

    /// Undoes everything. Dropping does it too, but has to close the connection.
    ///
    /// # Errors
    /// Unavailable; everything is undone all the same.
    pub async fn rollback(self) -> Result<(), StoreError> {
        let mut open = self.open.into_inner();
        open.state = State::Sound;
        open.control("rollback", State::Over).await
    }

    /// Runs a statement that reads.
    pub(crate) async fn read(&self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.open.lock().await.rows(sql, values).await
    }

    /// Runs a statement that writes and checks how many rows it changed.
    pub(crate) async fn write(&mut self, sql: Sql, values: Vec<Value>, expect: Rows) -> Result<u64, StoreError> {
        self.run(Write::Plain(sql, values), expect).await.map(|outcome| outcome.count())
    }

    /// Runs a statement that writes any number of rows and returns them.
    pub(crate) async fn write_returning(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        match self.run(Write::Returning(sql, values), Rows::Any).await? {
            Outcome::Rows(rows) => Ok(rows.into_iter().map(Row::new).collect()),
            Outcome::Changed(_) => Ok(Vec::new()),
        }
    }

    /// Runs a statement that writes for each of many rows.
    pub(crate) async fn write_each(&mut self, sql: Sql, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.run(Write::Each(sql, rows), Rows::Any).await.map(drop)
    }

    async fn run(&mut self, write: Write, expect: Rows) -> Result<Outcome, StoreError> {
        let outcome = self.open.get_mut().write(&write, expect).await?;
        self.done.push((write, outcome.count()));
        Ok(outcome)
    }
}
