//! An operator proves again who they are, before what changes people.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;

use super::{Form, Frame, HOME, Operator, page, see};
use crate::Server;
use crate::dashboard::is_ours;
use crate::dashboard::look::Mistakes;
use crate::extract::Origin;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/operator/confirm.html")]
struct Confirm {
    frame: Frame,
    next: String,
    has_factor: bool,
    mistakes: Mistakes,
}

impl Confirm {
    fn new(server: &Server, operator: &Operator, next: &str) -> Self {
        Self {
            frame: operator.frame(server, "", ""),
            next: if is_ours(next) { next } else { HOME }.to_owned(),
            has_factor: operator.person().has_factor,
            mistakes: Mistakes::default(),
        }
    }
}

/// `GET /dashboard/operator/confirm`
pub(crate) async fn ask(
    State(server): State<Server>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let next = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "next");
    let next = next.map(|(_, next)| next.into_owned()).unwrap_or_default();
    page(StatusCode::OK, &Confirm::new(&server, &operator, &next))
}

/// `POST /dashboard/operator/confirm`
pub(crate) async fn confirm(
    State(server): State<Server>,
    operator: Operator,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    let again = Confirm::new(&server, &operator, form.text("next"));
    let (password, code) = (form.text("password"), form.typed("code"));
    let error = match server.app.prove_session(&operator.caller, password, code, &place).await {
        Ok(()) => return Ok(see(&again.next)),
        Err(error) => error,
    };
    let mistakes = match &error {
        Error::LoginFailed => Mistakes::beside("password", "is not your password"),
        Error::CodeWrong => Mistakes::beside("code", "is wrong, or was used before: wait for the next one"),
        Error::Invalid(_) | Error::Conflict(_) | Error::Limited(_) => Mistakes::new(&error, &["password", "code"]),
        Error::Unauthenticated
        | Error::SessionOver
        | Error::NotFound(_)
        | Error::LacksPermission(_)
        | Error::Forbidden(_)
        | Error::Unavailable(_)
        | Error::Unanswered
        | Error::Internal(_) => return Err(error.into()),
    };
    let status = Problem::from(error).status();
    // Being wrong here ends no session, and is no reason to log in anew.
    let status = if status == StatusCode::UNAUTHORIZED { StatusCode::UNPROCESSABLE_ENTITY } else { status };
    page(status, &Confirm { mistakes, ..again })
}
