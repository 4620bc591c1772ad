//! A customer's key hands out nothing it does not have, to itself or to another.

use serde_json::json;

use super::harness::TestServer;

#[tokio::test]
async fn a_metered_key_cannot_loosen_its_own_metering_or_make_a_key_without_it() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let limits = json!([{ "name": "r", "limit": 5, "window": "1h" }]);
    let (id, key) =
        server.key(&account, json!({ "permissions": ["keys:write"], "credits": 10, "ratelimits": limits })).await;
    let path = format!("/v1/keys/{id}");
    for change in [json!({ "credits": null }), json!({ "credits": 1_000 }), json!({ "ratelimits": [] })] {
        server.call_as(&key, "PATCH", &path, change).await.must_be_problem(403, "FORBIDDEN");
    }
    server.call_as(&key, "POST", "/v1/keys", json!({})).await.must_be_problem(403, "FORBIDDEN");
    server.call_as(&key, "POST", "/v1/keys", json!({ "credits": 10 })).await.must_be_problem(403, "FORBIDDEN");
    assert_eq!(server.call_as(&key, "PATCH", &path, json!({ "name": "renamed" })).await.status, 200);
}

#[tokio::test]
async fn a_key_cannot_make_one_that_outlives_it_or_works_where_it_does_not() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let own = json!({ "permissions": ["keys:write"], "expires_in": "7d" });
    let (id, key) = server.key(&account, own).await;
    for wide in [json!({}), json!({ "expires_in": "8d" })] {
        server.call_as(&key, "POST", "/v1/keys", wide).await.must_be_problem(403, "FORBIDDEN");
    }
    let longer = json!({ "expires_in": "30d" });
    server.call_as(&key, "PATCH", &format!("/v1/keys/{id}"), longer).await.must_be_problem(403, "FORBIDDEN");
    assert_eq!(server.call_as(&key, "POST", "/v1/keys", json!({ "expires_in": "6d" })).await.status, 201);
}
