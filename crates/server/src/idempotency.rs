//! `Idempotency-Key`: what makes creating safe to repeat, and how an answer says that it repeats an earlier one.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use keywright_app::caller::Caller;
use keywright_app::replay::Replay;
use serde::Serialize;

use crate::problem::Problem;

const KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotent-replayed";

/// What tells this request from others, where its caller wants it told.
pub(crate) fn replay(caller: &Caller, parts: &Parts, body: &[u8]) -> Result<Option<Replay>, Problem> {
    let key = parts.headers.get(KEY).map(|value| value.to_str().unwrap_or_default());
    Ok(key.map(|key| Replay::new(caller, key, parts.uri.path(), body)).transpose()?)
}

/// The answer to a create: 201 the first time, 200 where it repeats an earlier one.
pub(crate) fn created(location: &str, is_new: bool, body: impl Serialize) -> Result<Response, Problem> {
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(LOCATION, HeaderValue::from_str(location).map_err(|_| Problem::not_found())?);
    if !is_new {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
