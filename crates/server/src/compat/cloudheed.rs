//! Cloudheed: `/v1/auth/api-keys`, the keys of an account, for its people.
//!
//! Its page documents what is sent and that the key comes back once; names of what comes back are ours, and errors are
//! RFC 9457.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use keywright_app::account_keys::KeyApi;
use keywright_app::error::Error;
use keywright_core::draft::Draft;
use keywright_core::id::KeyId;
use keywright_core::key::{Key, Status};
use keywright_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::Server;
use crate::api::keys::key_id;
use crate::api::page::Page;
use crate::extract::{Id, Json, Who};
use crate::problem::Problem;

const KIND: &str = "cloudheed";
const KEYS: KeyApi = KeyApi { kinds: &[KIND], reading: "keys:read", writing: "keys:write" };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    #[serde(default)]
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    expires_in: Option<Span>,
}

/// What may be shown of a key.
#[derive(Serialize)]
pub(crate) struct KeyView {
    id: KeyId,
    name: String,
    prefix: String,
    scopes: Vec<String>,
    status: Status,
    created_at: Time,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
}

impl KeyView {
    fn new(key: Key, now: Time) -> Self {
        Self {
            id: key.id,
            status: key.status(now),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_use.map(|used| used.at),
            name: key.name,
            prefix: key.prefix,
            scopes: key.permissions,
        }
    }
}

/// A key with its plaintext, this once.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    #[serde(flatten)]
    view: KeyView,
}

/// `POST /v1/auth/api-keys`
pub(crate) async fn create(
    State(server): State<Server>,
    who: Who,
    Json(Create { name, scopes, expires_in }): Json<Create>,
) -> Result<Response, Problem> {
    if name.trim().is_empty() {
        return Err(Error::invalid("name", "is required: say what the key is for, as in Production Key").into());
    }
    if scopes.is_empty() {
        return Err(Error::invalid("scopes", "is required: name what the key may do, as in databases:read").into());
    }
    let draft = Draft { name, permissions: scopes, expires_in, ..Draft::default() };
    let made = server.app.create_account_key(&who.caller, KEYS, KIND, draft).await.map_err(as_scopes)?;
    let plain = made.plain.as_ref().ok_or_else(|| Error::Internal("a new key has no plaintext".into()))?;
    let body = Shown { key: plain.reveal(), view: KeyView::new(made.key, server.app.now()) };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

/// Permissions are scopes here.
fn as_scopes(error: Error) -> Error {
    let Error::Invalid(mut errors) = error else { return error };
    for wrong in errors.iter_mut().filter(|wrong| wrong.field == "permissions") {
        wrong.field = "scopes".into();
    }
    Error::Invalid(errors)
}

/// `GET /v1/auth/api-keys`
pub(crate) async fn list(State(server): State<Server>, who: Who) -> Result<axum::Json<Page<KeyView>>, Problem> {
    let keys = server.app.list_account_keys(&who.caller, KEYS).await?;
    let now = server.app.now();
    let data = keys.into_iter().map(|key| KeyView::new(key, now)).collect();
    Ok(axum::Json(Page { data, next_cursor: None }))
}

/// `DELETE /v1/auth/api-keys/{id}`
pub(crate) async fn revoke(State(server): State<Server>, who: Who, Id(id): Id) -> Result<StatusCode, Problem> {
    server.app.revoke_account_key(&who.caller, KEYS, key_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
