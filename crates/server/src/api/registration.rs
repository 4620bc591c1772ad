//! `/v1/auth`: registering, showing that mail arrives, another password by mail, another address.
//!
//! What is asked for by mail is answered alike whether or not there is such a person: 202, and nothing beside it.

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use crate::Server;
use crate::extract::{Json, Origin, Who};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Register {
    email: String,
    password: String,
    account_name: Option<String>,
}

/// `POST /v1/auth/register`
pub(crate) async fn register(
    State(server): State<Server>,
    Origin(place): Origin,
    Json(body): Json<Register>,
) -> Result<StatusCode, Problem> {
    let Register { email, password, account_name } = body;
    server.app.register(&email, &password, account_name.as_deref(), place).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verify {
    token: String,
}

/// `POST /v1/auth/email/verify`
pub(crate) async fn verify_email(
    State(server): State<Server>,
    Origin(place): Origin,
    Json(Verify { token }): Json<Verify>,
) -> Result<StatusCode, Problem> {
    server.app.verify_email(&token, place).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/auth/email/resend`
pub(crate) async fn resend(State(server): State<Server>, who: Who) -> Result<StatusCode, Problem> {
    server.app.resend_verification(&who.caller).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeEmail {
    email: String,
    password: String,
    code: Option<String>,
}

/// `POST /v1/auth/email`
pub(crate) async fn change_email(
    State(server): State<Server>,
    who: Who,
    Origin(place): Origin,
    Json(body): Json<ChangeEmail>,
) -> Result<StatusCode, Problem> {
    let ChangeEmail { email, password, code } = body;
    server.app.change_email(&who.caller, &email, &password, code.as_deref(), &place).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forgot {
    email: String,
}

/// `POST /v1/auth/password/forgot`
pub(crate) async fn forgot_password(
    State(server): State<Server>,
    Origin(place): Origin,
    Json(Forgot { email }): Json<Forgot>,
) -> Result<StatusCode, Problem> {
    server.app.forgot_password(&email, place).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    token: String,
    new_password: String,
    code: Option<String>,
}

/// `POST /v1/auth/password/reset`
pub(crate) async fn reset_password(
    State(server): State<Server>,
    Origin(place): Origin,
    Json(Reset { token, new_password, code }): Json<Reset>,
) -> Result<StatusCode, Problem> {
    server.app.reset_password(&token, &new_password, code.as_deref(), place).await?;
    Ok(StatusCode::NO_CONTENT)
}
