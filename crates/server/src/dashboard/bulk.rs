//! Revoking several keys at once: what would be revoked, and what it did lately, is shown before.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::key::{Key, Status};

use super::keys::{RowLook, find, looks};
use super::{Form, Frame, HOME, Visitor, page, see};
use crate::Server;
use crate::problem::Problem;

/// The most that are revoked at once.
const MOST: usize = 50;

#[derive(Template)]
#[template(path = "dashboard/revoke_several.html")]
struct AskRevoke {
    frame: Frame,
    keys: Vec<RowLook>,
    requests: i64,
    /// What has to be typed.
    word: String,
    wrong: &'static str,
}

/// The keys of these ids: each is the visitor's to see, and stands once. Those that are revoked already are left out.
async fn chosen(server: &Server, visitor: &Visitor, ids: &[String]) -> Result<Vec<Key>, Error> {
    if ids.len() > MOST {
        return Err(Error::Conflict(format!("at most {MOST} keys are revoked at once")));
    }
    let mut keys: Vec<Key> = Vec::new();
    for id in ids {
        let key = find(server, visitor, id).await?;
        if key.status(server.app.now()) != Status::Revoked && keys.iter().all(|known| known.id != key.id) {
            keys.push(key);
        }
    }
    Ok(keys)
}

async fn about(server: &Server, visitor: &Visitor, keys: Vec<Key>, wrong: &'static str) -> Result<AskRevoke, Error> {
    let keys = looks(server, visitor, keys, server.app.now()).await?;
    Ok(AskRevoke {
        frame: visitor.frame(server, "keys", ""),
        requests: keys.iter().map(|row| row.day.total).sum(),
        word: word(keys.len()),
        keys,
        wrong,
    })
}

fn word(count: usize) -> String {
    format!("revoke {count} {}", if count == 1 { "key" } else { "keys" })
}

/// `GET /dashboard/keys/revoke`
pub(crate) async fn ask(
    State(server): State<Server>,
    visitor: Visitor,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    visitor.caller.must(&server.app.world().policy.catalog, "keys:write")?;
    let named = form_urlencoded::parse(text.as_deref().unwrap_or_default().as_bytes());
    let ids: Vec<String> = named.filter(|(name, _)| name == "id").map(|(_, id)| id.into_owned()).collect();
    let keys = chosen(&server, &visitor, &ids).await?;
    if keys.is_empty() {
        return Ok(see(HOME));
    }
    page(StatusCode::OK, &about(&server, &visitor, keys, "").await?)
}

/// `POST /dashboard/keys/revoke`
pub(crate) async fn revoke(State(server): State<Server>, visitor: Visitor, form: Form) -> Result<Response, Problem> {
    let keys = chosen(&server, &visitor, &form.all("id")).await?;
    if form.text("confirm").trim() != word(keys.len()) {
        let wrong = "This is not what is asked for. Nothing was revoked.";
        return page(StatusCode::UNPROCESSABLE_ENTITY, &about(&server, &visitor, keys, wrong).await?);
    }
    for key in keys {
        server.app.revoke_key(&visitor.caller, key.id).await?;
    }
    Ok(see(&format!("{HOME}?done=all-revoked")))
}
