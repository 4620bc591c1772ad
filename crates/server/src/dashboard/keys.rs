//! The list of keys (contract rows WA10, WC2, WC9), and looking for one.

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

use super::key::notice;
use super::look::{Chart, KeyLook, Spark};
use super::{Form, Frame, HOME, Visitor, asked, page, query, see};
use crate::Server;
use crate::problem::Problem;

/// Rows of a page: as many as weigh well below 50 KB.
const ROWS: usize = 30;

/// What is asked for; what cannot be read asks for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Asked {
    find: String,
    status: String,
    kind: String,
    view: String,
    cursor: String,
}

impl Asked {
    fn is_filtered(&self) -> bool {
        [&self.find, &self.status, &self.kind, &self.view].into_iter().any(|text| !text.is_empty())
    }

    fn filter(&self, server: &Server, now: Time) -> KeyFilter {
        let view = VIEWS.iter().find(|(name, ..)| *name == self.view).map(|(.., view)| *view);
        // What is over already neither expires nor waits to be used.
        let status = Status::from_name(&self.status).or(view.map(|_| Status::Active));
        KeyFilter {
            kind: Some(self.kind.clone()).filter(|kind| !kind.is_empty()),
            status,
            prefix: shown_part(server, self.find.trim()),
            words: words(server, self.find.trim()),
            expiring_before: (view == Some(View::Expiring)).then(|| now.after(Span::days(14))),
            unused_since: (view == Some(View::Unused)).then(|| now.before(Span::days(30))),
            issued_before: (view == Some(View::Old)).then(|| now.before(Span::days(90))),
            newest_first: true,
            after: self.cursor.parse().ok(),
            ..KeyFilter::all(i64::try_from(ROWS + 1).unwrap_or(1), now)
        }
    }
}

/// Lists people come back to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Expiring,
    Unused,
    Old,
}

const VIEWS: [(&str, &str, View); 3] = [
    ("expiring", "Expire in 14 days", View::Expiring),
    ("unused", "Unused for 30 days", View::Unused),
    ("old", "Secrets over 90 days old", View::Old),
];

/// A key of a list, and how it was used in the last day.
pub(super) struct RowLook {
    pub(super) key: KeyLook,
    pub(super) day: Spark,
}

#[derive(Template)]
#[template(path = "dashboard/keys.html", whitespace = "minimize")]
struct List {
    frame: Frame,
    asked: Asked,
    kinds: Vec<String>,
    statuses: [&'static str; 4],
    /// Lists to go over to: their names and what they are called.
    views: Vec<(&'static str, &'static str)>,
    keys: Vec<RowLook>,
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
    let now = server.app.now();
    let mut keys = server.app.list_keys(&visitor.caller, asked.filter(&server, now)).await?;
    let is_more = keys.len() > ROWS;
    keys.truncate(ROWS);
    let next = match keys.last() {
        Some(last) if is_more => address(&Asked { cursor: last.id.to_string(), ..asked.clone() }),
        _ => String::new(),
    };
    let list = List {
        frame: visitor.frame(&server, "keys", notice(text.as_deref())),
        kinds: kinds(&server).map(|kind| kind.name.clone()).collect(),
        statuses: Status::ALL.map(Status::name),
        views: VIEWS.iter().map(|(name, label, _)| (*name, *label)).collect(),
        keys: looks(&server, &visitor, keys, now).await?,
        next,
        may_write: visitor.may(&server, "keys:write"),
        asked,
    };
    page(StatusCode::OK, &list)
}

/// Keys with what they did in the last day.
pub(super) async fn looks(
    server: &Server,
    visitor: &Visitor,
    keys: Vec<Key>,
    now: Time,
) -> Result<Vec<RowLook>, Error> {
    let policy = &server.app.world().policy;
    let hours = server.app.list_hours(&visitor.caller, &keys, now.before(Span::days(1)), now).await?;
    let look = |key: Key| {
        let own = hours.iter().filter(|sum| sum.key == key.id);
        let day = Spark::new(own.map(|sum| (sum.hour, sum.outcome.as_str(), sum.count)), now);
        RowLook { day, key: KeyLook::new(key, policy, now) }
    };
    Ok(keys.into_iter().map(look).collect())
}

/// `POST /dashboard/keys/find`: a key may be pasted here, and addresses are kept by many.
pub(crate) async fn look_up(State(server): State<Server>, _: Visitor, form: Form) -> Response {
    let find = form.text("find").trim();
    let find = shown_part(&server, find).unwrap_or_else(|| find.to_owned());
    let [status, kind, view] = ["status", "kind", "view"].map(|name| form.text(name).to_owned());
    see(&address(&Asked { find, status, kind, view, cursor: String::new() }))
}

/// Where these are listed.
fn address(asked: &Asked) -> String {
    let Asked { find, status, kind, view, cursor } = asked;
    let fields = [("find", find), ("status", status), ("kind", kind), ("view", view), ("cursor", cursor)];
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
    let begins = |kind: &&Kind| find.starts_with(kind.format.literal_prefix()) && !kind.format.is_open();
    let of = policy.kinds().iter().filter(begins).max_by_key(|kind| kind.format.literal_prefix().len())?;
    // One that was not copied well is still nobody's to read.
    let most = of.format.longest_shown();
    Some(find.split('…').next().unwrap_or_default().chars().take(most).collect())
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
