//! The explainer of operators, and what a customer tries of a key of theirs.

use serde_json::{Value, json};

use crate::browser::{Browser, between};
use crate::harness::{TestServer, text};

/// A key, what is asked of it, and the outcome.
type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c str);

#[tokio::test]
async fn each_outcome_is_explained_and_the_key_is_shown_nowhere() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["*"]).await;
    let page = "/dashboard/operator/explain";
    browser.get(page).await.says(200, "The key is kept nowhere");
    let account = server.account().await;
    let make = async |fields: Value| server.key_of(&account, fields).await.pair();
    let (_, plain) = make(json!({ "permissions": ["documents:read"] })).await;
    let (revoked_id, revoked) = make(json!({})).await;
    server.delete(&format!("/v1/keys/{revoked_id}")).send().await.is(204);
    let (_, expired) = make(json!({ "expires_in": "1m" })).await;
    let (off_id, off) = make(json!({})).await;
    server.post(&format!("/v1/keys/{off_id}/disable"), &json!({})).send().await.is(200);
    let (_, fenced) = make(json!({ "ip_allowlist": ["203.0.113.0/24"] })).await;
    let (_, slow) = make(json!({ "ratelimits": [{ "name": "requests", "limit": 1, "window": "1h" }] })).await;
    let (_, poor) = make(json!({ "credits": 0 })).await;
    let (_, storage) = make(json!({ "kind": "wayscloud-service", "services": ["storage"] })).await;
    server.wait("2m");
    server.verify(json!({ "key": slow })).await;
    let suspended = server.account().await;
    let (_, idle) = server.key_of(&suspended, json!({})).await.pair();
    server.patch(&format!("/v1/accounts/{suspended}"), &json!({ "status": "suspended" })).send().await.is(200);
    let unknown = format!("wvs_live_{:032x}", 7);
    let nothing: &[(&str, &str)] = &[];
    let cases: [Case; 17] = [
        (&plain, nothing, "VALID"),
        (&plain, &[("permissions", "documents:read")], "VALID"),
        (&plain, &[("permissions", "documents:write")], "INSUFFICIENT_PERMISSIONS"),
        ("kw_live_nonsense", nothing, "MALFORMED"),
        (&unknown, nothing, "NOT_FOUND"),
        (&revoked, nothing, "REVOKED"),
        (&expired, nothing, "EXPIRED"),
        (&off, nothing, "DISABLED"),
        (&fenced, nothing, "IP_NOT_ALLOWED"),
        (&fenced, &[("ip", "203.0.113.9")], "VALID"),
        (&fenced, &[("ip", "198.51.100.1")], "IP_NOT_ALLOWED"),
        (&slow, nothing, "RATE_LIMITED"),
        (&poor, nothing, "CREDITS_EXHAUSTED"),
        (&idle, nothing, "ACCOUNT_SUSPENDED"),
        (&storage, &[("method", "PUT"), ("path", "/v1/storage/a?b=c")], "VALID"),
        (
            &storage,
            &[("method", "POST"), ("path", "https://api.example.com/v1/chat/completions")],
            "INSUFFICIENT_PERMISSIONS",
        ),
        (&plain, &[("method", "GET"), ("path", "/v1/storage/")], "INSUFFICIENT_PERMISSIONS"),
    ];
    let totals = server.app.verification_totals();
    for (key, fields, expected) in cases {
        let sent: Vec<(&str, &str)> = [("key", key)].into_iter().chain(fields.iter().copied()).collect();
        let answer = browser.post(page, &sent).await;
        let said = between(&answer.says(200, "id=\"result\"").text, "</span> <code>", "</code></h2>");
        assert_eq!(said, expected, "{key} {fields:?}");
        assert!(!answer.text.contains(key), "{}", answer.text);
        let verdict = if expected == "VALID" { ">allowed<" } else { ">refused<" };
        answer.says(200, verdict);
        assert_eq!(answer.text.matches(">decides<").count(), usize::from(expected != "VALID"));
    }
    assert_eq!(server.app.verification_totals(), totals, "nothing is counted");
    let secret = &plain[plain.len() - 12..];
    assert!(!server.stored().windows(12).any(|window| window == secret.as_bytes()), "it is stored nowhere");
}

#[tokio::test]
async fn what_a_request_would_ask_is_told_and_what_is_wrong_with_one() {
    let server = TestServer::start().await;
    let browser = Browser::operator(&server, &["*"]).await;
    let page = "/dashboard/operator/explain";
    let (_, plain) = server.key(json!({})).await.pair();
    let (_, storage) = server.key(json!({ "kind": "wayscloud-service", "services": ["storage"] })).await.pair();
    let route = [("key", storage.as_str()), ("method", "PUT"), ("path", "/v1/storage/a")];
    browser.post(page, &route).await.says(200, "asks for storage:write");
    for (fields, wrong) in [
        (vec![("key", "")], "key-wrong"),
        (vec![("key", plain.as_str()), ("path", "/v1/storage/../x"), ("method", "GET")], "path-wrong"),
        (vec![("key", plain.as_str()), ("path", "/nowhere"), ("method", "GET")], "path-wrong"),
        (vec![("key", plain.as_str()), ("path", "/v1/storage/"), ("method", "BREW")], "path-wrong"),
        (vec![("key", plain.as_str()), ("ip", "300.1.1.1")], "ip-wrong"),
        (vec![("key", plain.as_str()), ("permissions", "sail")], "permissions-wrong"),
    ] {
        let answer = browser.post(page, &fields).await;
        assert!(!answer.says(422, wrong).text.contains(&plain), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_customer_tries_a_key_of_theirs_and_spends_nothing() {
    let server = TestServer::start().await;
    let (browser, account) = Browser::of(&server, "owner").await;
    let limits = json!([{ "name": "requests", "limit": 1, "window": "1h" }]);
    let fields = json!({
        "kind": "wayscloud-service", "services": ["storage"], "ip_allowlist": ["203.0.113.0/24"], "credits": 1,
        "ratelimits": limits,
    });
    let (id, plain) = server.key_of(&account, fields).await.pair();
    let page = format!("/dashboard/keys/{id}/simulate");
    browser.get(&format!("/dashboard/keys/{id}")).await.says(200, &page);
    browser.get(&page).await.says(200, "No request is made");
    let from = ("ip", "203.0.113.7");
    let cases: [Case; 5] = [
        ("VALID", &[("method", "PUT"), ("path", "/v1/storage/a"), from], "asks for storage:write"),
        ("VALID", &[("permissions", "storage:read"), from], "It would pass."),
        ("IP_NOT_ALLOWED", &[("method", "PUT"), ("path", "/v1/storage/a"), ("ip", "198.51.100.1")], ">decides<"),
        ("INSUFFICIENT_PERMISSIONS", &[("method", "GET"), ("path", "/v1/dns/zones"), from], "asks for dns:manage"),
        (
            "INSUFFICIENT_PERMISSIONS",
            &[("method", "GET"), ("path", "/v1/org"), from],
            "does not take keys of this kind",
        ),
    ];
    for (expected, fields, says) in cases {
        for _ in 0..3 {
            let answer = browser.post(&page, fields).await;
            let said = between(&answer.says(200, says).text, "</span> <code>", "</code></h2>");
            assert_eq!(said, expected, "{fields:?}");
        }
    }
    server.app.flush_usage().await.unwrap();
    let usage = server.get(&format!("/v1/keys/{id}/usage")).send().await.is(200);
    assert_eq!(usage["data"], json!([]), "{usage}");
    // All of it is still there to be spent, and then it is not.
    assert_eq!(text(&server.verify(json!({ "key": plain, "ip": "203.0.113.7" })).await, "code"), "VALID");
    browser.post(&page, &[("permissions", "storage:read"), from]).await.says(200, "<code>RATE_LIMITED</code></h2>");

    for (change, expected) in [("disable", "DISABLED"), ("revoke", "REVOKED")] {
        browser.post(&format!("/dashboard/keys/{id}/{change}"), &[("confirm", &id)]).await.with(303);
        browser.post(&page, &[from]).await.says(200, &format!("<code>{expected}</code></h2>"));
    }
    let foreign = server.key(json!({})).await.id;
    browser.post(&format!("/dashboard/keys/{foreign}/simulate"), &[]).await.with(404);
    browser.post(&page, &[("path", "nowhere")]).await.says(422, "path-wrong");
}
