//! WAYSCloud: creating keys.

use futures_util::future::join_all;
use keywright_store::testing::databases;
use serde_json::{Value, json};

use crate::harness::{TestServer, text};

/// A new account with these fields beside its name.
async fn account(server: &TestServer, mut fields: Value) -> String {
    fields["name"] = "Ada AS".into();
    text(&server.post("/v1/accounts", &fields).send().await.is(201), "id")
}

fn storage(account: &str) -> Value {
    json!({ "account_id": account, "kind": "wayscloud-service", "services": ["storage"] })
}

#[tokio::test]
async fn wc7_each_missing_requirement_is_named_with_what_to_do() {
    let server = TestServer::start().await;
    let email = "verify it";
    let funds = "subscribe, or buy credits";
    for (fields, says) in [
        (json!({}), vec![email, funds]),
        (json!({ "email": "a@example.com" }), vec![email, funds]),
        (json!({ "email": "a@example.com", "email_verified": true }), vec![funds]),
        (json!({ "subscription": "active" }), vec![email]),
        (json!({ "credits": 1 }), vec![email]),
        (json!({ "credits": -1, "email": "a@example.com", "email_verified": true }), vec![funds]),
        (json!({ "subscription": "past_due", "email": "a@example.com", "email_verified": true }), vec![funds]),
        (json!({ "subscription": "trialing", "email": "a@example.com", "email_verified": true }), vec![]),
        (json!({ "credits": 1, "email": "a@example.com", "email_verified": true }), vec![]),
    ] {
        let account = account(&server, fields.clone()).await;
        let answer = server.post("/v1/keys", &storage(&account)).send().await;
        if says.is_empty() {
            answer.is(201);
            continue;
        }
        let problem = answer.problem(409, "CONFLICT");
        let detail = text(&problem, "detail");
        assert!(says.iter().all(|says| detail.contains(says)), "{fields}: {detail}");
        assert_eq!(detail.split("; ").count(), says.len(), "{fields}: {detail}");
    }
    let suspended = account(&server, json!({})).await;
    let path = format!("/v1/accounts/{suspended}");
    server.patch(&path, &json!({ "status": "suspended" })).send().await.is(200);
    let problem = server.post("/v1/keys", &storage(&suspended)).send().await.problem(409, "CONFLICT");
    assert_eq!(text(&problem, "detail").split("; ").count(), 3, "{problem}");
    assert!(text(&problem, "detail").contains("suspended"));
    // A kind that requires nothing is made for any account.
    server.key_of(&suspended, json!({})).await;
}

#[tokio::test]
async fn wc7_every_door_refuses_and_says_why() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let pat = server.pat(&account, &["api_keys:write"]).await.key;
    let (_, native) = server.key_of(&account, json!({ "permissions": ["*"] })).await.pair();
    let unverified = json!({ "email_verified": false });
    server.patch(&format!("/v1/accounts/{account}"), &unverified).send().await.is(200);
    for call in [
        server.post("/v1/account/api-keys/service", &json!({ "service": "dns" })).by_token(&pat),
        server.post("/v1/account/api-keys/pat", &json!({ "scopes": ["api_keys:read"] })).by_token(&pat),
        server.post("/api/v1/dashboard/api-keys", &json!({ "name": "Backup", "service": "dns" })).by(&native),
    ] {
        let error = call.send().await.wayscloud_error(409, "CONFLICT");
        assert_eq!(error["error"], "the account's email is not verified: verify it");
    }
}

#[tokio::test]
async fn wc7_fifty_live_keys_of_all_kinds_together_are_the_most() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let kinds = [
        json!({ "kind": "wayscloud-service", "services": ["dns"] }),
        json!({ "kind": "wayscloud-account", "services": ["vps"] }),
        json!({ "kind": "wayscloud-pat", "permissions": ["profile:read"] }),
    ];
    let mut made = Vec::new();
    for fields in kinds.iter().cycle().take(50) {
        made.push(server.key_of(&account, fields.clone()).await.id);
    }
    for fields in &kinds {
        let mut body = fields.clone();
        body["account_id"] = account.as_str().into();
        let problem = server.post("/v1/keys", &body).send().await.problem(409, "CONFLICT");
        assert!(text(&problem, "detail").contains("50 live keys"), "{problem}");
    }
    // Keys of other kinds are counted apart, and so are other accounts'.
    server.key_of(&account, json!({})).await;
    server.key(kinds[0].clone()).await;
    // A revoked key of one kind makes room for one of another.
    server.delete(&format!("/v1/keys/{}", made[0])).send().await.is(204);
    server.key_of(&account, kinds[2].clone()).await;
}

#[tokio::test]
async fn wc7_an_expired_key_is_brought_back_only_where_there_is_room() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let mut fields = storage(&account);
    fields["expires_in"] = "1h".into();
    let expired = server.key_of(&account, fields).await;
    server.wait("2h");
    let mut made = Vec::new();
    for _ in 0..50 {
        made.push(server.key_of(&account, storage(&account)).await.id);
    }
    let path = format!("/v1/keys/{}", expired.id);
    let back = || server.patch(&path, &json!({ "expires_in": null }));
    back().send().await.problem(409, "CONFLICT");
    server.patch(&path, &json!({ "name": "still expired" })).send().await.is(200);
    server.delete(&format!("/v1/keys/{}", made[0])).send().await.is(204);
    back().send().await.is(200);
    assert_eq!(server.code(&expired.key).await, "VALID");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wc7_sixty_creates_at_once_make_fifty_keys() {
    for fresh in databases().await {
        let server = TestServer::on(fresh).await;
        let account = server.account().await;
        let bodies = [
            storage(&account),
            json!({ "account_id": account, "kind": "wayscloud-account", "services": ["vps"] }),
            json!({ "account_id": account, "kind": "wayscloud-pat", "permissions": ["profile:read"] }),
        ];
        let answers = join_all((0..60).map(|number: usize| server.post("/v1/keys", &bodies[number % 3]).send())).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        let refused = answers.iter().filter(|answer| answer.status == 409).count();
        assert_eq!((made, refused), (50, 10));
    }
}
