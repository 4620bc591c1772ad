//! `/v1/auth/2fa`: the second factor of the person who asks.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use keywright_app::error::Error;
use keywright_core::totp::qr_svg;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::Server;
use crate::extract::{Json, Origin, Who};
use crate::problem::Problem;

/// `POST /v1/auth/2fa/setup`
pub(crate) async fn set_up(State(server): State<Server>, who: Who) -> Result<Response, Problem> {
    let enrolment = server.app.set_up_factor(&who.caller).await?;
    let body = json!({ "secret": *enrolment.secret, "qr_code_url": *enrolment.url });
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

/// `GET /v1/auth/2fa/qr.svg`
pub(crate) async fn picture(State(server): State<Server>, who: Who) -> Result<Response, Problem> {
    let enrolment = server.app.pending_factor(&who.caller).await?;
    let picture = qr_svg(&enrolment.url).ok_or_else(|| Error::Internal("a picture could not be drawn".into()))?;
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    Ok((headers, picture).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    code: String,
}

/// `POST /v1/auth/2fa/verify`
pub(crate) async fn start(
    State(server): State<Server>,
    who: Who,
    Origin(place): Origin,
    Json(Start { code }): Json<Start>,
) -> Result<Response, Problem> {
    Ok(codes(&server.app.start_factor(&who.caller, &code, &place).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    password: String,
    code: Option<String>,
}

/// `POST /v1/auth/2fa/backup-codes`
pub(crate) async fn renew_codes(
    State(server): State<Server>,
    who: Who,
    Origin(place): Origin,
    Json(Proof { password, code }): Json<Proof>,
) -> Result<Response, Problem> {
    Ok(codes(&server.app.renew_backup_codes(&who.caller, &password, code.as_deref(), &place).await?))
}

/// `POST /v1/auth/2fa/disable`
pub(crate) async fn stop(
    State(server): State<Server>,
    who: Who,
    Origin(place): Origin,
    Json(Proof { password, code }): Json<Proof>,
) -> Result<StatusCode, Problem> {
    server.app.stop_factor(&who.caller, &password, code.as_deref(), &place).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Codes on paper, this once.
fn codes(codes: &[Zeroizing<String>]) -> Response {
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    ([(CACHE_CONTROL, "no-store")], axum::Json(json!({ "backup_codes": codes }))).into_response()
}
