//! `/v1/accounts`: the customers that own keys.

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use keywright_app::error::Error;
use keywright_core::account::AccountChange;
use keywright_core::id::AccountId;
use keywright_store::accounts::AccountFilter;

use super::page::{Page, Paging, cursor, limit, query};
use super::view::AccountView;
use crate::Server;
use crate::extract::{Id, Json, MOST_BYTES, Who, json, read};
use crate::idempotency::{created, replay};
use crate::problem::Problem;

/// `POST /v1/accounts`
pub(crate) async fn create(State(server): State<Server>, who: Who, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, MOST_BYTES).await?;
    let fields: AccountChange = json(&parts.headers, &bytes)?;
    if fields.status.is_some() {
        return Err(Error::invalid("status", "is active for a new account: leave it out, and suspend it later").into());
    }
    let replay = replay(&who.caller, &parts, &bytes)?;
    let made = server.app.create_account(&who.caller, fields, replay).await?;
    created(&format!("/v1/accounts/{}", made.account.id), made.is_new, AccountView::from(made.account))
}

/// `GET /v1/accounts`
pub(crate) async fn list(
    State(server): State<Server>,
    who: Who,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<AccountView>>, Problem> {
    let asked: Paging = query(text.as_deref())?;
    let limit = limit(asked.limit)?;
    let after = cursor(asked.cursor.as_deref())?;
    let filter = AccountFilter { after, limit: i64::from(limit) + 1, ..AccountFilter::default() };
    let accounts = server.app.list_accounts(&who.caller, filter).await?;
    Ok(axum::Json(Page::of(accounts, limit, |account| account.id.to_string(), Into::into)))
}

pub(crate) fn account_id(text: &str) -> Result<AccountId, Problem> {
    text.parse().map_err(|_| Error::NotFound("account").into())
}

/// `GET /v1/accounts/{id}`
pub(crate) async fn get(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
) -> Result<axum::Json<AccountView>, Problem> {
    Ok(axum::Json(server.app.get_account(&who.caller, account_id(&id)?).await?.into()))
}

/// `PATCH /v1/accounts/{id}`
pub(crate) async fn update(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(change): Json<AccountChange>,
) -> Result<axum::Json<AccountView>, Problem> {
    Ok(axum::Json(server.app.update_account(&who.caller, account_id(&id)?, change).await?.into()))
}
