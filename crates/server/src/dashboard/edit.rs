//! Changing what a key is called, what it may do, where it may be used from and when it ends. Who would be shut out by it
//! is told first; what somebody else has changed meanwhile is not undone unseen.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::ip::IpAllowlist;
use keywright_core::key::Key;
use keywright_core::time::Span;

use super::kept::Sent;
use super::key::UseLook;
use super::keys::{find, key_id};
use super::look::{KeyLook, Mistakes};
use super::typed::{Offered, Typed, lines};
use super::{Frame, Visitor, page, see};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

const FIELDS: [&str; 5] = ["name", "description", "permissions", "ip_allowlist", "expires_in"];
/// What a permission that is to be unticked is named by in the page's address.
pub(super) const WITHOUT: &str = "without";
/// How long ago an address was used to be missed.
const LATELY: Span = Span::days(7);

#[derive(Template)]
#[template(path = "dashboard/edit_key.html")]
struct Edit {
    frame: Frame,
    key: KeyLook,
    /// Which of the key's versions the form is about.
    version: i64,
    offered: Offered,
    typed: Typed,
    /// Who used the key lately and could not any more.
    shut_out: Vec<UseLook>,
    /// Permissions that were unticked because they go unused.
    without: Vec<String>,
    mistakes: Mistakes,
}

impl Edit {
    fn new(server: &Server, visitor: &Visitor, key: Key, typed: Typed) -> Self {
        let policy = &server.app.world().policy;
        Self {
            frame: visitor.frame(server, "keys", ""),
            version: key.version,
            offered: Offered::new(policy.kind(&key.kind).map(|(_, kind)| kind), &key.permissions),
            typed,
            shut_out: Vec::new(),
            without: Vec::new(),
            mistakes: Mistakes::default(),
            key: KeyLook::new(key, policy, server.app.now()),
        }
    }
}

/// `GET /dashboard/keys/{id}/edit`
pub(crate) async fn ask(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    visitor.caller.must(&server.app.world().policy.catalog, "keys:write")?;
    let key = find(&server, &visitor, &id).await?;
    let mut typed = Typed::of(&key);
    let asked = form_urlencoded::parse(text.as_deref().unwrap_or_default().as_bytes());
    let without = asked.filter(|(name, _)| name == WITHOUT).map(|(_, permission)| permission.into_owned());
    let without = without.filter(|permission| typed.permissions.remove(permission)).collect();
    page(StatusCode::OK, &Edit { without, ..Edit::new(&server, &visitor, key, typed) })
}

/// `POST /dashboard/keys/{id}/edit`
pub(crate) async fn edit(
    State(server): State<Server>,
    Id(id): Id,
    Sent { visitor, form }: Sent,
) -> Result<Response, Problem> {
    let key = find(&server, &visitor, &id).await?;
    let typed = Typed::read(&form);
    // Forms of ours name the version they are about, and have boxes for its permissions.
    let version = form.typed("version").map(|text| text.parse::<i64>().unwrap_or_default());
    let is_stale = version.is_some_and(|seen| seen != key.version);
    let mut mistakes = Mistakes::default();
    let change = typed.change(version.is_some(), &mut mistakes);
    let allowlist = change.ip_allowlist.clone().unwrap_or_default();
    let moves = change.permissions.as_ref().is_some_and(|asked| *asked != key.permissions);
    let again = Edit::new(&server, &visitor, key, typed);
    if !mistakes.are_none() {
        return page(StatusCode::UNPROCESSABLE_ENTITY, &Edit { mistakes, ..again });
    }
    if is_stale {
        mistakes.general =
            "Somebody else has changed this key meanwhile. Nothing of yours was saved yet: look whether it \
                            still fits, and save again."
                .into();
        return page(StatusCode::CONFLICT, &Edit { mistakes, ..again });
    }
    let shut_out = shut_out(&server, &visitor, &id, &allowlist).await?;
    if !shut_out.is_empty() && form.text("shut_out") != "yes" {
        let typed = Typed { addresses: lines(&allowlist), ..again.typed };
        return page(StatusCode::CONFLICT, &Edit { shut_out, typed, ..again });
    }
    match server.app.update_key(&visitor.caller, key_id(&id)?, change).await {
        Ok(key) => Ok(see(&format!("/dashboard/keys/{}?done=changed", key.id))),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_) | Error::Forbidden(_))) => {
            let mut mistakes = Mistakes::new(&error, &FIELDS);
            // Nobody gives a key more than they have.
            if moves && matches!(error, Error::Forbidden(_)) {
                let said = std::mem::take(&mut mistakes.general);
                mistakes.put("permissions", said);
            }
            page(Problem::from(error).status(), &Edit { mistakes, ..again })
        }
        Err(other) => Err(other.into()),
    }
}

/// Who used the key lately from where it could be used no more.
async fn shut_out(
    server: &Server,
    visitor: &Visitor,
    id: &str,
    allowlist: &IpAllowlist,
) -> Result<Vec<UseLook>, Error> {
    let now = server.app.now();
    let uses = server.app.list_uses(&visitor.caller, key_id(id)?).await?;
    let lately = uses.addresses.into_iter().filter(|row| row.at > now.before(LATELY));
    let looks = lately.map(|row| UseLook::new(row, allowlist, now));
    Ok(looks.filter(|used| !used.is_allowed).collect())
}
