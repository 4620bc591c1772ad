//! `/v1/audit`: what was changed, by whom, and whether the log still says so.

use axum::extract::{RawQuery, State};
use keywright_core::id::AccountId;
use keywright_store::audit::AuditFilter;
use serde::{Deserialize, Serialize};

use super::page::{Page, cursor, limit, query};
use super::view::AuditView;
use crate::Server;
use crate::extract::Who;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    account_id: Option<AccountId>,
    target: Option<String>,
    action: Option<String>,
    actor: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET /v1/audit`
pub(crate) async fn list(
    State(server): State<Server>,
    who: Who,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<AuditView>>, Problem> {
    let asked: ListQuery = query(text.as_deref())?;
    let limit = limit(asked.limit)?;
    let before = cursor(asked.cursor.as_deref())?;
    let ListQuery { account_id, target, action, actor, .. } = asked;
    let filter = AuditFilter { account: account_id, target, action, actor, before, limit: i64::from(limit) + 1 };
    let rows = server.app.list_audit(&who.caller, filter).await?;
    Ok(axum::Json(Page::of(rows, limit, |row| row.seq.to_string(), Into::into)))
}

#[derive(Serialize)]
pub(crate) struct Verified {
    intact: bool,
    rows: Option<i64>,
    problem: Option<String>,
}

/// `POST /v1/audit/verify`
pub(crate) async fn verify(State(server): State<Server>, who: Who) -> Result<axum::Json<Verified>, Problem> {
    let followed = server.app.verify_audit(&who.caller, |_| {}).await?;
    Ok(axum::Json(match followed {
        Ok(rows) => Verified { intact: true, rows: Some(rows), problem: None },
        Err(broken) => Verified { intact: false, rows: None, problem: Some(broken.to_string()) },
    }))
}
