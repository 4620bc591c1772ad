//! The SSH keys accounts have registered. A key is never changed, only added and deleted.

use keywright_core::id::{AccountId, SshKeyId};
use keywright_core::ssh::SshKey;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

/// A key's columns in the order [`ssh_key`] reads them.
macro_rules! ssh_key_columns {
    () => {
        "k.id, k.account, k.name, k.key_type, k.fingerprint, k.public_key, k.created_ms"
    };
}

statements! {
    INSERT_SSH_KEY = "insert into ssh_keys (id, account, name, key_type, fingerprint, public_key, created_ms) \
        values ($1, $2, $3, $4, $5, $6, $7)";
    /// Counting takes the primary key's index, which begins with the SSH key.
    LIST_SSH_KEYS = concat!(
        "select ", ssh_key_columns!(), ", (select count(*) from service_ssh_keys s where s.ssh_key = k.id) \
         from ssh_keys k where k.account = $1 order by k.id limit $2"
    );
    FIND_SSH_KEY = concat!("select ", ssh_key_columns!(), " from ssh_keys k where k.id = $1 and k.account = $2");
    FIND_SSH_KEY_BY_FINGERPRINT =
        concat!("select ", ssh_key_columns!(), " from ssh_keys k where k.account = $1 and k.fingerprint = $2");
    COUNT_SSH_KEYS = "select count(*) from ssh_keys where account = $1";
    DELETE_SSH_KEY = "delete from ssh_keys where id = $1";
    UNLINK_SSH_KEY = "delete from service_ssh_keys where ssh_key = $1";
}

fn ssh_key(row: &mut Row) -> Result<SshKey, StoreError> {
    Ok(SshKey {
        id: row.parsed()?,
        account: row.parsed()?,
        name: row.text()?,
        key_type: row.text()?,
        fingerprint: row.text()?,
        public_key: row.text()?,
        created_at: row.time()?,
    })
}

/// Adds a key.
///
/// # Errors
/// Conflict: the account has it already, or there is no such account.
pub async fn insert_ssh_key(tx: &mut Tx, key: &SshKey) -> Result<(), StoreError> {
    let values =
        values![key.id, key.account, &key.name, &key.key_type, &key.fingerprint, &key.public_key, key.created_at];
    tx.write(INSERT_SSH_KEY, values, Rows::One).await.map(drop)
}

/// An account's keys, oldest first, each with how many of its services it is on.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_ssh_keys(on: &impl Read, account: AccountId, limit: i64) -> Result<Vec<(SshKey, i64)>, StoreError> {
    list(on, LIST_SSH_KEYS, values![account, limit], |row| Ok((ssh_key(row)?, row.int()?))).await
}

/// Finds a key of an account's.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_ssh_key(on: &impl Read, id: SshKeyId, account: AccountId) -> Result<Option<SshKey>, StoreError> {
    find(on, FIND_SSH_KEY, values![id, account], ssh_key).await
}

/// Finds a key of an account's by its fingerprint.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_ssh_key_by_fingerprint(
    on: &impl Read,
    account: AccountId,
    fingerprint: &str,
) -> Result<Option<SshKey>, StoreError> {
    find(on, FIND_SSH_KEY_BY_FINGERPRINT, values![account, fingerprint], ssh_key).await
}

/// How many keys an account has.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_ssh_keys(on: &impl Read, account: AccountId) -> Result<i64, StoreError> {
    let count = find(on, COUNT_SSH_KEYS, values![account], Row::int).await?;
    count.ok_or_else(|| StoreError::corrupt("counting answered with no row"))
}

/// Deletes a key. Services no longer count as having it.
///
/// # Errors
/// Conflict: it is not there.
pub async fn delete_ssh_key(tx: &mut Tx, id: SshKeyId) -> Result<(), StoreError> {
    tx.write(UNLINK_SSH_KEY, values![id], Rows::Any).await?;
    tx.write(DELETE_SSH_KEY, values![id], Rows::One).await.map(drop)
}
