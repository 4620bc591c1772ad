//! The list of keys, and the page of one (contract rows WA10, WC2, WC9).

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::id::KeyId;
use keywright_core::key::{Key, Status};
use keywright_core::policy::{DEFAULT_KIND, Kind, OPERATOR_KIND};
use keywright_core::time::{Span, Time};
use keywright_store::keys::KeyFilter;
use serde::Deserialize;

use super::look::{Chart, KeyLook, Moment};
use super::{Form, Frame, HOME, Visitor, asked, page, query, see};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

/// Rows of a page.
const ROWS: usize = 50;
/// What a page says has just been done, by the word in its address.
const NOTICES: [(&str, &str); 5] = [
    ("revoked", "The key is revoked. It is refused everywhere from now on."),
    ("disabled", "The key is switched off. Switch it on again whenever you like."),
    ("enabled", "The key works again."),
    ("grace-ended", "The old secret has ended. Only the new one works."),
    ("grace-extended", "The old secret goes on working for a day."),
];

pub(super) fn notice(query: Option<&str>) -> &'static str {
    let said = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(name, _)| name == "done");
    let word = said.map(|(_, word)| word.into_owned()).unwrap_or_default();
    NOTICES.iter().find(|(known, _)| *known == word).map_or("", |(_, notice)| *notice)
}

/// What is asked for; what cannot be read asks for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    find: String,
    status: String,
    kind: String,
    cursor: String,
}

impl Asked {
    fn is_filtered(&self) -> bool {
        [&self.find, &self.status, &self.kind].into_iter().any(|text| !text.is_empty())
    }
}

#[derive(Template)]
#[template(path = "dashboard/keys.html")]
struct List {
    frame: Frame,
    asked: Asked,
    kinds: Vec<String>,
    statuses: [&'static str; 4],
    keys: Vec<KeyLook>,
    /// The next page; empty on the last.
    next: String,
    may_write: bool,
}

/// `GET /dashboard/keys`
pub(crate) async fn list(
    State(server): State<Server>,
    visitor: Visitor,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    if let Some(shown) = shown_part(&server, asked.find.trim()).filter(|shown| shown != asked.find.trim()) {
        // A whole key stays in no address, and on no page.
        return Ok(see(&address(&Asked { find: shown, ..asked })));
    }
    let (world, now) = (server.app.world(), server.app.now());
    let filter = KeyFilter {
        kind: Some(asked.kind.clone()).filter(|kind| !kind.is_empty()),
        status: Status::from_name(&asked.status),
        prefix: shown_part(&server, asked.find.trim()),
        words: words(&server, asked.find.trim()),
        newest_first: true,
        after: asked.cursor.parse().ok(),
        ..KeyFilter::all(i64::try_from(ROWS + 1).unwrap_or(1), now)
    };
    let mut keys = server.app.list_keys(&visitor.caller, filter).await?;
    let is_more = keys.len() > ROWS;
    keys.truncate(ROWS);
    let next = match keys.last() {
        Some(last) if is_more => {
            let id = last.id.to_string();
            query(&[("find", &asked.find), ("status", &asked.status), ("kind", &asked.kind), ("cursor", &id)])
        }
        _ => String::new(),
    };
    let list = List {
        frame: visitor.frame(&server, "keys", notice(text.as_deref())),
        kinds: kinds(&server).map(|kind| kind.name.clone()).collect(),
        statuses: Status::ALL.map(Status::name),
        keys: keys.into_iter().map(|key| KeyLook::new(key, &world.policy, now)).collect(),
        next,
        may_write: visitor.may(&server, "keys:write"),
        asked,
    };
    page(StatusCode::OK, &list)
}

/// `POST /dashboard/keys/find`: a key may be pasted here, and addresses are kept by many.
pub(crate) async fn look_up(State(server): State<Server>, _: Visitor, form: Form) -> Response {
    let find = form.text("find").trim();
    let find = shown_part(&server, find).unwrap_or_else(|| find.to_owned());
    let [status, kind] = ["status", "kind"].map(|name| form.text(name).to_owned());
    see(&address(&Asked { find, status, kind, cursor: String::new() }))
}

/// Where these are listed.
fn address(asked: &Asked) -> String {
    let Asked { find, status, kind, cursor } = asked;
    let fields = [("find", find), ("status", status), ("kind", kind), ("cursor", cursor)];
    let named: Vec<(&str, &str)> =
        fields.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (*name, text.as_str())).collect();
    if named.is_empty() { HOME.to_owned() } else { format!("{HOME}?{}", query(&named)) }
}

/// What keys are looked for by: a key that is pasted, whole or masked, is found by the part of it that is shown everywhere.
fn shown_part(server: &Server, find: &str) -> Option<String> {
    let policy = &server.app.world().policy;
    if let Some((_, reading)) = policy.read(find.as_bytes(), true).filter(|_| !find.contains(' ')) {
        return find.get(..reading.shown).map(str::to_owned);
    }
    let begins = |kind: &Kind| find.starts_with(kind.format.literal_prefix()) && !kind.format.is_open();
    let is_key = policy.kinds().iter().any(begins);
    is_key.then(|| find.split('…').next().unwrap_or_default().to_owned())
}

/// Anything else is looked for in names and descriptions.
fn words(server: &Server, find: &str) -> Option<String> {
    (!find.is_empty() && shown_part(server, find).is_none()).then(|| find.to_owned())
}

/// Kinds that people make keys of.
pub(super) fn kinds(server: &Server) -> impl Iterator<Item = &Kind> {
    let makes = |kind: &&Kind| !kind.format.is_open() && kind.name != OPERATOR_KIND && kind.issue_per_ip.is_none();
    let made = || server.app.world().policy.kinds().iter().filter(makes);
    // What is meant where nothing is named comes first.
    let is_usual = |kind: &&Kind| kind.name == DEFAULT_KIND;
    made().filter(is_usual).chain(made().filter(move |kind| !is_usual(kind)))
}

/// A secret of a key's that works.
struct SecretLook {
    masked: String,
    created: Moment,
    /// When it ends, where it does: one that was rotated away.
    ends: Option<Moment>,
}

#[derive(Template)]
#[template(path = "dashboard/key.html")]
struct One {
    frame: Frame,
    key: KeyLook,
    secrets: Vec<SecretLook>,
    chart: Chart,
    /// Whether an old secret still works beside the new one.
    is_in_grace: bool,
    may_write: bool,
    snippet: String,
}

/// `GET /dashboard/keys/{id}`
pub(crate) async fn show(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let id = key_id(&id)?;
    let (world, now) = (server.app.world(), server.app.now());
    let key = server.app.get_key(&visitor.caller, id).await?;
    let secrets = server.app.list_secrets(&visitor.caller, id).await?;
    let secrets: Vec<SecretLook> = secrets
        .into_iter()
        .map(|secret| SecretLook {
            masked: format!("{}…{}", secret.prefix, secret.last_four),
            created: Moment::new(secret.created_at, now),
            ends: secret.expires_at.map(|at| Moment::new(at, now)),
        })
        .collect();
    let one = One {
        frame: visitor.frame(&server, "keys", notice(text.as_deref())),
        is_in_grace: secrets.len() > 1,
        secrets,
        chart: chart(&server, &visitor, id, now).await?,
        may_write: visitor.may(&server, "keys:write"),
        snippet: super::create::snippet(&server, &key, "YOUR_KEY"),
        key: KeyLook::new(key, &world.policy, now),
    };
    page(StatusCode::OK, &one)
}

pub(super) async fn chart(server: &Server, visitor: &Visitor, id: KeyId, now: Time) -> Result<Chart, Error> {
    let rows = server.app.list_usage(&visitor.caller, id, now.before(Span::days(1)), now).await?;
    Ok(Chart::new(&rows, now))
}

/// What is no id is no key's.
pub(super) fn key_id(text: &str) -> Result<KeyId, Error> {
    text.parse().map_err(|_| Error::NotFound("key"))
}

/// A key the visitor may see.
pub(super) async fn find(server: &Server, visitor: &Visitor, id: &str) -> Result<Key, Error> {
    server.app.get_key(&visitor.caller, key_id(id)?).await
}
