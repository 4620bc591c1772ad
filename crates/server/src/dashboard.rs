//! The dashboard: where people live with their keys. Pages are made here and complete without a script; every handler calls
//! the same functions of the app as the API does.
//!
//! What must stay true (security.md 45, 46, 50): the session travels in a `__Host-` cookie and nowhere else; what changes
//! something comes from a page of ours; nothing of a page is kept by a cache; a redirect leads to a path of ours.

mod account;
mod audit;
mod brand;
mod bulk;
mod checks;
mod cookie;
mod create;
mod edit;
mod entrance;
mod kept;
mod key;
mod keys;
mod life;
mod login;
mod look;
mod members;
pub(crate) mod operator;
mod security;
mod sessions;
mod setup;
mod simulate;
mod tokens;
mod typed;
mod visitor;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

pub(crate) use self::account::{add_ssh_key, delete_ssh_key, list_services, list_ssh_keys};
pub(crate) use self::audit::{export as export_audit, list as list_audit, show as show_audit};
pub(crate) use self::brand::{Service, logo, service, style};
pub(crate) use self::bulk::{ask as ask_revoke_several, revoke as revoke_several};
pub(crate) use self::cookie::{Form, NAME as COOKIE, is_ours};
pub(crate) use self::create::{create, new};
pub(crate) use self::edit::{ask as ask_edit, edit};
pub(crate) use self::entrance::{ask_forgot, ask_register, forgot, register};
pub(crate) use self::key::{list_refusals, show, unlock};
pub(crate) use self::keys::{list, look_up};
pub(crate) use self::life::{ask_revoke, ask_rotate, disable, enable, revoke, rotate, set_grace};
pub(crate) use self::login::{log_in, log_out, login, switch};
pub(crate) use self::members::{invite, list as list_members, remove as remove_member, set_role, withdraw};
pub(crate) use self::security::{
    change_email, change_password, picture, renew_codes, set_up as set_up_factor, show as security,
    start as start_factor, stop as stop_factor,
};
pub(crate) use self::sessions::{end as end_session, end_others, list as list_sessions};
pub(crate) use self::setup::{ask as ask_set_up, set_up};
pub(crate) use self::simulate::{ask as ask_simulate, simulate};
pub(crate) use self::tokens::list as list_tokens;
use self::visitor::{Frame, Person, Visitor};

/// Where people begin.
pub(crate) const HOME: &str = "/dashboard/keys";

const SCRIPT: &str = include_str!("../templates/dashboard/script.js");
/// What a page may load, run and lead to.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page as an answer.
fn page(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let html = template.render().map_err(|_| Problem::new("INTERNAL", "the page could not be written"))?;
    Ok((status, HEADERS, html).into_response())
}

const HEADERS: [(http::HeaderName, &str); 4] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CONTENT_SECURITY_POLICY, POLICY),
    // A form's origin is checked, and a browser that is told to send no referrer says `null`.
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// Sends the browser to a path of ours.
fn see(path: &str) -> Response {
    let to = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static(HOME));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// What a page is asked for in its address.
fn asked<T: Default + DeserializeOwned>(query: Option<&str>) -> T {
    serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default()
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[derive(Template)]
#[template(path = "dashboard/error.html")]
struct Wrong<'a> {
    title: &'a str,
    detail: &'a str,
    request_id: &'a str,
}

/// A problem as a page of its own.
pub(crate) fn wrong(title: &str, detail: &str, request_id: &str) -> String {
    Wrong { title, detail, request_id }.render().unwrap_or_else(|_| title.to_owned())
}

/// `GET /dashboard`, and `GET /` where no route of the gate is for it
pub(crate) async fn home() -> Response {
    see(HOME)
}

/// `GET /dashboard/script.js`
pub(crate) async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")], SCRIPT).into_response()
}
