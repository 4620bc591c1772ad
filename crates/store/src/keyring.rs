//! Sealed secrets of the server itself: peppers and the audit chain's key, each a version of a purpose.

use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, list};
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_KEYRING = "insert into keyring (purpose, version, sealed, created_ms) values ($1, $2, $3, $4)";
    UPDATE_SEALED = "update keyring set sealed = $3 where purpose = $1 and version = $2";
    LIST_KEYRING = "select purpose, version, sealed, created_ms from keyring order by purpose, version";
}

/// One sealed secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What it is for.
    pub purpose: String,
    /// Which of its purpose's secrets it is.
    pub version: i64,
    /// The secret, sealed under the master key.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Time,
}

/// Adds a secret.
///
/// # Errors
/// Conflict: its purpose has this version already.
pub async fn insert_keyring(tx: &mut Tx, secret: &Sealed) -> Result<(), StoreError> {
    let values = values![&secret.purpose, secret.version, secret.sealed.as_slice(), secret.created_at];
    tx.write(INSERT_KEYRING, values, Rows::One).await.map(drop)
}

/// Replaces what a secret is sealed as, for a new master key.
///
/// # Errors
/// Conflict: there is no such secret.
pub async fn update_sealed(tx: &mut Tx, purpose: &str, version: i64, sealed: &[u8]) -> Result<(), StoreError> {
    tx.write(UPDATE_SEALED, values![purpose, version, sealed], Rows::One).await.map(drop)
}

/// Lists every secret, by purpose and version.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_keyring(on: &impl Read) -> Result<Vec<Sealed>, StoreError> {
    list(on, LIST_KEYRING, values![], |row| {
        Ok(Sealed { purpose: row.text()?, version: row.int()?, sealed: row.bytes()?, created_at: row.time()? })
    })
    .await
}
