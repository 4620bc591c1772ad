//! `/v1/audit`

use serde_json::{Value, json};

use crate::harness::{NOW, TestServer, text};

async fn rows(server: &TestServer, query: &str) -> Vec<Value> {
    server.get(&format!("/v1/audit?{query}")).send().await.is(200)["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_change_of_a_keys_life_is_written_down() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "name": "watched" })).await;
    let path = format!("/v1/keys/{}", issued.id);
    server.patch(&path, &json!({ "name": "renamed" })).send().await.is(200);
    server.post(&format!("{path}/disable"), &json!({})).send().await.is(200);
    server.post(&format!("{path}/enable"), &json!({})).send().await.is(200);
    server.post(&format!("{path}/rotate"), &json!({})).send().await.is(200);
    server.post(&format!("{path}/grace"), &json!({ "grace": "0s" })).send().await.is(200);
    server.delete(&path).send().await.is(204);
    let written = rows(&server, &format!("target={}", issued.id)).await;
    let actions: Vec<&str> = written.iter().map(|row| row["action"].as_str().unwrap()).collect();
    let newest_first =
        ["key.revoke", "key.set_grace", "key.rotate", "key.enable", "key.disable", "key.update", "key.create"];
    assert_eq!(actions, newest_first);
    let update = &written[5]["detail"];
    assert_eq!([&update["before"]["name"], &update["after"]["name"]], ["watched", "renamed"]);
}

#[tokio::test]
async fn a_row_says_who_did_what_to_what_in_which_request() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let body = json!({ "account_id": account });
    let made = server.post("/v1/keys", &body).header("x-request-id", "my-request-1").send().await.is(201);
    let own = text(&server.get("/v1/keys/self").send().await.is(200), "id");
    let row = rows(&server, &format!("target={}", text(&made, "id"))).await.remove(0);
    assert!(row["seq"].is_u64() && row["detail"]["kind"] == "default");
    let told = ["at", "actor", "action", "account_id", "request_id"].map(|field| text(&row, field));
    assert_eq!(told, [NOW.into(), format!("key:{own}"), "key.create".into(), account, "my-request-1".into()]);
}

#[tokio::test]
async fn a_refused_change_leaves_no_row() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let before = rows(&server, "limit=200").await.len();
    server.patch(&format!("/v1/keys/{}", issued.id), &json!({ "credits": -1 })).send().await.wrong("credits");
    server.verify(json!({ "key": issued.key })).await;
    server.get("/v1/keys").send().await.is(200);
    assert_eq!(rows(&server, "limit=200").await.len(), before);
}

#[tokio::test]
async fn filters_and_pages_narrow_the_log() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let account = text(&issued.shown, "account_id");
    server.delete(&format!("/v1/keys/{}", issued.id)).send().await.is(204);
    let actions = async |query: &str| -> Vec<String> {
        rows(&server, query).await.iter().map(|row| text(row, "action")).collect()
    };
    assert_eq!(actions(&format!("account_id={account}")).await, ["key.revoke", "key.create", "account.create"]);
    assert_eq!(actions(&format!("account_id={account}&action=key.create")).await, ["key.create"]);
    assert_eq!(actions("actor=nobody").await, [""; 0]);
    let first = server.get(&format!("/v1/audit?account_id={account}&limit=2")).send().await.is(200);
    let next = text(&first, "next_cursor");
    assert_eq!(actions(&format!("account_id={account}&limit=2&cursor={next}")).await, ["account.create"]);
    server.get("/v1/audit?cursor=x").send().await.wrong("cursor");
    server.get("/v1/audit?colour=red").send().await.wrong("colour");
}

#[tokio::test]
async fn a_whole_log_verifies() {
    let server = TestServer::start().await;
    server.key(json!({})).await;
    let count = rows(&server, "limit=200").await.len();
    let verified = server.call("POST", "/v1/audit/verify").send().await.is(200);
    assert_eq!(verified, json!({ "intact": true, "rows": count, "problem": null }));
}

#[tokio::test]
async fn no_row_has_a_secret() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let rotated = server.post(&format!("/v1/keys/{}/rotate", issued.id), &json!({})).send().await.is(200);
    let log = server.get("/v1/audit?limit=200").send().await.text;
    for key in [&issued.key, &text(&rotated, "key"), &server.operator] {
        assert!(!log.contains(&key[key.len() - 30..]));
    }
}
