//! Whether a key would pass: a request or permissions in, the deciding rule out. Nothing is counted or spent.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::key::Key;

use super::checks::{FIELDS, METHODS, Tried, Typed};
use super::keys::find;
use super::look::{KeyLook, Mistakes};
use super::{Form, Frame, Visitor, page};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/simulate.html")]
struct Simulate {
    frame: Frame,
    key: KeyLook,
    typed: Typed,
    methods: [&'static str; 6],
    tried: Option<Tried>,
    mistakes: Mistakes,
}

fn blank(server: &Server, visitor: &Visitor, key: Key, typed: Typed) -> Simulate {
    Simulate {
        frame: visitor.frame(server, "keys", ""),
        key: KeyLook::new(key, &server.app.world().policy, server.app.now()),
        typed,
        methods: METHODS,
        tried: None,
        mistakes: Mistakes::default(),
    }
}

/// `GET /dashboard/keys/{id}/simulate`
pub(crate) async fn ask(State(server): State<Server>, visitor: Visitor, Id(id): Id) -> Result<Response, Problem> {
    let key = find(&server, &visitor, &id).await?;
    let typed = Typed { method: "GET".into(), ..Typed::default() };
    page(StatusCode::OK, &blank(&server, &visitor, key, typed))
}

/// `POST /dashboard/keys/{id}/simulate`
pub(crate) async fn simulate(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let key = find(&server, &visitor, &id).await?;
    let typed = Typed::read(&form);
    match tried(&server, &visitor, &typed, &key).await {
        Ok(tried) => page(StatusCode::OK, &Simulate { tried: Some(tried), ..blank(&server, &visitor, key, typed) }),
        Err(error @ Error::Invalid(_)) => {
            let mistakes = Mistakes::new(&error, &FIELDS);
            page(Problem::from(error).status(), &Simulate { mistakes, ..blank(&server, &visitor, key, typed) })
        }
        Err(other) => Err(other.into()),
    }
}

async fn tried(server: &Server, visitor: &Visitor, typed: &Typed, key: &Key) -> Result<Tried, Error> {
    let (policy, names) = (&server.app.world().policy, typed.names());
    let question = typed.question(policy, Some(&key.kind), &names)?;
    let explained = server.app.simulate_key(&visitor.caller, key.id, &question.ask()).await?;
    Ok(Tried::new(explained, question.rule))
}
