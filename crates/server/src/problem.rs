//! Errors as answers: the one translation of an error into a status and a code, and its body in the native API, an RFC 9457
//! problem document. A provider's own body for it is in `compat/`.

use std::convert::Infallible;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use keywright_app::error::Error;
use keywright_core::draft::FieldError;
use keywright_core::time::Span;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::request_id::{self, RequestId};
use crate::router::Dialect;
use crate::scrub::scrub;
use crate::{compat, dashboard};

/// Every code a problem can have, with its status and its title. They are stable.
pub(crate) const CODES: [(&str, StatusCode, &str); 25] = [
    ("BAD_REQUEST", StatusCode::BAD_REQUEST, "The request has two readings, or none"),
    ("INVALID_JSON", StatusCode::BAD_REQUEST, "The body is not JSON"),
    ("INVALID_REQUEST", StatusCode::BAD_REQUEST, "The exchange is not one, or its key does not work"),
    ("INVALID_SCOPE", StatusCode::BAD_REQUEST, "The scope is more than the key is permitted"),
    ("INVALID_TARGET", StatusCode::BAD_REQUEST, "The audience is none"),
    ("UNSUPPORTED_GRANT_TYPE", StatusCode::BAD_REQUEST, "The grant type is not taken"),
    ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED, "The credential is missing or does not work"),
    ("LOGIN_FAILED", StatusCode::UNAUTHORIZED, "The email or the password is wrong"),
    ("SECOND_FACTOR_REQUIRED", StatusCode::UNAUTHORIZED, "A code from the second factor is missing"),
    ("SECOND_FACTOR_WRONG", StatusCode::UNAUTHORIZED, "The code is wrong, or was used before"),
    ("SESSION_OVER", StatusCode::UNAUTHORIZED, "The session is over"),
    ("CREDITS_EXHAUSTED", StatusCode::PAYMENT_REQUIRED, "The key's credits do not cover the cost"),
    ("FORBIDDEN", StatusCode::FORBIDDEN, "The credential is not permitted this"),
    ("NOT_FOUND", StatusCode::NOT_FOUND, "There is no such thing"),
    ("METHOD_NOT_ALLOWED", StatusCode::METHOD_NOT_ALLOWED, "The path does not take this method"),
    ("TIMED_OUT", StatusCode::REQUEST_TIMEOUT, "The request took too long to arrive"),
    ("CONFLICT", StatusCode::CONFLICT, "The state of things does not allow it"),
    ("TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
    ("NOT_JSON", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not declared as JSON"),
    ("INVALID", StatusCode::UNPROCESSABLE_ENTITY, "Fields of the request are wrong"),
    ("RATE_LIMITED", StatusCode::TOO_MANY_REQUESTS, "Too many attempts"),
    ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR, "A fault of the server"),
    ("UPSTREAM_UNREACHABLE", StatusCode::BAD_GATEWAY, "The service behind the gate is out of reach"),
    ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE, "A part of the service is out of reach"),
    ("UPSTREAM_TIMED_OUT", StatusCode::GATEWAY_TIMEOUT, "The service behind the gate did not answer in time"),
];

/// What went wrong with a request.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Span>,
    cause: Cause,
    /// What the caller goes on with (RFC 9457, 3.2).
    more: Map<String, Value>,
}

/// What providers answer in words of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No credential, or none that works.
    Credential,
    /// The credential works, and is without the permission the route asks for.
    Permission,
    /// Anything else.
    Other,
}

/// What a problem's body is made of, with nothing in it that could be a secret.
pub(crate) struct Told {
    pub(crate) code: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) cause: Cause,
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let (errors, more) = (Vec::new(), Map::new());
        Self { code, detail: detail.into(), errors, retry_after: None, cause: Cause::Other, more }
    }

    /// With what the caller goes on with.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.more.insert(member.into(), value.into());
        self
    }

    pub(crate) fn not_found() -> Self {
        Error::NotFound("page").into()
    }

    fn entry(&self) -> (&'static str, StatusCode, &'static str) {
        let internal = ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR, "A fault of the server");
        CODES.into_iter().find(|(code, ..)| *code == self.code).unwrap_or(internal)
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.entry().1
    }

    fn told(&self) -> Told {
        let (code, status, title) = self.entry();
        let scrubbed = |error: &FieldError| FieldError { field: scrub(&error.field), reason: scrub(&error.reason) };
        let errors = self.errors.iter().map(scrubbed).collect();
        Told { code, status, title, detail: scrub(&self.detail), errors, cause: self.cause, more: self.more.clone() }
    }

    /// The whole answer.
    pub(crate) fn answer(&self, request_id: &RequestId, dialect: Dialect) -> http::Response<Bytes> {
        let told = self.told();
        let status = told.status;
        let (media, body) = match dialect {
            Dialect::Native | Dialect::Cloudheed => ("application/problem+json", document(told, request_id)),
            Dialect::Wavis => ("application/json", compat::wavis::error(&told)),
            Dialect::Wayscloud => ("application/json", compat::wayscloud::error(&told)),
            Dialect::Dashboard => {
                ("text/html; charset=utf-8", dashboard::wrong(told.title, &told.detail, &request_id.0).into_bytes())
            }
        };
        let mut answer = http::Response::new(body.into());
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(&request_id.0) {
            headers.insert(request_id::HEADER, id);
        }
        if dialect == Dialect::Dashboard {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(dashboard::POLICY));
        } else if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"keywright\""));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.seconds_up().max(1)));
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(1));
        }
        answer
    }
}

/// RFC 9457.
fn document(told: Told, request_id: &RequestId) -> Vec<u8> {
    let Told { code, status, title, detail, errors, cause: _, more } = told;
    let document = Document {
        kind: format!("/docs#{}", code.to_lowercase().replace('_', "-")),
        title,
        status: status.as_u16(),
        detail,
        code,
        request_id: &request_id.0,
        errors,
        more,
    };
    serde_json::to_vec(&document).unwrap_or_default()
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: String,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Unauthenticated => Self {
                cause: Cause::Credential,
                ..Self::new(
                    "UNAUTHENTICATED",
                    "send a working key in the header its kind asks for, as in `Authorization: Bearer kw_…`",
                )
            },
            Error::LoginFailed => Self::new("LOGIN_FAILED", detail),
            Error::CodeWrong => Self::new("SECOND_FACTOR_WRONG", detail),
            Error::SessionOver => Self::new("SESSION_OVER", detail),
            Error::NotFound(_) => Self::new("NOT_FOUND", detail),
            Error::LacksPermission(_) => Self { cause: Cause::Permission, ..Self::new("FORBIDDEN", detail) },
            Error::Forbidden(_) => Self::new("FORBIDDEN", detail),
            Error::Invalid(errors) => Self { errors, ..Self::new("INVALID", detail) },
            Error::Conflict(_) => Self::new("CONFLICT", detail),
            Error::Limited(wait) => Self { retry_after: Some(wait), ..Self::new("RATE_LIMITED", detail) },
            Error::Unavailable(reason) => {
                tracing::warn!(reason, "out of reach");
                Self::new("UNAVAILABLE", "nothing was changed: try again in a moment")
            }
            Error::Unanswered => {
                tracing::warn!("{detail}");
                Self::new(
                    "UNAVAILABLE",
                    "the database did not say whether the change was made, and may still make it: look before trying again",
                )
            }
            Error::Internal(reason) => {
                tracing::error!(reason, "internal error");
                Self::new("INTERNAL", "the request_id finds it in the server's log")
            }
        }
    }
}

impl From<Infallible> for Problem {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A problem on its way out: the body is written where the request's id is known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
