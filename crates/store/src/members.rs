//! Who belongs to which account, as what, and who is invited to.

use keywright_core::id::{AccountId, InvitationId, UserId};
use keywright_core::member::{Invitation, Member, MemberRole};
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_MEMBER = "insert into members (account, user_id, role, created_ms) values ($1, $2, $3, $4)";
    UPDATE_MEMBER = "update members set role = $3 where account = $1 and user_id = $2";
    DELETE_MEMBER = "delete from members where account = $1 and user_id = $2";
    FIND_MEMBER = "select m.account, m.user_id, u.email, m.role, u.totp_on_ms, u.disabled_ms, m.created_ms \
        from members m join users u on u.id = m.user_id where m.account = $1 and m.user_id = $2";
    LIST_MEMBERS = "select m.account, m.user_id, u.email, m.role, u.totp_on_ms, u.disabled_ms, m.created_ms \
        from members m join users u on u.id = m.user_id where m.account = $1 and m.user_id > $2 \
        order by m.user_id limit $3";
    LIST_MEMBERSHIPS = "select account, role from members where user_id = $1 order by account";
    /// Who is shut out owns nothing that anybody could see to.
    COUNT_OTHER_OWNERS = "select count(*) from members m join users u on u.id = m.user_id \
        where m.account = $1 and m.user_id <> $2 and m.role = 'owner' and u.disabled_ms is null";
    INSERT_INVITATION = "insert into invitations (account, email, id, role, invited_by, created_ms, expires_ms) \
        values ($1, $2, $3, $4, $5, $6, $7)";
    DELETE_INVITATION = "delete from invitations where id = $1";
    DELETE_INVITATION_TO = "delete from invitations where account = $1 and email = $2";
    FORGET_INVITATIONS = "delete from invitations where expires_ms < $1";
    FIND_INVITATION = "select id, account, email, role, invited_by, created_ms, expires_ms from invitations \
        where id = $1";
    LIST_INVITATIONS = "select id, account, email, role, invited_by, created_ms, expires_ms from invitations \
        where account = $1 and id > $2 and expires_ms > $3 order by id limit $4";
    COUNT_INVITATIONS = "select count(*) from invitations where account = $1 and expires_ms > $2";
}

fn member(row: &mut Row) -> Result<Member, StoreError> {
    let (account, user, email): (_, UserId, _) = (row.parsed()?, row.parsed()?, row.text()?);
    Ok(Member {
        account,
        user,
        email: Some(email).filter(|email| *email != user.to_string()),
        role: row.named(MemberRole::from_name)?,
        second_factor_at: row.maybe_time()?,
        disabled_at: row.maybe_time()?,
        since: row.time()?,
    })
}

fn invitation(row: &mut Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: row.parsed()?,
        account: row.parsed()?,
        email: row.text()?,
        role: row.named(MemberRole::from_name)?,
        invited_by: row.text()?,
        created_at: row.time()?,
        expires_at: row.time()?,
    })
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

/// Gives a member another role.
///
/// # Errors
/// Conflict: they are no member.
pub async fn update_member(tx: &mut Tx, account: AccountId, user: UserId, role: MemberRole) -> Result<(), StoreError> {
    tx.write(UPDATE_MEMBER, values![account, user, role.name()], Rows::One).await.map(drop)
}

/// Takes a member out of an account.
///
/// # Errors
/// Conflict: they are no member.
pub async fn delete_member(tx: &mut Tx, account: AccountId, user: UserId) -> Result<(), StoreError> {
    tx.write(DELETE_MEMBER, values![account, user], Rows::One).await.map(drop)
}

/// Finds a member of an account.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_member(on: &impl Read, account: AccountId, user: UserId) -> Result<Option<Member>, StoreError> {
    find(on, FIND_MEMBER, values![account, user], member).await
}

/// Lists an account's members by their ids.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_members(
    on: &impl Read,
    account: AccountId,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<Member>, StoreError> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    list(on, LIST_MEMBERS, values![account, after, limit], member).await
}

/// Lists the accounts a person belongs to, and as what.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_memberships(on: &impl Read, user: UserId) -> Result<Vec<(AccountId, MemberRole)>, StoreError> {
    list(on, LIST_MEMBERSHIPS, values![user], |row| Ok((row.parsed()?, row.named(MemberRole::from_name)?))).await
}

/// How many owners an account has beside this person, of those who are not shut out.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_other_owners(on: &impl Read, account: AccountId, user: UserId) -> Result<i64, StoreError> {
    Ok(find(on, COUNT_OTHER_OWNERS, values![account, user], Row::int).await?.unwrap_or_default())
}

/// Adds an invitation.
///
/// # Errors
/// Conflict: this address is invited to the account already, or there is no such account.
pub async fn insert_invitation(tx: &mut Tx, invitation: &Invitation) -> Result<(), StoreError> {
    let Invitation { id, account, email, role, invited_by, created_at, expires_at } = invitation;
    let values = values![*account, email, *id, role.name(), invited_by, *created_at, *expires_at];
    tx.write(INSERT_INVITATION, values, Rows::One).await.map(drop)
}

/// Deletes an invitation.
///
/// # Errors
/// Conflict: it is not there.
pub async fn delete_invitation(tx: &mut Tx, id: InvitationId) -> Result<(), StoreError> {
    tx.write(DELETE_INVITATION, values![id], Rows::One).await.map(drop)
}

/// Deletes whatever invitation there is of this address to an account. Says whether there was one.
///
/// # Errors
/// Unavailable.
pub async fn delete_invitation_to(tx: &mut Tx, account: AccountId, email: &str) -> Result<bool, StoreError> {
    Ok(tx.write(DELETE_INVITATION_TO, values![account, email], Rows::AtMostOne).await? == 1)
}

/// Forgets invitations that were over before this.
///
/// # Errors
/// Unavailable.
pub async fn forget_invitations(tx: &mut Tx, before: Time) -> Result<u64, StoreError> {
    tx.write(FORGET_INVITATIONS, values![before], Rows::Any).await
}

/// Finds an invitation.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_invitation(on: &impl Read, id: InvitationId) -> Result<Option<Invitation>, StoreError> {
    find(on, FIND_INVITATION, values![id], invitation).await
}

/// Lists an account's invitations that still hold, oldest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_invitations(
    on: &impl Read,
    account: AccountId,
    after: Option<InvitationId>,
    now: Time,
    limit: i64,
) -> Result<Vec<Invitation>, StoreError> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    list(on, LIST_INVITATIONS, values![account, after, now, limit], invitation).await
}

/// How many invitations of an account's hold.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_invitations(on: &impl Read, account: AccountId, now: Time) -> Result<i64, StoreError> {
    Ok(find(on, COUNT_INVITATIONS, values![account, now], Row::int).await?.unwrap_or_default())
}
