//! `/v1/keys/self`: the key a request is made with.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::lifecycle::{Rotate, rotated_answer};
use super::view::KeyView;
use crate::Server;
use crate::extract::{Json, Who};
use crate::problem::Problem;

/// `GET /v1/keys/self`
pub(crate) async fn get(State(server): State<Server>, who: Who) -> Result<axum::Json<KeyView>, Problem> {
    let key = server.app.get_own_key(&who.caller, who.own()?).await?;
    Ok(axum::Json(KeyView::new(key, &server.app.world().policy, server.app.now())))
}

/// `DELETE /v1/keys/self`
pub(crate) async fn revoke(State(server): State<Server>, who: Who) -> Result<StatusCode, Problem> {
    server.app.revoke_own_key(&who.caller, who.own()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/keys/self/rotate`
pub(crate) async fn rotate(
    State(server): State<Server>,
    who: Who,
    Json(Rotate { grace }): Json<Rotate>,
) -> Result<Response, Problem> {
    let rotated = server.app.rotate_own_key(&who.caller, who.own()?, grace).await?;
    Ok(rotated_answer(&server, rotated))
}
