//! Who somebody is at an identity provider: (issuer, subject), which is one person's. One is never changed, only added and
//! deleted.

use keywright_core::account::Standing;
use keywright_core::external::LinkedIdentity;
use keywright_core::id::{AccountId, IdentityId, UserId};
use keywright_core::member::MemberRole;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_IDENTITY = "insert into identities (id, issuer, subject, user_id, email, created_ms) \
        values ($1, $2, $3, $4, $5, $6)";
    FIND_IDENTITY = "select id, issuer, subject, user_id, email, created_ms from identities \
        where issuer = $1 and subject = $2";
    FIND_IDENTITY_OF = "select id, issuer, subject, user_id, email, created_ms from identities \
        where id = $1 and user_id = $2";
    LIST_IDENTITIES = "select id, issuer, subject, user_id, email, created_ms from identities \
        where user_id = $1 and id > $2 order by id limit $3";
    DELETE_IDENTITY = "delete from identities where id = $1";
    /// Whoever is shut out belongs nowhere.
    LIST_PLACES = "select i.user_id, m.account, m.role, a.standing from identities i \
        join users u on u.id = i.user_id \
        left join members m on m.user_id = i.user_id and u.disabled_ms is null \
        left join accounts a on a.id = m.account \
        where i.issuer = $1 and i.subject = $2 order by m.account";
}

/// An account somebody belongs to, and all that decides what they may do there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account.
    pub account: AccountId,
    /// What they are in it, now.
    pub role: MemberRole,
    /// How it stands, now.
    pub standing: Standing,
}

fn identity(row: &mut Row) -> Result<LinkedIdentity, StoreError> {
    Ok(LinkedIdentity {
        id: row.parsed()?,
        issuer: row.text()?,
        subject: row.text()?,
        user: row.parsed()?,
        email: row.maybe_text()?,
        created_at: row.time()?,
    })
}

/// Adds an identity.
///
/// # Errors
/// Conflict: it is somebody's already, or there is no such person.
pub async fn insert_identity(tx: &mut Tx, identity: &LinkedIdentity) -> Result<(), StoreError> {
    let LinkedIdentity { id, issuer, subject, user, email, created_at } = identity;
    let values = values![*id, issuer, subject, *user, email.clone(), *created_at];
    tx.write(INSERT_IDENTITY, values, Rows::One).await.map(drop)
}

/// Finds an identity.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_identity(on: &impl Read, issuer: &str, subject: &str) -> Result<Option<LinkedIdentity>, StoreError> {
    find(on, FIND_IDENTITY, values![issuer, subject], identity).await
}

/// Finds an identity of a person's.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_identity_of(
    on: &impl Read,
    user: UserId,
    id: IdentityId,
) -> Result<Option<LinkedIdentity>, StoreError> {
    find(on, FIND_IDENTITY_OF, values![id, user], identity).await
}

/// Lists a person's identities by id.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_identities(
    on: &impl Read,
    user: UserId,
    after: Option<IdentityId>,
    limit: i64,
) -> Result<Vec<LinkedIdentity>, StoreError> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    list(on, LIST_IDENTITIES, values![user, after, limit], identity).await
}

/// Deletes an identity.
///
/// # Errors
/// Conflict: it is not there.
pub async fn delete_identity(tx: &mut Tx, id: IdentityId) -> Result<(), StoreError> {
    tx.write(DELETE_IDENTITY, values![id], Rows::One).await.map(drop)
}

/// Finds whose an identity is, with every account they belong to; none where it is nobody's.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_places(
    on: &impl Read,
    issuer: &str,
    subject: &str,
) -> Result<Option<(UserId, Vec<Place>)>, StoreError> {
    let rows = list(on, LIST_PLACES, values![issuer, subject], |row| Ok((row.parsed()?, place(row)?))).await?;
    let user = rows.first().map(|(user, _)| *user);
    Ok(user.map(|user| (user, rows.into_iter().filter_map(|(_, place)| place).collect())))
}

/// A person who belongs to no account has one row, with nothing in it.
fn place(row: &mut Row) -> Result<Option<Place>, StoreError> {
    let Some(account) = row.maybe_parsed()? else { return Ok(None) };
    let (role, standing) = (row.named(MemberRole::from_name)?, row.named(Standing::from_name)?);
    Ok(Some(Place { account, role, standing }))
}
