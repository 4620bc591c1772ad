//! Changing what a key is called and where it may be used from. Who would be shut out by it is told first.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::draft::Change;
use keywright_core::ip::IpAllowlist;
use keywright_core::key::Key;
use keywright_core::time::Span;

use super::create::addresses;
use super::kept::Sent;
use super::key::UseLook;
use super::keys::{find, key_id};
use super::look::{KeyLook, Mistakes};
use super::{Frame, Visitor, page, see};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

const FIELDS: [&str; 3] = ["name", "description", "ip_allowlist"];
/// How long ago an address was used to be missed.
const LATELY: Span = Span::days(7);

#[derive(Template)]
#[template(path = "dashboard/edit_key.html")]
struct Edit {
    frame: Frame,
    key: KeyLook,
    name: String,
    description: String,
    addresses: String,
    /// Who used the key lately and could not any more.
    shut_out: Vec<UseLook>,
    mistakes: Mistakes,
}

impl Edit {
    fn new(server: &Server, visitor: &Visitor, key: Key) -> Self {
        Self {
            frame: visitor.frame(server, "keys", ""),
            name: key.name.clone(),
            description: key.description.clone(),
            addresses: lines(&key.ip_allowlist),
            shut_out: Vec::new(),
            mistakes: Mistakes::default(),
            key: KeyLook::new(key, &server.app.world().policy, server.app.now()),
        }
    }
}

/// An entry a line, each as it is read.
fn lines(allowlist: &IpAllowlist) -> String {
    allowlist.entries().collect::<Vec<_>>().join("\n")
}

/// `GET /dashboard/keys/{id}/edit`
pub(crate) async fn ask(State(server): State<Server>, visitor: Visitor, Id(id): Id) -> Result<Response, Problem> {
    visitor.caller.must(&server.app.world().policy.catalog, "keys:write")?;
    let key = find(&server, &visitor, &id).await?;
    page(StatusCode::OK, &Edit::new(&server, &visitor, key))
}

/// `POST /dashboard/keys/{id}/edit`
pub(crate) async fn edit(
    State(server): State<Server>,
    Id(id): Id,
    Sent { visitor, form }: Sent,
) -> Result<Response, Problem> {
    let key = find(&server, &visitor, &id).await?;
    let (name, description) = (form.text("name").trim().to_owned(), form.text("description").trim().to_owned());
    let typed = form.text("ip_allowlist").to_owned();
    let blank = Edit::new(&server, &visitor, key);
    let again = Edit { name: name.clone(), description: description.clone(), addresses: typed.clone(), ..blank };
    let mut mistakes = Mistakes::default();
    if name.is_empty() {
        mistakes.add("name", "is required: say what the key is for, as in Nightly backup");
    }
    let allowlist = addresses(&typed).unwrap_or_else(|reason| {
        mistakes.add("ip_allowlist", &reason);
        IpAllowlist::everywhere()
    });
    if !mistakes.are_none() {
        return page(StatusCode::UNPROCESSABLE_ENTITY, &Edit { mistakes, ..again });
    }
    let shut_out = shut_out(&server, &visitor, &id, &allowlist).await?;
    if !shut_out.is_empty() && form.text("shut_out") != "yes" {
        return page(StatusCode::CONFLICT, &Edit { shut_out, addresses: lines(&allowlist), ..again });
    }
    let (name, description) = (Some(name), Some(description));
    let change = Change { name, description, ip_allowlist: Some(allowlist), ..Change::default() };
    match server.app.update_key(&visitor.caller, key_id(&id)?, change).await {
        Ok(key) => Ok(see(&format!("/dashboard/keys/{}?done=changed", key.id))),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_) | Error::Forbidden(_))) => {
            let mistakes = Mistakes::new(&error, &FIELDS);
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
