//! WAVIS: keys with an environment and a role, trial keys for anybody, and what its errors look like.

pub(crate) mod user_keys;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keywright_app::account_keys::KeyApi;
use keywright_app::metering::Metered;
use keywright_core::account::Subscription;
use keywright_core::draft::FieldError;
use keywright_core::id::KeyId;
use keywright_core::key::{Key, Status};
use keywright_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use super::Seconds;
use crate::Server;
use crate::extract::{Json, Origin, Who};
use crate::problem::{Cause, Problem, Told};

/// The policy's kinds: keys an account makes, and keys anybody can have for a while.
const KEY: &str = "wavis";
const TRIAL: &str = "wavis-trial";
const KEYS: KeyApi = KeyApi { kinds: &[KEY, TRIAL], reading: "keys:read", writing: "keys:write" };
/// The environment whose use is paid for; the others are metered apart.
const BILLED: &str = "live";

/// A body that says nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

#[derive(Serialize)]
struct TrialView<'a> {
    api_key: &'a str,
    expires_at: Option<Seconds>,
    ops_limit: Option<i64>,
    message: String,
}

/// `POST /api/v1/onboarding/temp-key`
///
/// 201: the page shows no status, a key is made, and every other route that makes one answers so.
pub(crate) async fn issue_trial(
    State(server): State<Server>,
    Origin(place): Origin,
    Json(Empty {}): Json<Empty>,
) -> Result<Response, Problem> {
    let trial = server.app.issue_trial(TRIAL, place.ip, place.request_id).await?;
    let key = &trial.key;
    let lasts = key.expires_at.map(|end| Span::from_millis(end.since(key.created_at)));
    let body = TrialView {
        api_key: trial.plain.reveal(),
        expires_at: key.expires_at.map(Seconds),
        ops_limit: key.credits,
        message: welcome(lasts, key.credits),
    };
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

fn welcome(lasts: Option<Span>, operations: Option<i64>) -> String {
    let good_for = [operations.map(|count| format!("{count} operations")), lasts.map(|span| format!("{span}"))];
    let good_for: Vec<String> = good_for.into_iter().flatten().collect();
    format!("Store this key now: it is shown this once. It is good for {}.", good_for.join(" within "))
}

#[derive(Serialize)]
pub(crate) struct HealthView {
    status: &'static str,
}

/// `GET /api/v1/health`
pub(crate) async fn health(State(server): State<Server>, who: Who) -> Result<axum::Json<HealthView>, Problem> {
    server.app.must_see_status(&who.caller)?;
    Ok(axum::Json(HealthView { status: "ok" }))
}

#[derive(Serialize)]
pub(crate) struct StatusView {
    key_prefix: String,
    environment: Option<String>,
    role: Option<String>,
    status: Status,
    expires_at: Option<Seconds>,
    ops_remaining: Option<i64>,
}

/// `GET /api/v1/status`
pub(crate) async fn status(State(server): State<Server>, who: Who) -> Result<axum::Json<StatusView>, Problem> {
    let key = server.app.get_status(&who.caller, who.own()?).await?;
    Ok(axum::Json(StatusView {
        status: key.status(server.app.now()),
        key_prefix: key.prefix,
        environment: key.environment,
        role: key.role,
        expires_at: key.expires_at.map(Seconds),
        ops_remaining: key.credits,
    }))
}

/// What may be shown of a key.
#[derive(Serialize)]
struct KeyView {
    id: KeyId,
    name: String,
    prefix: String,
    masked_key: String,
    environment: Option<String>,
    role: Option<String>,
    status: Status,
    created_at: Seconds,
    expires_at: Option<Seconds>,
    last_used_at: Option<Seconds>,
}

impl KeyView {
    fn new(key: Key, now: Time) -> Self {
        Self {
            id: key.id,
            status: key.status(now),
            masked_key: format!("{}…{}", key.prefix, key.last_four),
            created_at: Seconds(key.created_at),
            expires_at: key.expires_at.map(Seconds),
            last_used_at: key.last_use.map(|used| Seconds(used.at)),
            name: key.name,
            prefix: key.prefix,
            environment: key.environment,
            role: key.role,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct KeysView {
    keys: Vec<KeyView>,
}

/// `GET /api/v1/keys`
pub(crate) async fn list_keys(State(server): State<Server>, who: Who) -> Result<axum::Json<KeysView>, Problem> {
    let keys = server.app.list_account_keys(&who.caller, KEYS).await?;
    let now = server.app.now();
    Ok(axum::Json(KeysView { keys: keys.into_iter().map(|key| KeyView::new(key, now)).collect() }))
}

#[derive(Serialize)]
struct RotatedView<'a> {
    new_api_key: &'a str,
    old_key_prefix: String,
    grace_period_ends_at: Seconds,
    environment: Option<String>,
}

/// `POST /api/v1/keys/apikey/rotate`
pub(crate) async fn rotate(
    State(server): State<Server>,
    who: Who,
    Json(Empty {}): Json<Empty>,
) -> Result<Response, Problem> {
    let rotated = server.app.rotate_presented_key(&who.caller, KEYS, who.own()?).await?;
    let body = RotatedView {
        new_api_key: rotated.plain.reveal(),
        // Written as it is shown on the page: the part that may be shown, and that there is more.
        old_key_prefix: format!("{}...", rotated.old_prefix),
        grace_period_ends_at: Seconds(rotated.old_expires_at),
        environment: rotated.key.environment,
    };
    Ok(axum::Json(body).into_response())
}

#[derive(Serialize)]
struct Period {
    from: Seconds,
    to: Seconds,
}

#[derive(Serialize)]
struct EnvironmentView {
    environment: String,
    operations: i64,
    denied: i64,
    billed: bool,
}

impl From<Metered> for EnvironmentView {
    fn from(Metered { environment, allowed, denied }: Metered) -> Self {
        Self { billed: environment == BILLED, environment, operations: allowed, denied }
    }
}

#[derive(Serialize)]
pub(crate) struct UsageView {
    period: Period,
    environments: Vec<EnvironmentView>,
}

/// `GET /api/v1/usage`
pub(crate) async fn usage(State(server): State<Server>, who: Who) -> Result<axum::Json<UsageView>, Problem> {
    let now = server.app.now();
    let period = Period { from: Seconds(now.month()), to: Seconds(now) };
    let metered = server.app.meter_account(&who.caller, "usage:read", KEY, now.month()).await?;
    Ok(axum::Json(UsageView { period, environments: metered.into_iter().map(Into::into).collect() }))
}

#[derive(Serialize)]
pub(crate) struct BillingView {
    subscription: Subscription,
    credits: i64,
    period: Period,
    billed_operations: i64,
}

/// `GET /api/v1/billing`
pub(crate) async fn billing(State(server): State<Server>, who: Who) -> Result<axum::Json<BillingView>, Problem> {
    let known = server.app.get_billing(&who.caller, "billing:read", KEY).await?;
    let billed = known.metered.iter().filter(|metered| metered.environment == BILLED);
    Ok(axum::Json(BillingView {
        subscription: known.account.subscription,
        credits: known.account.credits,
        period: Period { from: Seconds(known.since), to: Seconds(server.app.now()) },
        billed_operations: billed.map(|metered| metered.allowed).sum(),
    }))
}

#[derive(Serialize)]
pub(crate) struct InvoicesView {
    invoices: [(); 0],
}

/// `GET /api/v1/invoices`
pub(crate) async fn invoices(State(server): State<Server>, who: Who) -> Result<axum::Json<InvoicesView>, Problem> {
    server.app.must_see_invoices(&who.caller, "invoices:read")?;
    Ok(axum::Json(InvoicesView { invoices: [] }))
}

/// An error's body.
#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

/// The one translation. A credential that does not work is answered without a word on why, a missing permission as the
/// role that lacks it; everything else in our words, with our code.
pub(crate) fn error(told: &Told) -> Vec<u8> {
    let (error, code) = match told.cause {
        Cause::Credential => ("The API key is missing or does not work", "INVALID_API_KEY"),
        Cause::Permission => (told.detail.as_str(), "INSUFFICIENT_ROLE"),
        Cause::Other => (told.detail.as_str(), told.code),
    };
    serde_json::to_vec(&Body { error, code, errors: &told.errors }).unwrap_or_default()
}
