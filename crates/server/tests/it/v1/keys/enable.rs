//! `POST /v1/keys/{id}/enable` and `/disable`

use serde_json::json;

use crate::harness::{NO_KEY, TestServer};

#[tokio::test]
async fn disabling_is_immediate_and_can_be_undone() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}", issued.id);
    assert_eq!(server.code(&issued.key).await, "VALID");
    let off = server.call("POST", &format!("{path}/disable")).send().await.is(200);
    assert_eq!((&off["enabled"], &off["status"]), (&json!(false), &json!("disabled")));
    assert_eq!(server.code(&issued.key).await, "DISABLED");
    let on = server.call("POST", &format!("{path}/enable")).send().await.is(200);
    assert_eq!((&on["enabled"], &on["status"]), (&json!(true), &json!("active")));
    assert_eq!(server.code(&issued.key).await, "VALID");
}

#[tokio::test]
async fn doing_it_again_changes_nothing() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}/disable", issued.id);
    let once = server.call("POST", &path).send().await.is(200);
    assert_eq!(server.call("POST", &path).send().await.is(200), once);
}

#[tokio::test]
async fn a_change_can_switch_a_key_as_well() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.patch(&path, &json!({ "enabled": false })).send().await.is(200);
    assert_eq!(server.code(&issued.key).await, "DISABLED");
    server.patch(&path, &json!({ "enabled": true })).send().await.is(200);
    assert_eq!(server.code(&issued.key).await, "VALID");
}

#[tokio::test]
async fn a_missing_key_cannot_be_switched() {
    let server = TestServer::start().await;
    for action in ["enable", "disable"] {
        server.call("POST", &format!("/v1/keys/{NO_KEY}/{action}")).send().await.problem(404, "NOT_FOUND");
    }
}
