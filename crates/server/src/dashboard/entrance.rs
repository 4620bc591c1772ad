//! What somebody asks for who cannot log in yet: an account, or another password. The answer is in their mail, and the page
//! says the same whether or not there is such a person (security.md 48).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;

use super::brand::{Service, service};
use super::look::Mistakes;
use super::{Form, page};
use crate::Server;
use crate::extract::Origin;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/entrance.html")]
struct Entrance {
    service: Service,
    title: &'static str,
    action: &'static str,
    button: &'static str,
    /// Whether an account is asked for, and not another password.
    is_new: bool,
    /// Whether the answer is on its way.
    is_sent: bool,
    email: String,
    account: String,
    mistakes: Mistakes,
}

fn registration(server: &Server) -> Entrance {
    Entrance {
        service: service(server),
        title: "Create an account",
        action: "/dashboard/register",
        button: "Create account",
        is_new: true,
        is_sent: false,
        email: String::new(),
        account: String::new(),
        mistakes: Mistakes::default(),
    }
}

fn forgotten(server: &Server) -> Entrance {
    let (title, action, button) = ("Forgotten your password?", "/dashboard/forgot", "Mail me a link");
    Entrance { title, action, button, is_new: false, ..registration(server) }
}

fn outcome(page_of: Entrance, done: Result<(), Error>, form: &Form) -> Result<Response, Problem> {
    let error = match done {
        Ok(()) => {
            return page(
                StatusCode::ACCEPTED,
                &Entrance { is_sent: true, email: form.text("email").into(), ..page_of },
            );
        }
        Err(error @ (Error::Invalid(_) | Error::Conflict(_) | Error::Forbidden(_) | Error::Limited(_))) => error,
        Err(other) => return Err(other.into()),
    };
    let mistakes = Mistakes::new(&error, &["email", "password", "account_name"]);
    let (email, account) = (form.text("email").into(), form.text("account_name").into());
    page(Problem::from(error).status(), &Entrance { mistakes, email, account, ..page_of })
}

/// `GET /dashboard/register`
pub(crate) async fn ask_register(State(server): State<Server>) -> Result<Response, Problem> {
    page(StatusCode::OK, &registration(&server))
}

/// `POST /dashboard/register`
pub(crate) async fn register(
    State(server): State<Server>,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    let (email, password, account) = (form.text("email"), form.text("password"), form.typed("account_name"));
    let done = server.app.register(email, password, account, place).await;
    outcome(registration(&server), done, &form)
}

/// `GET /dashboard/forgot`
pub(crate) async fn ask_forgot(State(server): State<Server>) -> Result<Response, Problem> {
    page(StatusCode::OK, &forgotten(&server))
}

/// `POST /dashboard/forgot`
pub(crate) async fn forgot(
    State(server): State<Server>,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    let done = server.app.forgot_password(form.text("email"), place).await;
    outcome(forgotten(&server), done, &form)
}
