//! `/v1/accounts/{id}/members` and `invitations`: who belongs to an account, and who is asked to.

use axum::extract::{RawQuery, State};
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::id::{AccountId, InvitationId, UserId};
use keywright_core::member::{Invitation, Member, MemberRole};
use keywright_core::time::Time;
use serde::{Deserialize, Serialize};

use super::accounts::account_id;
use super::page::{Page, Paging, cursor, limit, query};
use crate::Server;
use crate::extract::{Id, Ids, Json, Origin, Who};
use crate::problem::Problem;

#[derive(Serialize)]
pub(crate) struct MemberView {
    account_id: AccountId,
    user_id: UserId,
    email: Option<String>,
    role: MemberRole,
    second_factor: bool,
    status: &'static str,
    since: Time,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let Member { account, user, email, role, second_factor_at, disabled_at, since } = member;
        Self {
            account_id: account,
            user_id: user,
            email,
            role,
            second_factor: second_factor_at.is_some(),
            status: if disabled_at.is_some() { "disabled" } else { "active" },
            since,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct InvitationView {
    id: InvitationId,
    account_id: AccountId,
    email: String,
    role: MemberRole,
    invited_by: String,
    created_at: Time,
    expires_at: Time,
}

impl From<Invitation> for InvitationView {
    fn from(invitation: Invitation) -> Self {
        let Invitation { id, account, email, role, invited_by, created_at, expires_at } = invitation;
        Self { id, account_id: account, email, role, invited_by, created_at, expires_at }
    }
}

/// `GET /v1/accounts/{id}/members`
pub(crate) async fn list(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<MemberView>>, Problem> {
    let asked: Paging = query(text.as_deref())?;
    let (limit, after) = (limit(asked.limit)?, cursor(asked.cursor.as_deref())?);
    let members = server.app.list_members(&who.caller, account_id(&id)?, after, limit + 1).await?;
    Ok(axum::Json(Page::of(members, limit, |member| member.user.to_string(), Into::into)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddMember {
    user_id: UserId,
    role: MemberRole,
}

/// `POST /v1/accounts/{id}/members`
pub(crate) async fn add(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(AddMember { user_id, role }): Json<AddMember>,
) -> Result<(StatusCode, axum::Json<MemberView>), Problem> {
    let member = server.app.add_member(&who.caller, account_id(&id)?, user_id, role).await?;
    Ok((StatusCode::CREATED, axum::Json(member.into())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetRole {
    role: MemberRole,
}

/// `PATCH /v1/accounts/{id}/members/{user_id}`
pub(crate) async fn set_role(
    State(server): State<Server>,
    who: Who,
    Ids(account, user): Ids,
    Json(SetRole { role }): Json<SetRole>,
) -> Result<axum::Json<MemberView>, Problem> {
    let (account, user) = (account_id(&account)?, user_id(&user)?);
    Ok(axum::Json(server.app.set_member_role(&who.caller, account, user, role).await?.into()))
}

/// `DELETE /v1/accounts/{id}/members/{user_id}`
pub(crate) async fn remove(
    State(server): State<Server>,
    who: Who,
    Ids(account, user): Ids,
) -> Result<StatusCode, Problem> {
    server.app.remove_member(&who.caller, account_id(&account)?, user_id(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/accounts/{id}/leave`
pub(crate) async fn leave(State(server): State<Server>, who: Who, Id(id): Id) -> Result<StatusCode, Problem> {
    server.app.leave_account(&who.caller, account_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invite {
    email: String,
    role: MemberRole,
}

/// `POST /v1/accounts/{id}/invitations`
pub(crate) async fn invite(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(Invite { email, role }): Json<Invite>,
) -> Result<(StatusCode, axum::Json<InvitationView>), Problem> {
    let invitation = server.app.invite(&who.caller, account_id(&id)?, &email, role).await?;
    Ok((StatusCode::CREATED, axum::Json(invitation.into())))
}

/// `GET /v1/accounts/{id}/invitations`
pub(crate) async fn list_invitations(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<InvitationView>>, Problem> {
    let asked: Paging = query(text.as_deref())?;
    let (limit, after) = (limit(asked.limit)?, cursor(asked.cursor.as_deref())?);
    let held = server.app.list_invitations(&who.caller, account_id(&id)?, after, limit + 1).await?;
    Ok(axum::Json(Page::of(held, limit, |invitation| invitation.id.to_string(), Into::into)))
}

/// `DELETE /v1/accounts/{id}/invitations/{invitation_id}`
pub(crate) async fn withdraw(
    State(server): State<Server>,
    who: Who,
    Ids(account, invitation): Ids,
) -> Result<StatusCode, Problem> {
    server.app.withdraw_invitation(&who.caller, account_id(&account)?, invitation.parse().ok()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accept {
    token: String,
    password: Option<String>,
}

/// `POST /v1/auth/invitations/accept`
pub(crate) async fn accept(
    State(server): State<Server>,
    Origin(place): Origin,
    Json(Accept { token, password }): Json<Accept>,
) -> Result<axum::Json<MemberView>, Problem> {
    Ok(axum::Json(server.app.accept_invitation(&token, password.as_deref(), place).await?.into()))
}

fn user_id(text: &str) -> Result<UserId, Problem> {
    text.parse().map_err(|_| Error::NotFound("member").into())
}
