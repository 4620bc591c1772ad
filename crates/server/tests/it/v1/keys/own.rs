//! `/v1/keys/self`

use serde_json::{Value, json};

use crate::harness::{TestServer, text};

#[tokio::test]
async fn a_key_sees_itself_whatever_it_may_do() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "name": "me" })).await;
    let mut expected = issued.shown.clone();
    expected.as_object_mut().unwrap().remove("key");
    let mut shown = server.get("/v1/keys/self").by(&issued.key).send().await.is(200);
    for field in ["last_used_at", "last_used_ip", "last_used_user_agent"] {
        shown[field] = Value::Null;
    }
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_key_ends_itself() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    server.delete("/v1/keys/self").by(&issued.key).send().await.is(204);
    server.get("/v1/keys/self").by(&issued.key).send().await.problem(401, "UNAUTHENTICATED");
    assert_eq!(server.code(&issued.key).await, "REVOKED");
}

#[tokio::test]
async fn a_key_renews_itself_and_both_secrets_speak_for_it() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let rotated = server.post("/v1/keys/self/rotate", &json!({ "grace": "1h" })).by(&issued.key).send().await.is(200);
    let new = text(&rotated, "key");
    for key in [&issued.key, &new] {
        assert_eq!(server.get("/v1/keys/self").by(key).send().await.is(200)["id"], issued.id.as_str());
    }
    server.wait("1h");
    server.get("/v1/keys/self").by(&issued.key).send().await.problem(401, "UNAUTHENTICATED");
    server.get("/v1/keys/self").by(&new).send().await.is(200);
}

#[tokio::test]
async fn an_old_secret_in_its_grace_does_not_lengthen_its_own_life() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = "/v1/keys/self/rotate";
    server.post(path, &json!({ "grace": "1h" })).by(&issued.key).send().await.is(200);
    server.post(path, &json!({ "grace": "90d" })).by(&issued.key).send().await.is(200);
    server.wait("1h");
    assert_eq!(server.code(&issued.key).await, "EXPIRED");
}

#[tokio::test]
async fn whoever_sits_at_the_machine_shows_no_key_to_be_about() {
    let server = TestServer::start().await;
    for (method, path) in [("GET", "/v1/keys/self"), ("DELETE", "/v1/keys/self"), ("POST", "/v1/keys/self/rotate")] {
        server.call(method, path).by_local().send().await.problem(409, "CONFLICT");
    }
}
