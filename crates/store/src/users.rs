//! People, and which accounts they belong to.
//!
//! Every person has an address of their own in the table; where they have none, their id stands there.

use keywright_core::account::User;
use keywright_core::id::{AccountId, UserId};
use keywright_core::member::MemberRole;
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_USER = "insert into users (id, email, password_hash, created_ms) values ($1, $2, $3, $4)";
    FIND_USER_BY_EMAIL = "select id, email, created_ms, password_hash from users where email = $1";
    FIND_USER = "select id, email, created_ms from users where id = $1";
    LIST_USERS = "select id, email, created_ms from users where id > $1 order by id limit $2";
    LIST_MEMBERSHIPS = "select account, role from members where user_id = $1 order by account";
    INSERT_MEMBER = "insert into members (account, user_id, role, created_ms) values ($1, $2, $3, $4)";
}

/// Adds a person with the hash of their password.
///
/// # Errors
/// Conflict: the address is taken.
pub async fn insert_user(tx: &mut Tx, user: &User, password_hash: &str) -> Result<(), StoreError> {
    let email = user.email.clone().unwrap_or_else(|| user.id.to_string());
    let values = values![user.id, email, password_hash, user.created_at];
    tx.write(INSERT_USER, values, Rows::One).await.map(drop)
}

/// Finds a person and the hash of their password by their normalised address.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_user_by_email(on: &impl Read, email: &str) -> Result<Option<(User, String)>, StoreError> {
    find(on, FIND_USER_BY_EMAIL, values![email], |row| Ok((user(row)?, row.text()?))).await
}

fn user(row: &mut Row) -> Result<User, StoreError> {
    let (id, email): (UserId, _) = (row.parsed()?, row.text()?);
    Ok(User { id, email: Some(email).filter(|email| *email != id.to_string()), created_at: row.time()? })
}

/// Finds a person.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_user(on: &impl Read, id: UserId) -> Result<Option<User>, StoreError> {
    find(on, FIND_USER, values![id], user).await
}

/// Lists people by id.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_users(on: &impl Read, after: Option<UserId>, limit: i64) -> Result<Vec<User>, StoreError> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    list(on, LIST_USERS, values![after, limit], user).await
}

/// Lists the accounts a person belongs to, and as what.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_memberships(on: &impl Read, user: UserId) -> Result<Vec<(AccountId, MemberRole)>, StoreError> {
    list(on, LIST_MEMBERSHIPS, values![user], |row| Ok((row.parsed()?, row.named(MemberRole::from_name)?))).await
}

/// Makes a person a member of an account.
///
/// # Errors
/// Conflict: they are one already, or one of the two is not there.
pub async fn insert_member(
    tx: &mut Tx,
    account: AccountId,
    user: UserId,
    role: MemberRole,
    now: Time,
) -> Result<(), StoreError> {
    tx.write(INSERT_MEMBER, values![account, user, role.name(), now], Rows::One).await.map(drop)
}
