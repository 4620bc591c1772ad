//! Sessions. One is changed by taking its next turn, and by being ended, once.

use std::net::IpAddr;

use keywright_core::account::Standing;
use keywright_core::id::{AccountId, SessionId, UserId};
use keywright_core::member::MemberRole;
use keywright_core::session::{Method, Session};
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_SESSION = "insert into sessions (id, user_id, account, created_by, created_ms, expires_ms, ends_ms, method, \
        ip, user_agent, salt, proved_ms) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    /// One statement: of any number that show the same turn, one takes the next.
    TAKE_TURN = "update sessions set turn = turn + 1, refreshed_ms = $3, expires_ms = $4, ip = $5, user_agent = $6 \
        where id = $1 and turn = $2 and ended_ms is null and expires_ms > $3";
    TOUCH_SESSION = "update sessions set refreshed_ms = $2, expires_ms = $3, ip = $4, user_agent = $5 \
        where id = $1 and ended_ms is null and expires_ms > $2";
    END_SESSION = "update sessions set ended_ms = $2 where id = $1 and ended_ms is null";
    END_OTHER_SESSIONS = "update sessions set ended_ms = $3 where user_id = $1 and id <> $2 and ended_ms is null \
        and expires_ms > $3";
    END_ACCOUNT_SESSIONS = "update sessions set ended_ms = $3 where user_id = $1 and account = $2 and ended_ms is null \
        and expires_ms > $3";
    FORGET_SESSIONS = "delete from sessions where ends_ms < $1";
    FIND_SESSION = "select id, user_id, account, created_by, created_ms, expires_ms, ends_ms, ended_ms, method, ip, \
        user_agent, salt, turn, refreshed_ms, proved_ms from sessions where id = $1";
    FIND_ACCESS = "select s.id, s.user_id, s.account, s.created_by, s.created_ms, s.expires_ms, s.ends_ms, s.ended_ms, \
        s.method, s.ip, s.user_agent, s.salt, s.turn, s.refreshed_ms, s.proved_ms, m.role, a.standing, \
        u.operator_permissions from sessions s join users u on u.id = s.user_id \
        left join members m on m.account = s.account and m.user_id = s.user_id \
        join accounts a on a.id = s.account where s.id = $1 and u.disabled_ms is null \
        and (m.role is not null or (s.account = $2 and u.operator_permissions is not null))";
    PROVE_SESSION = "update sessions set proved_ms = $2 where id = $1 and ended_ms is null and expires_ms > $2";
    /// Newest first, so that a list that is cut off has what still holds.
    LIST_SESSIONS = "select id, user_id, account, created_by, created_ms, expires_ms, ends_ms, ended_ms, method, ip, \
        user_agent, salt, turn, refreshed_ms, proved_ms from sessions \
        where user_id = $1 and id < $2 and ended_ms is null and expires_ms > $3 order by id desc limit $4";
    FIND_LOGIN_FROM = "select s.id from sessions s join users u on u.id = s.user_id \
        where u.email = $1 and s.ip = $2 and s.method <> 'operator' limit 1";
}

/// All that a request with a session's token is decided by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The session.
    pub session: Session,
    /// What its person is in the account, now; none of an operator's session in the operators' own account.
    pub role: Option<MemberRole>,
    /// How the account stands, now.
    pub standing: Standing,
    /// What its person may do as an operator, now.
    pub operator: Option<Vec<String>>,
}

fn session(row: &mut Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.parsed()?,
        user: row.parsed()?,
        account: row.parsed()?,
        created_by: row.text()?,
        created_at: row.time()?,
        expires_at: row.time()?,
        ends_at: row.time()?,
        ended_at: row.maybe_time()?,
        method: row.named(Method::from_name)?,
        ip: row.maybe_parsed()?,
        user_agent: row.maybe_text()?,
        salt: row.bytes16()?,
        turn: row.int()?,
        refreshed_at: row.maybe_time()?,
        proved_at: row.maybe_time()?,
    })
}

/// Adds a session.
///
/// # Errors
/// Conflict: there is no such person or account.
pub async fn insert_session(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    let Session {
        id,
        user,
        account,
        created_by,
        created_at,
        expires_at,
        ends_at,
        method,
        ip,
        user_agent,
        salt,
        proved_at,
        ..
    } = session;
    let ip = ip.map(|ip| ip.to_string());
    let values = values![
        *id,
        *user,
        *account,
        created_by,
        *created_at,
        *expires_at,
        *ends_at,
        method.name(),
        ip,
        user_agent.as_deref(),
        salt,
        *proved_at
    ];
    tx.write(INSERT_SESSION, values, Rows::One).await.map(drop)
}

/// Takes a session's next turn, as `session` has it: its turn, when, until when, where and with what. `false` where
/// another has taken it, or the session is over.
///
/// # Errors
/// Unavailable.
pub async fn take_turn(tx: &mut Tx, session: &Session, now: Time) -> Result<bool, StoreError> {
    let Session { id, turn, expires_at, ip, user_agent, .. } = session;
    let ip = ip.map(|ip| ip.to_string());
    let values = values![*id, turn - 1, now, *expires_at, ip, user_agent.as_deref()];
    Ok(tx.write(TAKE_TURN, values, Rows::AtMostOne).await? == 1)
}

/// Writes down that a session is used: when, until when it holds, from where and with what. `false` where it is over.
///
/// # Errors
/// Unavailable.
pub async fn touch_session(tx: &mut Tx, session: &Session, now: Time) -> Result<bool, StoreError> {
    let Session { id, expires_at, ip, user_agent, .. } = session;
    let ip = ip.map(|ip| ip.to_string());
    Ok(tx.write(TOUCH_SESSION, values![*id, now, *expires_at, ip, user_agent.as_deref()], Rows::AtMostOne).await? == 1)
}

/// Writes down that a session's person has proved who they are. `false` where it is over.
///
/// # Errors
/// Unavailable.
pub async fn prove_session(tx: &mut Tx, id: SessionId, now: Time) -> Result<bool, StoreError> {
    Ok(tx.write(PROVE_SESSION, values![id, now], Rows::AtMostOne).await? == 1)
}

/// Ends all of a person's sessions but this one, where one is named. Says how many held.
///
/// # Errors
/// Unavailable.
pub async fn end_other_sessions(
    tx: &mut Tx,
    user: UserId,
    but: Option<SessionId>,
    now: Time,
) -> Result<u64, StoreError> {
    let but = but.map(|id| id.to_string()).unwrap_or_default();
    tx.write(END_OTHER_SESSIONS, values![user, but, now], Rows::Any).await
}

/// Ends all of a person's sessions in an account. Says how many held.
///
/// # Errors
/// Unavailable.
pub async fn end_account_sessions(tx: &mut Tx, user: UserId, account: AccountId, now: Time) -> Result<u64, StoreError> {
    tx.write(END_ACCOUNT_SESSIONS, values![user, account, now], Rows::Any).await
}

/// Forgets sessions that were over for good before this.
///
/// # Errors
/// Unavailable.
pub async fn forget_sessions(tx: &mut Tx, before: Time) -> Result<u64, StoreError> {
    tx.write(FORGET_SESSIONS, values![before], Rows::Any).await
}

/// Whether the person with this address has logged in from here, as far as is remembered.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn has_logged_in_from(on: &impl Read, email: &str, ip: IpAddr) -> Result<bool, StoreError> {
    let found = find(on, FIND_LOGIN_FROM, values![email, ip.to_string()], Row::text).await?;
    Ok(found.is_some())
}

/// Ends a session. `false` where it has been ended before, or is not there.
///
/// # Errors
/// Unavailable.
pub async fn end_session(tx: &mut Tx, id: SessionId, now: Time) -> Result<bool, StoreError> {
    Ok(tx.write(END_SESSION, values![id, now], Rows::AtMostOne).await? == 1)
}

/// Finds a session.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_session(on: &impl Read, id: SessionId) -> Result<Option<Session>, StoreError> {
    find(on, FIND_SESSION, values![id], session).await
}

/// Finds a session with all that decides what it may do; none where its person is no member of the account any more, or, in
/// the operators' own, no operator.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_access(on: &impl Read, id: SessionId) -> Result<Option<Access>, StoreError> {
    find(on, FIND_ACCESS, values![id, AccountId::OPERATOR], |row| {
        Ok(Access {
            session: session(row)?,
            role: row.maybe_named(MemberRole::from_name)?,
            standing: row.named(Standing::from_name)?,
            operator: row.maybe_json()?,
        })
    })
    .await
}

/// Lists a person's sessions that still hold, newest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_sessions(
    on: &impl Read,
    user: UserId,
    before: Option<SessionId>,
    now: Time,
    limit: i64,
) -> Result<Vec<Session>, StoreError> {
    // Every id sorts before this.
    let before = before.map_or_else(|| "ses_~".into(), |id| id.to_string());
    list(on, LIST_SESSIONS, values![user, before, now, limit], session).await
}
