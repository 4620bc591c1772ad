//! Letters that wait to be delivered, each in the transaction of the change that causes it.
//!
//! A letter is taken by moving its next attempt into the future, for whoever still finds it where it was: of two that
//! want the same letter at the same moment one has it. What it says is sealed before it comes here.

use keywright_core::id::MailId;
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_LETTER = "insert into mail (id, recipient, sealed, created_ms, attempts, next_ms, last_error) \
        values ($1, $2, $3, $4, $5, $6, $7)";
    LIST_DUE_LETTERS = "select id, recipient, sealed, created_ms, attempts, next_ms, last_error from mail \
        where next_ms <= $1 order by next_ms, id limit $2";
    TAKE_LETTER = "update mail set next_ms = $3, attempts = attempts + 1 where id = $1 and next_ms = $2";
    PUT_OFF_LETTER = "update mail set next_ms = $3, last_error = $4 where id = $1 and next_ms = $2";
    DELETE_LETTER = "delete from mail where id = $1";
    COUNT_LETTERS = "select count(*), coalesce(min(created_ms), 0) from mail";
}

/// A letter that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its id.
    pub id: MailId,
    /// Whom it is for, for the log: it goes to whom the sealed letter names.
    pub recipient: String,
    /// The letter, sealed.
    pub sealed: Vec<u8>,
    /// When it was queued.
    pub created_at: Time,
    /// How often its delivery was begun.
    pub attempts: i64,
    /// When it is due.
    pub next_at: Time,
    /// What its last attempt failed with.
    pub last_error: String,
}

/// How many letters wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub letters: i64,
    /// When the oldest of them was queued; the epoch where there is none.
    pub oldest_at: Time,
}

fn queued(row: &mut Row) -> Result<Queued, StoreError> {
    Ok(Queued {
        id: row.parsed()?,
        recipient: row.text()?,
        sealed: row.bytes()?,
        created_at: row.time()?,
        attempts: row.int()?,
        next_at: row.time()?,
        last_error: row.text()?,
    })
}

/// Queues a letter.
///
/// # Errors
/// Conflict: its id is taken.
pub async fn insert_letter(tx: &mut Tx, letter: &Queued) -> Result<(), StoreError> {
    let Queued { id, recipient, sealed, created_at, attempts, next_at, last_error } = letter;
    let values = values![*id, recipient, sealed.as_slice(), *created_at, *attempts, *next_at, last_error];
    tx.write(INSERT_LETTER, values, Rows::One).await?;
    tx.touched.mail = true;
    Ok(())
}

/// Lists letters that are due, the one that has waited longest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_due_letters(on: &impl Read, now: Time, limit: i64) -> Result<Vec<Queued>, StoreError> {
    list(on, LIST_DUE_LETTERS, values![now, limit], queued).await
}

/// Takes a letter that was due at `due`, to be delivered until `until`: whoever takes it after that, if it is still
/// there, has it next. `false` where somebody else has taken it, or it is gone.
///
/// # Errors
/// Unavailable.
pub async fn take_letter(tx: &mut Tx, id: MailId, due: Time, until: Time) -> Result<bool, StoreError> {
    Ok(tx.write(TAKE_LETTER, values![id, due, until], Rows::AtMostOne).await? == 1)
}

/// Puts off a letter that was taken until `until`. `false` where somebody else has taken it since, or it is gone.
///
/// # Errors
/// Unavailable.
pub async fn put_off_letter(
    tx: &mut Tx,
    id: MailId,
    until: Time,
    next: Time,
    reason: &str,
) -> Result<bool, StoreError> {
    Ok(tx.write(PUT_OFF_LETTER, values![id, until, next, reason], Rows::AtMostOne).await? == 1)
}

/// Forgets a letter. `false` where it is gone already.
///
/// # Errors
/// Unavailable.
pub async fn delete_letter(tx: &mut Tx, id: MailId) -> Result<bool, StoreError> {
    Ok(tx.write(DELETE_LETTER, values![id], Rows::AtMostOne).await? == 1)
}

/// How many letters wait, and since when.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_letters(on: &impl Read) -> Result<Waiting, StoreError> {
    let waiting = |row: &mut Row| Ok(Waiting { letters: row.int()?, oldest_at: row.time()? });
    find(on, COUNT_LETTERS, values![], waiting).await?.ok_or_else(|| StoreError::corrupt("a count has no row"))
}
