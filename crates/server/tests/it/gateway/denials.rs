//! What stops at the gate, in the words of whoever's route it is.

use serde_json::{Value, json};

use super::upstream::Upstream;
use super::{gate, route};
use crate::harness::TestServer;

#[tokio::test]
async fn a_denial_reaches_no_upstream_and_says_what_every_other_says() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    server.get("/t").by_nobody().send().await.problem(401, "UNAUTHENTICATED");
    server.get("/t").by("kw_live_wrong").send().await.problem(401, "UNAUTHENTICATED");
    server.get("/t").by(&key.key).header("x-api-key", "second").send().await.problem(401, "UNAUTHENTICATED");
    server.get(&format!("/t?access_token={}", key.key)).by_nobody().send().await.problem(401, "UNAUTHENTICATED");
    let home = json!({ "permissions": ["storage:read"], "ip_allowlist": "203.0.113.0/24" });
    let home = server.key(home).await.key;
    server.get("/t").by(&home).send().await.problem(401, "UNAUTHENTICATED");
    let reader = server.key(json!({ "permissions": ["storage:read"] })).await.key;
    server.call("PUT", "/t").by(&reader).send().await.problem(403, "FORBIDDEN");
    let refused = server.call("PATCH", "/t").by(&reader).send().await;
    refused.problem(405, "METHOD_NOT_ALLOWED");
    assert_eq!(refused.header("allow"), Some("DELETE, GET, POST, PUT"));
    // Whoever runs the server is no customer of its services, and people pass where a route says so.
    server.get("/t").send().await.problem(403, "FORBIDDEN");
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    server.get("/t").by(&token).send().await.problem(403, "FORBIDDEN");
    assert!(upstream.seen().is_empty());
    server.get("/t").by(&reader).send().await.with(200);
}

#[tokio::test]
async fn a_revoked_key_is_stopped_at_once() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    server.get("/t").by(&key.key).send().await.with(200);
    server.delete(&format!("/v1/keys/{}", key.id)).send().await.is(204);
    server.get("/t").by(&key.key).send().await.problem(401, "UNAUTHENTICATED");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_key_that_may_not_pass_spends_nothing_and_a_wait_costs_what_it_says() {
    let upstream = Upstream::fine().await;
    let routes = format!(
        "[route.t]\npath = \"/t\"\nupstream = {}\nkinds = [\"default\"]\nmethods = {{ GET = {{ permissions = [], cost = 0 }}, \
         PUT = {{ permissions = \"storage:write\", cost = 3 }} }}\n",
        upstream.url()
    );
    let (server, _) = gate(&routes).await;
    let key = server.key(json!({ "permissions": ["storage:write"], "credits": 4 })).await.key;
    let left = async || server.verify(json!({ "key": key, "cost": 0 })).await["credits"].clone();
    server.get("/t").by(&key).send().await.with(200);
    assert_eq!(left().await, 4);
    server.call("PUT", "/t").by(&key).send().await.with(200);
    assert_eq!(left().await, 1);
    server.call("PUT", "/t").by(&key).send().await.problem(402, "CREDITS_EXHAUSTED");
    assert_eq!((left().await, upstream.seen().len()), (json!(1), 2));
    // A key of another kind is told it lacks the permission, and keeps what it has.
    let other = json!({ "kind": "cloudheed", "permissions": ["org:read"], "credits": 1 });
    let other = server.key(other).await.key;
    server.get("/t").by(&other).send().await.problem(403, "FORBIDDEN");
    assert_eq!(server.verify(json!({ "key": other, "cost": 0 })).await["credits"], 1);
}

#[tokio::test]
async fn guesses_at_the_gate_and_elsewhere_are_counted_together() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    for number in 0..100 {
        let path = if number % 2 == 0 { "/t" } else { "/v1/keys/self" };
        server.get(path).by("kw_live_guess").send().await.problem(401, "UNAUTHENTICATED");
    }
    let locked = server.get("/t").by(&key.key).send().await;
    locked.problem(429, "RATE_LIMITED");
    assert_eq!(locked.header("retry-after"), Some("60"));
    server.wait("1m");
    server.get("/t").by(&key.key).send().await.with(200);
}

async fn denied(server: &TestServer, key: &str) -> (u16, Value, Option<String>) {
    let answer = server.get("/t").by(key).send().await;
    (answer.status, answer.body.clone(), answer.header("content-type").map(str::to_owned))
}

#[tokio::test]
async fn a_denial_has_the_routes_shape() {
    let upstream = Upstream::fine().await;
    for (shape, status, body) in [
        ("wayscloud", 401, json!({ "error": "Invalid or expired API key", "code": "AUTH_FAILED" })),
        ("wavis", 401, json!({ "error": "The API key is missing or does not work", "code": "INVALID_API_KEY" })),
    ] {
        let (server, _) = gate(&route(&upstream.url(), &format!("errors = \"{shape}\""))).await;
        assert_eq!(denied(&server, "nope").await, (status, body, Some("application/json".into())));
    }
    for shape in ["native", "cloudheed"] {
        let (server, _) = gate(&route(&upstream.url(), &format!("errors = \"{shape}\""))).await;
        server.get("/t").by("nope").send().await.problem(401, "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn a_preflight_passes_where_the_route_says_so_and_carries_nothing() {
    let upstream = Upstream::saying("HTTP/1.1 204 No Content\r\naccess-control-allow-origin: *\r\n\r\n").await;
    let preflight = |server: &'static TestServer| {
        let call = server.call("OPTIONS", "/t/x").header("origin", "https://app.example");
        call.header("access-control-request-method", "PUT").header("x-key-id", "forged")
    };
    let (server, _) = gate(&route(&upstream.url(), "")).await;
    preflight(Box::leak(Box::new(server))).send().await.problem(405, "METHOD_NOT_ALLOWED");
    assert!(upstream.seen().is_empty());

    let (server, key) = gate(&route(&upstream.url(), "preflight = true")).await;
    let server: &'static TestServer = Box::leak(Box::new(server));
    let answer = preflight(server).send().await.with(204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let seen = upstream.last();
    assert_eq!((seen.all("authorization").len(), seen.one("x-key-id"), seen.one("x-account-id")), (0, "", ""));
    // Anything else asked by OPTIONS is no preflight.
    server.call("OPTIONS", "/t/x").by(&key.key).send().await.problem(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_reload_puts_other_routes_in_force() {
    let (one, other) = (Upstream::fine().await, Upstream::fine().await);
    let (server, key) = gate(&route(&one.url(), "")).await;
    server.get("/t").by(&key.key).send().await.with(200);
    let policy = format!("{}\n{}", keywright_app::core::policy::Policy::DEV, route(&other.url(), ""));
    server.app.reload_policy(&policy).unwrap();
    server.get("/t").by(&key.key).send().await.with(200);
    server.app.reload_policy(keywright_app::core::policy::Policy::DEV).unwrap();
    server.get("/t").by(&key.key).send().await.problem(404, "NOT_FOUND");
    assert_eq!((one.seen().len(), other.seen().len()), (1, 1));
}
