//! Credits: a balance that is taken from in small leases and never below what was read.
//!
//! [`update_balance`] names the balance it read, so of two takers at the same balance one loses.

use keywright_core::credits::Balance;
use keywright_core::id::KeyId;

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
pub async fn update_balance(tx: &mut Tx, key: KeyId, from: &Balance, to: &Balance) -> Result<(), StoreError> {
    let values = values![key, from.credits, from.refill_at, to.credits, to.refill_at];
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
pub async fn set_balance(tx: &mut Tx, key: KeyId, balance: &Balance) -> Result<(), StoreError> {
    let Balance { credits, refill, refill_at } = *balance;
    let (amount, every) = (refill.map(|refill| refill.amount), refill.map(|refill| refill.every.millis()));
    tx.write(SET_BALANCE, values![key, credits, amount, every, refill_at], Rows::One).await?;
    secrets::touch_key(tx, key).await
}
