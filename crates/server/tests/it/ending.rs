//! Letters that say that a key is about to end.

use serde_json::{Value, json};

use crate::browser::{Browser, between};
use crate::harness::{PASSWORD, TestServer, text};

/// A key that ends in so many days.
async fn key(server: &TestServer, account: &str, name: &str, days: i64) -> (String, String) {
    let fields = json!({ "name": name, "expires_in": format!("{days}d") });
    let made = server.key_of(account, fields).await;
    (made.id, made.key)
}

async fn events(server: &TestServer) -> Vec<Value> {
    let log = server.get("/v1/audit?limit=200").send().await.is(200);
    log["data"].as_array().unwrap().iter().filter(|row| text(row, "action") == "key.ending").cloned().collect()
}

#[tokio::test]
async fn owners_and_admins_are_told_twice_that_a_key_ends() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (owner, owner_id) = server.registered(&account, "owner").await;
    let (admin, admin_id) = server.registered(&account, "admin").await;
    let (developer, _) = server.registered(&account, "developer").await;
    let (stranger, _) = server.registered(&server.account().await, "owner").await;
    let (id, secret) = key(&server, &account, "Nightly\nbackup", 30).await;
    key(&server, &account, "For a week", 7).await;
    server.key_of(&account, json!({ "name": "For ever" })).await;
    assert_eq!(server.app.tell_ending_keys().await, Ok(0));
    server.wait("16d");
    assert_eq!(server.app.tell_ending_keys().await, Ok(1));
    assert_eq!(server.app.tell_ending_keys().await, Ok(0), "once");
    for address in [&owner, &admin] {
        let letters = server.letters(address).await;
        assert_eq!(letters.len(), 1, "{letters:#?}");
        let letter = &letters[0];
        assert!(letter.contains("A key ends in 14 days"), "{letter}");
        assert!(letter.contains("\n    Nightly backup\n"), "{letter}");
        assert!(letter.contains(&format!("\nhttps://keys.example.com/dashboard/keys/{id}/rotate\n")), "{letter}");
        assert!(!letter.contains(&secret) && !letter.contains("token="), "{letter}");
    }
    for address in [&developer, &stranger] {
        assert!(server.letters(address).await.is_empty());
    }
    let rows = events(&server).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((text(&rows[0], "target"), rows[0]["detail"]["days"].clone()), (id.clone(), json!(14)));
    let mut told: Vec<_> =
        rows[0]["detail"]["told"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    told.sort_unstable();
    let mut expected = [owner_id.as_str(), admin_id.as_str()];
    expected.sort_unstable();
    assert_eq!(told, expected);
    // Again shortly before, also after a restart; and no more.
    let server = server.restarted("11d", false).await;
    assert_eq!(server.app.tell_ending_keys().await, Ok(1));
    assert_eq!(server.app.tell_ending_keys().await, Ok(0));
    let letters = server.letters(&owner).await;
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().any(|letter| letter.contains("A key ends in 3 days")), "{letters:#?}");
    // Where it leads asks who one is, and then is about the key.
    let path = format!("/dashboard/keys/{id}/rotate");
    let mut browser = Browser::new(&server);
    let asked = browser.get(&path).await;
    assert!(asked.header("location").unwrap().starts_with("/dashboard/login?next="));
    browser.log_in(&owner, PASSWORD).await.with(303);
    browser.get(&path).await.says(200, "The key itself ends").says(200, &format!("href=\"/dashboard/keys/{id}/edit\""));
    server.wait("4d");
    assert_eq!(server.app.tell_ending_keys().await, Ok(0), "it has ended");
}

#[tokio::test]
async fn a_key_whose_end_is_moved_is_told_of_anew_and_one_that_is_over_is_not() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (owner, _) = server.registered(&account, "owner").await;
    let (id, _) = key(&server, &account, "Moved", 20).await;
    let (revoked, _) = key(&server, &account, "Revoked", 20).await;
    let (disabled, _) = key(&server, &account, "Disabled", 20).await;
    server.delete(&format!("/v1/keys/{revoked}")).send().await;
    server.patch(&format!("/v1/keys/{disabled}"), &json!({ "enabled": false })).send().await.is(200);
    server.wait("18d");
    // Both notices are due: people are told once.
    assert_eq!(server.app.tell_ending_keys().await, Ok(1));
    assert_eq!(server.app.tell_ending_keys().await, Ok(0));
    let moved = json!({ "expires_in": "10d" });
    server.patch(&format!("/v1/keys/{id}"), &moved).send().await.is(200);
    assert_eq!(server.app.tell_ending_keys().await, Ok(1));
    server.wait("1h");
    assert_eq!(server.app.tell_ending_keys().await, Ok(0));
    assert_eq!(server.letters(&owner).await.len(), 2);
    server.patch(&format!("/v1/keys/{id}"), &json!({ "expires_in": "90d" })).send().await.is(200);
    assert_eq!(server.app.tell_ending_keys().await, Ok(0), "it ends later");
}

#[tokio::test]
async fn a_persons_own_key_is_told_of_to_them_alone() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "developer").await;
    let (owner, _) = server.registered(&account, "owner").await;
    let fields = [("kind", "wayscloud-pat"), ("name", "Mine"), ("permissions", "profile:read"), ("expires", "30")];
    let made = browser.post("/dashboard/keys", &fields).await.with(201);
    let id = between(&made.text, "action=\"/dashboard/keys/", "\"");
    let row = browser.audited("key.create").await;
    assert_eq!(text(&row, "target"), id);
    let me = server.get(&format!("/v1/users/{}", text(&row, "actor").trim_start_matches("user:"))).send().await.is(200);
    server.wait("17d");
    assert_eq!(server.app.tell_ending_keys().await, Ok(1));
    assert_eq!(server.letters(&text(&me, "email")).await.len(), 1);
    assert_eq!(server.letters(&owner).await.len(), 0);
}

#[tokio::test]
async fn the_policy_may_want_no_such_letters() {
    let server = TestServer::start().await;
    let account = server.account().await;
    server.registered(&account, "owner").await;
    key(&server, &account, "Backup", 30).await;
    server.wait("17d");
    let silent = format!("{}\n[letters]\nending_keys = false\n", keywright_app::core::policy::Policy::DEV);
    server.app.reload_policy(&silent).unwrap();
    assert_eq!(server.app.tell_ending_keys().await, Ok(0));
    server.app.reload_policy(keywright_app::core::policy::Policy::DEV).unwrap();
    assert_eq!(server.app.tell_ending_keys().await, Ok(1), "it is still due");
}
