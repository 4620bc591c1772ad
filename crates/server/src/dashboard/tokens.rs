//! A person's own tokens: keys of the kinds the policy calls personal, which do no more than their person may.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::keys::{RowLook, looks};
use super::{Frame, Visitor, page};
use crate::Server;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/tokens.html")]
struct Tokens {
    frame: Frame,
    tokens: Vec<RowLook>,
    /// Kinds to make one of: their names and what they are for.
    kinds: Vec<(String, String)>,
    may_write: bool,
}

/// `GET /dashboard/tokens`
pub(crate) async fn list(State(server): State<Server>, visitor: Visitor) -> Result<Response, Problem> {
    let held = server.app.list_personal_keys(&visitor.caller).await?;
    let kinds = super::keys::kinds(&server).filter(|kind| kind.personal);
    let tokens = Tokens {
        frame: visitor.frame(&server, "tokens", ""),
        tokens: looks(&server, &visitor, held, server.app.now()).await?,
        kinds: kinds.map(|kind| (kind.name.clone(), kind.about.clone())).collect(),
        may_write: visitor.may(&server, "keys:write"),
    };
    page(StatusCode::OK, &tokens)
}
