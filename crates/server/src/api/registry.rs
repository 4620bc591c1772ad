//! `/v1/accounts/{id}/services`: the services an account has, written down by the operator's provisioning.

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::id::ServiceId;
use keywright_core::registry::Registration;

use super::accounts::account_id;
use super::page::{Page, Paging, cursor, limit, query};
use super::view::ServiceView;
use crate::Server;
use crate::extract::{Id, Ids, Json, MOST_BYTES, Who, json, read};
use crate::idempotency::{created, replay};
use crate::problem::Problem;

fn service_id(text: &str) -> Result<ServiceId, Problem> {
    text.parse().map_err(|_| Error::NotFound("service").into())
}

/// `POST /v1/accounts/{id}/services`
pub(crate) async fn create(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, MOST_BYTES).await?;
    let said: Registration = json(&parts.headers, &bytes)?;
    let replay = replay(&who.caller, &parts, &bytes)?;
    let made = server.app.create_service(&who.caller, account_id(&id)?, said, replay).await?;
    let location = format!("/v1/accounts/{}/services/{}", made.service.account, made.service.id);
    created(&location, made.is_new, ServiceView::from(made.service))
}

/// `GET /v1/accounts/{id}/services`
pub(crate) async fn list(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<ServiceView>>, Problem> {
    let asked: Paging = query(text.as_deref())?;
    let (limit, after) = (limit(asked.limit)?, cursor(asked.cursor.as_deref())?);
    let services = server.app.list_services(&who.caller, account_id(&id)?, after, limit + 1).await?;
    Ok(axum::Json(Page::of(services, limit, |service| service.id.to_string(), Into::into)))
}

/// `PATCH /v1/accounts/{id}/services/{service_id}`
pub(crate) async fn update(
    State(server): State<Server>,
    who: Who,
    Ids(account, service): Ids,
    Json(said): Json<Registration>,
) -> Result<axum::Json<ServiceView>, Problem> {
    let (account, service) = (account_id(&account)?, service_id(&service)?);
    Ok(axum::Json(server.app.update_service(&who.caller, account, service, said).await?.into()))
}

/// `DELETE /v1/accounts/{id}/services/{service_id}`
pub(crate) async fn delete(
    State(server): State<Server>,
    who: Who,
    Ids(account, service): Ids,
) -> Result<StatusCode, Problem> {
    server.app.delete_service(&who.caller, account_id(&account)?, service_id(&service)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
