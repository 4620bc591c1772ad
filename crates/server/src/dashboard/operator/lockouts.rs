//! Who is locked out after too many wrong guesses, and letting them try again.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::lockouts::{LOGIN, Lockout};
use keywright_core::time::Time;
use serde::Deserialize;

use super::{Form, Frame, Operator, ROWS, asked, cut, page, query, see};
use crate::Server;
use crate::dashboard::look::Moment;
use crate::extract::Id;
use crate::problem::Problem;

/// What is asked for; what cannot be read asks for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    cursor: String,
    done: String,
}

struct LockoutLook {
    id: String,
    /// Who or what is locked.
    whom: String,
    cause: String,
    rule: String,
    since: Moment,
    until: Moment,
}

impl LockoutLook {
    fn new(lockout: Lockout, now: Time) -> Self {
        let Lockout { id, kind, key_prefix, email, ip, rule, since, until } = lockout;
        let ip = ip.map(|ip| ip.to_string());
        let whom = match (key_prefix, email, ip) {
            (Some(prefix), _, _) => format!("{prefix}…"),
            (None, Some(email), Some(ip)) => format!("{email} from {ip}"),
            (None, Some(email), None) => email,
            (None, None, Some(ip)) => ip,
            (None, None, None) => "somebody".into(),
        };
        let what = if kind == LOGIN { "logins".to_owned() } else { format!("keys of the kind {kind}") };
        Self {
            id: id.to_string(),
            whom,
            cause: format!("{} wrong {what} in {}", rule.failures, rule.within),
            rule: rule.to_string(),
            since: Moment::new(since, now),
            until: Moment::new(until, now),
        }
    }
}

#[derive(Template)]
#[template(path = "dashboard/operator/lockouts.html")]
struct List {
    frame: Frame,
    lockouts: Vec<LockoutLook>,
    may_write: bool,
    /// The next page; empty on the last.
    next: String,
}

/// `GET /dashboard/operator/lockouts`
pub(crate) async fn list(
    State(server): State<Server>,
    operator: Operator,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    let now = server.app.now();
    let held = server.app.list_lockouts(&operator.caller, asked.cursor.parse().ok(), ROWS + 1)?;
    let (lockouts, is_more) = cut(held);
    let next = match lockouts.last() {
        Some(last) if is_more => query(&[("cursor", &last.id.to_string())]),
        Some(_) | None => String::new(),
    };
    let notice = match asked.done.as_str() {
        "lifted" => "The lock is lifted. They may try again at once, with nothing counted against them.",
        _ => "",
    };
    let list = List {
        frame: operator.frame(&server, "operator/lockouts", notice),
        lockouts: lockouts.into_iter().map(|lockout| LockoutLook::new(lockout, now)).collect(),
        may_write: operator.may(&server, "lockouts:write"),
        next,
    };
    page(StatusCode::OK, &list)
}

/// `POST /dashboard/operator/lockouts/{id}/lift`
pub(crate) async fn lift(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    _form: Form,
) -> Result<Response, Problem> {
    server.app.lift_lockout(&operator.caller, id.parse().ok()).await?;
    Ok(see("/dashboard/operator/lockouts?done=lifted"))
}
