//! `/v1/users` and `/v1/sessions`: people, and their access to an account for a while.

use std::net::IpAddr;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use keywright_app::error::Error;
use keywright_app::sessions::Begun;
use keywright_app::users::{NewPerson, Person};
use keywright_core::id::{AccountId, SessionId, UserId};
use keywright_core::member::MemberRole;
use keywright_core::secret::PlainKey;
use keywright_core::session::{Method, Session};
use keywright_core::time::{Span, Time};
use keywright_store::users::UserFilter;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::page::{Page, Paging, cursor, limit, query};
use crate::Server;
use crate::extract::{Id, Json, Who};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUser {
    email: String,
    account_id: Option<AccountId>,
    role: Option<MemberRole>,
    password: Option<String>,
    operator_permissions: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(crate) struct UserView {
    id: UserId,
    email: Option<String>,
    email_verified: bool,
    second_factor: bool,
    status: &'static str,
    memberships: Vec<Membership>,
    operator_permissions: Option<Vec<String>>,
    created_at: Time,
}

#[derive(Serialize)]
struct Membership {
    account_id: AccountId,
    role: MemberRole,
}

impl From<Person> for UserView {
    fn from(Person { user, memberships }: Person) -> Self {
        let memberships = memberships.into_iter().map(|(account_id, role)| Membership { account_id, role });
        Self {
            id: user.id,
            email_verified: user.email_verified_at.is_some(),
            second_factor: user.second_factor_at.is_some(),
            status: if user.disabled_at.is_some() { "disabled" } else { "active" },
            email: user.email,
            memberships: memberships.collect(),
            operator_permissions: user.operator,
            created_at: user.created_at,
        }
    }
}

/// `POST /v1/users`
pub(crate) async fn create(
    State(server): State<Server>,
    who: Who,
    Json(body): Json<CreateUser>,
) -> Result<(StatusCode, axum::Json<UserView>), Problem> {
    let CreateUser { email, account_id, role, password, operator_permissions } = body;
    let member = match (account_id, role) {
        (Some(account), Some(role)) => Some((account, role)),
        (None, None) => None,
        (Some(_), None) => return Err(Error::invalid("role", "is required with account_id").into()),
        (None, Some(_)) => return Err(Error::invalid("account_id", "is required with role").into()),
    };
    let new =
        NewPerson { email: &email, password: password.as_deref(), member, operator: operator_permissions.as_deref() };
    let person = server.app.create_user(&who.caller, new).await?;
    Ok((StatusCode::CREATED, axum::Json(person.into())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListUsers {
    email: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET /v1/users`
pub(crate) async fn list(
    State(server): State<Server>,
    who: Who,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<UserView>>, Problem> {
    let asked: ListUsers = query(text.as_deref())?;
    let limit = limit(asked.limit)?;
    let after = cursor(asked.cursor.as_deref())?;
    let filter = UserFilter { after, limit: i64::from(limit) + 1, ..UserFilter::default() };
    let people = server.app.list_users(&who.caller, asked.email.as_deref(), &filter).await?;
    Ok(axum::Json(Page::of(people, limit, |person| person.user.id.to_string(), Into::into)))
}

/// `GET /v1/users/{id}`
pub(crate) async fn get(State(server): State<Server>, who: Who, Id(id): Id) -> Result<axum::Json<UserView>, Problem> {
    Ok(axum::Json(server.app.get_user(&who.caller, user_id(&id)).await?.into()))
}

/// `POST /v1/users/{id}/disable`
pub(crate) async fn disable(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
) -> Result<axum::Json<UserView>, Problem> {
    Ok(axum::Json(server.app.set_user_disabled(&who.caller, user_id(&id), true).await?.into()))
}

/// `POST /v1/users/{id}/enable`
pub(crate) async fn enable(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
) -> Result<axum::Json<UserView>, Problem> {
    Ok(axum::Json(server.app.set_user_disabled(&who.caller, user_id(&id), false).await?.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promote {
    operator_permissions: Option<Vec<String>>,
}

/// `POST /v1/users/{id}/promote`
pub(crate) async fn promote(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(body): Json<Promote>,
) -> Result<axum::Json<UserView>, Problem> {
    let permissions = body.operator_permissions.unwrap_or_else(|| vec!["*".into()]);
    Ok(axum::Json(server.app.promote_user(&who.caller, user_id(&id), &permissions).await?.into()))
}

/// `POST /v1/users/{id}/demote`
pub(crate) async fn demote(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
) -> Result<axum::Json<UserView>, Problem> {
    Ok(axum::Json(server.app.demote_user(&who.caller, user_id(&id)).await?.into()))
}

/// `POST /v1/users/setup-link`
pub(crate) async fn issue_setup_link(State(server): State<Server>, who: Who) -> Result<Response, Problem> {
    let issued = server.app.issue_setup_link(&who.caller).await?;
    let url = issued.url.as_ref().map(PlainKey::reveal);
    let body = json!({ "token": issued.token.reveal(), "url": url, "expires_at": issued.expires_at });
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

/// `DELETE /v1/users/{id}/2fa`
pub(crate) async fn reset_factor(State(server): State<Server>, who: Who, Id(id): Id) -> Result<StatusCode, Problem> {
    server.app.reset_factor(&who.caller, user_id(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no id is nobody's.
fn user_id(text: &str) -> UserId {
    text.parse().unwrap_or(UserId::from_bits(0))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginSession {
    account_id: Option<AccountId>,
    expires_in: Option<Span>,
}

/// `POST /v1/users/{id}/sessions`
pub(crate) async fn begin_session(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(body): Json<BeginSession>,
) -> Result<Response, Problem> {
    let BeginSession { account_id, expires_in } = body;
    let begun = server.app.begin_session(&who.caller, id.parse().ok(), account_id, expires_in).await?;
    let Begun { session, token, expires_in } = begun;
    let expires_at = Time::from_millis((session.created_at.millis().div_euclid(1_000) + expires_in) * 1_000);
    let body = json!({
        "id": session.id, "user_id": session.user, "account_id": session.account, "access_token": token,
        "token_type": "Bearer", "expires_in": expires_in, "expires_at": expires_at,
    });
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

#[derive(Serialize)]
pub(crate) struct SessionView {
    id: SessionId,
    user_id: UserId,
    account_id: AccountId,
    created_by: String,
    method: Method,
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    created_at: Time,
    last_seen_at: Time,
    expires_at: Time,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        let Session { id, user, account, created_by, created_at, expires_at, method, ip, user_agent, .. } = session;
        let last_seen_at = session.refreshed_at.unwrap_or(created_at);
        Self {
            id,
            user_id: user,
            account_id: account,
            created_by,
            method,
            ip,
            user_agent,
            created_at,
            last_seen_at,
            expires_at,
        }
    }
}

/// `GET /v1/users/{id}/sessions`
pub(crate) async fn list_sessions(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<SessionView>>, Problem> {
    let asked: Paging = query(text.as_deref())?;
    let limit = limit(asked.limit)?;
    let before = cursor(asked.cursor.as_deref())?;
    let held = server.app.list_sessions(&who.caller, id.parse().ok(), before, limit + 1).await?;
    Ok(axum::Json(Page::of(held, limit, |session| session.id.to_string(), Into::into)))
}

/// `DELETE /v1/users/{id}/sessions/{session_id}`
pub(crate) async fn end_session(
    State(server): State<Server>,
    who: Who,
    path: Option<Path<(String, String)>>,
) -> Result<StatusCode, Problem> {
    let (user, id) = path.map(|Path(ids)| ids).unwrap_or_default();
    server.app.end_session(&who.caller, user.parse().ok(), id.parse().ok()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/sessions`
pub(crate) async fn list_own(
    State(server): State<Server>,
    who: Who,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<SessionView>>, Problem> {
    let asked: Paging = query(text.as_deref())?;
    let limit = limit(asked.limit)?;
    let before = cursor(asked.cursor.as_deref())?;
    let held = server.app.list_own_sessions(&who.caller, before, limit + 1).await?;
    Ok(axum::Json(Page::of(held, limit, |session| session.id.to_string(), Into::into)))
}

/// `DELETE /v1/sessions`
pub(crate) async fn end_others(State(server): State<Server>, who: Who) -> Result<StatusCode, Problem> {
    server.app.end_other_sessions(&who.caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/sessions/{id}`
pub(crate) async fn end_own(State(server): State<Server>, who: Who, Id(id): Id) -> Result<StatusCode, Problem> {
    server.app.end_own_session(&who.caller, id.parse().ok()).await?;
    Ok(StatusCode::NO_CONTENT)
}
