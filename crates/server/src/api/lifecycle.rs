//! `/v1/keys/{id}/…`: what happens to a key in its life.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use keywright_app::keys::Rotated;
use keywright_core::time::Span;
use serde::Deserialize;

use super::keys::key_id;
use super::view::{KeyView, KeyWithPlaintext, RotatedView};
use crate::Server;
use crate::extract::{Id, Json, Who};
use crate::problem::Problem;

/// How long the secret before goes on working.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotate {
    pub(crate) grace: Option<Span>,
}

/// `POST /v1/keys/{id}/rotate`
pub(crate) async fn rotate(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(Rotate { grace }): Json<Rotate>,
) -> Result<Response, Problem> {
    let rotated = server.app.rotate_key(&who.caller, key_id(&id)?, grace).await?;
    Ok(rotated_answer(&server, rotated))
}

/// A rotated key with its new plaintext, this once.
pub(crate) fn rotated_answer(server: &Server, rotated: Rotated) -> Response {
    let Rotated { key, plain, old_prefix, old_expires_at } = rotated;
    let view = KeyView::new(key, &server.app.world().policy, server.app.now());
    let rotated = Some(RotatedView { old_prefix, old_expires_at });
    let body = KeyWithPlaintext { view, key: Some(plain.reveal()), rotated };
    let mut response = axum::Json(body).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// How long the earlier secrets work from now; `0s` ends them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grace {
    grace: Span,
}

/// `POST /v1/keys/{id}/grace`
pub(crate) async fn set_grace(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(Grace { grace }): Json<Grace>,
) -> Result<axum::Json<KeyView>, Problem> {
    let key = server.app.set_grace(&who.caller, key_id(&id)?, grace).await?;
    Ok(axum::Json(KeyView::new(key, &server.app.world().policy, server.app.now())))
}

/// `POST /v1/keys/{id}/enable`
pub(crate) async fn enable(server: State<Server>, who: Who, id: Id) -> Result<axum::Json<KeyView>, Problem> {
    set_enabled(server, who, id, true).await
}

/// `POST /v1/keys/{id}/disable`
pub(crate) async fn disable(server: State<Server>, who: Who, id: Id) -> Result<axum::Json<KeyView>, Problem> {
    set_enabled(server, who, id, false).await
}

async fn set_enabled(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    enabled: bool,
) -> Result<axum::Json<KeyView>, Problem> {
    let key = server.app.set_key_enabled(&who.caller, key_id(&id)?, enabled).await?;
    Ok(axum::Json(KeyView::new(key, &server.app.world().policy, server.app.now())))
}
