//! `/api/v1/user/api-keys`: keys that people make, with a session.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use keywright_app::error::Error;
use keywright_core::draft::Draft;
use keywright_core::id::KeyId;
use serde::{Deserialize, Serialize};

use super::{KEY, KEYS};
use crate::Server;
use crate::api::keys::key_id;
use crate::compat::Seconds;
use crate::extract::{Id, Json, Who};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    environment: Option<String>,
    role: Option<String>,
}

/// A key with its plaintext, this once.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    id: KeyId,
    prefix: &'a str,
    created_at: Seconds,
    environment: Option<&'a str>,
}

/// `POST /api/v1/user/api-keys`
///
/// Left out, the environment and the role are the first of the kind's.
pub(crate) async fn create(
    State(server): State<Server>,
    who: Who,
    Json(Create { environment, role }): Json<Create>,
) -> Result<Response, Problem> {
    who.caller.person()?;
    let draft = Draft { environment, role, ..Draft::default() };
    let made = server.app.create_account_key(&who.caller, KEYS, KEY, draft).await?;
    let plain = made.plain.as_ref().ok_or_else(|| Error::Internal("a new key has no plaintext".into()))?;
    let key = &made.key;
    let body = Shown {
        key: plain.reveal(),
        id: key.id,
        prefix: &key.prefix,
        created_at: Seconds(key.created_at),
        environment: key.environment.as_deref(),
    };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

/// `DELETE /api/v1/user/api-keys/{id}`
pub(crate) async fn revoke(State(server): State<Server>, who: Who, Id(id): Id) -> Result<StatusCode, Problem> {
    who.caller.person()?;
    server.app.revoke_account_key(&who.caller, KEYS, key_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
