//! `POST /v1/revoke` (RFC 7009)

use serde_json::{Value, json};

use crate::harness::TestServer;

#[tokio::test]
async fn a_presented_token_is_ended() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    assert_eq!(server.code(&issued.key).await, "VALID");
    let call = server.call("POST", "/v1/revoke").form(&format!("token={}&token_type_hint=api_key", issued.key));
    assert_eq!(call.send().await.is(200), Value::Null);
    assert_eq!(server.code(&issued.key).await, "REVOKED");
}

#[tokio::test]
async fn nothing_tells_whether_there_was_such_a_token() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let mut unknown = issued.key.clone();
    unknown.replace_range(10..11, if &unknown[10..11] == "a" { "b" } else { "a" });
    for token in [issued.key.as_str(), &issued.key, &unknown, "nonsense", ""] {
        assert_eq!(server.call("POST", "/v1/revoke").form(&format!("token={token}")).send().await.is(200), Value::Null);
    }
}

#[tokio::test]
async fn a_secret_in_its_grace_ends_its_key() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let rotated =
        server.post(&format!("/v1/keys/{}/rotate", issued.id), &json!({ "grace": "1h" })).send().await.is(200);
    server.call("POST", "/v1/revoke").form(&format!("token={}", issued.key)).send().await.is(200);
    assert_eq!(server.code(rotated["key"].as_str().unwrap()).await, "REVOKED");
}

#[tokio::test]
async fn it_takes_a_form_with_a_token() {
    let server = TestServer::start().await;
    server.post("/v1/revoke", &json!({ "token": "x" })).send().await.problem(415, "NOT_JSON");
    server.call("POST", "/v1/revoke").form("").send().await.wrong("token");
}
