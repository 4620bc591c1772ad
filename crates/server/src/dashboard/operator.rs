//! An operator's pages: what is across accounts. To whoever is no operator there are no such pages.
//!
//! What must stay true: every handler calls the same functions of the app as the API does, as an operator whose permissions
//! are read anew with each request; what changes people takes a proof of who the operator is that is not old.

mod accounts;
mod audit;
mod confirm;
mod explain;
mod health;
mod lockouts;
mod policy;
mod proxies;
mod users;

use axum::extract::State;
use axum::response::Response;
use keywright_app::error::Error;

pub(crate) use self::accounts::{list as list_accounts, resume, set_billing, show as show_account, suspend};
pub(crate) use self::audit::{export as export_audit, list as list_audit};
pub(crate) use self::confirm::{ask as ask_confirm, confirm};
pub(crate) use self::explain::{ask as ask_explain, explain};
pub(crate) use self::health::show as health;
pub(crate) use self::lockouts::{lift, list as list_lockouts};
pub(crate) use self::policy::show as policy;
pub(crate) use self::proxies::show as proxies;
pub(crate) use self::users::{
    demote, disable as disable_user, enable as enable_user, end_session, list as list_users, promote, reset_factor,
    show as show_user,
};
use super::visitor::{Frame, Operator};
use super::{Form, asked, page, query, see};
use crate::Server;
use crate::problem::Problem;

/// Where operators begin.
pub(crate) const HOME: &str = "/dashboard/operator";
/// Rows of a page: as many as weigh well below 50 KB.
const ROWS: usize = 30;

/// `GET /dashboard/operator`
pub(crate) async fn home(State(server): State<Server>, operator: Operator) -> Result<Response, Problem> {
    let frame = operator.frame(&server, "", "");
    // An operator may see something: whoever may see nothing of this is told so.
    let first = frame.desk.first().map(|(path, _)| see(&format!("/dashboard/{path}")));
    first.ok_or_else(|| Error::LacksPermission("metrics:read".into()).into())
}

/// Rows of a page out of one more than that, and whether there are more.
fn cut<T>(mut rows: Vec<T>) -> (Vec<T>, bool) {
    let is_more = rows.len() > ROWS;
    rows.truncate(ROWS);
    (rows, is_more)
}

/// As many rows as a page has, and one more.
fn one_more() -> i64 {
    i64::try_from(ROWS + 1).unwrap_or(i64::MAX)
}

/// Sends an operator to prove who they are, and back.
fn confirm_first(next: &str) -> Response {
    see(&format!("{HOME}/confirm?{}", query(&[("next", next)])))
}
