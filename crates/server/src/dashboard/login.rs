//! Logging in and out (contract row WC1).

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use http::header::SET_COOKIE;
use keywright_app::error::Error;
use keywright_app::logins::{Attempt, Entry, LoggedIn};
use keywright_core::session::Session;

use super::brand::{Service, service};
use super::kept::{self, Kept};
use super::look::sentence;
use super::{Form, HOME, Person, cookie, is_ours, page, see};
use crate::Server;
use crate::extract::Origin;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/login.html")]
pub(super) struct Login {
    service: Service,
    next: String,
    email: String,
    wrong: String,
    /// What the second step goes on with; empty on the first.
    challenge: String,
    is_open: bool,
    /// A form that came when the session was over.
    kept: Vec<(String, String)>,
}

impl Login {
    pub(super) fn new(server: &Server, next: &str) -> Self {
        Self {
            service: service(server),
            next: if is_ours(next) { next } else { HOME }.to_owned(),
            email: String::new(),
            wrong: String::new(),
            challenge: String::new(),
            is_open: server.app.world().policy.login.is_open,
            kept: Vec::new(),
        }
    }

    pub(super) fn keeping(self, kept: Vec<(String, String)>) -> Self {
        Self { kept, ..self }
    }
}

/// `GET /dashboard/login`
pub(crate) async fn login(
    State(server): State<Server>,
    visitor: Result<Person, Response>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = query.unwrap_or_default();
    let next = form_urlencoded::parse(asked.as_bytes()).find(|(name, _)| name == "next");
    let next = next.map(|(_, next)| next.into_owned()).unwrap_or_default();
    let login = Login::new(&server, &next);
    // Somebody who is in already has no use for this page.
    if visitor.is_ok() {
        return Ok(see(&login.next));
    }
    page(StatusCode::OK, &login)
}

/// `POST /dashboard/login`
pub(crate) async fn log_in(
    State(server): State<Server>,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    let mut again = Login::new(&server, form.text("next")).keeping(kept::fields(&form));
    let challenge = form.text("challenge");
    let attempt = match challenge {
        "" => Attempt::Password { email: form.text("email"), password: form.text("password") },
        challenge => Attempt::Challenge(challenge),
    };
    let code = form.typed("code");
    if !challenge.is_empty() && code.is_none() {
        let wrong = "Type the six digits your authenticator shows, or a backup code.".to_owned();
        return page(StatusCode::UNPROCESSABLE_ENTITY, &Login { challenge: challenge.into(), wrong, ..again });
    }
    again.email = form.text("email").into();
    match server.app.log_in(attempt, code, Entry::Pages, place).await {
        Ok(LoggedIn::In(tokens)) if again.kept.is_empty() => enter(&server, &tokens.session, see(&again.next)),
        Ok(LoggedIn::In(tokens)) => {
            let kept = Kept { service: again.service, path: again.next, fields: again.kept };
            enter(&server, &tokens.session, page(StatusCode::OK, &kept)?)
        }
        Ok(LoggedIn::NeedsCode { challenge, .. }) => {
            page(StatusCode::OK, &Login { challenge: challenge.reveal().into(), ..again })
        }
        Err(error) => {
            let (status, wrong) = (Problem::from(error.clone()).status(), told(&error));
            // A challenge that is over leads back to the first step.
            let challenge = if matches!(error, Error::CodeWrong | Error::Limited(_)) { challenge } else { "" };
            page(status, &Login { challenge: challenge.into(), wrong, ..again })
        }
    }
}

/// What went wrong, in a sentence.
fn told(error: &Error) -> String {
    let Error::Invalid(fields) = error else { return sentence(&error.to_string()) };
    fields.iter().map(|wrong| format!("The {} {}.", wrong.field, wrong.reason)).collect::<Vec<_>>().join(" ")
}

/// Has the browser keep a session with an answer.
pub(super) fn enter(server: &Server, session: &Session, mut response: Response) -> Result<Response, Problem> {
    let seconds = session.ends_at.since(session.created_at) / 1_000;
    let kept = cookie::keep(&server.app.browser_cookie(session), seconds);
    let kept = kept.ok_or_else(|| Error::Internal("a session has no cookie".into()))?;
    response.headers_mut().insert(SET_COOKIE, kept);
    Ok(response)
}

/// `POST /dashboard/account`
pub(crate) async fn switch(
    State(server): State<Server>,
    visitor: Person,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    let account = form.text("account_id").parse().map_err(|_| Error::NotFound("account"))?;
    let session = server.app.switch_account(&visitor.caller, account, &place).await?;
    enter(&server, &session, see(HOME))
}

/// `POST /dashboard/logout`
pub(crate) async fn log_out(
    State(server): State<Server>,
    visitor: Result<Person, Response>,
    _form: Form,
) -> Result<Response, Problem> {
    if let Ok(visitor) = visitor {
        server.app.log_out(&visitor.caller).await?;
    }
    let mut response = see("/dashboard/login");
    response.headers_mut().insert(SET_COOKIE, cookie::forget());
    Ok(response)
}
