//! The page of one key: how it stands, what it did lately, where from, and what it may do.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::PermissionUse;
use keywright_app::error::Error;
use keywright_app::lockouts::Lockout;
use keywright_core::ip::{IpAllowlist, parse_address};
use keywright_core::key::Key;
use keywright_core::time::{Span, Time};
use keywright_core::verify::Outcome;
use keywright_store::denials::{DenialRow, KEPT};
use keywright_store::uses::UseRow;
use serde::Deserialize;

use super::edit::WITHOUT;
use super::keys::{chart, find, key_id};
use super::look::{Chart, KeyLook, Moment};
use super::{Form, Frame, Visitor, asked, page, query, see};
use crate::Server;
use crate::api::verify::detail;
use crate::extract::Id;
use crate::problem::Problem;

/// How long ago is too long for an old secret to be called in use still.
const LATELY: Span = Span::days(1);
/// Refusals on a key's page; there is another for all of them.
const DENIALS: usize = 5;

/// What a page says has just been done, by the word in its address.
const NOTICES: [(&str, &str); 8] = [
    ("revoked", "The key is revoked. It is refused everywhere from now on."),
    ("disabled", "The key is switched off. Switch it on again whenever you like."),
    ("enabled", "The key works again."),
    ("grace-ended", "The old secret has ended. Only the new one works."),
    ("grace-extended", "The old secret goes on working for a day."),
    ("changed", "The key is changed. What you wrote holds from now on."),
    ("unlocked", "The key is unlocked, with no guess counted against it."),
    ("all-revoked", "The keys are revoked. They are refused everywhere from now on."),
];

pub(super) fn notice(query: Option<&str>) -> &'static str {
    let said = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(name, _)| name == "done");
    let word = said.map(|(_, word)| word.into_owned()).unwrap_or_default();
    NOTICES.iter().find(|(known, _)| *known == word).map_or("", |(_, notice)| *notice)
}

/// A use: when, from where, by what.
pub(super) struct UseLook {
    pub(super) at: Moment,
    pub(super) ip: String,
    pub(super) agent: String,
    /// Whether the key may be used from there as it stands.
    pub(super) is_allowed: bool,
}

impl UseLook {
    pub(super) fn new(row: UseRow, allowlist: &IpAllowlist, now: Time) -> Self {
        Self {
            at: Moment::new(row.at, now),
            is_allowed: allowlist.allows(parse_address(&row.ip).ok()),
            ip: row.ip,
            agent: row.user_agent.unwrap_or_default(),
        }
    }
}

/// A secret of a key's that works.
struct SecretLook {
    masked: String,
    created: Moment,
    /// When it ends, where it does: one that was rotated away.
    ends: Option<Moment>,
    last: Option<UseLook>,
}

/// A refusal: when, why, from where, in which request.
struct DenialLook {
    at: Moment,
    code: String,
    why: &'static str,
    ip: String,
    agent: String,
    request_id: String,
}

impl DenialLook {
    fn new(row: DenialRow, now: Time) -> Self {
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.code() == row.outcome);
        Self {
            at: Moment::new(row.at, now),
            why: outcome.map_or("", detail),
            code: row.outcome,
            ip: row.ip.unwrap_or_default(),
            agent: row.user_agent.unwrap_or_default(),
            request_id: row.request_id,
        }
    }
}

/// A lock on the key.
struct LockLook {
    secret: String,
    cause: String,
    until: Moment,
}

impl LockLook {
    fn new(lock: Lockout, now: Time) -> Self {
        Self {
            secret: lock.key_prefix.unwrap_or_default(),
            cause: format!("{} wrong guesses in {}", lock.rule.failures, lock.rule.within),
            until: Moment::new(lock.until, now),
        }
    }
}

/// A permission of the key's, and when it last let the key do something.
struct PermissionLook {
    name: String,
    /// Empty where that is not known.
    last: String,
    is_unused: bool,
}

impl PermissionLook {
    fn new(used: PermissionUse, now: Time) -> Self {
        let PermissionUse { permission: name, last, is_unused } = used;
        // It is noted once a day, and nothing finer is told.
        let last = last.map(|last| match now.day() - last.day() {
            ..=0 => "today".into(),
            1 => "yesterday".into(),
            days => format!("{days} days ago"),
        });
        Self { name, last: last.unwrap_or_default(), is_unused }
    }
}

#[derive(Template)]
#[template(path = "dashboard/key.html")]
struct One {
    frame: Frame,
    key: KeyLook,
    locks: Vec<LockLook>,
    secrets: Vec<SecretLook>,
    addresses: Vec<UseLook>,
    denials: Vec<DenialLook>,
    /// Whether there are more of them than are shown here.
    are_more_denied: bool,
    chart: Chart,
    /// Whether an old secret still works beside the new one.
    is_in_grace: bool,
    /// Where the old one was used lately, where it was.
    old_use: Option<UseLook>,
    may_write: bool,
    snippet: String,
    permissions: Vec<PermissionLook>,
    /// Since when it is known what permissions are used for, where that is not as old as the key.
    watched_since: Option<Moment>,
    /// Leads to the form that edits the key, without what it could do without; empty where there is no such thing.
    narrower: String,
}

/// `GET /dashboard/keys/{id}`
pub(crate) async fn show(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    page(StatusCode::OK, &about(&server, &visitor, &id, notice(text.as_deref())).await?)
}

async fn about(server: &Server, visitor: &Visitor, id: &str, notice: &'static str) -> Result<One, Error> {
    let (id, app, now) = (key_id(id)?, &server.app, server.app.now());
    let key = app.get_key(&visitor.caller, id).await?;
    let mut uses = app.list_uses(&visitor.caller, id).await?;
    // The current one first, also where both were made in one moment.
    uses.secrets.sort_by_key(|(secret, _)| secret.expires_at.is_some());
    let denials = app.list_denials(&visitor.caller, id).await?;
    let locks = app.list_key_lockouts(&visitor.caller, id).await?;
    let permissions = app.list_permission_uses(&visitor.caller, id).await?;
    let watched_since = permissions.watched_since.map(|at| Moment::new(at, now));
    let looks = permissions.permissions.into_iter().map(|used| PermissionLook::new(used, now));
    let permissions: Vec<PermissionLook> = looks.collect();
    let look = |row: UseRow| UseLook::new(row, &key.ip_allowlist, now);
    let is_late = |row: &UseRow| row.at > now.before(LATELY);
    let old = uses.secrets.iter().skip(1).filter_map(|(_, last)| last.clone()).filter(is_late);
    let old_use = old.max_by_key(|row| row.at).map(look);
    let is_in_grace = uses.secrets.len() > 1;
    let secret = |(secret, last): (keywright_core::key::Secret, Option<UseRow>)| SecretLook {
        masked: format!("{}…{}", secret.prefix, secret.last_four),
        created: Moment::new(secret.created_at, now),
        ends: secret.expires_at.map(|at| Moment::new(at, now)),
        last: last.map(look),
    };
    let secrets = uses.secrets.into_iter().map(secret).collect();
    let addresses = uses.addresses.into_iter().map(look).collect();
    Ok(One {
        frame: visitor.frame(server, "keys", notice),
        locks: locks.into_iter().map(|lock| LockLook::new(lock, now)).collect(),
        secrets,
        addresses,
        are_more_denied: denials.len() > DENIALS,
        denials: denials.into_iter().take(DENIALS).map(|row| DenialLook::new(row, now)).collect(),
        chart: chart(server, visitor, id, now).await?,
        is_in_grace,
        old_use,
        narrower: narrower(&key, &permissions),
        permissions,
        watched_since,
        may_write: visitor.may(server, "keys:write"),
        snippet: super::create::snippet(server, &key, "YOUR_KEY"),
        key: KeyLook::new(key, &server.app.world().policy, now),
    })
}

/// Where a key is edited without the permissions it does not use.
fn narrower(key: &Key, permissions: &[PermissionLook]) -> String {
    let unused = permissions.iter().filter(|permission| permission.is_unused);
    let without: Vec<_> = unused.map(|permission| (WITHOUT, permission.name.as_str())).collect();
    if without.is_empty() { String::new() } else { format!("/dashboard/keys/{}/edit?{}", key.id, query(&without)) }
}

/// What is asked for; what cannot be read asks for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    request: String,
}

#[derive(Template)]
#[template(path = "dashboard/refusals.html")]
struct Refusals {
    frame: Frame,
    key: KeyLook,
    asked: Asked,
    denials: Vec<DenialLook>,
    kept: i64,
}

/// `GET /dashboard/keys/{id}/refusals`
pub(crate) async fn list_refusals(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    let (key, now) = (find(&server, &visitor, &id).await?, server.app.now());
    let all = server.app.list_denials(&visitor.caller, key.id).await?;
    let wanted = asked.request.trim();
    let fits = all.into_iter().filter(|row| wanted.is_empty() || row.request_id == wanted);
    let refusals = Refusals {
        frame: visitor.frame(&server, "keys", ""),
        denials: fits.map(|row| DenialLook::new(row, now)).collect(),
        key: KeyLook::new(key, &server.app.world().policy, now),
        kept: KEPT,
        asked,
    };
    page(StatusCode::OK, &refusals)
}

/// `POST /dashboard/keys/{id}/unlock`
pub(crate) async fn unlock(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    _form: Form,
) -> Result<Response, Problem> {
    let id = key_id(&id)?;
    server.app.lift_key_lockouts(&visitor.caller, id).await?;
    Ok(see(&format!("/dashboard/keys/{id}?done=unlocked")))
}
