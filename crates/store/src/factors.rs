//! Second factors: a person's secret, the steps their codes were taken of, and their codes on paper.
//!
//! What must stay true: taking a step or a code is one statement, so that of any number who show the same, one gets in.

use keywright_core::id::UserId;
use keywright_core::secret::Digest;
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    /// A secret that counts is not overwritten.
    SET_UP_TOTP = "update users set totp_sealed = $2, totp_step = 0 where id = $1 and totp_on_ms is null";
    START_TOTP = "update users set totp_on_ms = $2, totp_step = $3 \
        where id = $1 and totp_on_ms is null and totp_sealed is not null";
    TAKE_STEP = "update users set totp_step = $2 where id = $1 and totp_step < $2 and totp_on_ms is not null";
    STOP_TOTP = "update users set totp_sealed = null, totp_on_ms = null, totp_step = 0 \
        where id = $1 and totp_on_ms is not null";
    INSERT_BACKUP_CODE = "insert into backup_codes (user_id, digest) values ($1, $2)";
    DELETE_BACKUP_CODES = "delete from backup_codes where user_id = $1";
    TAKE_BACKUP_CODE = "update backup_codes set used_ms = $3 where user_id = $1 and digest = $2 and used_ms is null";
    COUNT_BACKUP_CODES = "select count(*) from backup_codes where user_id = $1 and used_ms is null";
}

/// Keeps the sealed secret of a person who sets up a second factor. `false` where theirs is on.
///
/// # Errors
/// Unavailable.
pub async fn set_up_totp(tx: &mut Tx, user: UserId, sealed: &[u8]) -> Result<bool, StoreError> {
    Ok(tx.write(SET_UP_TOTP, values![user, sealed], Rows::AtMostOne).await? == 1)
}

/// Turns a second factor on, with the step of the code that showed that it works. `false` where it is on, or was not
/// set up.
///
/// # Errors
/// Unavailable.
pub async fn start_totp(tx: &mut Tx, user: UserId, step: i64, now: Time) -> Result<bool, StoreError> {
    Ok(tx.write(START_TOTP, values![user, now, step], Rows::AtMostOne).await? == 1)
}

/// Takes a step. `false` where it, or a later one, was taken before.
///
/// # Errors
/// Unavailable.
pub async fn take_step(tx: &mut Tx, user: UserId, step: i64) -> Result<bool, StoreError> {
    Ok(tx.write(TAKE_STEP, values![user, step], Rows::AtMostOne).await? == 1)
}

/// Turns a second factor off, and forgets its codes on paper. `false` where it was off.
///
/// # Errors
/// Unavailable.
pub async fn stop_totp(tx: &mut Tx, user: UserId) -> Result<bool, StoreError> {
    tx.write(DELETE_BACKUP_CODES, values![user], Rows::Any).await?;
    Ok(tx.write(STOP_TOTP, values![user], Rows::AtMostOne).await? == 1)
}

/// Replaces a person's codes on paper.
///
/// # Errors
/// Unavailable.
pub async fn replace_backup_codes(tx: &mut Tx, user: UserId, digests: &[Digest]) -> Result<(), StoreError> {
    tx.write(DELETE_BACKUP_CODES, values![user], Rows::Any).await?;
    for digest in digests {
        tx.write(INSERT_BACKUP_CODE, values![user, digest], Rows::One).await?;
    }
    Ok(())
}

/// Takes a code on paper. `false` where it was taken before, or is none of theirs.
///
/// # Errors
/// Unavailable.
pub async fn take_backup_code(tx: &mut Tx, user: UserId, digest: &Digest, now: Time) -> Result<bool, StoreError> {
    Ok(tx.write(TAKE_BACKUP_CODE, values![user, digest, now], Rows::AtMostOne).await? == 1)
}

/// How many codes on paper a person has left.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_backup_codes(on: &impl Read, user: UserId) -> Result<i64, StoreError> {
    Ok(find(on, COUNT_BACKUP_CODES, values![user], Row::int).await?.unwrap_or(0))
}
