//! A form that came when its sender's session was over: kept in the login page, and handed back once they are in again.
//!
//! It is kept in the browser and nowhere else. What must stay true: only a form that a page of ours sent is kept, and it is
//! sent on by its sender, who sees it first.

use askama::Template;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::brand::Service;
use super::login::Login;
use super::{Form, Visitor, page};
use crate::Server;

/// What the names of kept fields begin with, among those of the login.
const PREFIX: &str = "kept.";

/// Fields that pages send of themselves.
const THEIR_OWN: [&str; 2] = ["once", "version"];

/// A form that somebody typed, and who.
pub(crate) struct Sent {
    pub(super) visitor: Visitor,
    pub(super) form: Form,
}

impl FromRequest<Server> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, server: &Server) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, server).await;
        let path = parts.uri.path().to_owned();
        let form = Form::from_request(Request::from_parts(parts, body), server).await;
        match (visitor, form) {
            (Ok(visitor), Ok(form)) => Ok(Self { visitor, form }),
            (Ok(_), Err(problem)) => Err(problem.into_response()),
            // Whoever has no session is told so, whatever was sent; a form of a page of ours is kept.
            (Err(answer), Ok(form)) if answer.status() == StatusCode::SEE_OTHER => {
                let login = Login::new(server, &path).keeping(form.into_fields());
                Err(page(StatusCode::UNAUTHORIZED, &login).into_response())
            }
            (Err(answer), _) => Err(answer),
        }
    }
}

/// The fields a login form has kept.
pub(super) fn fields(login: &Form) -> Vec<(String, String)> {
    let kept = login.fields().iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
    kept.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// What was kept, for its sender to look at and send.
#[derive(Template)]
#[template(path = "dashboard/kept.html")]
pub(super) struct Kept {
    pub(super) service: Service,
    /// Where it goes.
    pub(super) path: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Kept {
    /// What somebody typed, as it is shown: without what pages send of themselves.
    fn typed(&self) -> impl Iterator<Item = &(String, String)> {
        self.fields.iter().filter(|(name, value)| !THEIR_OWN.contains(&name.as_str()) && !value.is_empty())
    }
}
