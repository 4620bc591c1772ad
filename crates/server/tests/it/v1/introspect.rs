//! `POST /v1/introspect` (RFC 7662)

use serde_json::{Value, json};

use crate::harness::TestServer;

async fn introspect(server: &TestServer, token: &str) -> Value {
    server.call("POST", "/v1/introspect").form(&format!("token={token}")).send().await.is(200)
}

#[tokio::test]
async fn an_active_token_tells_what_it_is() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "permissions": ["a:read", "b:write"], "expires_in": "1h" })).await;
    let expected = json!({
        "active": true, "scope": "a:read b:write", "client_id": issued.id, "sub": issued.shown["account_id"],
        "account_id": issued.shown["account_id"], "token_type": "Bearer", "exp": 1_795_255_200,
    });
    assert_eq!(introspect(&server, &issued.key).await, expected);
    let hinted = format!("token={}&token_type_hint=access_token", issued.key);
    assert_eq!(server.call("POST", "/v1/introspect").form(&hinted).send().await.is(200), expected);
    let plain = server.key(json!({})).await;
    assert_eq!(introspect(&server, &plain.key).await.get("exp"), None);
}

#[tokio::test]
async fn of_any_other_token_nothing_is_told() {
    let server = TestServer::start().await;
    let expired = server.key(json!({ "expires_in": "1h" })).await;
    let (revoked, disabled) = (server.key(json!({})).await, server.key(json!({})).await);
    server.wait("1h");
    server.delete(&format!("/v1/keys/{}", revoked.id)).send().await.is(204);
    server.call("POST", &format!("/v1/keys/{}/disable", disabled.id)).send().await.is(200);
    for token in [expired.key.as_str(), &revoked.key, &disabled.key, "kw_live_nonsense", "", "%00"] {
        assert_eq!(introspect(&server, token).await, json!({ "active": false }), "{token}");
    }
}

#[tokio::test]
async fn looking_costs_nothing() {
    let server = TestServer::start().await;
    let limits = json!([{ "name": "r", "limit": 1, "window": "1h" }]);
    let issued = server.key(json!({ "credits": 1, "ratelimits": limits })).await;
    for _ in 0..3 {
        assert_eq!(introspect(&server, &issued.key).await["active"], true);
    }
    assert_eq!(server.code(&issued.key).await, "VALID");
}

#[tokio::test]
async fn it_takes_a_form_with_a_token() {
    let server = TestServer::start().await;
    server.post("/v1/introspect", &json!({ "token": "x" })).send().await.problem(415, "NOT_JSON");
    assert!(server.call("POST", "/v1/introspect").form("").send().await.wrong("token").contains("required"));
    server.call("POST", "/v1/introspect").form("tocken=x").send().await.wrong("token");
}
