//! A transaction, and what it has touched.
//!
//! After an error a transaction does nothing more until it is rolled back to a savepoint, and cannot be committed. On
//! both engines, and for a reason on each: PostgreSQL answers the `commit` of a failed transaction with success and
//! rolls back, and SQLite may have rolled back a transaction on its own when the disk is full, so that the next write
//! would commit by itself.

use std::borrow::Cow;

use keywright_core::id::{AccountId, KeyId};
use keywright_core::secret::Digest;
use tokio::sync::Mutex;

use crate::db::{Connection, Db};
use crate::error::StoreError;
use crate::row::Row;
use crate::sql::{Marks, Sql};
use crate::value::Value;

/// Parameters of a bulk statement: where they have no names, more cost less. Each that has one, SQLite's driver looks up by
/// walking all names before it.
const BULK_PARAMETERS: usize = 960;

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
    fn check(self, changed: u64) -> Result<u64, StoreError> {
        match (self, changed) {
            (Self::One, 0) => Err(StoreError::Conflict),
            (Self::One, 1) | (Self::AtMostOne, 0 | 1) | (Self::Any, _) => Ok(changed),
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
        let rows = self.start()?.rows(sql.text().into(), values).await?;
        Ok(self.end(rows.into_iter().map(Row::new).collect(), State::Sound))
    }

    async fn execute(&mut self, sql: Cow<'static, str>, values: Vec<Value>, expect: Rows) -> Result<u64, StoreError> {
        let changed = self.start()?.execute(sql, values).await?;
        let changed = expect.check(changed)?;
        Ok(self.end(changed, State::Sound))
    }

    async fn control(&mut self, sql: &'static str, then: State) -> Result<(), StoreError> {
        self.start()?.control(sql).await?;
        self.end((), then);
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
    /// What it has written to so far. A rollback to a savepoint keeps it: forgetting too much is safe.
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
        Ok(Tx { open: Mutex::new(open), touched: Touched::default() })
    }
}

impl Tx {
    /// Marks the place a job begins at. There is one at a time: release it or roll back to it before the next.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn savepoint(&mut self) -> Result<(), StoreError> {
        self.open.get_mut().control("savepoint job", State::Sound).await
    }

    /// Keeps what was done since the savepoint, and ends it.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn release_savepoint(&mut self) -> Result<(), StoreError> {
        self.open.get_mut().control("release savepoint job", State::Sound).await
    }

    /// Undoes everything since the savepoint, and ends it. A transaction that had failed since then is sound again.
    ///
    /// # Errors
    /// Unavailable: the whole transaction is lost.
    pub async fn rollback_to_savepoint(&mut self) -> Result<(), StoreError> {
        let open = self.open.get_mut();
        if open.state == State::Failed {
            open.state = State::Sound;
        }
        let lost = |error| StoreError::unavailable(format!("the transaction is lost: {error}"));
        open.control("rollback to savepoint job", State::Sound).await.map_err(lost)?;
        open.control("release savepoint job", State::Sound).await
    }

    /// Makes everything durable and visible.
    ///
    /// # Errors
    /// Unavailable. Where the transaction had failed before, nothing was kept; where the connection broke off in the
    /// middle of this call, the database may have kept everything, so caches forget what was touched either way.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.open.into_inner().control("commit", State::Over).await
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
        self.open.get_mut().execute(sql.text().into(), values, expect).await
    }

    /// Runs a statement that writes any number of rows and returns them.
    pub(crate) async fn write_returning(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.open.get_mut().rows(sql, values).await
    }

    /// Runs a statement once for several rows at a time, and says how many rows it changed in all.
    pub(crate) async fn write_bulk(
        &mut self,
        sql: Sql,
        rows: Vec<Vec<Value>>,
        expect: Rows,
    ) -> Result<u64, StoreError> {
        let marks = Marks::of(&self.open.get_mut().connection);
        let mut rows = rows.into_iter();
        let mut whole: Option<(usize, Cow<'static, str>)> = None;
        let mut changed = 0;
        while let Some(first) = rows.next() {
            let mut values = first;
            let most = (BULK_PARAMETERS / values.len().max(1)).max(1);
            let mut held = 1;
            for row in rows.by_ref().take(most - 1) {
                values.extend(row);
                held += 1;
            }
            let text = match &whole {
                Some((rows, text)) if *rows == held => text.clone(),
                _ => whole.insert((held, sql.repeated(held, marks)?)).1.clone(),
            };
            changed += self.open.get_mut().execute(text, values, expect).await?;
        }
        Ok(changed)
    }
}
