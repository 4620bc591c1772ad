//! `/v1/lockouts`: who is locked out after too many wrong keys, and letting them try again.

use std::net::IpAddr;

use axum::extract::{RawQuery, State};
use http::StatusCode;
use keywright_app::lockouts::Lockout;
use keywright_core::id::LockoutId;
use keywright_core::time::Time;
use serde::Serialize;

use super::page::{Page, Paging, cursor, limit, query};
use crate::Server;
use crate::extract::{Id, Who};
use crate::problem::Problem;

/// A lock that holds.
#[derive(Serialize)]
pub(crate) struct LockoutView {
    id: LockoutId,
    kind: String,
    key_prefix: Option<String>,
    email: Option<String>,
    ip: Option<IpAddr>,
    rule: String,
    since: Time,
    until: Time,
}

impl From<Lockout> for LockoutView {
    fn from(lockout: Lockout) -> Self {
        let Lockout { id, kind, key_prefix, email, ip, rule, since, until } = lockout;
        Self { id, kind, key_prefix, email, ip, rule: rule.to_string(), since, until }
    }
}

/// `GET /v1/lockouts`
pub(crate) async fn list(
    State(server): State<Server>,
    who: Who,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<LockoutView>>, Problem> {
    let asked: Paging = query(text.as_deref())?;
    let limit = limit(asked.limit)?;
    let before = cursor(asked.cursor.as_deref())?;
    let held = server.app.list_lockouts(&who.caller, before, limit as usize + 1)?;
    Ok(axum::Json(Page::of(held, limit, |lockout| lockout.id.to_string(), Into::into)))
}

/// `DELETE /v1/lockouts/{id}`
pub(crate) async fn lift(State(server): State<Server>, who: Who, Id(id): Id) -> Result<StatusCode, Problem> {
    server.app.lift_lockout(&who.caller, id.parse().ok()).await?;
    Ok(StatusCode::NO_CONTENT)
}
