//! What a verification spends: credits and rate limits.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::harness::TestServer;

/// Verifies until it is refused, and says how often it was not.
async fn spend_all(server: &TestServer, key: &str) -> usize {
    let mut spent = 0;
    while server.code(key).await == "VALID" {
        spent += 1;
    }
    assert_eq!(server.code(key).await, "CREDITS_EXHAUSTED");
    spent
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_credits_are_ten_uses_however_many_ask_at_once() {
    let server = Arc::new(TestServer::start().await);
    let (id, key) = server.key(&server.account().await, json!({ "credits": 10 })).await;
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let (server, key) = (Arc::clone(&server), key.clone());
        calls.spawn(async move { server.code(&key).await });
    }
    let codes = calls.join_all().await;
    assert_eq!(codes.iter().filter(|code| *code == "VALID").count(), 10);
    assert_eq!(codes.iter().filter(|code| *code == "CREDITS_EXHAUSTED").count(), 190);
    assert_eq!(server.get(&format!("/v1/keys/{id}")).await.body["credits"], 0);
}

#[tokio::test]
async fn a_cost_is_spent_whole_or_not_at_all() {
    let server = TestServer::start().await;
    let (_, key) = server.key(&server.account().await, json!({ "credits": 10 })).await;
    for (cost, code, left) in [
        (4, "VALID", 6),
        (4, "VALID", 2),
        (4, "CREDITS_EXHAUSTED", 2),
        (0, "VALID", 2),
        (2, "VALID", 0),
        (1, "CREDITS_EXHAUSTED", 0),
        (0, "VALID", 0),
    ] {
        let answer = server.verify(json!({ "key": key, "cost": cost })).await;
        assert_eq!((&answer["code"], &answer["credits"]), (&json!(code), &json!(left)));
    }
}

#[tokio::test]
async fn a_refused_verification_spends_nothing() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let fields = json!({
        "credits": 3, "ip_allowlist": ["10.0.0.1"], "ratelimits": [{ "name": "a", "limit": 3, "window": "1h" }],
    });
    let (id, key) = server.key(&account, fields).await;
    let path = format!("/v1/keys/{id}");
    for request in [
        json!({}),
        json!({ "ip": "10.0.0.1", "permissions": ["a:b"] }),
        json!({ "ip": "10.0.0.1", "environment": "test" }),
        json!({ "ip": "10.0.0.1", "cost": 4 }),
    ] {
        let mut request = request;
        request["key"] = key.as_str().into();
        assert_eq!(server.verify(request).await["valid"], false);
    }
    for status in ["suspended", "active"] {
        server.patch(&format!("/v1/accounts/{account}"), json!({ "status": status })).await.with(200);
        let code = &server.verify(json!({ "key": key, "ip": "10.0.0.1", "cost": 0 })).await["code"];
        assert_eq!(*code, if status == "active" { "VALID" } else { "ACCOUNT_SUSPENDED" });
    }
    server.post(&format!("{path}/disable"), Value::Null).await.with(200);
    assert_eq!(server.verify(json!({ "key": key, "ip": "10.0.0.1" })).await["code"], "DISABLED");
    server.post(&format!("{path}/enable"), Value::Null).await.with(200);
    assert_eq!(server.get(&path).await.body["credits"], 3);
    for left in [2, 1, 0] {
        let answer = server.verify(json!({ "key": key, "ip": "10.0.0.1" })).await;
        assert_eq!((&answer["code"], &answer["credits"]), (&json!("VALID"), &json!(left)));
        assert_eq!(answer["ratelimits"][0]["remaining"], left);
    }
}

#[tokio::test]
async fn credits_come_back_when_their_time_has_come_and_missed_refills_do_not_add_up() {
    let server = TestServer::start().await;
    let fields = json!({ "credits": 5, "refill": { "amount": 7, "every": "1h" } });
    let (_, key) = server.key(&server.account().await, fields).await;
    assert_eq!(spend_all(&server, &key).await, 5);
    server.wait("59m");
    assert_eq!(server.code(&key).await, "CREDITS_EXHAUSTED");
    server.wait("1m");
    assert_eq!(spend_all(&server, &key).await, 7);
    server.wait("10h");
    assert_eq!(spend_all(&server, &key).await, 7);
}

/// A refill sets the balance. A node held what it had leased before on top of it, so that more was spent in a period
/// than the key was to have.
#[tokio::test]
async fn a_refill_takes_back_what_was_leased_before_it() {
    let server = TestServer::start().await;
    let fields = json!({ "credits": 100, "refill": { "amount": 100, "every": "1h" } });
    let (_, key) = server.key(&server.account().await, fields).await;
    for _ in 0..3 {
        assert_eq!(server.code(&key).await, "VALID");
        server.wait("1h");
    }
    assert_eq!(spend_all(&server, &key).await, 100);
}

#[tokio::test]
async fn a_balance_that_is_set_is_what_can_be_spent() {
    let server = TestServer::start().await;
    let (id, key) = server.key(&server.account().await, json!({ "credits": 1000 })).await;
    let path = format!("/v1/keys/{id}");
    assert_eq!(server.code(&key).await, "VALID");
    assert_eq!(server.patch(&path, json!({ "credits": 3 })).await.with(200).body["credits"], 3);
    assert_eq!(spend_all(&server, &key).await, 3);
    assert_eq!(server.patch(&path, json!({ "credits": 2 })).await.with(200).body["credits"], 2);
    assert_eq!(spend_all(&server, &key).await, 2);
    server.patch(&path, json!({ "credits": null })).await.with(200);
    for _ in 0..20 {
        assert_eq!(server.code(&key).await, "VALID");
    }
}

#[tokio::test]
async fn a_changed_refill_keeps_the_credits_there_are() {
    let server = TestServer::start().await;
    let (id, key) = server.key(&server.account().await, json!({ "credits": 50 })).await;
    let path = format!("/v1/keys/{id}");
    assert_eq!(server.code(&key).await, "VALID");
    let refill = json!({ "refill": { "amount": 20, "every": "1h" } });
    assert_eq!(server.patch(&path, refill).await.with(200).body["credits"], 49);
    assert_eq!(spend_all(&server, &key).await, 49);
    server.wait("1h");
    assert_eq!(spend_all(&server, &key).await, 20);
    server.patch(&path, json!({ "refill": null })).await.with(200);
    server.wait("1h");
    assert_eq!(server.code(&key).await, "CREDITS_EXHAUSTED");
}

#[tokio::test]
async fn every_named_limit_holds_and_the_headers_say_how_much_is_left() {
    let server = TestServer::start().await;
    let limits =
        json!([{ "name": "burst", "limit": 2, "window": "1m" }, { "name": "hour", "limit": 3, "window": "1h" }]);
    let (_, key) = server.key(&server.account().await, json!({ "ratelimits": limits })).await;
    let verify = async || server.post("/v1/keys/verify", json!({ "key": key })).await.with(200);
    let first = verify().await;
    assert_eq!(first.header("ratelimit"), r#""burst";r=1;t=60, "hour";r=2;t=3600"#);
    assert_eq!(first.header("ratelimit-policy"), r#""burst";q=2;w=60, "hour";q=3;w=3600"#);
    let left = json!([
        { "name": "burst", "limit": 2, "remaining": 1, "reset": 60 },
        { "name": "hour", "limit": 3, "remaining": 2, "reset": 3600 },
    ]);
    assert_eq!((&first.body["code"], &first.body["ratelimits"]), (&json!("VALID"), &left));
    server.wait("10s");
    assert_eq!(verify().await.body["code"], "VALID");
    let refused = verify().await;
    assert_eq!((&refused.body["code"], &refused.body["retry_after"]), (&json!("RATE_LIMITED"), &json!(50)));
    assert_eq!(
        (refused.header("retry-after"), refused.header("ratelimit")),
        ("50", r#""burst";r=0;t=50, "hour";r=1;t=3590"#)
    );
    server.wait("50s");
    assert_eq!(verify().await.body["code"], "VALID");
    let refused = verify().await;
    assert_eq!((&refused.body["code"], refused.header("retry-after")), (&json!("RATE_LIMITED"), "3540"));
    server.wait("59m");
    assert_eq!(verify().await.body["code"], "VALID");
}

#[tokio::test]
async fn a_key_over_its_rate_limit_spends_no_credit() {
    let server = TestServer::start().await;
    let fields = json!({ "credits": 5, "ratelimits": [{ "name": "a", "limit": 1, "window": "1m" }] });
    let (id, key) = server.key(&server.account().await, fields).await;
    assert_eq!(server.code(&key).await, "VALID");
    for _ in 0..3 {
        assert_eq!(server.code(&key).await, "RATE_LIMITED");
    }
    assert_eq!(server.get(&format!("/v1/keys/{id}")).await.body["credits"], 4);
}

#[tokio::test]
async fn changing_a_key_does_not_give_its_rate_limit_anew() {
    let server = TestServer::start().await;
    let fields = json!({ "ratelimits": [{ "name": "a", "limit": 1, "window": "1h" }] });
    let (id, key) = server.key(&server.account().await, fields).await;
    assert_eq!(server.code(&key).await, "VALID");
    server.patch(&format!("/v1/keys/{id}"), json!({ "name": "b" })).await.with(200);
    assert_eq!(server.code(&key).await, "RATE_LIMITED");
    let new = server.post(&format!("/v1/keys/{id}/rotate"), json!({})).await.text("key");
    assert_eq!(server.code(&new).await, "RATE_LIMITED");
}

#[tokio::test]
async fn calling_keywright_itself_costs_a_key_nothing() {
    let server = TestServer::start().await;
    let fields = json!({ "credits": 1, "ratelimits": [{ "name": "a", "limit": 1, "window": "1h" }] });
    let (_, key) = server.key(&server.account().await, fields).await;
    for _ in 0..3 {
        server.call_as(&key, "GET", "/v1/keys/self", Value::Null).await.with(200);
    }
    let form = json!(format!("token={key}"));
    assert_eq!(server.post("/v1/introspect", form).await.with(200).body["active"], true);
    assert_eq!(server.code(&key).await, "VALID");
}
