//! `GET /v1/keys`

use serde_json::{Value, json};

use crate::harness::{NO_ACCOUNT, TestServer, text};

/// The names of the keys a list shows, in its order.
async fn names(server: &TestServer, query: &str) -> Vec<String> {
    let page = server.get(&format!("/v1/keys?{query}")).send().await.is(200);
    page["data"].as_array().unwrap().iter().map(|key| text(key, "name")).collect()
}

#[tokio::test]
async fn pages_follow_each_other_until_the_cursor_is_null() {
    let server = TestServer::start().await;
    let account = server.account().await;
    for number in 1..=5 {
        // All in one millisecond of the server's clock, which stands still.
        server.key_of(&account, json!({ "name": format!("key {number}") })).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for rows in [2, 2, 1] {
        let page = server.get(&format!("/v1/keys?account_id={account}&limit=2{cursor}")).send().await.is(200);
        let data = page["data"].as_array().unwrap();
        assert_eq!(data.len(), rows);
        seen.extend(data.iter().map(|key| text(key, "name")));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => assert_eq!(page["next_cursor"], Value::Null),
        }
    }
    assert_eq!(seen, ["key 1", "key 2", "key 3", "key 4", "key 5"]);
}

#[tokio::test]
async fn a_page_that_is_exactly_full_is_the_last_one() {
    let server = TestServer::start().await;
    let account = server.account().await;
    server.key_of(&account, json!({})).await;
    server.key_of(&account, json!({})).await;
    let page = server.get(&format!("/v1/keys?account_id={account}&limit=2")).send().await.is(200);
    assert_eq!((page["data"].as_array().unwrap().len(), &page["next_cursor"]), (2, &Value::Null));
}

#[tokio::test]
async fn filters_narrow_what_is_listed() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let make = async |name: &str, mut fields: Value| {
        fields["name"] = name.into();
        server.key_of(&account, fields).await
    };
    let plain = make("plain", json!({})).await;
    make("brief", json!({ "expires_in": "10d" })).await;
    make("test", json!({ "environment": "test" })).await;
    make("wavis", json!({ "kind": "wavis", "environment": "dev" })).await;
    let off = make("off", json!({})).await;
    let gone = make("gone", json!({})).await;
    server.post(&format!("/v1/keys/{}/disable", off.id), &json!({})).send().await.is(200);
    server.delete(&format!("/v1/keys/{}", gone.id)).send().await.is(204);
    server.wait("20d");
    assert_eq!(server.code(&plain.key).await, "VALID");
    server.app.flush_usage().await.unwrap();

    let of = |query: &str| format!("account_id={account}&{query}");
    let prefix = text(&plain.shown, "prefix");
    for (query, listed) in [
        ("kind=wavis", vec!["wavis"]),
        ("environment=test", vec!["test"]),
        ("status=active", vec!["plain", "test", "wavis"]),
        ("status=expired", vec!["brief"]),
        ("status=disabled", vec!["off"]),
        ("status=revoked", vec!["gone"]),
        ("unused_since=5d&status=active", vec!["test", "wavis"]),
        ("unused_since=2026-11-30T00:00:00Z&status=active", vec!["test", "wavis"]),
        ("unused_since=30d", vec![]),
        ("expiring_before=0s", vec!["brief"]),
        ("expiring_before=2026-11-22T00:00:00Z", vec![]),
        (&format!("prefix={prefix}"), vec!["plain"]),
        ("search=TES", vec!["test"]),
        ("search=%25", vec![]),
        ("kind=wavis&environment=live", vec![]),
    ] {
        assert_eq!(names(&server, &of(query)).await, listed, "{query}");
    }
    assert_eq!(names(&server, &format!("account_id={NO_ACCOUNT}")).await, [""; 0]);
}

#[tokio::test]
async fn keys_due_for_rotation_are_found_until_they_are_rotated() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let issued = server.key_of(&account, json!({ "name": "old" })).await;
    let due = format!("account_id={account}&rotation_due=true");
    server.wait("89d");
    assert_eq!(names(&server, &due).await, [""; 0]);
    server.wait("1d");
    assert_eq!(names(&server, &due).await, ["old"]);
    assert_eq!(server.get(&format!("/v1/keys/{}", issued.id)).send().await.is(200)["rotation_due"], true);
    server.post(&format!("/v1/keys/{}/rotate", issued.id), &json!({})).send().await.is(200);
    assert_eq!(names(&server, &due).await, [""; 0]);
}

#[tokio::test]
async fn an_operator_sees_all_accounts_keys_and_the_operators_own() {
    let server = TestServer::start().await;
    server.key(json!({ "name": "one" })).await;
    server.key(json!({ "name": "two" })).await;
    assert_eq!(names(&server, "").await, ["operator", "one", "two"]);
    assert_eq!(names(&server, "kind=operator").await, ["operator"]);
}

#[tokio::test]
async fn a_wrong_query_is_refused() {
    let server = TestServer::start().await;
    for (query, field) in [("limit=0", "limit"), ("limit=201", "limit"), ("cursor=banana", "cursor")] {
        server.get(&format!("/v1/keys?{query}")).send().await.wrong(field);
    }
    for query in ["limit=many", "status=lost", "colour=red", "unused_since=yesterday", "account_id=7", "rotation_due=7"]
    {
        let answer = server.get(&format!("/v1/keys?{query}")).send().await;
        let field = query.split('=').next().unwrap();
        answer.wrong(field);
    }
}

#[tokio::test]
async fn a_list_tells_no_secret() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let answer = server.get("/v1/keys").send().await;
    let listed = answer.is(200);
    assert!(
        listed["data"].as_array().unwrap().iter().all(|key| key.get("key").is_none() && key.get("secrets").is_none())
    );
    assert!(!answer.text.contains(&issued.key));
}
