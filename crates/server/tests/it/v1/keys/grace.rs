//! `POST /v1/keys/{id}/grace`

use serde_json::json;

use crate::harness::{Issued, TestServer, text};

/// A key in its grace of two hours, and its new plaintext.
async fn rotated(server: &TestServer) -> (Issued, String) {
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}/rotate", issued.id);
    let new = text(&server.post(&path, &json!({ "grace": "2h" })).send().await.is(200), "key");
    assert_eq!(server.code(&issued.key).await, "VALID");
    (issued, new)
}

#[tokio::test]
async fn a_grace_can_be_ended_early() {
    let server = TestServer::start().await;
    let (issued, new) = rotated(&server).await;
    server.post(&format!("/v1/keys/{}/grace", issued.id), &json!({ "grace": "0s" })).send().await.is(200);
    assert_eq!([server.code(&issued.key).await, server.code(&new).await], ["EXPIRED", "VALID"]);
}

#[tokio::test]
async fn a_grace_can_be_extended_and_counts_from_now() {
    let server = TestServer::start().await;
    let (issued, new) = rotated(&server).await;
    server.wait("1h");
    server.post(&format!("/v1/keys/{}/grace", issued.id), &json!({ "grace": "5h" })).send().await.is(200);
    server.wait("299m");
    assert_eq!(server.code(&issued.key).await, "VALID");
    server.wait("1m");
    assert_eq!([server.code(&issued.key).await, server.code(&new).await], ["EXPIRED", "VALID"]);
}

#[tokio::test]
async fn a_grace_that_is_over_does_not_begin_again() {
    let server = TestServer::start().await;
    let (issued, _) = rotated(&server).await;
    server.wait("2h");
    let path = format!("/v1/keys/{}/grace", issued.id);
    let problem = server.post(&path, &json!({ "grace": "1h" })).send().await.problem(409, "CONFLICT");
    assert!(text(&problem, "detail").contains("no earlier secret"), "{problem}");
    assert_eq!(server.code(&issued.key).await, "EXPIRED");
}

#[tokio::test]
async fn a_key_that_was_never_rotated_has_no_grace() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    server
        .post(&format!("/v1/keys/{}/grace", issued.id), &json!({ "grace": "1h" }))
        .send()
        .await
        .problem(409, "CONFLICT");
}

#[tokio::test]
async fn the_length_is_required_and_checked() {
    let server = TestServer::start().await;
    let (issued, _) = rotated(&server).await;
    let path = format!("/v1/keys/{}/grace", issued.id);
    assert!(server.post(&path, &json!({})).send().await.wrong("grace").contains("required"));
    server.post(&path, &json!({ "grace": "91d" })).send().await.wrong("grace");
    server.post(&path, &json!({ "grace": null })).send().await.wrong("grace");
}
