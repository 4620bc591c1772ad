//! WAYSCloud: creating keys, in the dashboard.

use serde_json::json;

use super::ch_people::{code, enrol};
use crate::browser::{Browser, between};
use crate::harness::{PASSWORD, TestServer};

const SERVICE_KEY: (&str, &str) = ("kind", "wayscloud-service");
const STORAGE: (&str, &str) = ("services", "storage");

#[tokio::test]
async fn wc1_a_login_takes_email_password_and_then_the_second_factor_where_it_is_on() {
    let server = TestServer::start().await;
    let (email, user) = server.registered(&server.account().await, "owner").await;
    let mut browser = Browser::new(&server);
    browser.get("/dashboard").await.leads_to("/dashboard/keys");
    browser.get("/dashboard/login").await.says(200, "name=\"email\"").says(200, "name=\"password\"");
    browser.log_in(&email, "wrong wrong wrong").await.says(401, "The email or the password is wrong.");
    browser.log_in(&email, PASSWORD).await.leads_to("/dashboard/keys");
    let (secret, _) = enrol(&server, &server.session_of(&user).await.1).await;
    server.wait("1m");
    let mut browser = Browser::new(&server);
    let second = browser.log_in(&email, PASSWORD).await;
    let challenge = between(&second.says(200, "name=\"code\"").text, "name=\"challenge\" value=\"", "\"");
    assert!(browser.cookie.is_empty(), "nobody is in yet");
    let fields = [("challenge", challenge.as_str()), ("code", &code(&secret, 60))];
    let answer = browser.post("/dashboard/login", &fields).await;
    answer.leads_to("/dashboard/keys");
    browser.keep(&answer);
    browser.get("/dashboard/keys").await.says(200, "API Keys");
}

#[tokio::test]
async fn wc2_the_side_leads_to_the_keys_and_a_button_to_a_new_one() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let page = browser.get("/dashboard/keys").await;
    page.says(200, "<a href=\"/dashboard/keys\" aria-current=\"page\">API Keys</a>");
    page.says(200, "href=\"/dashboard/keys/new\">Create New API Key</a>");
}

#[tokio::test]
async fn wc3_a_name_is_required_and_one_that_says_nothing_draws_a_warning() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let create = async |name: &str| browser.post("/dashboard/keys", &[SERVICE_KEY, STORAGE, ("name", name)]).await;
    for name in ["", "   "] {
        create(name).await.says(422, "This is required: say what the key is for");
    }
    browser.get("/dashboard/keys").await.says(200, "No keys yet");
    for name in ["key1", "test", "asdf", "Key 2"] {
        create(name).await.says(201, "The name says little.").says(201, "wayscloud_storage_");
    }
    assert!(!create("Nightly backup").await.says(201, "wayscloud_storage_").text.contains("says little"));
}

#[tokio::test]
async fn wc4_at_least_one_service_is_required() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let form = browser.get("/dashboard/keys/new?kind=wayscloud-service").await;
    for service in ["storage", "llm", "database", "dns", "gpu"] {
        form.says(200, &format!("name=\"services\" value=\"{service}\""));
    }
    let none = browser.post("/dashboard/keys", &[SERVICE_KEY, ("name", "Nightly backup")]).await;
    none.says(422, "id=\"services-wrong\">This is required: name at least one of storage");
    none.says(422, "value=\"Nightly backup\"");
    let two = [SERVICE_KEY, ("name", "Nightly backup"), STORAGE, ("services", "llm")];
    browser.post("/dashboard/keys", &two).await.says(201, "wayscloud_multi_");
}

#[tokio::test]
async fn wc5_an_allow_list_takes_the_three_forms_and_a_bad_entry_is_named() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let make = async |list: &str| {
        browser.make(&[SERVICE_KEY, STORAGE, ("name", "Nightly backup"), ("ip_allowlist", list)]).await.0
    };
    for (list, shown) in [
        ("203.0.113.42", "<code>203.0.113.42</code>"),
        ("203.0.113.42, 198.51.100.7", "<code>198.51.100.7</code>"),
        ("203.0.113.0/24", "<code>203.0.113.0/24</code>"),
        ("203.0.113.42\r\n2001:db8::/32", "<code>2001:db8::/32</code>"),
    ] {
        browser.get(&format!("/dashboard/keys/{}", make(list).await)).await.says(200, shown);
    }
    let bad = [SERVICE_KEY, STORAGE, ("name", "Nightly backup"), ("ip_allowlist", "203.0.113.42, 300.1.1.1")];
    let answer = browser.post("/dashboard/keys", &bad).await;
    answer.says(422, "id=\"ip-wrong\">`300.1.1.1`").says(422, ">203.0.113.42, 300.1.1.1</textarea>");
}

#[tokio::test]
async fn wc6_a_key_is_shown_once_and_left_by_saying_that_it_is_saved() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let fields = [SERVICE_KEY, STORAGE, ("name", "Nightly backup")];
    let page = browser.post("/dashboard/keys", &fields).await;
    page.says(201, "shown this once").says(201, "data-copy=\"secret\"").says(201, "I have saved my API key");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // The button is the one way on.
    assert_eq!((page.text.matches("<button class=\"primary").count(), page.text.matches("<nav").count()), (1, 0));
    let key = between(&page.text, "tabindex=\"0\">", "<");
    assert!(page.text.contains(&format!("Authorization: Bearer {key}")), "a command that works with it");
    assert_eq!(server.code(&key).await, "VALID");
    let id = between(&page.text, "action=\"/dashboard/keys/", "\"");
    for path in ["/dashboard/keys".to_owned(), format!("/dashboard/keys/{id}")] {
        assert!(!browser.get(&path).await.with(200).text.contains(&key), "{path}");
    }
}

#[tokio::test]
async fn wc7_the_form_says_what_an_account_lacks_and_what_to_do() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let lacking = json!({ "subscription": "none", "email_verified": false });
    server.patch(&format!("/v1/accounts/{account}"), &lacking).send().await.is(200);
    let fields = [SERVICE_KEY, STORAGE, ("name", "Nightly backup")];
    let refused = browser.post("/dashboard/keys", &fields).await;
    refused.says(409, "verify it").says(409, "subscribe, or buy credits").says(409, "value=\"Nightly backup\"");
}

#[tokio::test]
async fn wc9_the_list_shows_what_a_key_is_and_revoking_asks_first() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let fields = [
        SERVICE_KEY,
        STORAGE,
        ("name", "Nightly backup"),
        ("description", "Copies the database"),
        ("ip_allowlist", "203.0.113.0/24"),
    ];
    let (id, key) = browser.make(&fields).await;
    let list = browser.get("/dashboard/keys").await;
    for shown in ["Copies the database", ">storage<", "203.0.113.0/24", "just now", ">never<", "wayscloud_storage_"] {
        list.says(200, shown);
    }
    server.verify(json!({ "key": key, "ip": "203.0.113.9" })).await;
    server.app.flush_usage().await.unwrap();
    assert!(!browser.get("/dashboard/keys").await.with(200).text.contains(">never<"));
    let asked = browser.get(&format!("/dashboard/keys/{id}/revoke")).await;
    asked.says(200, "Type <strong>Nightly backup</strong> to confirm");
    assert_eq!(server.code(&key).await, "IP_NOT_ALLOWED", "asking changes nothing");
    browser.post(&format!("/dashboard/keys/{id}/revoke"), &[("confirm", "Nightly backup")]).await.with(303);
    assert_eq!(server.code(&key).await, "REVOKED");
}

#[tokio::test]
async fn wc10_rotating_guides_through_the_grace_and_shows_when_the_old_key_ends() {
    let server = TestServer::start().await;
    let (browser, _) = Browser::of(&server, "owner").await;
    let (id, old) = browser.make(&[SERVICE_KEY, STORAGE, ("name", "Nightly backup")]).await;
    let page = format!("/dashboard/keys/{id}");
    let asked = browser.get(&format!("{page}/rotate")).await;
    asked.says(200, "value=\"7d\" checked").says(200, "keeps its id, its limits, its credits and its history");
    let rotated = browser.post(&format!("{page}/rotate"), &[("grace", "24h")]).await;
    rotated.says(200, "ends in 1 day (2026-11-22T09:00:00.000Z)").says(200, "I have saved my API key");
    let new = between(&rotated.text, "tabindex=\"0\">", "<");
    let codes = async || (server.code(&old).await, server.code(&new).await);
    assert_eq!(codes().await, ("VALID".into(), "VALID".into()));
    browser.get(&page).await.says(200, "ends in 1 day").says(200, "Give it another day");
    browser.post(&format!("{page}/grace"), &[("grace", "24h")]).await.leads_to(&format!("{page}?done=grace-extended"));
    browser.post(&format!("{page}/grace"), &[("grace", "0s")]).await.leads_to(&format!("{page}?done=grace-ended"));
    let (before, after) = codes().await;
    assert!(before != "VALID" && after == "VALID", "{before} {after}");
    assert!(!browser.get(&page).await.with(200).text.contains("Give it another day"));
}
