//! `/v1/account/…`: an account's profile, keys, SSH keys and services, with a personal access token.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keywright_app::account_keys::{KeyApi, TokenDraft};
use keywright_app::error::Error;
use keywright_app::ssh_keys::SshKeyDraft;
use keywright_core::account::{Account, CustomerType};
use keywright_core::draft::Draft;
use keywright_core::id::{AccountId, KeyId, ServiceId, SshKeyId};
use keywright_core::key::{Key, Metadata, Status};
use keywright_core::policy::Policy;
use keywright_core::registry::Registered;
use keywright_core::ssh::SshKey;
use keywright_core::time::Time;
use serde::{Deserialize, Serialize};

use super::{ACCOUNT, Deleted, PAT, REVOKED, SERVICE, key_type, new_key, renamed};
use crate::Server;
use crate::api::keys::key_id;
use crate::compat::Seconds;
use crate::extract::{Id, Json, Who};
use crate::problem::Problem;

const KEYS: KeyApi = KeyApi { kinds: &[SERVICE, ACCOUNT, PAT], reading: "api_keys:read", writing: "api_keys:write" };

#[derive(Serialize)]
pub(crate) struct ProfileView {
    customer_id: AccountId,
    email: String,
    first_name: String,
    last_name: String,
    company: String,
    customer_type: CustomerType,
    status: &'static str,
    created_at: Seconds,
}

impl From<Account> for ProfileView {
    fn from(account: Account) -> Self {
        let profile = account.profile;
        Self {
            customer_id: account.id,
            email: profile.email,
            first_name: profile.first_name,
            last_name: profile.last_name,
            company: profile.company,
            customer_type: profile.customer_type,
            status: account.standing.name(),
            created_at: Seconds(account.created_at),
        }
    }
}

/// `GET /v1/account/profile`
pub(crate) async fn profile(State(server): State<Server>, who: Who) -> Result<axum::Json<ProfileView>, Problem> {
    Ok(axum::Json(server.app.get_profile(&who.caller).await?.into()))
}

#[derive(Serialize)]
pub(crate) struct KeyView {
    id: KeyId,
    key_prefix: String,
    key_type: &'static str,
    service: Option<String>,
    description: String,
    scopes: Vec<String>,
    is_active: bool,
    created_at: Seconds,
    last_used_at: Option<Seconds>,
}

impl KeyView {
    fn new(key: Key, policy: &Policy, now: Time) -> Self {
        let kind = policy.kind(&key.kind).map(|(_, kind)| kind);
        Self {
            id: key.id,
            key_type: key_type(&key.kind),
            service: kind.and_then(|kind| kind.service_part(&key.services)).map(str::to_owned),
            scopes: policy.grants(&key),
            is_active: key.status(now) == Status::Active,
            created_at: Seconds(key.created_at),
            last_used_at: key.last_use.map(|used| Seconds(used.at)),
            key_prefix: key.prefix,
            description: key.description,
        }
    }
}

/// `GET /v1/account/api-keys`
pub(crate) async fn list_keys(State(server): State<Server>, who: Who) -> Result<axum::Json<Vec<KeyView>>, Problem> {
    let keys = server.app.list_account_keys(&who.caller, KEYS).await?;
    let (world, now) = (server.app.world(), server.app.now());
    Ok(axum::Json(keys.into_iter().map(|key| KeyView::new(key, &world.policy, now)).collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceKey {
    service: String,
    description: Option<String>,
}

/// `POST /v1/account/api-keys/service`
pub(crate) async fn create_service_key(
    State(server): State<Server>,
    who: Who,
    Json(ServiceKey { service, description }): Json<ServiceKey>,
) -> Result<Response, Problem> {
    let draft = Draft { services: vec![service], description: description.unwrap_or_default(), ..Draft::default() };
    let made = server.app.create_service_key(&who.caller, KEYS, ACCOUNT, draft).await;
    new_key(&made.map_err(|error| renamed(error, &[("services", "service")]))?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessToken {
    scopes: Vec<String>,
    description: Option<String>,
    expires_in_days: Option<u32>,
}

/// `POST /v1/account/api-keys/pat`
pub(crate) async fn create_pat(
    State(server): State<Server>,
    who: Who,
    Json(AccessToken { scopes, description, expires_in_days }): Json<AccessToken>,
) -> Result<Response, Problem> {
    let draft = TokenDraft { scopes, description: description.unwrap_or_default(), expires_in_days };
    let made = server.app.create_access_token(&who.caller, KEYS, PAT, draft).await;
    let names = [("permissions", "scopes"), ("expires_in", "expires_in_days")];
    new_key(&made.map_err(|error| renamed(error, &names))?)
}

/// `DELETE /v1/account/api-keys/{id}`
pub(crate) async fn revoke_key(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
) -> Result<axum::Json<Deleted>, Problem> {
    server.app.revoke_account_key(&who.caller, KEYS, key_id(&id)?).await?;
    Ok(axum::Json(REVOKED))
}

#[derive(Serialize)]
pub(crate) struct SshKeyView {
    id: SshKeyId,
    name: String,
    fingerprint: String,
    key_type: String,
    created_at: Seconds,
    vm_count: i64,
}

impl SshKeyView {
    fn new(key: SshKey, vm_count: i64) -> Self {
        let SshKey { id, name, fingerprint, key_type, created_at, .. } = key;
        Self { id, name, fingerprint, key_type, created_at: Seconds(created_at), vm_count }
    }
}

/// `GET /v1/account/ssh-keys`
pub(crate) async fn list_ssh_keys(
    State(server): State<Server>,
    who: Who,
) -> Result<axum::Json<Vec<SshKeyView>>, Problem> {
    let keys = server.app.list_ssh_keys(&who.caller).await?;
    Ok(axum::Json(keys.into_iter().map(|(key, vm_count)| SshKeyView::new(key, vm_count)).collect()))
}

/// `POST /v1/account/ssh-keys`
pub(crate) async fn create_ssh_key(
    State(server): State<Server>,
    who: Who,
    Json(draft): Json<SshKeyDraft>,
) -> Result<Response, Problem> {
    let key = server.app.create_ssh_key(&who.caller, draft).await?;
    Ok((StatusCode::CREATED, axum::Json(SshKeyView::new(key, 0))).into_response())
}

/// `DELETE /v1/account/ssh-keys/{id}`
pub(crate) async fn delete_ssh_key(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
) -> Result<axum::Json<Deleted>, Problem> {
    let id = id.parse().map_err(|_| Error::NotFound("SSH key"))?;
    server.app.delete_ssh_key(&who.caller, id).await?;
    let message = "The SSH key is deleted. Machines that have it keep it until it is taken off them.";
    Ok(axum::Json(Deleted { success: true, message }))
}

#[derive(Serialize)]
pub(crate) struct ServiceView {
    id: ServiceId,
    service_type: String,
    name: String,
    status: String,
    region: String,
    created_at: Seconds,
    metadata: Metadata,
}

impl From<Registered> for ServiceView {
    fn from(service: Registered) -> Self {
        let Registered { id, service_type, name, status, region, created_at, metadata, .. } = service;
        Self { id, service_type, name, status, region, created_at: Seconds(created_at), metadata }
    }
}

/// `GET /v1/account/services`
pub(crate) async fn list_services(
    State(server): State<Server>,
    who: Who,
) -> Result<axum::Json<Vec<ServiceView>>, Problem> {
    let services = server.app.list_own_services(&who.caller).await?;
    Ok(axum::Json(services.into_iter().map(Into::into).collect()))
}
