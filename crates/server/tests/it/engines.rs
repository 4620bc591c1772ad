//! A key's whole life once more on every engine there is: what the other tests see on SQLite holds on PostgreSQL.

use futures_util::future::join_all;
use keywright_store::testing::databases;
use serde_json::{Value, json};

use crate::harness::{TestServer, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_keys_whole_life_is_the_same_on_every_engine() {
    let mut lives = Vec::new();
    for fresh in databases().await {
        lives.push(life(&TestServer::on(fresh).await).await);
    }
    for life in &lives {
        assert_eq!(life, &lives[0]);
    }
}

/// Everything that happens to a key, and what was told about it.
async fn life(server: &TestServer) -> Vec<Value> {
    let mut told = Vec::new();
    let account = server.account().await;
    let body = json!({
        "account_id": account, "name": "whole life", "permissions": ["a:read"], "ip_allowlist": "10.0.0.0/8", "expires_in": "30d",
        "credits": 40, "refill": { "amount": 40, "every": "1d" }, "ratelimits": [{ "name": "r", "limit": 100, "window": "1h" }],
        "metadata": { "a": { "b": [1, "ø", null] } },
    });
    let create = || server.post("/v1/keys", &body).header("idempotency-key", "life");
    let answers = join_all((0..5).map(|_| create().send())).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    told.push(json!(statuses));
    let made = answers.iter().find(|answer| answer.status == 201).unwrap().json();
    let (key, path) = (text(&made, "key"), format!("/v1/keys/{}", text(&made, "id")));

    let verify = |cost: u32| {
        server.verify(json!({ "key": key, "ip": "::ffff:10.1.2.3", "permissions": ["a:read"], "cost": cost }))
    };
    let codes = join_all((0..60).map(|_| verify(1))).await;
    let valid = codes.iter().filter(|verified| verified["code"] == "VALID").count();
    told.push(json!({ "valid": valid }));
    server.wait("1d");
    told.push(json!(verify(1).await["code"]));
    server.app.flush_usage().await.unwrap();
    let used = server.get(&format!("{path}/usage")).send().await.is(200);
    told.push(used["data"].clone());

    told.push(server.patch(&path, &json!({ "name": "renamed", "credits": null, "refill": null })).send().await.is(200)["name"].clone());
    let rotated = server.post(&format!("{path}/rotate"), &json!({ "grace": "1h" })).send().await.is(200);
    told.push(rotated["old_expires_at"].clone());
    server.wait("1h");
    told.push(json!(verify(1).await["code"]));
    for action in ["disable", "enable"] {
        told.push(server.call("POST", &format!("{path}/{action}")).send().await.is(200)["status"].clone());
    }
    told.push(server.get(&format!("/v1/keys?account_id={account}&status=active&unused_since=30m")).send().await.is(200)["data"][0]["name"].clone());
    server.delete(&path).send().await.is(204);
    told.push(json!(server.code(&text(&rotated, "key")).await));
    told.push(server.call("POST", "/v1/audit/verify").send().await.is(200)["intact"].clone());
    let log = server.get(&format!("/v1/audit?account_id={account}&action=key.rotate")).send().await.is(200);
    told.push(log["data"].as_array().unwrap().len().into());
    told
}
