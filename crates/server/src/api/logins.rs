//! `/v1/auth`: logging in, going on, logging out, and the person's own password.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use keywright_app::error::Error;
use keywright_app::logins::{Attempt, Entry, LoggedIn, Tokens};
use keywright_core::id::AccountId;
use serde::Deserialize;
use serde_json::json;

use super::users::UserView;
use crate::Server;
use crate::extract::{Json, Origin, Who};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogIn {
    email: Option<String>,
    password: Option<String>,
    challenge: Option<String>,
    code: Option<String>,
    account_id: Option<AccountId>,
}

/// `POST /v1/auth/login`
pub(crate) async fn log_in(
    State(server): State<Server>,
    Origin(place): Origin,
    Json(body): Json<LogIn>,
) -> Result<Response, Problem> {
    let attempt = match (&body.email, &body.password, &body.challenge) {
        (Some(email), Some(password), None) => Attempt::Password { email, password },
        (None, None, Some(challenge)) => Attempt::Challenge(challenge),
        (None, _, None) => return Err(Error::invalid("email", "is required").into()),
        (Some(_), None, None) => return Err(Error::invalid("password", "is required").into()),
        (_, _, Some(_)) => {
            return Err(Error::invalid("challenge", "stands for email and password: send it with a code alone").into());
        }
    };
    match server.app.log_in(attempt, body.code.as_deref(), Entry::Account(body.account_id), place).await? {
        LoggedIn::In(tokens) => Ok(shown(&tokens)),
        LoggedIn::NeedsCode { challenge, expires_at } => {
            let detail = "send the same again with `code`, or the challenge with `code`: six digits from the \
                          authenticator, or a backup code";
            Err(Problem::new("SECOND_FACTOR_REQUIRED", detail)
                .with("challenge", challenge.reveal())
                .with("expires_at", json!(expires_at)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    refresh_token: String,
}

/// `POST /v1/auth/refresh`
pub(crate) async fn refresh(
    State(server): State<Server>,
    Origin(place): Origin,
    Json(Refresh { refresh_token }): Json<Refresh>,
) -> Result<Response, Problem> {
    Ok(shown(&server.app.refresh(&refresh_token, place).await?))
}

/// Tokens, this once.
fn shown(tokens: &Tokens) -> Response {
    let body = json!({
        "access_token": tokens.access, "refresh_token": tokens.refresh.reveal(), "token_type": "Bearer",
        "expires_in": tokens.expires_in,
    });
    ([(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

/// `POST /v1/auth/logout`
pub(crate) async fn log_out(State(server): State<Server>, who: Who) -> Result<StatusCode, Problem> {
    server.app.log_out(&who.caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/auth/me`
pub(crate) async fn me(State(server): State<Server>, who: Who) -> Result<axum::Json<serde_json::Value>, Problem> {
    let (person, backup_codes_left) = server.app.get_self(&who.caller).await?;
    let (user, account) = (UserView::from(person), who.caller.own_account()?);
    let session = who.caller.session;
    Ok(axum::Json(json!({
        "user": user, "account_id": account, "session_id": session, "backup_codes_left": backup_codes_left,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    password: String,
    code: Option<String>,
    new_password: String,
}

/// `POST /v1/auth/password`
pub(crate) async fn change_password(
    State(server): State<Server>,
    who: Who,
    Origin(place): Origin,
    Json(body): Json<ChangePassword>,
) -> Result<StatusCode, Problem> {
    let ChangePassword { password, code, new_password } = body;
    server.app.change_password(&who.caller, &password, code.as_deref(), &new_password, &place).await?;
    Ok(StatusCode::NO_CONTENT)
}
