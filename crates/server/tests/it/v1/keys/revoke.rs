//! `DELETE /v1/keys/{id}`

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{NO_KEY, TestServer};

#[tokio::test]
async fn once_the_call_has_returned_nobody_accepts_the_key() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    for _ in 0..3 {
        assert_eq!(server.code(&issued.key).await, "VALID");
    }
    assert_eq!(server.delete(&format!("/v1/keys/{}", issued.id)).send().await.is(204), Value::Null);
    assert_eq!(server.code(&issued.key).await, "REVOKED");
    assert_eq!(server.code(&issued.key).await, "REVOKED");
}

#[tokio::test]
async fn secrets_in_their_grace_end_with_their_key() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.post(&format!("{path}/rotate"), &json!({ "grace": "7d" })).send().await.is(200);
    assert_eq!(server.code(&issued.key).await, "VALID");
    server.delete(&path).send().await.is(204);
    assert_eq!(server.code(&issued.key).await, "REVOKED");
}

#[tokio::test]
async fn revoking_again_changes_nothing() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.wait("1h");
    server.delete(&path).send().await.is(204);
    server.wait("1h");
    server.delete(&path).send().await.is(204);
    let shown = server.get(&path).send().await.is(200);
    assert_eq!((&shown["status"], &shown["revoked_at"]), (&json!("revoked"), &json!("2026-11-21T10:00:00.000Z")));
}

#[tokio::test]
async fn a_revoked_key_does_not_come_back() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.delete(&path).send().await.is(204);
    for action in ["rotate", "enable", "disable"] {
        server.post(&format!("{path}/{action}"), &json!({})).send().await.problem(409, "CONFLICT");
    }
    server.post(&format!("{path}/grace"), &json!({ "grace": "1h" })).send().await.problem(409, "CONFLICT");
    assert_eq!(server.code(&issued.key).await, "REVOKED");
}

#[tokio::test]
async fn a_missing_key_cannot_be_revoked() {
    let server = TestServer::start().await;
    server.delete(&format!("/v1/keys/{NO_KEY}")).send().await.problem(404, "NOT_FOUND");
}

/// The promise, with verifications in flight: one that begins after the call has returned is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn verifications_in_flight_do_not_bring_a_revoked_key_back() {
    let server = TestServer::start().await;
    for _ in 0..20 {
        let issued = server.key(json!({})).await;
        let path = format!("/v1/keys/{}", issued.id);
        let verifying = join_all((0..10).map(|_| server.code(&issued.key)));
        let revoking = async {
            server.delete(&path).send().await.is(204);
            server.code(&issued.key).await
        };
        let (seen, after) = tokio::join!(verifying, revoking);
        assert_eq!(after, "REVOKED");
        assert!(seen.iter().all(|code| code == "VALID" || code == "REVOKED"), "{seen:?}");
        assert_eq!(server.code(&issued.key).await, "REVOKED");
    }
}
