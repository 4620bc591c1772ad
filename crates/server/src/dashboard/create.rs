//! Making a key, and showing it once (contract rows WC3 to WC7).

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_app::replay::Replay;
use keywright_core::draft::says_nothing;
use keywright_core::key::Key;
use keywright_core::policy::{HeaderRule, Kind};
use keywright_store::keys::KeyFilter;

use super::kept::Sent;
use super::keys::{find, kinds};
use super::look::Mistakes;
use super::typed::{Offered, Typed};
use super::{Frame, Visitor, page};
use crate::Server;
use crate::problem::Problem;

/// The fields of the form that something can be wrong with.
const FIELDS: [&str; 8] =
    ["name", "description", "services", "permissions", "role", "environment", "ip_allowlist", "expires_in"];

/// Keys that are offered to take settings from.
const MODELS: i64 = 50;

fn name_of(key: &Key) -> String {
    let shown = format!("{}…{}", key.prefix, key.last_four);
    if key.name.is_empty() { shown } else { format!("{} ({shown})", key.name) }
}

/// A kind to choose.
struct Choice {
    name: String,
    about: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "dashboard/new_key.html")]
struct Asked {
    frame: Frame,
    choices: Vec<Choice>,
    kind: Kind,
    offered: Offered,
    /// Keys whose settings can be taken: their ids and names.
    models: Vec<(String, String)>,
    typed: Typed,
    mistakes: Mistakes,
    /// Sent along, so that the same form sent twice makes one key.
    once: String,
}

impl Asked {
    fn new(server: &Server, visitor: &Visitor, kind: &Kind, typed: Typed) -> Self {
        let choice = |other: &Kind| Choice {
            name: other.name.clone(),
            about: other.about.clone(),
            is_chosen: other.name == kind.name,
        };
        let section = if kind.personal { "tokens" } else { "keys" };
        Self {
            frame: visitor.frame(server, section, ""),
            choices: kinds(server).filter(|other| other.personal == kind.personal).map(choice).collect(),
            offered: Offered::new(Some(kind), &[]),
            models: Vec::new(),
            kind: kind.clone(),
            typed,
            mistakes: Mistakes::default(),
            once: visitor.caller.request_id.clone().unwrap_or_default(),
        }
    }
}

fn chosen<'s>(server: &'s Server, name: &str) -> Result<&'s Kind, Problem> {
    let named = kinds(server).find(|kind| kind.name == name);
    named.or_else(|| kinds(server).next()).ok_or_else(Problem::not_found)
}

/// `GET /dashboard/keys/new`
pub(crate) async fn new(
    State(server): State<Server>,
    visitor: Visitor,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    visitor.caller.must(&server.app.world().policy.catalog, "keys:write")?;
    let asked: BTreeMap<String, String> = super::asked(text.as_deref());
    let model = match asked.get("from") {
        Some(id) => Some(find(&server, &visitor, id).await?),
        None => None,
    };
    let named = model.as_ref().map(|model| &model.kind).or(asked.get("kind"));
    let kind = chosen(&server, named.map_or("", String::as_str))?;
    let typed = Typed { expires: "90".into(), ..model.map(Typed::like).unwrap_or_default() };
    let filter =
        KeyFilter { kind: Some(kind.name.clone()), newest_first: true, ..KeyFilter::all(MODELS, server.app.now()) };
    let models = server.app.list_keys(&visitor.caller, filter).await?;
    let models = models.into_iter().map(|key| (key.id.to_string(), name_of(&key))).collect();
    page(StatusCode::OK, &Asked { models, ..Asked::new(&server, &visitor, kind, typed) })
}

/// A key with its plaintext, this once.
#[derive(Template)]
#[template(path = "dashboard/new_secret.html")]
pub(super) struct Shown {
    pub(super) frame: Frame,
    pub(super) title: &'static str,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) snippet: String,
    /// When the secret before it stops working; empty where there is none.
    pub(super) old_ends: String,
    pub(super) warning: &'static str,
}

/// `POST /dashboard/keys`
pub(crate) async fn create(State(server): State<Server>, Sent { visitor, form }: Sent) -> Result<Response, Problem> {
    let typed = Typed::read(&form);
    let kind = chosen(&server, form.text("kind"))?.clone();
    let mut mistakes = Mistakes::default();
    let draft = typed.draft(&mut mistakes);
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    if mistakes.are_none() {
        let once =
            form.typed("once").map(|once| Replay::new(&visitor.caller, once, "/dashboard/keys", once.as_bytes()));
        match server.app.create_key(&visitor.caller, None, Some(&kind.name), draft, once.transpose()?).await {
            Ok(made) => return shown(&server, &visitor, made.key, made.plain.as_ref().map(|plain| plain.reveal())),
            Err(error @ (Error::Invalid(_) | Error::Conflict(_) | Error::Forbidden(_))) => {
                mistakes = Mistakes::new(&error, &FIELDS);
                status = Problem::from(error).status();
            }
            Err(other) => return Err(other.into()),
        }
    }
    page(status, &Asked { mistakes, once: form.text("once").into(), ..Asked::new(&server, &visitor, &kind, typed) })
}

fn shown(server: &Server, visitor: &Visitor, key: Key, plain: Option<&str>) -> Result<Response, Problem> {
    // The same form was sent before: its key is there, and its secret was shown then.
    let Some(plain) = plain else { return Ok(super::see(&format!("/dashboard/keys/{}", key.id))) };
    let warning = if says_nothing(&key.name) {
        "The name says little. In a year somebody will ask what this key is for: a name like “Nightly backup” answers them."
    } else {
        ""
    };
    let shown = Shown {
        frame: visitor.frame(server, "keys", ""),
        title: "Your new key",
        id: key.id.to_string(),
        name: key.name.clone(),
        key: plain.to_owned(),
        snippet: snippet(server, &key, plain),
        old_ends: String::new(),
        warning,
    };
    page(StatusCode::CREATED, &shown)
}

/// A command that works with a key, in the header its kind asks for.
pub(super) fn snippet(server: &Server, key: &Key, plain: &str) -> String {
    let rule = server.app.world().policy.kind(&key.kind).map(|(_, kind)| kind.header);
    let header = match rule {
        Some(HeaderRule::XApiKey) => format!("X-API-Key: {plain}"),
        Some(HeaderRule::Bearer | HeaderRule::BearerOrBare) | None => format!("Authorization: Bearer {plain}"),
    };
    format!("curl {}/v1/keys/self \\\n  -H '{header}'", server.address())
}
