//! What was changed in the account, by whom; and the same as a file.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use keywright_app::caller::Caller;
use keywright_app::error::Error;
use keywright_core::audit::AuditRow;
use keywright_core::time::Time;
use keywright_store::audit::AuditFilter;
use serde::Deserialize;
use serde_json::Value;

use super::look::Moment;
use super::{Frame, Visitor, asked, page, query};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

/// Rows of a page: as many as weigh well below 50 KB.
const ROWS: usize = 30;
/// What a list shows of a row's detail, in characters.
const LONGEST_DETAIL: usize = 700;
/// Rows that are read at a time for a file, and the most a file has.
const BATCH: i64 = 500;
const MOST: usize = 10_000;

/// What is asked for; what cannot be read asks for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    target: String,
    action: String,
    cursor: String,
}

impl Asked {
    fn filter(&self, limit: i64) -> AuditFilter {
        let typed = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        AuditFilter {
            account: None,
            target: typed(&self.target),
            action: typed(&self.action),
            actor: None,
            before: self.cursor.parse().ok(),
            limit,
        }
    }

    fn is_filtered(&self) -> bool {
        !self.target.is_empty() || !self.action.is_empty()
    }
}

/// A row as lists show it.
pub(super) struct RowLook {
    pub(super) seq: i64,
    pub(super) at: Moment,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) target: String,
    /// Rows about the same are asked for with this.
    pub(super) about: String,
    pub(super) account: String,
    pub(super) detail: String,
    /// What was changed where it is told as before and after: a field, what it was and what it is.
    pub(super) changes: Vec<(String, String, String)>,
    pub(super) request_id: String,
}

impl RowLook {
    /// `own` is the name of whoever looks.
    pub(super) fn new(row: AuditRow, own: &str, now: Time) -> Self {
        Self {
            seq: row.seq,
            at: Moment::new(row.at, now),
            actor: if row.actor == own { "you".into() } else { row.actor },
            action: row.action,
            about: query(&[("target", &row.target)]),
            target: row.target,
            account: row.account.map(|id| id.to_string()).unwrap_or_default(),
            changes: changes(&row.detail),
            detail: pretty(&row.detail),
            request_id: row.request_id.unwrap_or_default(),
        }
    }
}

impl RowLook {
    /// As much of what changed as a list has room for; the row's own page has all of it.
    pub(super) fn brief(&self) -> String {
        match self.detail.char_indices().nth(LONGEST_DETAIL) {
            Some((end, _)) => format!("{}…", self.detail.get(..end).unwrap_or_default()),
            None => self.detail.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "dashboard/audit.html")]
struct Log {
    frame: Frame,
    asked: Asked,
    rows: Vec<RowLook>,
    /// What the file is asked for with.
    export: String,
    /// The next page; empty on the last.
    next: String,
}

/// `GET /dashboard/audit`
pub(crate) async fn list(
    State(server): State<Server>,
    visitor: Visitor,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    let now = server.app.now();
    let filter = asked.filter(i64::try_from(ROWS + 1).unwrap_or(1));
    let mut rows = server.app.list_audit(&visitor.caller, filter).await?;
    let is_more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let next = match rows.last() {
        Some(last) if is_more => {
            let cursor = last.seq.to_string();
            query(&[("target", &asked.target), ("action", &asked.action), ("cursor", &cursor)])
        }
        _ => String::new(),
    };
    let own = visitor.caller.actor.name();
    let log = Log {
        frame: visitor.frame(&server, "audit", ""),
        rows: rows.into_iter().map(|row| RowLook::new(row, &own, now)).collect(),
        export: query(&[("target", &asked.target), ("action", &asked.action)]),
        next,
        asked,
    };
    page(StatusCode::OK, &log)
}

#[derive(Template)]
#[template(path = "dashboard/audit_row.html")]
struct OneRow {
    frame: Frame,
    row: RowLook,
}

/// `GET /dashboard/audit/{id}`: an address for one row that stays.
pub(crate) async fn show(State(server): State<Server>, visitor: Visitor, Id(seq): Id) -> Result<Response, Problem> {
    let row = row(&server, &visitor.caller, &seq).await?;
    let row = RowLook::new(row, &visitor.caller.actor.name(), server.app.now());
    page(StatusCode::OK, &OneRow { frame: visitor.frame(&server, "audit", ""), row })
}

/// A row the caller may see.
async fn row(server: &Server, caller: &Caller, seq: &str) -> Result<AuditRow, Error> {
    let missing = || Error::NotFound("row");
    let seq: i64 = seq.parse().map_err(|_| missing())?;
    let filter = AuditFilter { before: seq.checked_add(1), ..Asked::default().filter(1) };
    let rows = server.app.list_audit(caller, filter).await?;
    rows.into_iter().find(|row| row.seq == seq).ok_or_else(missing)
}

/// What differs between `before` and `after`, where a row tells both.
fn changes(json: &str) -> Vec<(String, String, String)> {
    let Ok(Value::Object(detail)) = serde_json::from_str(json) else { return Vec::new() };
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (detail.get("before"), detail.get("after")) else {
        return Vec::new();
    };
    let said = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(Value::Array(all)) if !all.is_empty() && all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    };
    let fields: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = fields.into_iter().filter(|field| before.get(*field) != after.get(*field));
    differs.map(|field| (field.clone(), said(before.get(field)), said(after.get(field)))).collect()
}

/// JSON with a line for each field.
fn pretty(json: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(json).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| json.to_owned())
}

/// `GET /dashboard/audit.csv`
pub(crate) async fn export(
    State(server): State<Server>,
    visitor: Visitor,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    file(&server, &visitor.caller, asked.filter(BATCH)).await
}

/// Rows as a file, the newest first.
pub(super) async fn file(server: &Server, caller: &Caller, filter: AuditFilter) -> Result<Response, Problem> {
    let mut file = csv::Writer::from_writer(Vec::new());
    let broken = |_| Problem::from(Error::Internal("a file could not be written".into()));
    let columns = ["seq", "at", "account", "actor", "action", "target", "detail", "request_id"];
    file.write_record(columns).map_err(broken)?;
    let (mut filter, mut count) = (AuditFilter { limit: BATCH, ..filter }, 0);
    loop {
        let rows = server.app.list_audit(caller, filter.clone()).await?;
        let Some(last) = rows.last() else { break };
        filter.before = Some(last.seq);
        count += rows.len();
        let is_last = i64::try_from(rows.len()).is_ok_and(|rows| rows < BATCH);
        for row in rows {
            let account = row.account.map(|id| id.to_string()).unwrap_or_default();
            let request_id = row.request_id.unwrap_or_default();
            let (seq, at) = (row.seq.to_string(), row.at.to_string());
            let fields = [seq, at, account, row.actor, row.action, row.target, row.detail, request_id];
            file.write_record(fields.map(plain)).map_err(broken)?;
        }
        if is_last || count >= MOST {
            break;
        }
    }
    let bytes = file.into_inner().map_err(|_| Error::Internal("a file could not be written".into()))?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit.csv\""),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, bytes).into_response())
}

/// What no spreadsheet takes for a formula.
fn plain(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}
