//! `/health`, `/ready` and `/metrics`

use serde_json::json;

use crate::harness::TestServer;

#[tokio::test]
async fn a_server_says_that_it_lives_and_is_ready() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/health").by_nobody().send().await.is(200)["status"], "ok");
    assert_eq!(server.get("/ready").by_nobody().send().await.is(200), json!({ "status": "ready" }));
}

#[tokio::test]
async fn metrics_count_requests_and_verifications_and_name_no_key() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    server.verify(json!({ "key": issued.key })).await;
    server.verify(json!({ "key": "kw_live_nonsense" })).await;
    server.app.flush_usage().await.unwrap();
    let answer = server.get("/metrics").send().await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        r#"keywright_verifications_total{outcome="MALFORMED"} 1"#,
        r#"keywright_http_requests_total{method="POST",status="201"}"#,
    ] {
        assert!(answer.text.contains(line), "{line} is not in\n{}", answer.text);
    }
    assert!(!answer.text.contains(&issued.id) && !answer.text.contains("kw_live_"));
}
