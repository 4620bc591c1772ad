//! People, and which accounts they belong to.

use keywright_core::account::User;
use keywright_core::id::{AccountId, UserId};
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find};
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_USER = "insert into users (id, email, password_hash, created_ms) values ($1, $2, $3, $4)";
    FIND_USER_BY_EMAIL = "select id, email, created_ms, password_hash from users where email = $1";
    INSERT_MEMBER = "insert into members (account, user_id, role, created_ms) values ($1, $2, $3, $4)";
}

/// Adds a person with the hash of their password.
///
/// # Errors
/// Conflict: the address is taken.
pub async fn insert_user(tx: &mut Tx, user: &User, password_hash: &str) -> Result<(), StoreError> {
    let values = values![user.id, &user.email, password_hash, user.created_at];
    tx.write(INSERT_USER, values, Rows::One).await.map(drop)
}

/// Finds a person and the hash of their password by their normalised address.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_user_by_email(on: &impl Read, email: &str) -> Result<Option<(User, String)>, StoreError> {
    find(on, FIND_USER_BY_EMAIL, values![email], |row| {
        let user = User { id: row.parsed()?, email: row.text()?, created_at: row.time()? };
        Ok((user, row.text()?))
    })
    .await
}

/// Makes a person a member of an account.
///
/// # Errors
/// Conflict: they are one already, or one of the two is not there.
pub async fn insert_member(
    tx: &mut Tx,
    account: AccountId,
    user: UserId,
    role: &str,
    now: Time,
) -> Result<(), StoreError> {
    tx.write(INSERT_MEMBER, values![account, user, role, now], Rows::One).await.map(drop)
}
