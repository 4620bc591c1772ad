//! A key's whole life by mouse: with scripts, and without any.

use keywright_server::Options;
use serde_json::json;

use super::{Chromium, Tab};
use crate::harness::TestServer;

/// An account that may have keys, and its owner.
pub(super) async fn owner(server: &TestServer) -> (String, String) {
    let account = server.account().await;
    let standing = json!({ "email": "post@example.com", "email_verified": true, "subscription": "active" });
    server.patch(&format!("/v1/accounts/{account}"), &standing).send().await.is(200);
    let (email, _) = server.registered(&account, "owner").await;
    (account, email)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_life_with_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    let server = TestServer::listening(Options::default()).await;
    chromium.shares_clipboard(&server).await;
    let tab = chromium.tab(&server, true).await;
    life(&server, &tab, true).await;
    tab.is_quiet();
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_life_without_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    let server = TestServer::listening(Options::default()).await;
    let tab = chromium.tab(&server, false).await;
    life(&server, &tab, false).await;
    chromium.close().await;
}

async fn life(server: &TestServer, tab: &Tab, runs_scripts: bool) {
    let (_, email) = owner(server).await;
    tab.open("/").await;
    tab.log_in(&email).await;
    tab.sees("API Keys").await;
    tab.click("Create New API Key").await;
    tab.fill("#name", "Nightly backup").await;
    tab.fill("[name=more_permissions]", "documents:read documents:write").await;
    tab.fill("#ip_allowlist", "203.0.113.7\nnonsense").await;
    tab.click("Create key").await;
    // What was typed is still there, and the mistake is told beside its field.
    tab.sees("nonsense").await;
    assert_eq!(tab.look("document.querySelector('#name').value").await, Some(json!("Nightly backup")));
    assert!(tab.read("#ip-wrong").await.contains("nonsense"));
    tab.fill("#ip_allowlist", "").await;
    tab.click("Create key").await;
    let first = shown_once(tab, runs_scripts).await;
    tab.click("I have saved my API key").await;
    tab.sees("Nightly backup").await;
    // Going back shows it to nobody.
    tab.back().await;
    assert!(
        !tab.text().await.contains(&first)
            && !tab
                .look("document.documentElement.outerHTML")
                .await
                .is_some_and(|html| html.as_str().is_some_and(|html| html.contains(&first)))
    );
    tab.open("/dashboard/keys").await;
    tab.sees("Nightly backup").await;
    assert_eq!(server.code(&first).await, "VALID");
    // A key one has is found by pasting it.
    tab.fill("#find", &first).await;
    tab.press("Enter").await;
    // The page before has the same words.
    tab.wait_or_show("location.search.startsWith('?find=')", "what was looked for").await;
    tab.sees("Nightly backup").await;
    assert!(!tab.text().await.contains(&first), "a pasted key is in the address");
    tab.click("Nightly backup").await;
    tab.click("Rotate…").await;
    tab.click("Rotate").await;
    let second = shown_once(tab, runs_scripts).await;
    assert_ne!(first, second);
    tab.click("I have saved my API key").await;
    assert_eq!((server.code(&first).await, server.code(&second).await), ("VALID".into(), "VALID".into()));
    tab.click("End it now").await;
    tab.sees("The old secret has ended").await;
    assert_eq!((server.code(&first).await, server.code(&second).await), ("EXPIRED".into(), "VALID".into()));
    tab.click("Switch off").await;
    tab.sees("disabled").await;
    assert_eq!(server.code(&second).await, "DISABLED");
    tab.click("Switch on").await;
    tab.sees("active").await;
    narrowed(server, tab, &second).await;
    tab.click("Revoke…").await;
    tab.fill("#confirm", "nightly").await;
    tab.click("Revoke for good").await;
    tab.read("#wrong").await;
    assert_eq!(server.code(&second).await, "VALID");
    tab.fill("#confirm", "Nightly backup").await;
    tab.click("Revoke for good").await;
    tab.sees("The key is revoked").await;
    assert_eq!(server.code(&second).await, "REVOKED");
    tab.log_out().await;
    tab.is_at("/dashboard/login").await;
    tab.open("/dashboard/keys").await;
    tab.is_at("/dashboard/login").await;
}

/// Takes one of a key's permissions away on the page that edits it, and leaves the rest as it is.
async fn narrowed(server: &TestServer, tab: &Tab, key: &str) {
    let asked = json!({ "key": key, "permissions": ["documents:write"] });
    assert_eq!(server.verify(asked.clone()).await["code"], "VALID");
    tab.click("Edit…").await;
    tab.click("documents:write").await;
    tab.click("Save").await;
    tab.sees("The key is changed").await;
    assert_eq!(server.verify(asked).await["code"], "INSUFFICIENT_PERMISSIONS");
    let left = json!({ "key": key, "permissions": ["documents:read"] });
    assert_eq!(server.verify(left).await["code"], "VALID");
}

/// The plaintext on the page that shows it, which is copied there where copying works.
async fn shown_once(tab: &Tab, runs_scripts: bool) -> String {
    tab.sees("shown this once").await;
    let key = tab.read("#secret").await;
    let file = tab.look("document.querySelector('a[download]').href").await.unwrap();
    assert_eq!(file, json!(format!("data:text/plain;charset=utf-8,API_KEY%3D{key}%0A")));
    if runs_scripts {
        tab.click("Copy").await;
        tab.sees("Copied").await;
        assert_eq!(tab.look("navigator.clipboard.readText()").await, Some(json!(key)));
    } else {
        assert!(!tab.text().await.contains("Copy\n"), "a button that does nothing");
    }
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clicks_make_one_key_and_a_session_that_ends_loses_no_form() {
    let Some(chromium) = Chromium::start().await else { return };
    let server = TestServer::listening(Options::default()).await;
    let (account, email) = owner(&server).await;
    let tab = chromium.tab(&server, true).await;
    tab.open("/").await;
    tab.log_in(&email).await;
    tab.is_at("/dashboard/keys").await;
    for (runs_scripts, name) in [(true, "With a script"), (false, "Without")] {
        let tab = chromium.tab(&server, runs_scripts).await;
        tab.open("/dashboard/keys/new").await;
        tab.fill("#name", name).await;
        tab.click_times("Create key", 3).await;
        tab.wait_or_show("location.pathname !== '/dashboard/keys/new' && document.readyState === 'complete'", "a key")
            .await;
        if tab.text().await.contains("shown this once") {
            // A page that shows a secret is not left by mistake.
            tab.click("I have saved my API key").await;
        }
        tab.sees(name).await;
        tab.open("/dashboard/keys").await;
        tab.sees(name).await;
        let listed = server.get(&format!("/v1/keys?account_id={account}")).send().await.is(200);
        let named = listed["data"].as_array().unwrap().iter().filter(|key| key["name"] == name).count();
        assert_eq!(named, 1, "{name}");
    }
    tab.open("/dashboard/keys/new").await;
    tab.fill("#name", "Typed with care").await;
    let other = chromium.tab(&server, true).await;
    other.open("/dashboard/keys").await;
    other.click("Log out").await;
    other.is_at("/dashboard/login").await;
    tab.click("Create key").await;
    tab.sees("Log in").await;
    tab.log_in(&email).await;
    tab.sees("Typed with care").await;
    tab.click("Send it now").await;
    tab.sees("shown this once").await;
    chromium.close().await;
}
