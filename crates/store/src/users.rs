//! People.
//!
//! Every person has an address of their own in the table; where they have none, their id stands there.

use keywright_core::account::User;
use keywright_core::id::UserId;
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::{containing, json, values};

/// A person's columns in the order [`user`] reads them.
macro_rules! user_columns {
    () => {
        "id, email, email_verified_ms, totp_on_ms, disabled_ms, operator_permissions, created_ms"
    };
}

statements! {
    INSERT_USER = "insert into users (id, email, password_hash, created_ms, email_verified_ms, password_ms, \
        operator_permissions) values ($1, $2, $3, $4, $5, $4, $6)";
    FIND_CREDENTIALS_BY_EMAIL = concat!("select ", user_columns!(), ", password_hash, totp_sealed, totp_step \
        from users where email = $1");
    FIND_CREDENTIALS = concat!("select ", user_columns!(), ", password_hash, totp_sealed, totp_step \
        from users where id = $1");
    FIND_USER = concat!("select ", user_columns!(), " from users where id = $1");
    LIST_USERS = concat!("select ", user_columns!(), " from users \
        where id > $1 and (cast($3 as text) is null or email like $3 escape '!' or id like $3 escape '!') \
        order by id limit $2");
    LIST_OPERATORS = concat!("select ", user_columns!(), " from users where operator_permissions is not null \
        and id > $1 and (cast($3 as text) is null or email like $3 escape '!' or id like $3 escape '!') \
        order by id limit $2");
    /// Those who can log in.
    COUNT_OPERATORS = "select count(*) from users where operator_permissions is not null and disabled_ms is null \
        and password_hash <> ''";
    UPDATE_OPERATOR = "update users set operator_permissions = $2 where id = $1";
    /// Only over the password it was decided by.
    UPDATE_PASSWORD = "update users set password_hash = $3, password_ms = $4 where id = $1 and password_hash = $2";
    UPDATE_PENDING_EMAIL = "update users set pending_email = $2 where id = $1";
    FIND_PENDING_EMAIL = "select pending_email from users where id = $1";
    UPDATE_EMAIL = "update users set email = $2, email_verified_ms = $3, pending_email = null where id = $1";
    UPDATE_DISABLED = "update users set disabled_ms = $2 where id = $1";
}

/// What a person proves who they are with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The person.
    pub user: User,
    /// Their password's hash; empty where they have none.
    pub password_hash: String,
    /// The secret they share with an authenticator, sealed. It counts where the person's second factor is on.
    pub totp_sealed: Option<Vec<u8>>,
    /// The last step a code was taken of.
    pub totp_step: i64,
}

/// Adds a person with the hash of their password.
///
/// # Errors
/// Conflict: the address is taken.
pub async fn insert_user(tx: &mut Tx, user: &User, password_hash: &str) -> Result<(), StoreError> {
    let email = user.email.clone().unwrap_or_else(|| user.id.to_string());
    let operator = user.operator.as_ref().map(json).transpose()?;
    let values = values![user.id, email, password_hash, user.created_at, user.email_verified_at, operator];
    tx.write(INSERT_USER, values, Rows::One).await.map(drop)
}

/// Finds what a person logs in with, by their normalised address.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_credentials_by_email(on: &impl Read, email: &str) -> Result<Option<Credentials>, StoreError> {
    find(on, FIND_CREDENTIALS_BY_EMAIL, values![email], credentials).await
}

/// Finds what a person logs in with.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_credentials(on: &impl Read, id: UserId) -> Result<Option<Credentials>, StoreError> {
    find(on, FIND_CREDENTIALS, values![id], credentials).await
}

fn credentials(row: &mut Row) -> Result<Credentials, StoreError> {
    Ok(Credentials {
        user: user(row)?,
        password_hash: row.text()?,
        totp_sealed: row.maybe_bytes()?,
        totp_step: row.int()?,
    })
}

fn user(row: &mut Row) -> Result<User, StoreError> {
    let (id, email): (UserId, _) = (row.parsed()?, row.text()?);
    Ok(User {
        id,
        email: Some(email).filter(|email| *email != id.to_string()),
        email_verified_at: row.maybe_time()?,
        second_factor_at: row.maybe_time()?,
        disabled_at: row.maybe_time()?,
        operator: row.maybe_json()?,
        created_at: row.time()?,
    })
}

/// Gives a person another password, where theirs is still the one it was decided by. `false` where it is not.
///
/// # Errors
/// Unavailable.
pub async fn update_password(tx: &mut Tx, id: UserId, from: &str, to: &str, now: Time) -> Result<bool, StoreError> {
    Ok(tx.write(UPDATE_PASSWORD, values![id, from, to, now], Rows::AtMostOne).await? == 1)
}

/// Keeps the address a person wants to have.
///
/// # Errors
/// Conflict: there is no such person.
pub async fn update_pending_email(tx: &mut Tx, id: UserId, email: Option<&str>) -> Result<(), StoreError> {
    tx.write(UPDATE_PENDING_EMAIL, values![id, email], Rows::One).await.map(drop)
}

/// Finds the address a person wants to have.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_pending_email(on: &impl Read, id: UserId) -> Result<Option<String>, StoreError> {
    Ok(find(on, FIND_PENDING_EMAIL, values![id], Row::maybe_text).await?.flatten())
}

/// Gives a person an address that mail has shown to be theirs.
///
/// # Errors
/// Conflict: there is no such person, or the address is another's.
pub async fn update_email(tx: &mut Tx, id: UserId, email: &str, now: Time) -> Result<(), StoreError> {
    tx.write(UPDATE_EMAIL, values![id, email, now], Rows::One).await.map(drop)
}

/// Shuts a person out, or lets them in again.
///
/// # Errors
/// Conflict: there is no such person.
pub async fn update_disabled(tx: &mut Tx, id: UserId, since: Option<Time>) -> Result<(), StoreError> {
    tx.write(UPDATE_DISABLED, values![id, since], Rows::One).await.map(drop)
}

/// Finds a person.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_user(on: &impl Read, id: UserId) -> Result<Option<User>, StoreError> {
    find(on, FIND_USER, values![id], user).await
}

/// Which people to list: those that fit everything given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// With this in their address or their id, in small or large letters.
    pub words: Option<String>,
    /// Operators alone.
    pub operators: bool,
    /// After this person: the last one of the page before.
    pub after: Option<UserId>,
    /// At most so many.
    pub limit: i64,
}

/// Lists people by id.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_users(on: &impl Read, filter: &UserFilter) -> Result<Vec<User>, StoreError> {
    let after = filter.after.map(|id| id.to_string()).unwrap_or_default();
    let sql = if filter.operators { LIST_OPERATORS } else { LIST_USERS };
    list(on, sql, values![after, filter.limit, filter.words.as_deref().map(containing)], user).await
}

/// How many operators there are who can log in.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_operators(on: &impl Read) -> Result<i64, StoreError> {
    let count = find(on, COUNT_OPERATORS, values![], Row::int).await?;
    count.ok_or_else(|| StoreError::corrupt("counting answered with no row"))
}

/// Makes a person an operator with these permissions, or no operator.
///
/// # Errors
/// Conflict: there is no such person.
pub async fn update_operator(tx: &mut Tx, id: UserId, permissions: Option<&[String]>) -> Result<(), StoreError> {
    let permissions = permissions.map(|list| json(&list)).transpose()?;
    tx.write(UPDATE_OPERATOR, values![id, permissions], Rows::One).await.map(drop)
}
