//! Why a key passes or does not: every check of a verification and its result.
//!
//! What must stay true: the key that is pasted is stored, logged and shown nowhere, and in no address.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;

use super::{Form, Frame, Operator, page};
use crate::Server;
use crate::dashboard::checks::{FIELDS, METHODS, Tried, Typed};
use crate::dashboard::look::Mistakes;
use crate::gateway::kind_of;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/operator/explain.html")]
struct Explain {
    frame: Frame,
    typed: Typed,
    methods: [&'static str; 6],
    tried: Option<Tried>,
    mistakes: Mistakes,
}

fn blank(server: &Server, operator: &Operator, typed: Typed) -> Explain {
    let frame = operator.frame(server, "operator/explain", "");
    Explain { frame, typed, methods: METHODS, tried: None, mistakes: Mistakes::default() }
}

/// `GET /dashboard/operator/explain`
pub(crate) async fn ask(State(server): State<Server>, operator: Operator) -> Result<Response, Problem> {
    operator.caller.must(&server.app.world().policy.catalog, "keys:explain")?;
    page(StatusCode::OK, &blank(&server, &operator, Typed { method: "GET".into(), ..Typed::default() }))
}

/// `POST /dashboard/operator/explain`
pub(crate) async fn explain(State(server): State<Server>, operator: Operator, form: Form) -> Result<Response, Problem> {
    let typed = Typed::read(&form);
    match tried(&server, &operator, &typed, form.text("key").trim()).await {
        Ok(tried) => page(StatusCode::OK, &Explain { tried: Some(tried), ..blank(&server, &operator, typed) }),
        Err(error @ Error::Invalid(_)) => {
            let mistakes = Mistakes::new(&error, &[&["key"], FIELDS.as_slice()].concat());
            page(Problem::from(error).status(), &Explain { mistakes, ..blank(&server, &operator, typed) })
        }
        Err(other) => Err(other.into()),
    }
}

async fn tried(server: &Server, operator: &Operator, typed: &Typed, key: &str) -> Result<Tried, Error> {
    let policy = &server.app.world().policy;
    operator.caller.must(&policy.catalog, "keys:explain")?;
    if key.is_empty() {
        return Err(Error::invalid("key", "is required: paste the whole key"));
    }
    let names = typed.names();
    let question = typed.question(policy, kind_of(policy, key.as_bytes()), &names)?;
    let explained = server.app.explain_key(&operator.caller, key.as_bytes(), &question.ask()).await?;
    Ok(Tried::new(explained, question.rule))
}
