//! What somebody is told by how long an answer takes, counted instead of timed: the slow hashes behind it.

use serde_json::{Value, json};

use crate::contract::ch_people::{code, enrol};
use crate::harness::{PASSWORD, TestServer, text};

/// Passwords hashed so far, as the server counts them.
async fn hashes(server: &TestServer) -> u64 {
    let metrics = server.get("/metrics").send().await.with(200).text;
    let line = metrics.lines().find_map(|line| line.strip_prefix("keywright_password_hashes_total "));
    line.unwrap_or_else(|| panic!("no count in {metrics}")).parse().unwrap()
}

/// The status of an answer, and how many hashes it cost.
async fn cost(server: &TestServer, path: &str, body: Value) -> (u16, u64) {
    let before = hashes(server).await;
    let status = server.post(&format!("/v1/auth/{path}"), &body).by_nobody().send().await.status;
    (status, hashes(server).await - before)
}

/// security.md 48
#[tokio::test]
async fn a_login_costs_one_hash_whoever_it_is_and_whatever_is_wrong() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (known, _) = server.registered(&account, "owner").await;
    let (disabled, user) = server.registered(&account, "owner").await;
    server.post(&format!("/v1/users/{user}/disable"), &Value::Null).send().await.is(200);
    let bare = json!({ "email": "bare@example.com", "account_id": account, "role": "owner" });
    server.post("/v1/users", &bare).send().await.is(201);
    let (guarded, _) = server.registered(&account, "owner").await;
    let body = json!({ "email": guarded, "password": PASSWORD });
    let token = server.post("/v1/auth/login", &body).by_nobody().send().await.is(200);
    let (secret, _) = enrol(&server, &text(&token, "access_token")).await;
    assert_eq!(cost(&server, "login", json!({ "email": known, "password": PASSWORD })).await, (200, 1));
    for email in [known.as_str(), &disabled, "bare@example.com", &guarded, "nobody@example.com", "nobody@"] {
        for password in ["a guess", "", &"x".repeat(1_024), &"x".repeat(1_025), "\u{fb01}\u{301}"] {
            let expected = if email == "nobody@" { (422, 0) } else { (401, 1) };
            let found = cost(&server, "login", json!({ "email": email, "password": password })).await;
            assert_eq!(found, expected, "{email} with {} bytes", password.len());
        }
    }
    // With the right password a second factor costs none, right or wrong.
    server.wait("30s");
    for (code, status) in [(Value::Null, 401), (json!("000000"), 401), (json!(code(&secret, 30)), 200)] {
        let body = json!({ "email": guarded, "password": PASSWORD, "code": code });
        assert_eq!(cost(&server, "login", body).await, (status, 1));
    }
}

/// security.md 48
#[tokio::test]
async fn registering_costs_one_hash_and_a_forgotten_password_none_whoever_it_is() {
    let server = TestServer::start().await;
    let policy = keywright_app::core::policy::Policy::DEV
        .replace("[login]\n", "[login]\nverify_link = \"https://app.example.com/v?t={token}\"\nreset_link = \"https://app.example.com/r?t={token}\"\n");
    server.app.reload_policy(&policy).unwrap();
    let account = server.account().await;
    let (known, _) = server.registered(&account, "owner").await;
    for email in [known.as_str(), "new@example.com", "new@example.com"] {
        let body = json!({ "email": email, "password": PASSWORD });
        assert_eq!(cost(&server, "register", body).await, (202, 1), "{email}");
        assert_eq!(cost(&server, "password/forgot", json!({ "email": email })).await, (202, 0), "{email}");
    }
    assert_eq!(cost(&server, "password/forgot", json!({ "email": "nobody@example.com" })).await, (202, 0));
}

/// security.md 18 and 28: whoever is locked out costs the server nothing, so that guessing is no way to keep it busy.
#[tokio::test]
async fn a_locked_login_costs_no_hash_whether_there_is_such_a_person_or_not() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (known, _) = server.registered(&account, "owner").await;
    for email in [known.as_str(), "nobody@example.com"] {
        for _ in 0..10 {
            assert_eq!(cost(&server, "login", json!({ "email": email, "password": "a guess" })).await, (401, 1));
        }
        assert_eq!(cost(&server, "login", json!({ "email": email, "password": PASSWORD })).await, (429, 0), "{email}");
    }
}
