//! What the account has beside its keys: SSH keys, and the services an operator has written down.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_app::ssh_keys::SshKeyDraft;

use super::kept::Sent;
use super::look::{Mistakes, Moment};
use super::{Form, Frame, Visitor, page, see};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

struct SshKeyLook {
    id: String,
    name: String,
    fingerprint: String,
    kind: String,
    machines: i64,
    added: Moment,
}

#[derive(Template)]
#[template(path = "dashboard/ssh_keys.html")]
struct SshKeys {
    frame: Frame,
    keys: Vec<SshKeyLook>,
    may_write: bool,
    name: String,
    public_key: String,
    mistakes: Mistakes,
}

async fn show(server: &Server, visitor: &Visitor, notice: &'static str) -> Result<SshKeys, Error> {
    let now = server.app.now();
    let keys = server.app.list_ssh_keys(&visitor.caller).await?.into_iter().map(|(key, machines)| SshKeyLook {
        id: key.id.to_string(),
        name: key.name,
        fingerprint: key.fingerprint,
        kind: key.key_type,
        machines,
        added: Moment::new(key.created_at, now),
    });
    Ok(SshKeys {
        frame: visitor.frame(server, "ssh-keys", notice),
        keys: keys.collect(),
        may_write: visitor.may(server, "ssh_keys:write"),
        name: String::new(),
        public_key: String::new(),
        mistakes: Mistakes::default(),
    })
}

/// `GET /dashboard/ssh-keys`
pub(crate) async fn list_ssh_keys(
    State(server): State<Server>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let notice = match query.as_deref() {
        Some("done=added") => "The key is there. New machines can be opened with it.",
        Some("done=deleted") => "The key is gone from the account. Machines it is on already keep it.",
        _ => "",
    };
    page(StatusCode::OK, &show(&server, &visitor, notice).await?)
}

/// `POST /dashboard/ssh-keys`
pub(crate) async fn add_ssh_key(
    State(server): State<Server>,
    Sent { visitor, form }: Sent,
) -> Result<Response, Problem> {
    let (name, public_key) = (form.text("name").trim().to_owned(), form.text("public_key").to_owned());
    let draft = SshKeyDraft { name: name.clone(), public_key: public_key.clone() };
    let error = match server.app.create_ssh_key(&visitor.caller, draft).await {
        Ok(_) => return Ok(see("/dashboard/ssh-keys?done=added")),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => error,
        Err(other) => return Err(other.into()),
    };
    let mistakes = Mistakes::new(&error, &["name", "public_key"]);
    let again = SshKeys { name, public_key, mistakes, ..show(&server, &visitor, "").await? };
    page(Problem::from(error).status(), &again)
}

/// `POST /dashboard/ssh-keys/{id}/delete`
pub(crate) async fn delete_ssh_key(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    _form: Form,
) -> Result<Response, Problem> {
    let id = id.parse().map_err(|_| Error::NotFound("SSH key"))?;
    server.app.delete_ssh_key(&visitor.caller, id).await?;
    Ok(see("/dashboard/ssh-keys?done=deleted"))
}

struct ServiceLook {
    name: String,
    service_type: String,
    status: String,
    region: String,
    since: Moment,
}

#[derive(Template)]
#[template(path = "dashboard/account_services.html")]
struct Services {
    frame: Frame,
    services: Vec<ServiceLook>,
}

/// `GET /dashboard/services`
pub(crate) async fn list_services(State(server): State<Server>, visitor: Visitor) -> Result<Response, Problem> {
    let now = server.app.now();
    let services = server.app.list_own_services(&visitor.caller).await?.into_iter().map(|service| ServiceLook {
        name: service.name,
        service_type: service.service_type,
        status: service.status,
        region: service.region,
        since: Moment::new(service.created_at, now),
    });
    let services = services.collect();
    page(StatusCode::OK, &Services { frame: visitor.frame(&server, "services", ""), services })
}
