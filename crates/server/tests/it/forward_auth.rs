//! Proxies that ask about the requests they have: what each says, what is made of it, and who may ask at all.

mod dialects;
mod grpc;
mod proxies;
mod snippets;

use serde_json::json;

use keywright_app::core::policy::Policy;
use keywright_server::Options;

use crate::harness::{Call, Issued, TestServer};

/// A policy with a route at `/t` that leads nowhere, and these lines besides.
pub(crate) fn policy(dialects: &str, peers: &str, more: &str) -> String {
    let methods = "{ GET = \"storage:read\", PUT = { permissions = \"storage:write\", cost = 2 } }";
    let dev = Policy::DEV;
    format!(
        "{dev}\n[forward_auth]\ndialects = {dialects}\npeers = {peers}\n[route.t]\npath = \"/t\"\nmethods = {methods}\n{more}\n"
    )
}

/// A server that answers these proxies, and a key that may do everything in storage.
pub(crate) async fn asked(dialects: &str, more: &str) -> (TestServer, Issued) {
    let server = TestServer::listening(Options::default()).await;
    server.app.reload_policy(&policy(dialects, "[\"127.0.0.1/32\"]", more)).unwrap();
    let key = server.key(json!({ "permissions": ["storage:manage"] })).await;
    (server, key)
}

/// What a proxy asks, in its own words.
pub(crate) fn ask<'s>(server: &'s TestServer, dialect: &str, method: &str, uri: &str) -> Call<'s> {
    let from = "198.51.100.7";
    match dialect {
        "envoy-http" => server.call(method, &format!("/forward-auth/envoy-http{uri}")),
        "caddy" | "traefik" => server
            .get(&format!("/forward-auth/{dialect}"))
            .header("x-forwarded-method", method)
            .header("x-forwarded-uri", uri)
            .header("x-forwarded-host", "api.example")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-for", from),
        _ => server
            .get(&format!("/forward-auth/{dialect}"))
            .header("x-original-method", method)
            .header("x-original-uri", uri)
            .header("x-original-host", "api.example")
            .header("x-forwarded-for", from),
    }
}
