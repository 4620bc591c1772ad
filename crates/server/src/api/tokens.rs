//! The standard token endpoints: introspection (RFC 7662), revocation (RFC 7009) and exchange (RFC 8693). They take a form,
//! as they say; and the keys tokens are signed with.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use keywright_app::caller::Reach;
use keywright_app::error::Error;
use keywright_app::tokens::{Holding, ShownKey};
use keywright_app::verify::Ask;
use keywright_core::id::{AccountId, KeyId};
use keywright_core::signing::{Algorithm, looks_like_a_token};
use keywright_core::time::Time;
use serde::Serialize;
use serde_json::json;

use super::page::Page;
use crate::Server;
use crate::extract::{Origin, Who, form};
use crate::problem::Problem;

/// What a token is, where it is active; else only that it is not (RFC 7662, 2.2).
#[derive(Default, Serialize)]
pub(crate) struct Introspection {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

impl From<Holding> for Introspection {
    fn from(holding: Holding) -> Self {
        let Holding { scope, subject, account, exp } = holding;
        let client_id = subject.starts_with(KeyId::PREFIX).then(|| subject.clone());
        let (sub, account_id) = (Some(subject), Some(account));
        Self { active: true, scope, client_id, sub, account_id, token_type: Some("Bearer"), exp: Some(exp) }
    }
}

/// `POST /v1/introspect`
pub(crate) async fn introspect(
    State(server): State<Server>,
    who: Who,
    request: Request,
) -> Result<axum::Json<Introspection>, Problem> {
    who.caller.must_verify(&server.app.world().policy)?;
    let token = token(request).await?;
    if looks_like_a_token(token.as_bytes()) {
        let holding = server.app.introspect_token(&who.caller, token.as_bytes()).await?;
        return Ok(axum::Json(holding.map(Introspection::from).unwrap_or_default()));
    }
    let within = match who.caller.reach {
        Reach::Everything => None,
        Reach::Account(own) => Some(own),
    };
    // Looking costs nothing: a token is introspected as often as its bearer's peers like.
    let verdict = server.app.verify(token.as_bytes(), &Ask { cost: 0, within, ..Ask::default() }).await?;
    let active = verdict.is_valid();
    let Some(key) = verdict.key.filter(|_| active) else { return Ok(axum::Json(Introspection::default())) };
    let permissions = key.access(&server.app).map(|access| access.permissions.join(" "));
    Ok(axum::Json(Introspection {
        active,
        scope: permissions,
        client_id: Some(key.record().id.to_string()),
        sub: key.account(&server.app).map(|id| id.to_string()),
        account_id: key.account(&server.app),
        token_type: Some("Bearer"),
        exp: key.record().expires_at().map(|at| at.millis() / 1_000),
    }))
}

/// `POST /v1/revoke`
pub(crate) async fn revoke(State(server): State<Server>, who: Who, request: Request) -> Result<StatusCode, Problem> {
    let token = token(request).await?;
    server.app.revoke_presented(&who.caller, token.as_bytes()).await?;
    Ok(StatusCode::OK)
}

/// What a token is exchanged for.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// `POST /v1/token`
pub(crate) async fn exchange(
    State(server): State<Server>,
    Origin(place): Origin,
    request: Request,
) -> Result<Response, Problem> {
    let form = form(request).await?;
    let field = |name: &str| form.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if field("grant_type") != Some(EXCHANGE) {
        return Err(refuse("UNSUPPORTED_GRANT_TYPE", &format!("`grant_type` is {EXCHANGE}")));
    }
    if ![None, Some(ACCESS_TOKEN), Some(JWT)].contains(&field("requested_token_type")) {
        return Err(refuse("INVALID_REQUEST", &format!("`requested_token_type` is {ACCESS_TOKEN} or {JWT}")));
    }
    if ["actor_token", "resource"].iter().any(|name| field(name).is_some()) {
        return Err(refuse("INVALID_REQUEST", "`actor_token` and `resource` are not taken: name an `audience`"));
    }
    let (Some(key), Some(ACCESS_TOKEN)) = (field("subject_token"), field("subject_token_type")) else {
        let reason = format!("`subject_token` is an API key, and `subject_token_type` is {ACCESS_TOKEN}");
        return Err(refuse("INVALID_REQUEST", &reason));
    };
    let ask = Ask { ip: place.ip, user_agent: place.user_agent.as_deref(), ..Ask::default() };
    let exchanged = server.app.exchange_key(key, &ask, field("scope"), field("audience")).await;
    let exchanged = exchanged.map_err(|error| {
        let told = error.to_string();
        if matches!(error, Error::Unauthenticated | Error::Forbidden(_)) {
            return refuse("INVALID_REQUEST", "the key does not work, or is an operator's");
        }
        let Error::Invalid(fields) = error else { return error.into() };
        let is_target = fields.iter().any(|wrong| wrong.field == "audience");
        refuse(if is_target { "INVALID_TARGET" } else { "INVALID_SCOPE" }, &told)
    })?;
    let body = json!({
        "access_token": exchanged.token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer",
        "expires_in": exchanged.expires_in, "scope": exchanged.scope,
    });
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

/// An error that is an OAuth client's (RFC 6749, 5.2) and a problem document at once.
fn refuse(code: &'static str, reason: &str) -> Problem {
    Problem::new(code, reason).with("error", code.to_lowercase()).with("error_description", reason)
}

/// `GET /.well-known/jwks.json`
pub(crate) async fn public_keys(State(server): State<Server>) -> Response {
    // Short: a key that signs from now on is looked for by those who check.
    let headers = [(CACHE_CONTROL, "public, max-age=300")];
    (headers, axum::Json(json!({ "keys": server.app.public_keys() }))).into_response()
}

#[derive(Serialize)]
pub(crate) struct SigningKeyView {
    kid: String,
    algorithm: Algorithm,
    signs: bool,
    created_at: Time,
    retires_at: Option<Time>,
}

impl From<ShownKey> for SigningKeyView {
    fn from(ShownKey { kid, algorithm, signs, created_at, retires_at }: ShownKey) -> Self {
        Self { kid, algorithm, signs, created_at, retires_at }
    }
}

/// `GET /v1/signing-keys`
pub(crate) async fn list_keys(
    State(server): State<Server>,
    who: Who,
) -> Result<axum::Json<Page<SigningKeyView>>, Problem> {
    let data = server.app.list_signing_keys(&who.caller)?.into_iter().map(SigningKeyView::from).collect();
    Ok(axum::Json(Page { data, next_cursor: None }))
}

/// `POST /v1/signing-keys/rotate`
pub(crate) async fn rotate_key(
    State(server): State<Server>,
    who: Who,
) -> Result<(StatusCode, axum::Json<SigningKeyView>), Problem> {
    let made = server.app.rotate_signing_key(&who.caller).await?;
    Ok((StatusCode::CREATED, axum::Json(made.into())))
}

async fn token(request: Request) -> Result<String, Problem> {
    form(request)
        .await?
        .remove("token")
        .ok_or_else(|| Error::invalid("token", "is required: send it as a form field, `token=…`").into())
}
