//! WAYSCloud: which kinds its APIs are about, and what its errors look like.

pub(crate) mod account;
pub(crate) mod dashboard;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keywright_app::error::Error;
use keywright_app::keys::Created;
use keywright_core::draft::FieldError;
use keywright_core::id::KeyId;
use serde::Serialize;

use crate::problem::{Cause, Problem, Told};

/// The policy's kinds: service keys made in the dashboard, service keys and access tokens made with the Account API.
const SERVICE: &str = "wayscloud-service";
const ACCOUNT: &str = "wayscloud-account";
const PAT: &str = "wayscloud-pat";

/// What goes with every new secret.
const WARNING: &str = "Store this key now: it is shown this once and cannot be had again.";

/// A new key with its plaintext, this once.
#[derive(Serialize)]
struct NewKey<'a> {
    id: KeyId,
    key: &'a str,
    key_prefix: &'a str,
    key_type: &'static str,
    warning: &'static str,
}

/// What deleting something comes to.
#[derive(Serialize)]
pub(crate) struct Deleted {
    success: bool,
    message: &'static str,
}

const REVOKED: Deleted = Deleted { success: true, message: "The key is revoked: nothing accepts it any more." };

/// What a kind's keys are called.
fn key_type(kind: &str) -> &'static str {
    if kind == PAT { "pat" } else { "service" }
}

fn new_key(made: &Created) -> Result<Response, Problem> {
    let plain = made.plain.as_ref().ok_or_else(|| Error::Internal("a new key has no plaintext".into()))?;
    let key = &made.key;
    let body = NewKey {
        id: key.id,
        key: plain.reveal(),
        key_prefix: &key.prefix,
        key_type: key_type(&key.kind),
        warning: WARNING,
    };
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

/// Wrong fields under the names they were sent by.
fn renamed(error: Error, names: &[(&str, &str)]) -> Error {
    let Error::Invalid(mut errors) = error else { return error };
    for wrong in &mut errors {
        if let Some((_, sent)) = names.iter().find(|(ours, _)| *ours == wrong.field) {
            wrong.field = (*sent).to_owned();
        }
    }
    Error::Invalid(errors)
}

/// An error's body; the order of its fields is the documented one.
#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

/// The one translation. A credential that does not work and a permission that is missing are answered in the documented
/// words, which say nothing of why; everything else in ours, with our code.
pub(crate) fn error(told: &Told) -> Vec<u8> {
    let (error, code) = match told.cause {
        Cause::Credential => ("Invalid or expired API key", "AUTH_FAILED"),
        Cause::Permission => ("API key does not have permission for this service", "INSUFFICIENT_PERMISSIONS"),
        Cause::Other => (told.detail.as_str(), told.code),
    };
    serde_json::to_vec(&Body { error, code, errors: &told.errors }).unwrap_or_default()
}
