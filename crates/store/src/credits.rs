//! Credits: a balance that is taken from in small leases and never below what was read.
//!
//! [`update_balance`] names the balance it read, so of two takers at the same balance one loses.

use keywright_core::id::KeyId;
use keywright_core::key::Refill;
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::keys;
use crate::read::{Read, find};
use crate::secrets;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    FIND_BALANCE = "select credits, refill_amount, refill_every_ms, refill_ms from keys where id = $1";
    UPDATE_BALANCE = "update keys set credits = $4, refill_ms = $5 where id = $1 \
        and credits is not distinct from cast($2 as bigint) and refill_ms is not distinct from cast($3 as bigint)";
    ADD_CREDITS = "update keys set credits = credits + $2 where id = $1 and credits is not null";
    SET_BALANCE = "update keys set credits = $2, refill_amount = $3, refill_every_ms = $4, refill_ms = $5 \
        where id = $1";
}

/// What a key has left, and how it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Units left; `None` where they are not counted.
    pub credits: Option<i64>,
    /// How they come back.
    pub refill: Option<Refill>,
    /// When they next do.
    pub refill_at: Option<Time>,
}

/// Finds a key's balance.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_balance(on: &impl Read, key: KeyId) -> Result<Option<Balance>, StoreError> {
    find(on, FIND_BALANCE, values![key], |row| {
        Ok(Balance { credits: row.maybe_int()?, refill: keys::refill(row)?, refill_at: row.maybe_time()? })
    })
    .await
}

/// Moves a balance on from what was read. No cache holds it, so nothing is touched.
///
/// # Errors
/// Conflict: it is not what was read any more, or there is no such key.
pub async fn update_balance(
    tx: &mut Tx,
    key: KeyId,
    from: &Balance,
    to_credits: Option<i64>,
    to_refill_at: Option<Time>,
) -> Result<(), StoreError> {
    let values = values![key, from.credits, from.refill_at, to_credits, to_refill_at];
    tx.write(UPDATE_BALANCE, values, Rows::One).await.map(drop)
}

/// Gives back units that were leased and not spent. Where units are not counted any more it does nothing.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn add_credits(tx: &mut Tx, key: KeyId, units: i64) -> Result<(), StoreError> {
    tx.write(ADD_CREDITS, values![key, units], Rows::AtMostOne).await.map(drop)
}

/// Sets a balance to what an administrator asked for.
///
/// # Errors
/// Conflict: there is no such key.
pub async fn set_balance(
    tx: &mut Tx,
    key: KeyId,
    credits: Option<i64>,
    refill: Option<Refill>,
    refill_at: Option<Time>,
) -> Result<(), StoreError> {
    let (amount, every) = (refill.map(|refill| refill.amount), refill.map(|refill| refill.every.millis()));
    tx.write(SET_BALANCE, values![key, credits, amount, every, refill_at], Rows::One).await?;
    secrets::touch_key(tx, key).await
}
