//! Sessions. One is never changed but to be ended, once.

use keywright_core::account::Standing;
use keywright_core::id::{SessionId, UserId};
use keywright_core::member::MemberRole;
use keywright_core::session::Session;
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    INSERT_SESSION = "insert into sessions (id, user_id, account, created_by, created_ms, expires_ms) \
        values ($1, $2, $3, $4, $5, $6)";
    END_SESSION = "update sessions set ended_ms = $2 where id = $1 and ended_ms is null";
    FIND_SESSION = "select id, user_id, account, created_by, created_ms, expires_ms, ended_ms from sessions \
        where id = $1";
    FIND_ACCESS = "select s.id, s.user_id, s.account, s.created_by, s.created_ms, s.expires_ms, s.ended_ms, m.role, \
        a.standing from sessions s join members m on m.account = s.account and m.user_id = s.user_id \
        join accounts a on a.id = s.account where s.id = $1";
    /// Newest first, so that a list that is cut off has what still holds.
    LIST_SESSIONS = "select id, user_id, account, created_by, created_ms, expires_ms, ended_ms from sessions \
        where user_id = $1 and id < $2 and ended_ms is null and expires_ms > $3 order by id desc limit $4";
}

/// All that a request with a session's token is decided by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The session.
    pub session: Session,
    /// What its person is in the account, now.
    pub role: MemberRole,
    /// How the account stands, now.
    pub standing: Standing,
}

fn session(row: &mut Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.parsed()?,
        user: row.parsed()?,
        account: row.parsed()?,
        created_by: row.text()?,
        created_at: row.time()?,
        expires_at: row.time()?,
        ended_at: row.maybe_time()?,
    })
}

/// Adds a session.
///
/// # Errors
/// Conflict: there is no such person or account.
pub async fn insert_session(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    let Session { id, user, account, created_by, created_at, expires_at, ended_at: _ } = session;
    let values = values![*id, *user, *account, created_by, *created_at, *expires_at];
    tx.write(INSERT_SESSION, values, Rows::One).await.map(drop)
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

/// Finds a session with all that decides what it may do; none where its person is no member of the account any more.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_access(on: &impl Read, id: SessionId) -> Result<Option<Access>, StoreError> {
    find(on, FIND_ACCESS, values![id], |row| {
        Ok(Access {
            session: session(row)?,
            role: row.named(MemberRole::from_name)?,
            standing: row.named(Standing::from_name)?,
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
