//! The standard token endpoints: introspection (RFC 7662) and revocation (RFC 7009). Both take a form, as they say.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use keywright_app::caller::Reach;
use keywright_app::error::Error;
use keywright_app::verify::Ask;
use keywright_core::id::AccountId;
use serde::Serialize;

use crate::Server;
use crate::extract::{MOST_BYTES, Who, read};
use crate::problem::Problem;

/// What a token is, where it is active; else only that it is not (RFC 7662, 2.2).
#[derive(Default, Serialize)]
pub(crate) struct Introspection {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

/// `POST /v1/introspect`
pub(crate) async fn introspect(
    State(server): State<Server>,
    who: Who,
    request: Request,
) -> Result<axum::Json<Introspection>, Problem> {
    who.caller.must(&server.app.world().policy.catalog, "keys:verify")?;
    let token = token(request).await?;
    let within = match who.caller.reach {
        Reach::Everything => None,
        Reach::Account(own) => Some(own),
    };
    // Looking costs nothing: a token is introspected as often as its bearer's peers like.
    let verdict = server.app.verify(token.as_bytes(), &Ask { cost: 0, within, ..Ask::default() }).await?;
    let active = verdict.is_valid();
    let Some(key) = verdict.key.filter(|_| active) else { return Ok(axum::Json(Introspection::default())) };
    let permissions = key.access(&server.app).map(|access| access.permissions.join(" "));
    Ok(axum::Json(Introspection {
        active,
        scope: permissions,
        client_id: Some(key.record().id.to_string()),
        sub: key.account(&server.app),
        token_type: Some("Bearer"),
        exp: key.record().expires_at().map(|at| at.millis() / 1_000),
    }))
}

/// `POST /v1/revoke`
pub(crate) async fn revoke(State(server): State<Server>, who: Who, request: Request) -> Result<StatusCode, Problem> {
    let token = token(request).await?;
    server.app.revoke_presented(&who.caller, token.as_bytes()).await?;
    Ok(StatusCode::OK)
}

async fn token(request: Request) -> Result<String, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, MOST_BYTES).await?;
    if !is_form(&parts.headers) {
        return Err(Problem::new(
            "NOT_JSON",
            "send a form: `Content-Type: application/x-www-form-urlencoded` with `token=…`",
        ));
    }
    let mut form: BTreeMap<String, String> = serde_urlencoded::from_bytes(&bytes).unwrap_or_default();
    form.remove("token")
        .ok_or_else(|| Error::invalid("token", "is required: send it as a form field, `token=…`").into())
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
