//! People: the list, and one of them with what an operator may do about them.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_app::users::Person;
use keywright_core::id::UserId;
use keywright_core::session::Session;
use keywright_core::time::Time;
use keywright_store::users::UserFilter;
use serde::Deserialize;

use super::{Form, Frame, Operator, asked, confirm_first, cut, one_more, page, query, see};
use crate::Server;
use crate::dashboard::look::{Mistakes, Moment};
use crate::extract::{Id, Ids};
use crate::problem::Problem;

/// The most sessions that are shown.
const SESSIONS: u32 = 50;

/// What is asked for; what cannot be read asks for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    find: String,
    only: String,
    cursor: String,
}

impl Asked {
    fn is_filtered(&self) -> bool {
        !self.find.is_empty() || !self.only.is_empty()
    }
}

/// A person as lists and pages show them.
struct UserLook {
    id: String,
    email: String,
    email_verified: bool,
    second_factor: bool,
    is_disabled: bool,
    /// What they may do as an operator; none of whoever is no operator.
    permissions: Vec<String>,
    accounts: Vec<(String, &'static str)>,
    created: Moment,
}

impl UserLook {
    fn new(person: Person, now: Time) -> Self {
        let Person { user, memberships } = person;
        Self {
            id: user.id.to_string(),
            email_verified: user.email_verified_at.is_some(),
            second_factor: user.second_factor_at.is_some(),
            is_disabled: user.disabled_at.is_some(),
            permissions: user.operator.unwrap_or_default(),
            accounts: memberships.into_iter().map(|(account, role)| (account.to_string(), role.name())).collect(),
            created: Moment::new(user.created_at, now),
            email: user.email.unwrap_or_else(|| user.id.to_string()),
        }
    }

    fn is_operator(&self) -> bool {
        !self.permissions.is_empty()
    }
}

#[derive(Template)]
#[template(path = "dashboard/operator/users.html")]
struct List {
    frame: Frame,
    asked: Asked,
    users: Vec<UserLook>,
    /// The next page; empty on the last.
    next: String,
}

/// `GET /dashboard/operator/users`
pub(crate) async fn list(
    State(server): State<Server>,
    operator: Operator,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    let now = server.app.now();
    let filter = UserFilter {
        words: Some(asked.find.trim().to_owned()).filter(|find| !find.is_empty()),
        operators: asked.only == "operators",
        after: asked.cursor.parse().ok(),
        limit: one_more(),
    };
    let (people, is_more) = cut(server.app.list_users(&operator.caller, None, &filter).await?);
    let next = match people.last() {
        Some(last) if is_more => {
            query(&[("find", &asked.find), ("only", &asked.only), ("cursor", &last.user.id.to_string())])
        }
        Some(_) | None => String::new(),
    };
    let list = List {
        frame: operator.frame(&server, "operator/users", ""),
        users: people.into_iter().map(|person| UserLook::new(person, now)).collect(),
        next,
        asked,
    };
    page(StatusCode::OK, &list)
}

struct SessionLook {
    id: String,
    account: String,
    agent: String,
    ip: String,
    method: &'static str,
    begun: Moment,
    seen: Moment,
}

impl SessionLook {
    fn new(session: Session, now: Time) -> Self {
        Self {
            id: session.id.to_string(),
            account: session.account.to_string(),
            agent: session.user_agent.unwrap_or_else(|| "an unknown program".into()),
            ip: session.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            method: session.method.name(),
            begun: Moment::new(session.created_at, now),
            seen: Moment::new(session.refreshed_at.unwrap_or(session.created_at), now),
        }
    }
}

#[derive(Template)]
#[template(path = "dashboard/operator/user.html")]
struct One {
    frame: Frame,
    user: UserLook,
    sessions: Vec<SessionLook>,
    is_this: bool,
    may_write: bool,
    may_see_accounts: bool,
    may_see_audit: bool,
    /// Whether the operator has to prove who they are before they change anything here.
    must_prove: bool,
    /// What was typed, where it was wrong.
    typed: String,
    mistakes: Mistakes,
}

async fn about(server: &Server, operator: &Operator, id: &str, notice: &'static str) -> Result<One, Error> {
    let (id, app, now) = (user_id(id)?, &server.app, server.app.now());
    let person = app.get_user(&operator.caller, id).await?;
    let sessions = app.list_sessions(&operator.caller, Some(id), None, SESSIONS).await?;
    let user = UserLook::new(person, now);
    Ok(One {
        frame: operator.frame(server, "operator/users", notice),
        typed: if user.is_operator() { user.permissions.join(" ") } else { "*".into() },
        user,
        sessions: sessions.into_iter().map(|session| SessionLook::new(session, now)).collect(),
        is_this: operator.caller.person().is_ok_and(|own| own == id),
        may_write: operator.may(server, "users:write"),
        may_see_accounts: operator.may(server, "accounts:read"),
        may_see_audit: operator.may(server, "audit:read"),
        must_prove: operator.caller.must_prove,
        mistakes: Mistakes::default(),
    })
}

/// `GET /dashboard/operator/users/{id}`
pub(crate) async fn show(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let notice = match text.as_deref() {
        Some("done=disabled") => "They are shut out, from their next request on.",
        Some("done=enabled") => "They are let in again.",
        Some("done=reset") => "Their second factor is off, and their sessions have ended.",
        Some("done=ended") => "The session has ended.",
        Some("done=promoted") => "They are an operator, from their next request on.",
        Some("done=demoted") => "They are no operator any more, from their next request on.",
        Some(_) | None => "",
    };
    page(StatusCode::OK, &about(&server, &operator, &id, notice).await?)
}

/// The page as it is then, or again with what is wrong. Whoever has to prove who they are is sent to do so.
async fn changed<T>(
    server: &Server,
    operator: &Operator,
    id: &str,
    form: &Form,
    done: &str,
    outcome: Result<T, Error>,
) -> Result<Response, Problem> {
    let here = format!("/dashboard/operator/users/{}", user_id(id)?);
    let error = match outcome {
        Ok(_) => return Ok(see(&format!("{here}?done={done}"))),
        Err(Error::Forbidden(_)) if operator.caller.must_prove => return Ok(confirm_first(&here)),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_) | Error::Forbidden(_))) => error,
        Err(other) => return Err(other.into()),
    };
    let mistakes = Mistakes::new(&error, &["operator_permissions"]);
    let mut again = about(server, operator, id, "").await?;
    again.typed = form.typed("permissions").map_or(again.typed, str::to_owned);
    page(Problem::from(error).status(), &One { mistakes, ..again })
}

/// `POST /dashboard/operator/users/{id}/disable`
pub(crate) async fn disable(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let outcome = server.app.set_user_disabled(&operator.caller, user_id(&id)?, true).await;
    changed(&server, &operator, &id, &form, "disabled", outcome).await
}

/// `POST /dashboard/operator/users/{id}/enable`
pub(crate) async fn enable(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let outcome = server.app.set_user_disabled(&operator.caller, user_id(&id)?, false).await;
    changed(&server, &operator, &id, &form, "enabled", outcome).await
}

/// `POST /dashboard/operator/users/{id}/reset-2fa`
pub(crate) async fn reset_factor(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let outcome = server.app.reset_factor(&operator.caller, user_id(&id)?).await;
    changed(&server, &operator, &id, &form, "reset", outcome).await
}

/// `POST /dashboard/operator/users/{id}/promote`
pub(crate) async fn promote(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let typed = form.text("permissions").split([' ', ',', '\n']).filter(|word| !word.is_empty());
    let permissions: Vec<String> = typed.map(str::to_owned).collect();
    let outcome = server.app.promote_user(&operator.caller, user_id(&id)?, &permissions).await;
    changed(&server, &operator, &id, &form, "promoted", outcome).await
}

/// `POST /dashboard/operator/users/{id}/demote`
pub(crate) async fn demote(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let outcome = server.app.demote_user(&operator.caller, user_id(&id)?).await;
    changed(&server, &operator, &id, &form, "demoted", outcome).await
}

/// `POST /dashboard/operator/users/{id}/sessions/{session_id}/end`
pub(crate) async fn end_session(
    State(server): State<Server>,
    operator: Operator,
    Ids(id, session): Ids,
    form: Form,
) -> Result<Response, Problem> {
    let outcome = server.app.end_session(&operator.caller, Some(user_id(&id)?), session.parse().ok()).await;
    changed(&server, &operator, &id, &form, "ended", outcome).await
}

fn user_id(text: &str) -> Result<UserId, Error> {
    text.parse().map_err(|_| Error::NotFound("user"))
}
