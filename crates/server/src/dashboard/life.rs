//! What happens to a key in its life: rotated, switched off, revoked (contract rows WC9, WC10).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::key::Key;
use keywright_core::time::Span;

use super::create::{Shown, snippet};
use super::keys::{chart, find, key_id};
use super::look::{KeyLook, Moment};
use super::{Form, Frame, Visitor, page, see};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

/// How long the old secret may go on working, as it is chosen.
const GRACES: [(&str, &str); 5] =
    [("0s", "Ends now"), ("15m", "15 minutes"), ("1h", "1 hour"), ("24h", "24 hours"), ("7d", "7 days")];

/// A choice of grace.
struct Grace {
    value: &'static str,
    label: &'static str,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "dashboard/rotate.html")]
struct AskRotate {
    frame: Frame,
    key: KeyLook,
    graces: Vec<Grace>,
    wrong: String,
}

impl AskRotate {
    fn new(server: &Server, visitor: &Visitor, key: Key, wrong: String) -> Self {
        let (world, now) = (server.app.world(), server.app.now());
        let usual = world.policy.kind(&key.kind).map_or(Span::days(1), |(_, kind)| kind.grace);
        let is_usual = |value: &str| value.parse::<Span>().is_ok_and(|span| span == usual);
        let is_known = GRACES.iter().any(|(value, _)| is_usual(value));
        let graces = GRACES.map(|(value, label)| Grace {
            value,
            label,
            is_chosen: if is_known { is_usual(value) } else { value == "24h" },
        });
        Self {
            frame: visitor.frame(server, "keys", ""),
            key: KeyLook::new(key, &world.policy, now),
            graces: graces.into(),
            wrong,
        }
    }
}

/// `GET /dashboard/keys/{id}/rotate`
pub(crate) async fn ask_rotate(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Problem> {
    let key = find(&server, &visitor, &id).await?;
    page(StatusCode::OK, &AskRotate::new(&server, &visitor, key, String::new()))
}

/// `POST /dashboard/keys/{id}/rotate`
pub(crate) async fn rotate(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let grace = GRACES.iter().find(|(value, _)| *value == form.text("grace")).and_then(|(value, _)| value.parse().ok());
    let rotated = match server.app.rotate_key(&visitor.caller, key_id(&id)?, grace).await {
        Ok(rotated) => rotated,
        Err(Error::Conflict(reason)) => {
            let key = find(&server, &visitor, &id).await?;
            let again = AskRotate::new(&server, &visitor, key, super::look::sentence(&reason));
            return page(StatusCode::CONFLICT, &again);
        }
        Err(other) => return Err(other.into()),
    };
    let ends = Moment::new(rotated.old_expires_at, server.app.now());
    let is_over = rotated.old_expires_at <= server.app.now();
    let old_ends = if is_over { "has ended".into() } else { format!("ends {} ({})", ends.said, ends.exact) };
    let shown = Shown {
        frame: visitor.frame(&server, "keys", ""),
        title: "The new secret",
        id: rotated.key.id.to_string(),
        name: rotated.key.name.clone(),
        key: rotated.plain.reveal().to_owned(),
        snippet: snippet(&server, &rotated.key, rotated.plain.reveal()),
        old_ends: format!("The old secret, {}…, {old_ends}.", rotated.old_prefix),
        warning: "",
    };
    page(StatusCode::OK, &shown)
}

/// `POST /dashboard/keys/{id}/grace`
pub(crate) async fn set_grace(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let (grace, done) = match form.text("grace") {
        "0s" => (Span::seconds(0), "grace-ended"),
        _ => (Span::days(1), "grace-extended"),
    };
    let key = server.app.set_grace(&visitor.caller, key_id(&id)?, grace).await?;
    Ok(see(&format!("/dashboard/keys/{}?done={done}", key.id)))
}

/// `POST /dashboard/keys/{id}/disable`
pub(crate) async fn disable(server: State<Server>, visitor: Visitor, id: Id, form: Form) -> Result<Response, Problem> {
    switch(server, visitor, id, form, false).await
}

/// `POST /dashboard/keys/{id}/enable`
pub(crate) async fn enable(server: State<Server>, visitor: Visitor, id: Id, form: Form) -> Result<Response, Problem> {
    switch(server, visitor, id, form, true).await
}

async fn switch(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    _form: Form,
    on: bool,
) -> Result<Response, Problem> {
    let key = server.app.set_key_enabled(&visitor.caller, key_id(&id)?, on).await?;
    let done = if on { "enabled" } else { "disabled" };
    Ok(see(&format!("/dashboard/keys/{}?done={done}", key.id)))
}

#[derive(Template)]
#[template(path = "dashboard/revoke.html")]
struct AskRevoke {
    frame: Frame,
    key: KeyLook,
    requests: i64,
    /// What has to be typed.
    word: String,
    wrong: &'static str,
}

async fn ask(server: &Server, visitor: &Visitor, id: &str, wrong: &'static str) -> Result<AskRevoke, Error> {
    let key = find(server, visitor, id).await?;
    let (world, now) = (server.app.world(), server.app.now());
    let requests = chart(server, visitor, key.id, now).await?.total;
    let key = KeyLook::new(key, &world.policy, now);
    Ok(AskRevoke { frame: visitor.frame(server, "keys", ""), word: key.title().to_owned(), key, requests, wrong })
}

/// `GET /dashboard/keys/{id}/revoke`
pub(crate) async fn ask_revoke(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Problem> {
    page(StatusCode::OK, &ask(&server, &visitor, &id, "").await?)
}

/// Whether a name was typed as it is seen: a browser shows any white space as one space.
fn is_said(typed: &str, name: &str) -> bool {
    typed.split_whitespace().eq(name.split_whitespace())
}

/// `POST /dashboard/keys/{id}/revoke`
pub(crate) async fn revoke(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let asked = ask(&server, &visitor, &id, "This is not the key's name. Nothing was revoked.").await?;
    if !is_said(form.text("confirm"), &asked.word) {
        return page(StatusCode::UNPROCESSABLE_ENTITY, &asked);
    }
    let key = server.app.revoke_key(&visitor.caller, key_id(&id)?).await?;
    Ok(see(&format!("/dashboard/keys/{}?done=revoked", key.id)))
}
