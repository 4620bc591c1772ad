//! `/v1/users/{id}/identities`: who a person is at identity providers.

use axum::extract::{RawQuery, State};
use http::StatusCode;
use keywright_core::external::LinkedIdentity;
use keywright_core::id::{IdentityId, UserId};
use keywright_core::time::Time;
use serde::{Deserialize, Serialize};

use super::page::{Page, Paging, cursor, limit, query};
use crate::Server;
use crate::extract::{Id, Ids, Json, Who};
use crate::problem::Problem;

#[derive(Serialize)]
pub(crate) struct IdentityView {
    id: IdentityId,
    user_id: UserId,
    issuer: String,
    subject: String,
    email: Option<String>,
    created_at: Time,
}

impl From<LinkedIdentity> for IdentityView {
    fn from(identity: LinkedIdentity) -> Self {
        let LinkedIdentity { id, issuer, subject, user, email, created_at } = identity;
        Self { id, user_id: user, issuer, subject, email, created_at }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    issuer: String,
    subject: String,
}

/// `POST /v1/users/{id}/identities`
pub(crate) async fn link(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(Link { issuer, subject }): Json<Link>,
) -> Result<(StatusCode, axum::Json<IdentityView>), Problem> {
    let linked = server.app.link_identity(&who.caller, id.parse().ok(), &issuer, &subject).await?;
    Ok((StatusCode::CREATED, axum::Json(linked.into())))
}

/// `GET /v1/users/{id}/identities`
pub(crate) async fn list(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<IdentityView>>, Problem> {
    let asked: Paging = query(text.as_deref())?;
    let (limit, after) = (limit(asked.limit)?, cursor(asked.cursor.as_deref())?);
    let held = server.app.list_identities(&who.caller, id.parse().ok(), after, limit + 1).await?;
    Ok(axum::Json(Page::of(held, limit, |identity| identity.id.to_string(), Into::into)))
}

/// `DELETE /v1/users/{id}/identities/{identity_id}`
pub(crate) async fn unlink(State(server): State<Server>, who: Who, Ids(user, id): Ids) -> Result<StatusCode, Problem> {
    server.app.unlink_identity(&who.caller, user.parse().ok(), id.parse().ok()).await?;
    Ok(StatusCode::NO_CONTENT)
}
