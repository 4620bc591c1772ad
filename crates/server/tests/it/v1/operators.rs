//! `POST /v1/users/{id}/promote` and `/demote`: people who are operators.

use keywright_app::core::policy::Policy;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{NO_USER, PASSWORD, TestServer, text};

async fn promote(server: &TestServer, key: &str, user: &str, permissions: &[&str]) -> crate::harness::Answer {
    let body = json!({ "operator_permissions": permissions });
    server.post(&format!("/v1/users/{user}/promote"), &body).by(key).send().await
}

#[tokio::test]
async fn a_person_becomes_an_operator_and_a_person_like_others_again() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (email, user) = server.registered(&account, "owner").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&email, PASSWORD).await.with(303);
    browser.get("/dashboard/operator/audit").await.with(404);
    let promoted = promote(&server, &server.operator, &user, &["audit:read", "accounts:read", "audit:read"]).await;
    assert_eq!(promoted.is(200)["operator_permissions"], json!(["accounts:read", "audit:read"]));
    browser.get("/dashboard/operator/audit").await.says(200, "user.promote");
    browser.get("/dashboard/operator/users").await.with(403);
    browser.get("/dashboard/keys").await.says(200, "Operator");
    let shown = server.get(&format!("/v1/users/{user}")).send().await.is(200);
    assert_eq!(shown["operator_permissions"], json!(["accounts:read", "audit:read"]));

    let demote = format!("/v1/users/{user}/demote");
    assert_eq!(server.post(&demote, &Value::Null).send().await.is(200)["operator_permissions"], Value::Null);
    browser.get("/dashboard/operator/audit").await.with(404);
    server.post(&demote, &Value::Null).send().await.problem(409, "CONFLICT");
    let log = server.get(&format!("/v1/audit?target={user}&limit=1")).send().await.is(200);
    assert_eq!(log["data"][0]["action"], "user.demote");
    assert_eq!(log["data"][0]["detail"]["before"], json!(["accounts:read", "audit:read"]));
}

#[tokio::test]
async fn nobody_gives_or_takes_more_than_they_have() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, user) = server.registered(&account, "owner").await;
    let lesser = server.operator_with(&["users:read", "users:write", "audit:read"]).await;
    for permissions in [["*"], ["accounts:write"], ["audit:*"]] {
        promote(&server, &lesser, &user, &permissions).await.problem(403, "FORBIDDEN");
    }
    promote(&server, &lesser, &user, &["audit:read"]).await.is(200);
    promote(&server, &server.operator, &user, &["*"]).await.is(200);
    // Whoever may do more stands above them.
    promote(&server, &lesser, &user, &["audit:read"]).await.problem(403, "FORBIDDEN");
    for verb in ["demote", "disable", "enable"] {
        let path = format!("/v1/users/{user}/{verb}");
        server.post(&path, &Value::Null).by(&lesser).send().await.problem(403, "FORBIDDEN");
    }
    server.delete(&format!("/v1/users/{user}/2fa")).by(&lesser).send().await.problem(403, "FORBIDDEN");
    // Nor is anybody them for a while, or ends what they do.
    let (session, _) = server.session_of(&user).await;
    let sessions = format!("/v1/users/{user}/sessions");
    server.post(&sessions, &json!({})).by(&lesser).send().await.problem(403, "FORBIDDEN");
    server.delete(&format!("{sessions}/{session}")).by(&lesser).send().await.problem(403, "FORBIDDEN");
    let issuer = "[issuer.main]\nurl = \"https://id.example\"\naudience = [\"keywright\"]";
    server.app.reload_policy(&format!("{}\n{issuer}", Policy::DEV)).unwrap();
    let link = json!({ "issuer": "main", "subject": "eve" });
    let identities = format!("/v1/users/{user}/identities");
    server.post(&identities, &link).by(&lesser).send().await.problem(403, "FORBIDDEN");
    server.post(&identities, &link).send().await.is(201);
    let new = json!({ "email": "eve@example.com", "password": PASSWORD, "operator_permissions": ["*"] });
    server.post("/v1/users", &new).by(&lesser).send().await.problem(403, "FORBIDDEN");
    assert_eq!(server.get(&format!("/v1/users/{user}")).send().await.is(200)["status"], "active");
}

#[tokio::test]
async fn what_is_no_permission_is_none_of_an_operators() {
    let server = TestServer::start().await;
    let (_, user) = server.registered(&server.account().await, "owner").await;
    for permissions in [json!([]), json!(["audit"]), json!(["ships:sail"]), json!(["a b:c"]), json!(["audit:read*"])] {
        let body = json!({ "operator_permissions": permissions });
        server.post(&format!("/v1/users/{user}/promote"), &body).send().await.wrong("operator_permissions");
    }
    let (path, body) = (format!("/v1/users/{NO_USER}/promote"), json!({}));
    server.post(&path, &body).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn an_operator_need_belong_to_no_account_and_then_has_no_token() {
    let server = TestServer::start().await;
    let new = json!({ "email": "eve@example.com", "password": PASSWORD, "operator_permissions": ["*"] });
    let made = server.post("/v1/users", &new).send().await.is(201);
    assert_eq!((&made["memberships"], &made["operator_permissions"]), (&json!([]), &json!(["*"])));
    let login = json!({ "email": "eve@example.com", "password": PASSWORD });
    server.post("/v1/auth/login", &login).by_nobody().send().await.problem(403, "FORBIDDEN");
    let mut browser = Browser::new(&server);
    browser.log_in("eve@example.com", PASSWORD).await.leads_to("/dashboard/keys");
    browser.get("/dashboard/operator/users").await.says(200, "eve@example.com");
    let begin = format!("/v1/users/{}/sessions", text(&made, "id"));
    server.post(&begin, &json!({})).send().await.problem(409, "CONFLICT");
    // What a browser shows is worth nothing as a credential.
    let cookie = browser.cookie.split_once('=').unwrap().1.to_owned();
    server.get("/v1/accounts").by(&cookie).send().await.problem(401, "UNAUTHENTICATED");

    for (fields, field) in [
        (json!({ "email": "a@example.com" }), "account_id"),
        (json!({ "email": "a@example.com", "role": "owner" }), "account_id"),
        (json!({ "email": "a@example.com", "account_id": server.account().await }), "role"),
    ] {
        server.post("/v1/users", &fields).send().await.wrong(field);
    }
}

#[tokio::test]
async fn a_token_of_an_operators_reaches_their_account_and_no_further() {
    let server = TestServer::start().await;
    let (account, other) = (server.account().await, server.account().await);
    let (user, _, token) = server.person(&account, "owner").await;
    promote(&server, &server.operator, &user, &["*"]).await.is(200);
    server.get(&format!("/v1/accounts/{account}")).by(&token).send().await.is(200);
    server.get(&format!("/v1/accounts/{other}")).by(&token).send().await.problem(404, "NOT_FOUND");
    server.get("/v1/users").by(&token).send().await.problem(403, "FORBIDDEN");
    server.get("/metrics").by(&token).send().await.problem(403, "FORBIDDEN");
}

#[tokio::test]
async fn no_customer_makes_an_operator() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (user, _, token) = server.person(&account, "owner").await;
    let (_, key) = server.key_of(&account, json!({ "permissions": ["*"] })).await.pair();
    for credential in [&token, &key] {
        promote(&server, credential, &user, &["audit:read"]).await.problem(403, "FORBIDDEN");
        let new = json!({ "email": "eve@example.com", "operator_permissions": ["audit:read"] });
        server.post("/v1/users", &new).by(credential).send().await.problem(403, "FORBIDDEN");
    }
    for (path, body) in [
        ("/v1/auth/register", json!({ "email": "e@example.com", "password": PASSWORD, "operator_permissions": ["*"] })),
        ("/v1/auth/invitations/accept", json!({ "token": "x", "operator_permissions": ["*"] })),
    ] {
        server.post(path, &body).by_nobody().send().await.wrong("operator_permissions");
    }
}
