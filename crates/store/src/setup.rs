//! The link on which the first operator is made. There is one at most, known by its digest.

use keywright_core::secret::Digest;
use keywright_core::setup::SetupLink;
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find};
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    PUT_SETUP_LINK = "insert into setup_link (id, digest, created_ms, expires_ms) values (1, $1, $2, $3) \
        on conflict (id) do update set digest = excluded.digest, created_ms = excluded.created_ms, \
        expires_ms = excluded.expires_ms, used_ms = null";
    FIND_SETUP_LINK = "select digest, created_ms, expires_ms, used_ms from setup_link where id = 1";
    /// One statement: of any number that show the same link, one uses it.
    USE_SETUP_LINK = "update setup_link set used_ms = $2 where digest = $1 and used_ms is null and expires_ms > $2";
}

/// Keeps a link in place of the one before.
///
/// # Errors
/// Unavailable.
pub async fn put_setup_link(tx: &mut Tx, digest: &Digest, link: &SetupLink) -> Result<(), StoreError> {
    tx.write(PUT_SETUP_LINK, values![digest, link.created_at, link.expires_at], Rows::One).await.map(drop)
}

/// Finds the last link that was given out, and the digest it is known by.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_setup_link(on: &impl Read) -> Result<Option<(Digest, SetupLink)>, StoreError> {
    find(on, FIND_SETUP_LINK, values![], |row| {
        let digest = row.digest()?;
        Ok((digest, SetupLink { created_at: row.time()?, expires_at: row.time()?, used_at: row.maybe_time()? }))
    })
    .await
}

/// Uses a link. `false` where it was used before, is over, or is none.
///
/// # Errors
/// Unavailable.
pub async fn use_setup_link(tx: &mut Tx, digest: &Digest, now: Time) -> Result<bool, StoreError> {
    Ok(tx.write(USE_SETUP_LINK, values![digest, now], Rows::AtMostOne).await? == 1)
}
