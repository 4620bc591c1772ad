//! What a verification spends: credits and rate limits.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::TestServer;

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
    let (id, key) = server.key_of(&server.account().await, json!({ "credits": 10 })).await.pair();
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let (server, key) = (Arc::clone(&server), key.clone());
        calls.spawn(async move { server.code(&key).await });
    }
    let codes = calls.join_all().await;
    assert_eq!(codes.iter().filter(|code| *code == "VALID").count(), 10);
    assert_eq!(codes.iter().filter(|code| *code == "CREDITS_EXHAUSTED").count(), 190);
    assert_eq!(server.get(&format!("/v1/keys/{id}")).send().await.body["credits"], 0);
}

#[tokio::test]
async fn a_cost_is_spent_whole_or_not_at_all() {
    let server = TestServer::start().await;
    let (_, key) = server.key_of(&server.account().await, json!({ "credits": 10 })).await.pair();
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
    let (id, key) = server.key_of(&account, fields).await.pair();
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
        server.patch(&format!("/v1/accounts/{account}"), &json!({ "status": status })).send().await.with(200);
        let code = &server.verify(json!({ "key": key, "ip": "10.0.0.1", "cost": 0 })).await["code"];
        assert_eq!(*code, if status == "active" { "VALID" } else { "ACCOUNT_SUSPENDED" });
    }
    server.post(&format!("{path}/disable"), &Value::Null).send().await.with(200);
    assert_eq!(server.verify(json!({ "key": key, "ip": "10.0.0.1" })).await["code"], "DISABLED");
    server.post(&format!("{path}/enable"), &Value::Null).send().await.with(200);
    assert_eq!(server.get(&path).send().await.body["credits"], 3);
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
    let (_, key) = server.key_of(&server.account().await, fields).await.pair();
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
    let (_, key) = server.key_of(&server.account().await, fields).await.pair();
    for _ in 0..3 {
        assert_eq!(server.code(&key).await, "VALID");
        server.wait("1h");
    }
    assert_eq!(spend_all(&server, &key).await, 100);
}

#[tokio::test]
async fn a_balance_that_is_set_is_what_can_be_spent() {
    let server = TestServer::start().await;
    let (id, key) = server.key_of(&server.account().await, json!({ "credits": 1000 })).await.pair();
    let path = format!("/v1/keys/{id}");
    assert_eq!(server.code(&key).await, "VALID");
    assert_eq!(server.patch(&path, &json!({ "credits": 3 })).send().await.is(200)["credits"], 3);
    assert_eq!(spend_all(&server, &key).await, 3);
    assert_eq!(server.patch(&path, &json!({ "credits": 2 })).send().await.is(200)["credits"], 2);
    assert_eq!(spend_all(&server, &key).await, 2);
    server.patch(&path, &json!({ "credits": null })).send().await.with(200);
    for _ in 0..20 {
        assert_eq!(server.code(&key).await, "VALID");
    }
}

#[tokio::test]
async fn a_changed_refill_keeps_the_credits_there_are() {
    let server = TestServer::start().await;
    let (id, key) = server.key_of(&server.account().await, json!({ "credits": 50 })).await.pair();
    let path = format!("/v1/keys/{id}");
    assert_eq!(server.code(&key).await, "VALID");
    let refill = json!({ "refill": { "amount": 20, "every": "1h" } });
    assert_eq!(server.patch(&path, &refill).send().await.is(200)["credits"], 49);
    assert_eq!(spend_all(&server, &key).await, 49);
    server.wait("1h");
    assert_eq!(spend_all(&server, &key).await, 20);
    server.patch(&path, &json!({ "refill": null })).send().await.with(200);
    server.wait("1h");
    assert_eq!(server.code(&key).await, "CREDITS_EXHAUSTED");
}

#[tokio::test]
async fn every_named_limit_holds_and_the_headers_say_how_much_is_left() {
    let server = TestServer::start().await;
    let limits =
        json!([{ "name": "burst", "limit": 2, "window": "1m" }, { "name": "hour", "limit": 3, "window": "1h" }]);
    let (_, key) = server.key_of(&server.account().await, json!({ "ratelimits": limits })).await.pair();
    let verify = async || server.post("/v1/keys/verify", &json!({ "key": key })).send().await.with(200);
    let first = verify().await;
    assert_eq!(first.header("ratelimit"), Some(r#""burst";r=1;t=60, "hour";r=2;t=3600"#));
    assert_eq!(first.header("ratelimit-policy"), Some(r#""burst";q=2;w=60, "hour";q=3;w=3600"#));
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
        (Some("50"), Some(r#""burst";r=0;t=50, "hour";r=1;t=3590"#))
    );
    server.wait("50s");
    assert_eq!(verify().await.body["code"], "VALID");
    let refused = verify().await;
    assert_eq!((&refused.body["code"], refused.header("retry-after")), (&json!("RATE_LIMITED"), Some("3540")));
    server.wait("59m");
    assert_eq!(verify().await.body["code"], "VALID");
}

#[tokio::test]
async fn a_key_over_its_rate_limit_spends_no_credit() {
    let server = TestServer::start().await;
    let fields = json!({ "credits": 5, "ratelimits": [{ "name": "a", "limit": 1, "window": "1m" }] });
    let (id, key) = server.key_of(&server.account().await, fields).await.pair();
    assert_eq!(server.code(&key).await, "VALID");
    for _ in 0..3 {
        assert_eq!(server.code(&key).await, "RATE_LIMITED");
    }
    assert_eq!(server.get(&format!("/v1/keys/{id}")).send().await.body["credits"], 4);
}

#[tokio::test]
async fn changing_a_key_does_not_give_its_rate_limit_anew() {
    let server = TestServer::start().await;
    let fields = json!({ "ratelimits": [{ "name": "a", "limit": 1, "window": "1h" }] });
    let (id, key) = server.key_of(&server.account().await, fields).await.pair();
    assert_eq!(server.code(&key).await, "VALID");
    server.patch(&format!("/v1/keys/{id}"), &json!({ "name": "b" })).send().await.with(200);
    assert_eq!(server.code(&key).await, "RATE_LIMITED");
    let new = server.post(&format!("/v1/keys/{id}/rotate"), &json!({})).send().await.body["key"].clone();
    assert_eq!(server.code(new.as_str().unwrap()).await, "RATE_LIMITED");
}

#[tokio::test]
async fn calling_keywright_itself_costs_a_key_nothing() {
    let server = TestServer::start().await;
    let fields = json!({ "credits": 1, "ratelimits": [{ "name": "a", "limit": 1, "window": "1h" }] });
    let (_, key) = server.key_of(&server.account().await, fields).await.pair();
    for _ in 0..3 {
        server.call("GET", "/v1/keys/self").by(&key).carrying(&Value::Null).send().await.with(200);
    }
    let form = json!(format!("token={key}"));
    assert_eq!(server.post("/v1/introspect", &form).send().await.is(200)["active"], true);
    assert_eq!(server.code(&key).await, "VALID");
}

/// Units that are just being leased belong to the balance they came out of: a new one annuls them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_balance_set_while_others_spend_is_never_overshot() {
    let server = TestServer::start().await;
    for _ in 0..10 {
        let issued = server.key(json!({ "credits": 1_000 })).await;
        let path = format!("/v1/keys/{}", issued.id);
        let spending = join_all((0..40).map(|_| server.code(&issued.key)));
        let setting = async {
            let change = json!({ "credits": 5 });
            server.patch(&path, &change).send().await.is(200);
            spend_all(&server, &issued.key).await
        };
        let (_, spent) = tokio::join!(spending, setting);
        assert!(spent <= 5, "{spent} of 5 credits were spent");
        assert_eq!(server.get(&path).send().await.is(200)["credits"], 0);
    }
}
