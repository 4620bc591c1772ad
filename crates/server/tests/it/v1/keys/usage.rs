//! `/v1/keys/{id}/usage` and what a key says of its last use.

use serde_json::{Value, json};

use crate::harness::TestServer;

/// A key's counts: hour, outcome, tag, count.
async fn counts(server: &TestServer, path: &str) -> Vec<(String, String, Value, i64)> {
    server.app.flush_usage().await.unwrap();
    let page = server.get(path).send().await.is(200);
    assert_eq!(page["next_cursor"], Value::Null);
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let row =
        |row: &Value| (text(row, "hour"), text(row, "outcome"), row["tag"].clone(), row["count"].as_i64().unwrap());
    let mut rows: Vec<_> = page["data"].as_array().unwrap().iter().map(row).collect();
    rows.sort_by_key(|row| (row.0.clone(), row.1.clone(), row.2.to_string()));
    rows
}

#[tokio::test]
async fn uses_are_counted_by_hour_outcome_and_tag() {
    let server = TestServer::start().await;
    let (id, key) = server.key_of(&server.account().await, json!({})).await.pair();
    let path = format!("/v1/keys/{id}/usage");
    for tags in [json!(["a"]), json!(["a", "b"]), json!([])] {
        server.verify(json!({ "key": key, "tags": tags })).await;
    }
    server.verify(json!({ "key": key, "permissions": ["x:y"], "tags": ["a"] })).await;
    let first = "2026-11-21T09:00:00.000Z".to_owned();
    let row = |hour: &str, outcome: &str, tag: Value, count| (hour.to_owned(), outcome.to_owned(), tag, count);
    let mut expected = vec![
        row(&first, "INSUFFICIENT_PERMISSIONS", json!("a"), 1),
        row(&first, "INSUFFICIENT_PERMISSIONS", Value::Null, 1),
        row(&first, "VALID", json!("a"), 2),
        row(&first, "VALID", json!("b"), 1),
        row(&first, "VALID", Value::Null, 3),
    ];
    assert_eq!(counts(&server, &path).await, expected);
    server.wait("1h");
    server.verify(json!({ "key": key })).await;
    let second = "2026-11-21T10:00:00.000Z";
    expected.push(row(second, "VALID", Value::Null, 1));
    assert_eq!(counts(&server, &path).await, expected);
    assert_eq!(counts(&server, &format!("{path}?from={second}")).await, expected[5..]);
    assert_eq!(counts(&server, &format!("{path}?from=1h&to={first}")).await, expected[..5]);
    server.get(&format!("{path}?from=93d")).send().await.wrong("from");
    server.get(&format!("{path}?from=x")).send().await.problem(422, "INVALID");
}

#[tokio::test]
async fn a_key_says_when_from_where_and_by_what_it_was_last_used() {
    let server = TestServer::start().await;
    let (id, key) = server.key_of(&server.account().await, json!({})).await.pair();
    server.wait("5m");
    server.verify(json!({ "key": key, "ip": "::ffff:10.1.2.3", "user_agent": "curl/8\r\nX: y" })).await;
    server.wait("5m");
    server.verify(json!({ "key": key, "permissions": ["x:y"], "ip": "192.0.2.1" })).await;
    server.app.flush_usage().await.unwrap();
    let seen = server.get(&format!("/v1/keys/{id}")).send().await.body;
    assert_eq!(seen["last_used_at"], "2026-11-21T09:05:00.000Z");
    assert_eq!((&seen["last_used_ip"], &seen["last_used_user_agent"]), (&json!("10.1.2.3"), &json!("curl/8X: y")));
}

#[tokio::test]
async fn another_accounts_key_is_no_use_of_it() {
    let server = TestServer::start().await;
    let (ada, bob) = (server.account().await, server.account().await);
    let (id, key) = server.key_of(&ada, json!({})).await.pair();
    let (_, bobs) = server.key_of(&bob, json!({ "permissions": ["keys:verify"] })).await.pair();
    let answer =
        server.call("POST", "/v1/keys/verify").by(&bobs).carrying(&json!({ "key": key })).send().await.with(200);
    let told = (&answer.body["code"], answer.body.get("key_id"));
    assert_eq!(told, (&json!("NOT_FOUND"), None));
    assert_eq!(counts(&server, &format!("/v1/keys/{id}/usage")).await, []);
}

#[tokio::test]
async fn what_was_put_aside_counts_once_and_after_a_crash_too() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let mut ids = Vec::new();
    // So many that their counts are put aside.
    for _ in 0..120 {
        let (id, key) = server.key_of(&account, json!({})).await.pair();
        for _ in 0..2 {
            server.verify(json!({ "key": key, "ip": "192.0.2.1" })).await;
        }
        ids.push(id);
    }
    server.app.keep_usage().await.unwrap();
    // Another begins on the same data, and nobody has stopped the first.
    server.successor().await.keep_usage().await.unwrap();
    for id in &ids {
        let page = server.get(&format!("/v1/keys/{id}/usage")).send().await.is(200);
        assert_eq!(page["data"][0]["count"], 2, "{page}");
    }
    let seen = server.get(&format!("/v1/keys/{}", ids[0])).send().await.body;
    assert_eq!(seen["last_used_ip"], "192.0.2.1");
}
