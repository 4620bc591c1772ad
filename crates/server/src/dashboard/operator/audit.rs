//! What was changed in all accounts and of the server, by whom.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::id::AccountId;
use keywright_store::audit::AuditFilter;
use serde::Deserialize;

use super::{Frame, Operator, asked, cut, one_more, page, query};
use crate::Server;
use crate::dashboard::audit::{RowLook, file};
use crate::problem::Problem;

/// What is asked for; what cannot be read asks for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    account: String,
    target: String,
    action: String,
    actor: String,
    cursor: String,
}

impl Asked {
    fn filter(&self) -> AuditFilter {
        let typed = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        AuditFilter {
            account: self.account.trim().parse().ok(),
            target: typed(&self.target),
            action: typed(&self.action),
            actor: typed(&self.actor),
            before: self.cursor.parse().ok(),
            limit: one_more(),
        }
    }

    /// Whether an account is named that is none: rows of all accounts would be the wrong answer.
    fn is_about_nobody(&self) -> bool {
        !self.account.trim().is_empty() && self.account.trim().parse::<AccountId>().is_err()
    }

    fn is_filtered(&self) -> bool {
        [&self.account, &self.target, &self.action, &self.actor].into_iter().any(|text| !text.is_empty())
    }
}

#[derive(Template)]
#[template(path = "dashboard/operator/audit.html")]
struct Log {
    frame: Frame,
    asked: Asked,
    /// What is wrong with what is asked for.
    wrong: &'static str,
    rows: Vec<RowLook>,
    may_see_accounts: bool,
    /// What the file is asked for with.
    export: String,
    /// The next page; empty on the last.
    next: String,
}

/// `GET /dashboard/operator/audit`
pub(crate) async fn list(
    State(server): State<Server>,
    operator: Operator,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    let (now, filter) = (server.app.now(), asked.filter());
    let is_nobodys = asked.is_about_nobody();
    let found = server.app.list_audit(&operator.caller, filter).await?;
    let (rows, is_more) = cut(if is_nobodys { Vec::new() } else { found });
    let next = match rows.last() {
        Some(last) if is_more => query(&[
            ("account", &asked.account),
            ("target", &asked.target),
            ("action", &asked.action),
            ("actor", &asked.actor),
            ("cursor", &last.seq.to_string()),
        ]),
        Some(_) | None => String::new(),
    };
    let own = operator.caller.actor.name();
    let log = Log {
        frame: operator.frame(&server, "operator/audit", ""),
        rows: rows.into_iter().map(|row| RowLook::new(row, &own, now)).collect(),
        wrong: if is_nobodys { "This is no account's id: one begins with acc_." } else { "" },
        may_see_accounts: operator.may(&server, "accounts:read"),
        export: query(&[
            ("account", &asked.account),
            ("target", &asked.target),
            ("action", &asked.action),
            ("actor", &asked.actor),
        ]),
        next,
        asked,
    };
    page(StatusCode::OK, &log)
}

/// `GET /dashboard/operator/audit.csv`
pub(crate) async fn export(
    State(server): State<Server>,
    operator: Operator,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    if asked.is_about_nobody() {
        return Err(Error::NotFound("account").into());
    }
    file(&server, &operator.caller, asked.filter()).await
}
