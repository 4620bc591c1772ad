//! `POST /v1/keys/{id}/rotate`

use serde_json::json;

use crate::harness::{NO_KEY, TestServer, text};

#[tokio::test]
async fn rotation_keeps_everything_but_the_secret() {
    let server = TestServer::start().await;
    let fields = json!({
        "name": "kept", "description": "d", "environment": "test", "permissions": ["a:read"], "ip_allowlist": "10.0.0.1",
        "expires_in": "30d", "credits": 10, "refill": { "amount": 10, "every": "1d" },
        "ratelimits": [{ "name": "r", "limit": 5, "window": "1h" }], "metadata": { "a": 1 },
    });
    let issued = server.key(fields).await;
    let used = server.verify(json!({ "key": issued.key, "ip": "10.0.0.1", "cost": 3 })).await;
    assert_eq!((&used["credits"], &used["ratelimits"][0]["remaining"]), (&json!(7), &json!(2)));
    server.wait("10m");
    let answer = server.post(&format!("/v1/keys/{}/rotate", issued.id), &json!({ "grace": "24h" })).send().await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let rotated = answer.is(200);
    let new = text(&rotated, "key");
    assert_ne!(new, issued.key);
    assert_eq!(rotated["old_prefix"], issued.shown["prefix"]);
    assert_eq!(rotated["old_expires_at"], "2026-11-22T09:10:00.000Z");

    let mut expected = issued.shown.clone();
    for field in ["key", "prefix", "last_four", "old_prefix", "old_expires_at"] {
        expected[field] = rotated[field].clone();
    }
    expected["credits"] = json!(7);
    expected["rotated_at"] = "2026-11-21T09:10:00.000Z".into();
    expected["updated_at"] = "2026-11-21T09:10:00.000Z".into();
    expected["last_used_at"] = rotated["last_used_at"].clone();
    expected["last_used_ip"] = rotated["last_used_ip"].clone();
    assert_eq!(rotated, expected);

    // Both secrets draw on the same credits and the same window.
    let by_new = server.verify(json!({ "key": new, "ip": "10.0.0.1" })).await;
    assert_eq!((&by_new["credits"], &by_new["ratelimits"][0]["remaining"]), (&json!(6), &json!(1)));
    let by_old = server.verify(json!({ "key": issued.key, "ip": "10.0.0.1" })).await;
    assert_eq!((&by_old["credits"], &by_old["ratelimits"][0]["remaining"]), (&json!(5), &json!(0)));
    assert_eq!(server.verify(json!({ "key": new, "ip": "10.0.0.1" })).await["code"], "RATE_LIMITED");
}

#[tokio::test]
async fn old_key_works_until_grace_ends() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}/rotate", issued.id);
    let new = text(&server.post(&path, &json!({ "grace": "2h" })).send().await.is(200), "key");
    server.wait("119m");
    assert_eq!(server.code(&issued.key).await, "VALID");
    server.wait("1m");
    assert_eq!(server.code(&issued.key).await, "EXPIRED");
    assert_eq!(server.code(&new).await, "VALID");
    assert_eq!(server.get(&format!("/v1/keys/{}", issued.id)).send().await.is(200)["status"], "active");
}

#[tokio::test]
async fn grace_is_the_kinds_where_the_request_does_not_say() {
    let server = TestServer::start().await;
    for (kind, ends) in [("default", "2026-11-22T09:00:00.000Z"), ("wayscloud-service", "2026-11-28T09:00:00.000Z")] {
        let services = if kind == "default" { json!([]) } else { json!(["dns"]) };
        let issued = server.key(json!({ "kind": kind, "services": services })).await;
        let rotated = server.post(&format!("/v1/keys/{}/rotate", issued.id), &json!({})).send().await.is(200);
        assert_eq!(rotated["old_expires_at"], ends);
    }
}

#[tokio::test]
async fn without_grace_the_old_key_ends_at_once() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    assert_eq!(server.code(&issued.key).await, "VALID");
    server.post(&format!("/v1/keys/{}/rotate", issued.id), &json!({ "grace": "0s" })).send().await.is(200);
    assert_eq!(server.code(&issued.key).await, "EXPIRED");
}

#[tokio::test]
async fn rotating_again_prolongs_no_earlier_secret() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}/rotate", issued.id);
    let second = text(&server.post(&path, &json!({ "grace": "1h" })).send().await.is(200), "key");
    let third = text(&server.post(&path, &json!({ "grace": "24h" })).send().await.is(200), "key");
    assert_eq!([server.code(&issued.key).await, server.code(&second).await, server.code(&third).await], ["VALID"; 3]);
    server.wait("1h");
    assert_eq!(server.code(&issued.key).await, "EXPIRED");
    assert_eq!(server.code(&second).await, "VALID");
    server.wait("23h");
    assert_eq!([server.code(&second).await, server.code(&third).await], ["EXPIRED", "VALID"]);
}

#[tokio::test]
async fn a_disabled_key_rotates_and_stays_disabled() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.post(&format!("{path}/disable"), &json!({})).send().await.is(200);
    let new = text(&server.post(&format!("{path}/rotate"), &json!({})).send().await.is(200), "key");
    assert_eq!(server.code(&new).await, "DISABLED");
}

#[tokio::test]
async fn a_revoked_or_expired_key_cannot_rotate() {
    let server = TestServer::start().await;
    let expired = server.key(json!({ "expires_in": "1h" })).await;
    let revoked = server.key(json!({})).await;
    server.wait("1h");
    server.delete(&format!("/v1/keys/{}", revoked.id)).send().await.is(204);
    for (id, told) in [(&expired.id, "has expired"), (&revoked.id, "is revoked")] {
        let problem = server.post(&format!("/v1/keys/{id}/rotate"), &json!({})).send().await.problem(409, "CONFLICT");
        assert!(text(&problem, "detail").contains(told), "{problem}");
        let secrets = server.get(&format!("/v1/keys/{id}")).send().await.is(200)["secrets"].clone();
        assert_eq!(secrets.as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_wrong_grace_is_refused() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}/rotate", issued.id);
    assert!(server.post(&path, &json!({ "grace": "91d" })).send().await.wrong("grace").contains("at most 90d"));
    server.post(&path, &json!({ "grace": "soon" })).send().await.wrong("grace");
    server.post(&path, &json!({ "grace": 7 })).send().await.wrong("grace");
    server.post(&path, &json!({ "graze": "1h" })).send().await.wrong("graze");
    server.post(&format!("/v1/keys/{NO_KEY}/rotate"), &json!({})).send().await.problem(404, "NOT_FOUND");
    assert_eq!(server.code(&issued.key).await, "VALID");
}

#[tokio::test]
async fn an_empty_body_takes_every_default() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    server.call("POST", &format!("/v1/keys/{}/rotate", issued.id)).send().await.is(200);
}

#[tokio::test]
async fn history_goes_on_under_the_same_id() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    server.verify(json!({ "key": issued.key })).await;
    let rotated = server.post(&format!("/v1/keys/{}/rotate", issued.id), &json!({})).send().await.is(200);
    server.verify(json!({ "key": rotated["key"] })).await;
    server.app.flush_usage().await.unwrap();
    let usage = server.get(&format!("/v1/keys/{}/usage", issued.id)).send().await.is(200);
    assert_eq!(
        usage["data"],
        json!([{ "hour": "2026-11-21T09:00:00.000Z", "outcome": "VALID", "tag": null, "count": 2 }])
    );
}
