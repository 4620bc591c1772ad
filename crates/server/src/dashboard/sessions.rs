//! A person's own sessions.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use super::look::Moment;
use super::{Form, Frame, Person, page, see};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

/// The most that are shown.
const ROWS: u32 = 100;

struct SessionLook {
    id: String,
    is_this: bool,
    agent: String,
    ip: String,
    method: &'static str,
    begun: Moment,
    seen: Moment,
}

#[derive(Template)]
#[template(path = "dashboard/sessions.html")]
struct List {
    frame: Frame,
    sessions: Vec<SessionLook>,
}

/// `GET /dashboard/sessions`
pub(crate) async fn list(
    State(server): State<Server>,
    visitor: Person,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let now = server.app.now();
    let held = server.app.list_own_sessions(&visitor.caller, None, ROWS).await?;
    let sessions = held.into_iter().map(|session| SessionLook {
        id: session.id.to_string(),
        is_this: visitor.caller.session == Some(session.id),
        agent: session.user_agent.unwrap_or_else(|| "an unknown program".into()),
        ip: session.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        method: session.method.name(),
        begun: Moment::new(session.created_at, now),
        seen: Moment::new(session.refreshed_at.unwrap_or(session.created_at), now),
    });
    let notice = match query.as_deref() {
        Some("done=ended") => "The session has ended.",
        Some("done=others") => "Every other session has ended.",
        _ => "",
    };
    page(StatusCode::OK, &List { sessions: sessions.collect(), frame: visitor.frame(&server, "sessions", notice) })
}

/// `POST /dashboard/sessions/{id}/end`
pub(crate) async fn end(
    State(server): State<Server>,
    visitor: Person,
    Id(id): Id,
    _form: Form,
) -> Result<Response, Problem> {
    server.app.end_own_session(&visitor.caller, id.parse().ok()).await?;
    Ok(see("/dashboard/sessions?done=ended"))
}

/// `POST /dashboard/sessions/end-others`
pub(crate) async fn end_others(
    State(server): State<Server>,
    visitor: Person,
    _form: Form,
) -> Result<Response, Problem> {
    server.app.end_other_sessions(&visitor.caller).await?;
    Ok(see("/dashboard/sessions?done=others"))
}
