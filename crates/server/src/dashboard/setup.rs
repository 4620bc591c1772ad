//! The page a set-up link leads to, on which the first operator is made.
//!
//! What must stay true: the token stands in no header that leaves the page, and in no cache; following the link changes
//! nothing; the form comes from this very page.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::header::REFERRER_POLICY;
use http::{HeaderValue, StatusCode};
use keywright_app::error::Error;
use keywright_app::setup::SetUp;
use keywright_core::setup::SetupState;

use super::brand::{Service, service};
use super::look::Mistakes;
use super::{Form, login, page};
use crate::Server;
use crate::extract::Origin;
use crate::problem::Problem;

/// Where the first operator goes on: to the second factor, which is offered before anything else.
const NEXT: &str = "/dashboard/security?done=set-up";

#[derive(Template)]
#[template(path = "dashboard/setup.html")]
struct SetUpPage {
    service: Service,
    /// What the form is sent with; empty where there is none.
    token: String,
    /// What is wrong with the link, and what to do.
    closed: &'static str,
    /// Whether there is somebody to log in.
    is_set_up: bool,
    email: String,
    mistakes: Mistakes,
}

const USED: &str = "This link has been used: there is an operator. A set-up link makes one person, once.";
const OVER: &str = "This link is over. One is good for a day.";
const UNKNOWN: &str = "This is no set-up link of this server, or a newer one took its place.";

/// The page for a link that stands so.
async fn about(server: &Server, token: &str, state: Option<SetupState>) -> Result<(StatusCode, SetUpPage), Error> {
    let (status, closed) = match state {
        Some(SetupState::Open) => (StatusCode::OK, ""),
        Some(SetupState::Used) => (StatusCode::GONE, USED),
        Some(SetupState::Over) => (StatusCode::GONE, OVER),
        None => (StatusCode::NOT_FOUND, UNKNOWN),
    };
    let set_up = SetUpPage {
        service: service(server),
        token: if closed.is_empty() { token.to_owned() } else { String::new() },
        closed,
        // Whoever shows no link of ours is told nothing of the server.
        is_set_up: !closed.is_empty() && state.is_some() && server.app.has_operator().await?,
        email: String::new(),
        mistakes: Mistakes::default(),
    };
    Ok((status, set_up))
}

fn shown(status: StatusCode, set_up: &SetUpPage) -> Result<Response, Problem> {
    let mut response = page(status, set_up)?;
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// `GET /setup`
pub(crate) async fn ask(
    State(server): State<Server>,
    Origin(place): Origin,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    let token = token.map(|(_, token)| token.into_owned()).unwrap_or_default();
    let state = server.app.setup_state(&token, &place).await?;
    let (status, page) = about(&server, &token, state).await?;
    shown(status, &page)
}

/// `POST /setup`
pub(crate) async fn set_up(
    State(server): State<Server>,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    let (token, email) = (form.text("token"), form.text("email"));
    let error = match server.app.set_up(token, email, form.text("password"), &place).await {
        Ok(SetUp::Done(session)) => return login::enter(&server, &session, super::see(NEXT)),
        Ok(SetUp::Closed(state)) => {
            let (status, closed) = about(&server, token, state).await?;
            return shown(status, &closed);
        }
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => error,
        Err(other) => return Err(other.into()),
    };
    let (_, again) = about(&server, token, Some(SetupState::Open)).await?;
    let mistakes = Mistakes::new(&error, &["email", "password"]);
    shown(Problem::from(error).status(), &SetUpPage { email: email.into(), mistakes, ..again })
}
