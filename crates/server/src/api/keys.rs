//! `/v1/keys`: make, list, see, change, revoke.

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::draft::{Change, Draft};
use keywright_core::id::{AccountId, KeyId};
use keywright_core::key::Status;
use keywright_core::time::{Span, Time};
use keywright_store::keys::KeyFilter;
use keywright_store::usage::UsageRow;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::page::{Page, When, cursor, limit, query};
use super::view::{KeyView, KeyWithPlaintext, KeyWithSecrets};
use crate::Server;
use crate::extract::{Id, Json, MOST_BYTES, Who, json, misfit, read};
use crate::idempotency::{created, replay};
use crate::problem::Problem;

/// `POST /v1/keys`
pub(crate) async fn create(State(server): State<Server>, who: Who, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, MOST_BYTES).await?;
    let mut fields: Map<String, Value> = json(&parts.headers, &bytes)?;
    let account_id: Option<AccountId> = take(&mut fields, "account_id")?;
    let kind: Option<String> = take(&mut fields, "kind")?;
    let draft: Draft = from_value(fields.into())?;
    let replay = replay(&who.caller, &parts, &bytes)?;
    let made = server.app.create_key(&who.caller, account_id, kind.as_deref(), draft, replay).await?;
    let location = format!("/v1/keys/{}", made.key.id);
    let view = KeyView::new(made.key, &server.app.world().policy, server.app.now());
    let key = made.plain.as_ref().map(|plain| plain.reveal());
    created(&location, made.plain.is_some(), KeyWithPlaintext { view, key, rotated: None })
}

/// One field of a JSON object.
fn take<T: for<'de> Deserialize<'de>>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>, Problem> {
    let value = fields.remove(name).unwrap_or(Value::Null);
    Option::deserialize(value).map_err(|error| Error::invalid(name, error.to_string()).into())
}

/// The other fields into a shape; what does not fit is told by its field.
fn from_value<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| misfit(error.path(), &error.inner().to_string(), "body"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    account_id: Option<AccountId>,
    kind: Option<String>,
    environment: Option<String>,
    status: Option<Status>,
    unused_since: Option<When>,
    expiring_before: Option<When>,
    rotation_due: Option<bool>,
    prefix: Option<String>,
    search: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET /v1/keys`
pub(crate) async fn list(
    State(server): State<Server>,
    who: Who,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<KeyView>>, Problem> {
    let asked: ListQuery = query(text.as_deref())?;
    let (now, world) = (server.app.now(), server.app.world());
    let limit = limit(asked.limit)?;
    let due = asked.rotation_due.unwrap_or(false);
    let filter = KeyFilter {
        account: asked.account_id,
        kind: asked.kind,
        environment: asked.environment,
        status: if due { Some(Status::Active) } else { asked.status },
        unused_since: asked.unused_since.map(|when| past(when, now)),
        expiring_before: asked.expiring_before.map(|when| future(when, now)),
        // A secret is due in the very moment it is old enough; the filter takes only what is older.
        issued_before: due.then(|| now.before(shortest_due(&world.policy)).after(Span::from_millis(1))),
        prefix: asked.prefix,
        words: asked.search,
        newest_first: false,
        include_operator: true,
        after: cursor(asked.cursor.as_deref())?,
        limit: i64::from(limit) + 1,
        now,
    };
    let keys = server.app.list_keys(&who.caller, filter).await?;
    let mut page = Page::of(keys, limit, |key| key.id.to_string(), |key| KeyView::new(key, &world.policy, now));
    // The statement knows the shortest age at which any kind is due; each key's own kind has the last word.
    page.data.retain(|key| !due || key.rotation_due);
    Ok(axum::Json(page))
}

/// The least age at which a key of any kind is due for rotation.
fn shortest_due(policy: &keywright_core::policy::Policy) -> Span {
    policy.kinds().iter().filter_map(|kind| kind.rotation_due).min().unwrap_or(Span::LONGEST)
}

fn past(when: When, now: Time) -> Time {
    match when {
        When::At(at) => at,
        When::In(span) => now.before(span),
    }
}

fn future(when: When, now: Time) -> Time {
    match when {
        When::At(at) => at,
        When::In(span) => now.after(span),
    }
}

/// A key's id in a path. What is not one looks like one that does not exist.
pub(crate) fn key_id(text: &str) -> Result<KeyId, Problem> {
    text.parse().map_err(|_| Error::NotFound("key").into())
}

/// `GET /v1/keys/{id}`
pub(crate) async fn get(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
) -> Result<axum::Json<KeyWithSecrets>, Problem> {
    let id = key_id(&id)?;
    let key = server.app.get_key(&who.caller, id).await?;
    let secrets = server.app.list_secrets(&who.caller, id).await?;
    let key = KeyView::new(key, &server.app.world().policy, server.app.now());
    Ok(axum::Json(KeyWithSecrets { key, secrets: secrets.into_iter().map(Into::into).collect() }))
}

/// `PATCH /v1/keys/{id}`
pub(crate) async fn update(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    Json(change): Json<Change>,
) -> Result<axum::Json<KeyView>, Problem> {
    let key = server.app.update_key(&who.caller, key_id(&id)?, change).await?;
    Ok(axum::Json(KeyView::new(key, &server.app.world().policy, server.app.now())))
}

/// `DELETE /v1/keys/{id}`
pub(crate) async fn revoke(State(server): State<Server>, who: Who, Id(id): Id) -> Result<StatusCode, Problem> {
    server.app.revoke_key(&who.caller, key_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageQuery {
    from: Option<When>,
    to: Option<When>,
}

#[derive(Serialize)]
pub(crate) struct UsageView {
    hour: Time,
    outcome: String,
    tag: Option<String>,
    count: i64,
}

impl From<UsageRow> for UsageView {
    fn from(row: UsageRow) -> Self {
        let hour = Time::from_millis(row.hour.saturating_mul(3_600_000));
        Self { hour, outcome: row.outcome, tag: Some(row.tag).filter(|tag| !tag.is_empty()), count: row.count }
    }
}

/// `GET /v1/keys/{id}/usage`
pub(crate) async fn usage(
    State(server): State<Server>,
    who: Who,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Page<UsageView>>, Problem> {
    let asked: UsageQuery = query(text.as_deref())?;
    let now = server.app.now();
    let from = asked.from.map_or_else(|| now.before(Span::days(7)), |when| past(when, now));
    let to = asked.to.map_or(now, |when| past(when, now));
    if to.since(from) > Span::days(92).millis() {
        return Err(Error::invalid("from", "is at most 92 days before `to`").into());
    }
    let rows = server.app.list_usage(&who.caller, key_id(&id)?, from, to).await?;
    Ok(axum::Json(Page { data: rows.into_iter().map(Into::into).collect(), next_cursor: None }))
}
