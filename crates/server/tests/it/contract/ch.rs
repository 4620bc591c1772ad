//! Cloudheed: keys with scopes and an expiry, made by people.

use serde_json::{Value, json};

use crate::harness::{TestServer, text};

const KEYS: &str = "/v1/auth/api-keys";
const SCOPES: [&str; 7] =
    ["databases:read", "databases:write", "backups:read", "backups:write", "billing:read", "org:read", "org:write"];

async fn scene() -> (TestServer, String) {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    (server, token)
}

#[tokio::test]
async fn ch3_a_person_makes_a_key_from_the_documented_body() {
    let (server, token) = scene().await;
    let body =
        json!({ "name": "Production Key", "scopes": ["databases:read", "databases:write"], "expires_in": "365d" });
    let made = server.post(KEYS, &body).by(&token).send().await.with(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let key = text(&made.body, "key");
    assert!(key.starts_with("ch_live_"), "{key}");
    let expected = json!({
        "key": key, "id": made.body["id"], "name": "Production Key", "prefix": &key[..made.body["prefix"].as_str().unwrap().len()],
        "scopes": ["databases:read", "databases:write"], "status": "active", "created_at": "2026-11-21T09:00:00.000Z",
        "expires_at": "2027-11-21T09:00:00.000Z", "last_used_at": null,
    });
    assert_eq!(made.body, expected);
    let listed = server.get(KEYS).by(&token).send().await.with(200);
    assert!(!listed.text.contains(&key), "the key is shown once");
    server.post(KEYS, &body).by_nobody().send().await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn ch3_every_documented_length_of_time_is_taken_and_wrong_fields_are_named() {
    let (server, token) = scene().await;
    for (lasts, ends) in [
        ("1h", "2026-11-21T10:00:00.000Z"),
        ("2w", "2026-12-05T09:00:00.000Z"),
        ("1y", "2027-11-21T09:00:00.000Z"),
        ("30d", "2026-12-21T09:00:00.000Z"),
    ] {
        let body = json!({ "name": "n", "scopes": ["org:read"], "expires_in": lasts });
        assert_eq!(server.post(KEYS, &body).by(&token).send().await.is(201)["expires_at"], ends);
    }
    let sound = json!({ "name": "n", "scopes": ["org:read"] });
    assert_eq!(server.post(KEYS, &sound).by(&token).send().await.is(201)["expires_at"], Value::Null);
    for (field, value) in [
        ("name", json!("")),
        ("scopes", json!([])),
        ("scopes", json!(["storage:read"])),
        ("scopes", json!(["*"])),
        ("expires_in", json!("soon")),
        ("expires_in", json!(365)),
        ("role", json!("owner")),
    ] {
        let mut wrong = sound.clone();
        wrong[field] = value;
        server.post(KEYS, &wrong).by(&token).send().await.wrong(field);
    }
}

#[tokio::test]
async fn ch4_a_key_may_do_what_its_scopes_say_and_nothing_else() {
    let (server, token) = scene().await;
    for scope in SCOPES {
        let made = server.post(KEYS, &json!({ "name": scope, "scopes": [scope] })).by(&token).send().await.is(201);
        for asked in SCOPES {
            let verified = server.verify(json!({ "key": made["key"], "permissions": [asked] })).await;
            let expected = if asked == scope { "VALID" } else { "INSUFFICIENT_PERMISSIONS" };
            assert_eq!(verified["code"], expected, "{scope} asked for {asked}");
        }
    }
}

#[tokio::test]
async fn ch5_one_header_carries_a_session_or_a_key() {
    let (server, token) = scene().await;
    let manager = server.post("/v1/keys", &json!({ "permissions": ["*"] })).by(&token).send().await.is(201);
    for credential in [&token, &text(&manager, "key")] {
        server.post(KEYS, &json!({ "name": "n", "scopes": ["org:read"] })).by(credential).send().await.with(201);
    }
    assert_eq!(server.get(KEYS).by(&token).send().await.is(200)["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn ch9_keys_end_when_they_are_told_to_and_are_listed_and_revoked() {
    let (server, token) = scene().await;
    let make = async |lasts: &str| {
        let body = json!({ "name": lasts, "scopes": ["org:read"], "expires_in": lasts });
        server.post(KEYS, &body).by(&token).send().await.is(201)
    };
    let (short, long) = (make("30m").await, make("1y").await);
    server.wait("30m");
    assert_eq!(server.code(&text(&short, "key")).await, "EXPIRED");
    assert_eq!(server.code(&text(&long, "key")).await, "VALID");
    let listed = server.get(KEYS).by(&token).send().await.is(200);
    let shown: Vec<(&Value, &Value)> =
        listed["data"].as_array().unwrap().iter().map(|key| (&key["name"], &key["status"])).collect();
    assert!(shown.contains(&(&json!("30m"), &json!("expired"))) && shown.contains(&(&json!("1y"), &json!("active"))));
    let path = format!("{KEYS}/{}", text(&long, "id"));
    server.delete(&path).by(&token).send().await.is(204);
    assert_eq!(server.code(&text(&long, "key")).await, "REVOKED");
    let elsewhere = server.account().await;
    let (_, _, stranger) = server.person(&elsewhere, "owner").await;
    server.delete(&path).by(&stranger).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn ch9_sessions_are_listed_and_revocable() {
    let (server, token) = scene().await;
    let listed = server.get("/v1/sessions").by(&token).send().await.is(200);
    let id = text(&listed["data"][0], "id");
    server.delete(&format!("/v1/sessions/{id}")).by(&token).send().await.is(204);
    server.get(KEYS).by(&token).send().await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn ch3_what_a_person_may_not_do_they_cannot_give_to_a_key() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, _, developer) = server.person(&account, "developer").await;
    let (_, _, viewer) = server.person(&account, "viewer").await;
    let make = async |token: &str, scope: &str| {
        server.post(KEYS, &json!({ "name": "n", "scopes": [scope] })).by(token).send().await
    };
    make(&developer, "databases:write").await.with(201);
    make(&developer, "org:write").await.problem(403, "FORBIDDEN");
    make(&developer, "billing:read").await.problem(403, "FORBIDDEN");
    make(&viewer, "databases:read").await.problem(403, "FORBIDDEN");
}
