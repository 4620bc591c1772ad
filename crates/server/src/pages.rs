//! The pages that links in mails lead to, where the policy names no others: a form each, which works without a script.
//!
//! What must stay true: following a link changes nothing, for mail scanners follow them, too; a ticket stands in no header
//! that leaves the page (no referrer) and in no cache.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use keywright_app::error::Error;

use crate::Server;
use crate::dashboard::{POLICY, Service, service};
use crate::extract::{Origin, form};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    service: Service,
    title: &'static str,
    text: String,
    form: Option<Form>,
}

struct Form {
    action: &'static str,
    token: String,
    button: &'static str,
    /// What is chosen in it.
    password: Password,
    /// What was wrong with what was sent.
    wrong: String,
}

/// Whether a form has a password in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Password {
    No,
    /// Another one takes the place of the present one: that takes a code where the second factor is on.
    Another,
    /// Of somebody new, who may have one already.
    First,
}

impl Page {
    fn answer(&self, status: StatusCode) -> Result<Response, Problem> {
        let html = self.render().map_err(|_| Problem::new("INTERNAL", "the page could not be written"))?;
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-store"),
        ];
        Ok((status, headers, html).into_response())
    }
}

/// What came of a form: a page that says so, or the form again with what is wrong.
fn outcome(server: &Server, done: Result<(), Error>, said: &'static str, form: Form) -> Result<Response, Problem> {
    let Err(error) = done else {
        let page = Page { service: service(server), title: "Done", text: said.into(), form: None };
        return page.answer(StatusCode::OK);
    };
    let mut wrong = error.to_string();
    if let Error::Invalid(fields) = &error {
        // There is one field to see: its name would be in the way.
        wrong = fields.iter().map(|wrong| wrong.reason.clone()).collect::<Vec<_>>().join("; ");
    }
    let status = Problem::from(error).status();
    let (title, text) = (form.button, String::new());
    Page { service: service(server), title, text, form: Some(Form { wrong, ..form }) }.answer(status)
}

fn token(query: Option<&str>) -> String {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default();
    pairs.into_iter().find(|(name, _)| name == "token").map(|(_, token)| token).unwrap_or_default()
}

fn verification(token: String) -> Form {
    Form {
        action: "/verify-email",
        token,
        button: "Confirm your address",
        password: Password::No,
        wrong: String::new(),
    }
}

fn reset(token: String) -> Form {
    Form {
        action: "/reset-password",
        token,
        button: "Choose another password",
        password: Password::Another,
        wrong: String::new(),
    }
}

/// `GET /verify-email`
pub(crate) async fn verify_email(State(server): State<Server>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let form = verification(token(query.as_deref()));
    let text = "One click, and we know that mail to this address reaches you.".into();
    Page { service: service(&server), title: form.button, text, form: Some(form) }.answer(StatusCode::OK)
}

/// `POST /verify-email`
pub(crate) async fn verified_email(
    State(server): State<Server>,
    Origin(place): Origin,
    request: Request,
) -> Result<Response, Problem> {
    let sent: BTreeMap<String, String> = form(request).await?;
    let token = sent.get("token").cloned().unwrap_or_default();
    let done = server.app.verify_email(&token, place).await;
    outcome(&server, done, "Your address is confirmed.", verification(token))
}

/// `GET /reset-password`
pub(crate) async fn reset_password(
    State(server): State<Server>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let form = reset(token(query.as_deref()));
    let text =
        "Fifteen characters or more: a few words that do not belong together do. Where your second factor is on, it \
                takes a code, too. Every session of yours ends."
            .into();
    Page { service: service(&server), title: form.button, text, form: Some(form) }.answer(StatusCode::OK)
}

/// `POST /reset-password`
pub(crate) async fn password_reset(
    State(server): State<Server>,
    Origin(place): Origin,
    request: Request,
) -> Result<Response, Problem> {
    let sent: BTreeMap<String, String> = form(request).await?;
    let field = |name: &str| sent.get(name).cloned().unwrap_or_default();
    let (token, password, code) = (field("token"), field("new_password"), field("code"));
    let code = Some(code.as_str()).filter(|code| !code.is_empty());
    let done = server.app.reset_password(&token, &password, code, place).await;
    outcome(&server, done, "You have another password.", reset(token))
}

fn joining(token: String) -> Form {
    Form { action: "/join", token, button: "Join", password: Password::First, wrong: String::new() }
}

/// `GET /join`
pub(crate) async fn join(State(server): State<Server>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let form = joining(token(query.as_deref()));
    let text = "Are you new here? Then choose a password: fifteen characters or more, a few words that do not belong together \
                do. If you have an account, leave it empty and keep the one you have."
        .into();
    Page { service: service(&server), title: "You are invited", text, form: Some(form) }.answer(StatusCode::OK)
}

/// `POST /join`
pub(crate) async fn joined(
    State(server): State<Server>,
    Origin(place): Origin,
    request: Request,
) -> Result<Response, Problem> {
    let sent: BTreeMap<String, String> = form(request).await?;
    let field = |name: &str| sent.get(name).cloned().unwrap_or_default();
    let (token, password) = (field("token"), field("new_password"));
    let password = Some(password.as_str()).filter(|password| !password.is_empty());
    let done = server.app.accept_invitation(&token, password, place).await.map(drop);
    outcome(&server, done, "You belong to the account now.", joining(token))
}
