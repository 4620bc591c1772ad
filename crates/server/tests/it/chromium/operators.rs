//! Operators at their pages, the first of them on the set-up link, and somebody who tries a request and sees a first one
//! come. With scripts, and without any.

use keywright_server::Options;
use serde_json::json;

use super::keys::owner;
use super::{Chromium, Tab};
use crate::harness::{PASSWORD, TestServer, text};

const FIRST: &str = "ann@example.com";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_day_with_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    let tab = day(&chromium, true).await;
    tab.is_quiet();
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_day_without_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    day(&chromium, false).await;
    chromium.close().await;
}

/// Begins on the link, looks after accounts and people, lifts a lock, has a key explained and reads what was done.
async fn day(chromium: &Chromium, runs_scripts: bool) -> Tab {
    let server = TestServer::listening(Options::default()).await;
    let tab = chromium.tab(&server, runs_scripts).await;
    let token = text(&server.post("/v1/users/setup-link", &json!({})).send().await.is(201), "token");
    tab.open(&format!("/setup?token={token}")).await;
    tab.fill("#email", FIRST).await;
    tab.fill("#password", PASSWORD).await;
    tab.click("Become the operator").await;
    tab.sees("You are the operator of this server").await;
    let (_, email) = owner(&server).await;
    tab.click("Accounts").await;
    tab.fill("#find", "post@example.com").await;
    tab.click("Filter").await;
    let name = tab.read(".name").await;
    tab.click(&name).await;
    tab.sees(&email).await;
    tab.click("Suspend…").await;
    tab.click(&format!("Suspend {name}")).await;
    tab.sees("The account is suspended").await;
    tab.click("Resume").await;
    tab.sees("The account is active").await;
    tab.fill("#credits", "many").await;
    tab.click("Save").await;
    tab.read("#credits-wrong").await;
    tab.fill("#credits", "500").await;
    tab.click("Save").await;
    tab.sees("as you wrote them").await;
    tab.click("Users").await;
    tab.click(&email).await;
    tab.click("Shut out…").await;
    tab.click(&format!("Shut out {email}")).await;
    tab.click("Let in again").await;
    tab.sees("Shut out…").await;
    for number in 0..20 {
        server.verify(json!({ "key": format!("wvs_live_{number:06x}{:026x}", 0), "ip": "192.0.2.1" })).await;
    }
    tab.click("Lockouts").await;
    tab.sees("192.0.2.1").await;
    tab.click("Unlock").await;
    tab.sees("Nobody is locked out").await;
    let (_, key) = server.key(json!({ "ip_allowlist": ["203.0.113.0/24"] })).await.pair();
    tab.click("Explain").await;
    tab.fill("#key", &key).await;
    tab.fill("#ip", "192.0.2.7").await;
    tab.wait_or_show("document.querySelector('main button.primary')?.click() ?? true", "a button").await;
    tab.sees("IP_NOT_ALLOWED").await;
    assert!(!tab.text().await.contains(&key));
    tab.click("Policy").await;
    tab.sees("wayscloud-service").await;
    tab.click("Proxies").await;
    tab.fill("#upstream", "http://10.0.0.5:9000").await;
    tab.click("Write it").await;
    tab.sees("auth_request").await;
    tab.click("Audit log").await;
    tab.sees("lockout.lift").await;
    tab.click("Health").await;
    tab.sees("Verifications since the start").await;
    tab
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_turns_the_page_green() {
    let Some(chromium) = Chromium::start().await else { return };
    let server = TestServer::listening(Options::default()).await;
    let (account, email) = owner(&server).await;
    let made = server.key_of(&account, json!({ "name": "Nightly backup" })).await;
    let tab = chromium.tab(&server, true).await;
    let page = format!("/dashboard/keys/{}", made.id);
    tab.open(&page).await;
    tab.log_in(&email).await;
    tab.sees("Waiting for the first request…").await;
    assert_eq!(tab.look("document.querySelector('.signal').className").await, Some(json!("signal")));
    server.verify(json!({ "key": made.key, "ip": "203.0.113.7" })).await;
    server.app.flush_usage().await.unwrap();
    // Nobody touches the page.
    tab.sees("Last used just now from 203.0.113.7").await;
    assert_eq!(tab.look("document.querySelector('.signal').className").await, Some(json!("signal on")));
    let green = "getComputedStyle(document.querySelector('.signal'), '::before').backgroundColor";
    assert_eq!(tab.look(green).await, Some(json!("rgb(11, 110, 79)")));
    tab.is_quiet();
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_tried_edited_and_ended_together_with_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    keep(&chromium, true).await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_tried_edited_and_ended_together_without_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    keep(&chromium, false).await;
    chromium.close().await;
}

/// Tries a request with a key, narrows where it may be used from, makes a token, and revokes two keys at once.
async fn keep(chromium: &Chromium, runs_scripts: bool) {
    let server = TestServer::listening(Options::default()).await;
    let (account, email) = owner(&server).await;
    let first = server.key_of(&account, json!({ "name": "First" })).await;
    let second = server.key_of(&account, json!({ "name": "Second" })).await;
    server.verify(json!({ "key": first.key, "ip": "203.0.113.7" })).await;
    server.app.flush_usage().await.unwrap();
    let tab = chromium.tab(&server, runs_scripts).await;
    tab.open(&format!("/dashboard/keys/{}", first.id)).await;
    tab.log_in(&email).await;
    tab.click("Would a request pass?").await;
    tab.fill("#path", "/v1/storage/backups").await;
    tab.click("Try it").await;
    tab.sees("INSUFFICIENT_PERMISSIONS").await;
    tab.sees("decides").await;
    tab.click("Back to the key").await;
    tab.click("Edit…").await;
    tab.fill("#ip_allowlist", "198.51.100.7, ::ffff:198.51.100.8").await;
    tab.click("Save").await;
    tab.sees("203.0.113.7").await;
    assert_eq!(
        tab.look("document.querySelector('#ip_allowlist').value").await,
        Some(json!("198.51.100.7\n198.51.100.8"))
    );
    tab.click("Shut them out").await;
    tab.click("Save").await;
    tab.sees("The key is changed").await;
    tab.click("Personal Tokens").await;
    tab.click("Create Personal Token").await;
    tab.fill("#name", "Laptop").await;
    tab.click("profile:read").await;
    tab.click("Create token").await;
    tab.sees("shown this once").await;
    tab.click("I have saved my API key").await;
    tab.click("Personal Tokens").await;
    tab.sees("Laptop").await;
    tab.click("API Keys").await;
    for key in [&first, &second] {
        let tick = format!(
            "(() => {{ const box = document.readyState === 'complete' && document.querySelector('[value=\"{}\"]');
               if (box) box.click();
               return Boolean(box); }})()",
            key.id
        );
        tab.wait_or_show(&tick, "a box to tick").await;
    }
    tab.click(if runs_scripts { "Revoke 2 chosen…" } else { "Revoke the chosen…" }).await;
    tab.sees("Revoke 2 keys").await;
    tab.fill("#confirm", "revoke 2 keys").await;
    tab.click("Revoke for good").await;
    tab.sees("The keys are revoked").await;
    assert_eq!((server.code(&first.key).await, server.code(&second.key).await), ("REVOKED".into(), "REVOKED".into()));
}
