//! `/api/v1/dashboard/api-keys`: the service keys of an account, for whoever manages them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keywright_app::account_keys::KeyApi;
use keywright_app::error::Error;
use keywright_core::draft::Draft;
use keywright_core::id::KeyId;
use keywright_core::ip::IpAllowlist;
use keywright_core::key::{Key, Status};
use keywright_core::policy::Policy;
use keywright_core::time::Time;
use serde::{Deserialize, Serialize};

use super::{ACCOUNT, Deleted, REVOKED, SERVICE, WARNING};
use crate::Server;
use crate::api::keys::key_id;
use crate::api::lifecycle::Rotate;
use crate::extract::{Id, Json, Who};
use crate::problem::Problem;

const KEYS: KeyApi = KeyApi { kinds: &[SERVICE, ACCOUNT], reading: "keys:read", writing: "keys:write" };

/// What may be shown of a key.
#[derive(Serialize)]
pub(crate) struct KeyView {
    id: KeyId,
    name: String,
    description: String,
    services: Vec<String>,
    key_prefix: String,
    masked_key: String,
    ip_allowlist: IpAllowlist,
    status: Status,
    rotation_due: bool,
    created_at: Time,
    last_used_at: Option<Time>,
}

impl KeyView {
    fn new(key: Key, policy: &Policy, now: Time) -> Self {
        let due = policy.kind(&key.kind).and_then(|(_, kind)| kind.rotation_due);
        Self {
            id: key.id,
            status: key.status(now),
            rotation_due: key.rotation_due(due, now),
            masked_key: format!("{}…{}", key.prefix, key.last_four),
            created_at: key.created_at,
            last_used_at: key.last_use.map(|used| used.at),
            name: key.name,
            description: key.description,
            services: key.services,
            key_prefix: key.prefix,
            ip_allowlist: key.ip_allowlist,
        }
    }
}

/// A key with its plaintext, this once.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    #[serde(flatten)]
    view: KeyView,
    #[serde(flatten)]
    rotated: Option<Rotated>,
    warning: &'static str,
}

/// What became of the secret before.
#[derive(Serialize)]
struct Rotated {
    old_key_prefix: String,
    grace_period_ends_at: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    #[serde(default)]
    name: String,
    service: Option<String>,
    #[serde(default)]
    services: Vec<String>,
    description: Option<String>,
    #[serde(default)]
    ip_allowlist: IpAllowlist,
}

/// `POST /api/v1/dashboard/api-keys`
pub(crate) async fn create(
    State(server): State<Server>,
    who: Who,
    Json(Create { name, service, mut services, description, ip_allowlist }): Json<Create>,
) -> Result<Response, Problem> {
    if name.trim().is_empty() {
        return Err(Error::invalid("name", "is required: say what the key is for, as in Nightly backup").into());
    }
    services.extend(service);
    let description = description.unwrap_or_default();
    let draft = Draft { name, description, services, ip_allowlist, ..Draft::default() };
    let made = server.app.create_account_key(&who.caller, KEYS, SERVICE, draft).await?;
    let plain = made.plain.as_ref().ok_or_else(|| Error::Internal("a new key has no plaintext".into()))?;
    let view = KeyView::new(made.key, &server.app.world().policy, server.app.now());
    let body = Shown { key: plain.reveal(), view, rotated: None, warning: WARNING };
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

/// `GET /api/v1/dashboard/api-keys`
pub(crate) async fn list(State(server): State<Server>, who: Who) -> Result<axum::Json<Vec<KeyView>>, Problem> {
    let keys = server.app.list_account_keys(&who.caller, KEYS).await?;
    let (world, now) = (server.app.world(), server.app.now());
    Ok(axum::Json(keys.into_iter().map(|key| KeyView::new(key, &world.policy, now)).collect()))
}

/// `DELETE /api/v1/dashboard/api-keys/{id}`
pub(crate) async fn revoke(State(server): State<Server>, who: Who, Id(id): Id) -> Result<axum::Json<Deleted>, Problem> {
    server.app.revoke_account_key(&who.caller, KEYS, key_id(&id)?).await?;
    Ok(axum::Json(REVOKED))
}

/// `POST /api/v1/dashboard/api-keys/{id}/rotate`
pub(crate) async fn rotate(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(Rotate { grace }): Json<Rotate>,
) -> Result<Response, Problem> {
    let rotated = server.app.rotate_account_key(&who.caller, KEYS, key_id(&id)?, grace).await?;
    let view = KeyView::new(rotated.key, &server.app.world().policy, server.app.now());
    let before = Rotated { old_key_prefix: rotated.old_prefix, grace_period_ends_at: rotated.old_expires_at };
    let body = Shown { key: rotated.plain.reveal(), view, rotated: Some(before), warning: WARNING };
    Ok(axum::Json(body).into_response())
}
