//! What an upstream is told and signed besides, where its route asks for it.

use http::Method;
use keywright_app::tokens::Asserted;
use keywright_core::route::Route;

use super::admit::Guest;
use crate::Server;
use crate::extract::Context;
use crate::problem::Problem;

/// A word on a request that is yet to be signed: the path is the upstream's own.
pub(super) struct Vouching<'a> {
    server: &'a Server,
    guest: &'a Guest<'a>,
    audience: &'a str,
    request_id: &'a str,
}

impl<'a> Vouching<'a> {
    /// For a guest on this route; none where the route asks for none, or where nobody is known to ask.
    pub(super) fn of(server: &'a Server, context: &'a Context, route: &'a Route, guest: &'a Guest<'a>) -> Option<Self> {
        let audience = route.assertion.as_deref()?;
        let is_known = guest.account.is_some() || guest.key.is_some();
        is_known.then_some(Self { server, guest, audience, request_id: &context.request_id.0 })
    }

    /// The word, signed.
    pub(super) fn sign(&self, method: &Method, path: &str) -> Result<String, Problem> {
        let Guest { account, key, user, session, access, .. } = self.guest;
        let text = |id: Option<String>| id.unwrap_or_default();
        let asserted = Asserted {
            audience: self.audience,
            account: &text(account.map(|id| id.to_string())),
            key: &text(key.map(|id| id.to_string())),
            user: &text(user.map(|id| id.to_string())),
            session: &text(session.map(|id| id.to_string())),
            permissions: access.iter().flat_map(|access| &access.permissions).map(String::as_str).collect(),
            method: method.as_str(),
            path,
            request_id: self.request_id,
        };
        Ok(self.server.app.assert(&asserted)?)
    }
}
