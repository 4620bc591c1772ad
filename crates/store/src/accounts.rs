//! Accounts. A change names the version it read and loses to one that came before it.

use keywright_core::account::{Account, Standing};
use keywright_core::id::AccountId;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::{json, values};

statements! {
    INSERT_ACCOUNT = "insert into accounts (id, name, standing, metadata, created_ms, updated_ms, version) \
        values ($1, $2, $3, $4, $5, $6, $7)";
    UPDATE_ACCOUNT = "update accounts set name = $3, standing = $4, metadata = $5, updated_ms = $6, \
        version = version + 1 where id = $1 and version = $2";
    FIND_ACCOUNT = "select id, name, standing, metadata, created_ms, updated_ms, version from accounts where id = $1";
    LIST_ACCOUNTS = "select id, name, standing, metadata, created_ms, updated_ms, version from accounts \
        where id > $1 order by id limit $2";
}

fn account(row: &mut Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.parsed()?,
        name: row.text()?,
        standing: row.named(Standing::from_name)?,
        metadata: row.json()?,
        created_at: row.time()?,
        updated_at: row.time()?,
        version: row.int()?,
    })
}

/// Adds an account.
///
/// # Errors
/// Conflict: its id is taken.
pub async fn insert_account(tx: &mut Tx, account: &Account) -> Result<(), StoreError> {
    let values = values![
        account.id,
        &account.name,
        account.standing.name(),
        json(&account.metadata)?,
        account.created_at,
        account.updated_at,
        account.version,
    ];
    tx.write(INSERT_ACCOUNT, values, Rows::One).await?;
    tx.touched.accounts.push(account.id);
    Ok(())
}

/// Writes an account's changes; its stored version grows by one.
///
/// # Errors
/// Conflict: it has changed since this version, or is not there.
pub async fn update_account(tx: &mut Tx, account: &Account) -> Result<(), StoreError> {
    let values = values![
        account.id,
        account.version,
        &account.name,
        account.standing.name(),
        json(&account.metadata)?,
        account.updated_at,
    ];
    tx.write(UPDATE_ACCOUNT, values, Rows::One).await?;
    tx.touched.accounts.push(account.id);
    Ok(())
}

/// Finds an account.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_account(on: &impl Read, id: AccountId) -> Result<Option<Account>, StoreError> {
    find(on, FIND_ACCOUNT, values![id], account).await
}

/// Lists accounts by id, the operator's own among them.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_accounts(on: &impl Read, after: Option<AccountId>, limit: i64) -> Result<Vec<Account>, StoreError> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    list(on, LIST_ACCOUNTS, values![after, limit], account).await
}
