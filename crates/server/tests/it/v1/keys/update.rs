//! `PATCH /v1/keys/{id}`

use serde_json::{Value, json};

use crate::harness::{NO_KEY, TestServer};

#[tokio::test]
async fn what_is_left_out_stays() {
    let server = TestServer::start().await;
    let fields = json!({
        "name": "before", "description": "d", "permissions": ["a:read"], "ip_allowlist": ["10.0.0.0/8"],
        "expires_in": "30d", "credits": 10, "refill": { "amount": 10, "every": "1d" },
        "ratelimits": [{ "name": "r", "limit": 5, "window": "1m" }], "metadata": { "a": 1 },
    });
    let issued = server.key(fields).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.wait("1h");
    let mut expected = issued.shown.clone();
    expected.as_object_mut().unwrap().remove("key");
    expected["updated_at"] = "2026-11-21T10:00:00.000Z".into();
    assert_eq!(server.patch(&path, &json!({})).send().await.is(200), expected);
    expected["name"] = "after".into();
    assert_eq!(server.patch(&path, &json!({ "name": "after" })).send().await.is(200), expected);
}

#[tokio::test]
async fn every_setting_can_be_changed_and_is_in_force_at_once() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "permissions": ["a:read"] })).await;
    let path = format!("/v1/keys/{}", issued.id);
    assert_eq!(server.code(&issued.key).await, "VALID");
    let change = json!({
        "name": "new", "description": "new", "permissions": ["b:read"], "ip_allowlist": "10.0.0.1",
        "expires_in": "1h", "credits": 3, "refill": { "amount": 5, "every": "1d" },
        "ratelimits": [{ "name": "r", "limit": 5, "window": "1m" }], "metadata": { "b": 2 }, "enabled": true,
    });
    let changed = server.patch(&path, &change).send().await.is(200);
    for field in ["name", "description", "permissions", "credits", "refill", "ratelimits", "metadata", "enabled"] {
        assert_eq!(changed[field], change[field], "{field}");
    }
    assert_eq!(changed["expires_at"], "2026-11-21T10:00:00.000Z");
    let ask = async |wants: &str, ip: &str| {
        let verified = server.verify(json!({ "key": issued.key, "permissions": [wants], "ip": ip })).await;
        verified["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask("a:read", "10.0.0.1").await, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(ask("b:read", "10.0.0.2").await, "IP_NOT_ALLOWED");
    let verified = server.verify(json!({ "key": issued.key, "permissions": ["b:read"], "ip": "10.0.0.1" })).await;
    assert_eq!((&verified["credits"], &verified["ratelimits"][0]["remaining"]), (&json!(2), &json!(4)));
    server.wait("1h");
    assert_eq!(ask("b:read", "10.0.0.1").await, "EXPIRED");
}

#[tokio::test]
async fn null_takes_an_expiry_credits_and_a_refill_away() {
    let server = TestServer::start().await;
    let fields = json!({ "expires_in": "1h", "credits": 0, "refill": { "amount": 1, "every": "1d" } });
    let issued = server.key(fields).await;
    assert_eq!(server.code(&issued.key).await, "CREDITS_EXHAUSTED");
    let change = json!({ "expires_in": null, "credits": null, "refill": null });
    let changed = server.patch(&format!("/v1/keys/{}", issued.id), &change).send().await.is(200);
    assert_eq!([&changed["expires_at"], &changed["credits"], &changed["refill"]], [&Value::Null; 3]);
    server.wait("2h");
    assert_eq!(server.code(&issued.key).await, "VALID");
}

#[tokio::test]
async fn an_expired_key_works_again_with_a_later_expiry() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "expires_in": "1h" })).await;
    server.wait("2h");
    assert_eq!(server.code(&issued.key).await, "EXPIRED");
    server.patch(&format!("/v1/keys/{}", issued.id), &json!({ "expires_in": "1h" })).send().await.is(200);
    assert_eq!(server.code(&issued.key).await, "VALID");
}

#[tokio::test]
async fn credits_set_are_the_credits_left_whatever_was_spent() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "credits": 100 })).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.verify(json!({ "key": issued.key, "cost": 7 })).await;
    assert_eq!(server.patch(&path, &json!({ "credits": 50 })).send().await.is(200)["credits"], 50);
    assert_eq!(server.verify(json!({ "key": issued.key })).await["credits"], 49);
    assert_eq!(server.get(&path).send().await.is(200)["credits"], 49);
}

#[tokio::test]
async fn a_change_of_something_else_leaves_credits_alone() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "credits": 100 })).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.verify(json!({ "key": issued.key, "cost": 7 })).await;
    server.patch(&path, &json!({ "name": "renamed" })).send().await.is(200);
    assert_eq!(server.get(&path).send().await.is(200)["credits"], 93);
    server.patch(&path, &json!({ "refill": { "amount": 100, "every": "1d" } })).send().await.is(200);
    assert_eq!(server.get(&path).send().await.is(200)["credits"], 93);
    assert_eq!(server.verify(json!({ "key": issued.key })).await["credits"], 92);
}

#[tokio::test]
async fn the_answer_to_a_change_tells_the_same_credits_as_the_key_itself() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "credits": 100 })).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.verify(json!({ "key": issued.key, "cost": 7 })).await;
    assert_eq!(server.patch(&path, &json!({ "name": "renamed" })).send().await.is(200)["credits"], 93);
    assert_eq!(server.post(&format!("{path}/disable"), &json!({})).send().await.is(200)["credits"], 93);
    assert_eq!(server.post(&format!("{path}/rotate"), &json!({})).send().await.is(200)["credits"], 93);
}

#[tokio::test]
async fn wrong_fields_change_nothing() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "name": "before" })).await;
    let path = format!("/v1/keys/{}", issued.id);
    for (change, field) in [
        (json!({ "name": "after", "permissions": ["all"] }), "permissions"),
        (json!({ "name": "after", "refill": { "amount": 1, "every": "1d" } }), "refill"),
        (json!({ "name": "after", "kind": "wavis" }), "kind"),
        (json!({ "name": "after", "environment": "test" }), "environment"),
        (json!({ "name": "after", "account_id": "x" }), "account_id"),
        (json!({ "name": "after", "id": NO_KEY }), "id"),
        (json!({ "name": "after", "key": "mine" }), "key"),
        (json!({ "name": "after", "enabled": "yes" }), "enabled"),
        (json!({ "name": 7 }), "name"),
    ] {
        server.patch(&path, &change).send().await.wrong(field);
    }
    assert_eq!(server.get(&path).send().await.is(200)["name"], "before");
}

#[tokio::test]
async fn a_revoked_key_is_changed_no_more() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.delete(&path).send().await.is(204);
    server.patch(&path, &json!({ "name": "x" })).send().await.problem(409, "CONFLICT");
    server.patch(&path, &json!({ "enabled": true })).send().await.problem(409, "CONFLICT");
}

#[tokio::test]
async fn a_kinds_longest_life_is_never_exceeded() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "kind": "wavis-trial" })).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.patch(&path, &json!({ "expires_in": "31m" })).send().await.wrong("expires_in");
    server.patch(&path, &json!({ "expires_in": null })).send().await.wrong("expires_in");
    for _ in 0..3 {
        server.wait("29m");
        server.patch(&path, &json!({ "expires_in": "30m" })).send().await;
    }
    assert_eq!(server.code(&issued.key).await, "EXPIRED", "many short prolongations are one long one");
}
