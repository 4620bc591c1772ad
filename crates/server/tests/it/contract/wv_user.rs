//! WAVIS: keys that people make with a session.

use serde_json::{Value, json};

use crate::harness::{TestServer, text};

const KEYS: &str = "/api/v1/user/api-keys";

async fn scene() -> (TestServer, String, String) {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    (server, account, token)
}

#[tokio::test]
async fn wv8_a_person_makes_a_key_from_the_documented_body() {
    let (server, _, token) = scene().await;
    let body = json!({ "environment": "live", "role": "developer" });
    let made = server.post(KEYS, &body).by(&token).send().await.with(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let key = text(&made.body, "key");
    let expected = json!({
        "key": key, "id": made.body["id"], "prefix": &key[..15], "created_at": "2026-11-21T09:00:00Z", "environment": "live",
    });
    assert_eq!(made.body, expected);
    let fields: Vec<&str> = ["key", "id", "prefix", "created_at", "environment"]
        .into_iter()
        .filter(|name| made.text.contains(name))
        .collect();
    let order: Vec<usize> = fields.iter().map(|name| made.text.find(&format!("\"{name}\":")).unwrap()).collect();
    assert!(order.is_sorted(), "{}", made.text);
}

#[tokio::test]
async fn wv8_the_role_is_a_developers_where_none_is_named() {
    let (server, _, token) = scene().await;
    for (body, environment) in [(json!({}), "live"), (json!({ "environment": "test" }), "test"), (Value::Null, "live")]
    {
        let made = server.post(KEYS, &body).by(&token).send().await.is(201);
        let verified = server.verify(json!({ "key": made["key"] })).await;
        assert_eq!((&verified["role"], &verified["environment"]), (&json!("developer"), &json!(environment)));
    }
    for (field, value) in [("environment", "trial"), ("role", "trial"), ("role", "boss"), ("name", "n")] {
        let refused = server.post(KEYS, &json!({ field: value })).by(&token).send().await.with(422);
        assert_eq!(refused.body["errors"][0]["field"], field, "{}", refused.text);
    }
}

#[tokio::test]
async fn wv8_only_a_session_makes_and_revokes_them() {
    let (server, account, token) = scene().await;
    let (_, key) = server.key_of(&account, json!({ "permissions": ["*"] })).await.pair();
    let made = server.post(KEYS, &json!({})).by(&token).send().await.is(201);
    let path = format!("{KEYS}/{}", text(&made, "id"));
    server.post(KEYS, &json!({})).by(&key).send().await.with(403);
    server.delete(&path).by(&key).send().await.with(403);
    let refused = server.post(KEYS, &json!({})).by_nobody().send().await.with(401);
    assert_eq!(refused.body["code"], "INVALID_API_KEY");
}

#[tokio::test]
async fn wv9_a_person_makes_ten_keys_an_hour_and_no_more_however_many_ask_at_once() {
    let (server, account, token) = scene().await;
    let calls = (0..30).map(|_| server.post(KEYS, &json!({ "environment": "test" })).by(&token).send());
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 10);
    let refused = answers.iter().find(|answer| answer.status != 201).unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("3600")));
    assert_eq!(refused.body["code"], "RATE_LIMITED");
    // Whichever door they come by, but not for other kinds, and not for others.
    server.post("/v1/keys", &json!({ "kind": "wavis" })).by(&token).send().await.problem(429, "RATE_LIMITED");
    server.post("/v1/keys", &json!({})).by(&token).send().await.with(201);
    let (_, _, colleague) = server.person(&account, "developer").await;
    server.post(KEYS, &json!({})).by(&colleague).send().await.with(201);
}

#[tokio::test]
async fn wv9_the_hour_is_counted_from_each_key() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (user, _, _) = server.person(&account, "owner").await;
    let make = async || {
        let (_, token) = server.session_of(&user).await;
        server.post(KEYS, &json!({})).by(&token).send().await
    };
    for _ in 0..5 {
        make().await.with(201);
    }
    server.wait("30m");
    for _ in 0..5 {
        make().await.with(201);
    }
    let refused = make().await.with(429);
    assert_eq!(refused.header("retry-after"), Some("1800"));
    server.wait("30m");
    for _ in 0..5 {
        make().await.with(201);
    }
    make().await.with(429);
}

#[tokio::test]
async fn wv12_a_key_is_revoked_at_once_without_a_grace() {
    let (server, _, token) = scene().await;
    let made = server.post(KEYS, &json!({})).by(&token).send().await.is(201);
    let (path, key) = (format!("{KEYS}/{}", text(&made, "id")), text(&made, "key"));
    let elsewhere = server.account().await;
    let (_, _, stranger) = server.person(&elsewhere, "owner").await;
    server.delete(&path).by(&stranger).send().await.with(404);
    assert_eq!(server.code(&key).await, "VALID");
    let answer = server.delete(&path).by(&token).send().await.with(204);
    assert_eq!((answer.text.as_str(), server.code(&key).await.as_str()), ("", "REVOKED"));
}
