//! Requests that carried an `Idempotency-Key`, so that a repeated one does nothing again.
//!
//! The row is written in the transaction of the request itself: of two at once only one commits.

use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find};
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_REPLAY = "insert into replays (caller, idem_key, request_hash, target, created_ms) \
        values ($1, $2, $3, $4, $5)";
    FIND_REPLAY = "select caller, idem_key, request_hash, target, created_ms from replays \
        where caller = $1 and idem_key = $2";
    DELETE_REPLAYS = "delete from replays where created_ms < $1";
}

/// A request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Who made it: keys of different callers do not meet.
    pub caller: String,
    /// The key it carried.
    pub idem_key: String,
    /// What it asked for, hashed: the same key with another request is a mistake.
    pub request_hash: [u8; 32],
    /// The id of what it made or changed.
    pub target: String,
    /// When.
    pub created_at: Time,
}

/// Notes a request.
///
/// # Errors
/// Conflict: its caller has used its key before.
pub async fn insert_replay(tx: &mut Tx, replay: &Replay) -> Result<(), StoreError> {
    let values = values![&replay.caller, &replay.idem_key, &replay.request_hash, &replay.target, replay.created_at];
    tx.write(INSERT_REPLAY, values, Rows::One).await.map(drop)
}

/// Finds the request that a caller made with a key.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_replay(on: &impl Read, caller: &str, idem_key: &str) -> Result<Option<Replay>, StoreError> {
    find(on, FIND_REPLAY, values![caller, idem_key], |row| {
        Ok(Replay {
            caller: row.text()?,
            idem_key: row.text()?,
            request_hash: row.bytes32()?,
            target: row.text()?,
            created_at: row.time()?,
        })
    })
    .await
}

/// Forgets requests made before `before` and says how many.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn delete_replays_before(tx: &mut Tx, before: Time) -> Result<u64, StoreError> {
    tx.write(DELETE_REPLAYS, values![before], Rows::Any).await
}
