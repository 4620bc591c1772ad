//! The dashboard's pages of what an account has beside its keys, and of what was changed in it.

use keywright_app::core::policy::Policy;
use serde_json::json;

use crate::browser::{Browser, between};
use crate::harness::{PASSWORD, SSH_KEY, TestServer, text};

#[tokio::test]
async fn ssh_keys_are_added_and_deleted() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    browser.get("/dashboard/ssh-keys").await.says(200, "No SSH keys yet");
    let add = async |key: &str| browser.post("/dashboard/ssh-keys", &[("name", "Laptop"), ("public_key", key)]).await;
    add("ssh-rsa nonsense")
        .await
        .says(422, "id=\"key-wrong\"")
        .says(422, "value=\"Laptop\"")
        .says(422, ">ssh-rsa nonsense<");
    add(SSH_KEY).await.leads_to("/dashboard/ssh-keys?done=added");
    let page = browser.get("/dashboard/ssh-keys").await;
    let id = between(&page.says(200, "SHA256:").text, "/dashboard/ssh-keys/", "/");
    add(SSH_KEY).await.with(409);
    browser.post(&format!("/dashboard/ssh-keys/{id}/delete"), &[]).await.leads_to("/dashboard/ssh-keys?done=deleted");
    browser.post(&format!("/dashboard/ssh-keys/{id}/delete"), &[]).await.with(404);
    browser.get("/dashboard/ssh-keys").await.says(200, "No SSH keys yet");
}

#[tokio::test]
async fn services_an_operator_wrote_down_are_shown() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "viewer").await;
    browser.get("/dashboard/services").await.says(200, "No services yet");
    let service = json!({ "service_type": "database", "name": "Orders", "region": "no-1" });
    server.post(&format!("/v1/accounts/{account}/services"), &service).send().await.is(201);
    browser.get("/dashboard/services").await.says(200, "Orders").says(200, "database, no-1");
}

#[tokio::test]
async fn the_log_shows_the_accounts_own_changes_and_goes_out_as_a_file() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, key) = browser.make(&[("kind", "default"), ("name", "=1+1")]).await;
    server.key(json!({ "name": "another account's" })).await;
    let log = browser.get("/dashboard/audit").await;
    log.says(200, "key.create").says(200, "by you");
    assert!(!log.text.contains("another account") && !log.text.contains(&key));
    browser.post(&format!("/dashboard/keys/{id}/disable"), &[]).await.with(303);
    let about = browser.get(&format!("/dashboard/audit?target={id}")).await.with(200).text;
    assert_eq!((about.matches("<strong>key.").count(), about.contains("session.create")), (2, false));
    browser.get("/dashboard/audit?action=key.rotate").await.says(200, "Nothing here");
    let file = browser.get(&format!("/dashboard/audit.csv?target={id}")).await.with(200);
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"audit.csv\""));
    let rows: Vec<&str> = file.text.lines().filter(|line| line.contains(&id)).collect();
    assert!(rows.len() == 2 && rows[0].contains("key.disable") && rows[1].contains("key.create"), "{}", file.text);
    assert!(!file.text.contains(&key));
}

/// Nobody is shown a way to what is refused, whatever roles a policy knows.
#[tokio::test]
async fn the_side_leads_to_what_a_role_may_see() {
    let server = TestServer::start().await;
    server.app.reload_policy(Policy::STARTER).unwrap();
    let account = server.account().await;
    let (email, _) = server.registered(&account, "viewer").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&email, PASSWORD).await.with(303);
    let page = browser.get("/dashboard/keys").await.with(200).text;
    assert!(page.contains("/dashboard/members") && page.contains("/dashboard/audit") && !page.contains("ssh-keys"));
    browser.get("/dashboard/ssh-keys").await.with(403);
    let made = text(&server.post("/v1/keys", &json!({ "account_id": account })).send().await.is(201), "id");
    browser.get(&format!("/dashboard/keys/{made}")).await.says(200, "active");
}

#[tokio::test]
async fn somebody_of_several_accounts_goes_over_from_one_to_the_other() {
    let server = TestServer::start().await;
    let (mut browser, first) = Browser::of(&server, "owner").await;
    assert!(!browser.get("/dashboard/keys").await.text.contains("Other accounts"));
    let me = browser.audited("session.create").await["actor"].as_str().unwrap().replace("user:", "");
    let second = server.account().await;
    let add = json!({ "user_id": me, "role": "viewer" });
    server.post(&format!("/v1/accounts/{second}/members"), &add).send().await.is(201);
    let foreign = server.account().await;
    browser.get("/dashboard/keys").await.says(200, &format!("name=\"account_id\" value=\"{second}\""));
    for wrong in [foreign.as_str(), "nonsense", ""] {
        browser.post("/dashboard/account", &[("account_id", wrong)]).await.with(404);
    }
    let before = browser.cookie.clone();
    let over = browser.post("/dashboard/account", &[("account_id", &second)]).await;
    over.leads_to("/dashboard/keys");
    browser.keep(&over);
    assert_eq!(Browser { cookie: before, ..Browser::new(&server) }.get("/dashboard/keys").await.status, 303);
    let there = browser.get("/dashboard/keys").await;
    assert!(there.says(200, &format!("value=\"{first}\"")).text.matches("Create New API Key").count() == 0, "a viewer");
    browser.get("/dashboard/sessions").await.says(200, "this one");
    server.patch(&format!("/v1/accounts/{first}"), &json!({ "status": "suspended" })).send().await.is(200);
    browser.post("/dashboard/account", &[("account_id", &first)]).await.with(403);
    server.delete(&format!("/v1/accounts/{second}/members/{me}")).send().await.is(204);
    assert_eq!(browser.get("/dashboard/keys").await.status, 303);
}

/// Going over never makes a session last longer.
#[tokio::test]
async fn a_session_in_another_account_ends_when_the_first_would_have() {
    let server = TestServer::start().await;
    let (mut browser, first) = Browser::of(&server, "owner").await;
    let me = browser.audited("session.create").await["actor"].as_str().unwrap().replace("user:", "");
    let second = server.account().await;
    let add = json!({ "user_id": me, "role": "owner" });
    server.post(&format!("/v1/accounts/{second}/members"), &add).send().await.is(201);
    for account in [&second, &first, &second, &first] {
        server.wait("6d");
        let over = browser.post("/dashboard/account", &[("account_id", account)]).await;
        over.leads_to("/dashboard/keys");
        browser.keep(&over);
    }
    server.wait("6d");
    assert_eq!(browser.get("/dashboard/keys").await.status, 303, "thirty days are over");
}
