//! Reading: every function that reads works on a [`Db`] and inside a [`Tx`] alike.

use crate::db::Db;
use crate::error::StoreError;
use crate::row::Row;
use crate::sql::Sql;
use crate::tx::Tx;
use crate::value::Value;

/// Something to read from: a [`Db`], which shows what is committed, or a [`Tx`], which also shows what it has written.
pub trait Read: Sync {
    /// Runs a statement that reads.
    fn rows(&self, sql: Sql, values: Vec<Value>) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;
}

impl Read for Db {
    async fn rows(&self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let rows = self.reader().await?.rows(sql, values).await?;
        Ok(rows.into_iter().map(Row::new).collect())
    }
}

impl Read for Tx {
    async fn rows(&self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.read(sql, values).await
    }
}

/// The row of a statement that finds one or none.
pub(crate) async fn find<T>(
    on: &impl Read,
    sql: Sql,
    values: Vec<Value>,
    decode: impl FnOnce(&mut Row) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut rows = on.rows(sql, values).await?;
    match rows.as_mut_slice() {
        [] => Ok(None),
        [row] => decode(row).map(Some),
        [_, _, ..] => Err(StoreError::corrupt("one row was asked for and several were found")),
    }
}

/// Every row of a statement, decoded.
pub(crate) async fn list<T>(
    on: &impl Read,
    sql: Sql,
    values: Vec<Value>,
    decode: impl Fn(&mut Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    on.rows(sql, values).await?.iter_mut().map(decode).collect()
}
