//! WAVIS: keys with an environment and a role; trial keys and lockout are in files of their own.

mod lockouts;
mod trials;

use keywright_server::{Dialect, Needs, Options, ROUTES, Route};
use serde_json::json;

use crate::harness::{TestServer, text};

const TEMP_KEY: &str = "/api/v1/onboarding/temp-key";
const ROTATE: &str = "/api/v1/keys/apikey/rotate";
const TRIALS: &str = "acc_00000000000000000000000001";
const INVALID: &str = r#"{"error":"The API key is missing or does not work","code":"INVALID_API_KEY"}"#;

/// A key of this role and environment.
async fn key_of(server: &TestServer, account: &str, role: &str, environment: &str) -> (String, String) {
    let fields = json!({ "kind": "wavis", "role": role, "environment": environment });
    server.key_of(account, fields).await.pair()
}

async fn trial(server: &TestServer) -> String {
    text(&server.call("POST", TEMP_KEY).by_nobody().send().await.is(201), "api_key")
}

/// The status of a request with this and no other credential.
async fn status(server: &TestServer, method: &str, path: &str, key: &str) -> u16 {
    server.call(method, path).by(key).send().await.status
}

/// A server behind a proxy, and a request that came through it from this address.
async fn behind_a_proxy() -> TestServer {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    TestServer::listening(Options { trusted_proxies, ..Options::default() }).await
}

#[tokio::test]
async fn wv4_a_keys_text_has_the_documented_form() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let mut keys = vec![("trial", trial(&server).await)];
    for environment in ["live", "test", "dev"] {
        keys.push((environment, key_of(&server, &account, "developer", environment).await.1));
    }
    for (environment, key) in &keys {
        let hex = key.strip_prefix(&format!("wvs_{environment}_")).unwrap();
        assert!(hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{key}");
    }
    let body = json!({ "account_id": account, "kind": "wavis", "environment": "trial" });
    server.post("/v1/keys", &body).send().await.problem(422, "INVALID");
}

#[tokio::test]
async fn wv5_keys_are_kept_as_hmacs_alone_and_outlive_the_secret_they_are_made_under() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, key) = key_of(&server, &account, "developer", "live").await;
    let trial = trial(&server).await;
    let is_stored =
        |server: &TestServer, text: &str| server.stored().windows(text.len()).any(|window| window == text.as_bytes());
    for key in [&key, &trial] {
        assert!(is_stored(&server, &key[..15]), "the shown part is kept");
        assert!(!is_stored(&server, &key[15..]), "the secret part is not");
    }
    let server = server.restarted("1m", true).await;
    for key in [&key, &trial, &key] {
        assert_eq!(server.code(key).await, "VALID");
        assert_eq!(status(&server, "GET", "/api/v1/health", key).await, 200);
    }
    let (_, newer) = key_of(&server, &account, "developer", "live").await;
    let server = server.restarted("1m", true).await;
    assert_eq!([server.code(&key).await, server.code(&newer).await], ["VALID"; 2]);
    let rotated = server.call("POST", ROTATE).by(&key).send().await.is(200);
    assert_eq!(server.code(&text(&rotated, "new_api_key")).await, "VALID");
}

#[tokio::test]
async fn wv6_a_key_is_shown_with_bearer_or_bare() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, key) = key_of(&server, &account, "account_admin", "live").await;
    let trial = trial(&server).await;
    for key in [&key, &trial] {
        for (name, value, status) in [
            ("authorization", format!("Bearer {key}"), 200),
            ("authorization", key.clone(), 200),
            ("authorization", format!("bearer {key}"), 401),
            ("authorization", format!("Bearer  {key}"), 401),
            ("authorization", format!("Token {key}"), 401),
            ("x-api-key", key.clone(), 401),
        ] {
            let answer = server.get("/api/v1/health").by_nobody().header(name, &value).send().await;
            assert_eq!(answer.status, status, "{name}: {value}");
            if status == 401 {
                assert_eq!(answer.text, INVALID);
            }
        }
    }
    let bare = server.call("POST", ROTATE).by_nobody().header("authorization", &key).send().await;
    assert!(text(&bare.is(200), "new_api_key").starts_with("wvs_live_"));
}

#[tokio::test]
async fn wv7_each_role_may_do_what_it_may_and_no_more() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let paths = [
        // VIEWER, DEVELOPER, ACCOUNT_ADMIN, TRIAL
        ("GET", "/api/v1/health", [200, 200, 200, 200]),
        ("GET", "/api/v1/status", [200, 200, 200, 200]),
        ("GET", "/api/v1/keys", [200, 200, 200, 403]),
        ("GET", "/api/v1/usage", [200, 200, 200, 403]),
        ("POST", ROTATE, [403, 200, 200, 403]),
        ("GET", "/api/v1/billing", [403, 403, 200, 403]),
        ("GET", "/api/v1/invoices", [403, 403, 200, 403]),
        // For people, with a session: see wv_user.rs.
        ("POST", "/api/v1/user/api-keys", [403; 4]),
        ("DELETE", "/api/v1/user/api-keys/{id}", [403; 4]),
    ];
    let listed = ROUTES.iter().filter(|route| route.dialect == Dialect::Wavis && route.needs != Needs::Nothing);
    for Route { method, path, .. } in listed {
        assert!(paths.iter().any(|row| (row.0, row.1) == (*method, *path)), "{method} {path} is not in the table");
    }
    let trial = trial(&server).await;
    for (column, role) in ["viewer", "developer", "account_admin", "trial"].into_iter().enumerate() {
        for environment in ["live", "test", "dev"] {
            let key = match role {
                "trial" => trial.clone(),
                role => key_of(&server, &account, role, environment).await.1,
            };
            for (method, path, statuses) in &paths {
                let answer = server.call(method, path).by(&key).send().await;
                assert_eq!(answer.status, statuses[column], "{role} {method} {path}: {}", answer.text);
                if answer.status == 403 && !path.contains("/user/") {
                    let error = answer.wavis_error(403, "FORBIDDEN");
                    assert!(text(&error, "error").contains("permission"), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn wv7_keys_are_listed_without_their_secrets_and_another_accounts_are_not() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (id, key) = key_of(&server, &account, "viewer", "test").await;
    let (gone, _) = key_of(&server, &account, "developer", "live").await;
    server.delete(&format!("/v1/keys/{gone}")).send().await.is(204);
    server.key_of(&account, json!({})).await;
    server.key(json!({ "kind": "wavis" })).await;
    let listed = server.get("/api/v1/keys").by(&key).send().await.with(200);
    let prefix = &key[..key.len() - 26];
    let expected = json!({ "keys": [{
        "id": id, "name": "", "prefix": prefix, "masked_key": format!("{prefix}…{}", &key[key.len() - 4..]),
        "environment": "test", "role": "viewer", "status": "active", "created_at": "2026-11-21T09:00:00Z",
        "expires_at": null, "last_used_at": null,
    }] });
    assert_eq!(listed.body, expected);
    server.get("/api/v1/keys").send().await.wavis_error(409, "CONFLICT");
}

#[tokio::test]
async fn wv7_billing_says_what_is_known_and_there_are_no_invoices() {
    let server = TestServer::start().await;
    let account = server.account().await;
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "credits": 250 })).send().await.is(200);
    let (_, admin) = key_of(&server, &account, "account_admin", "dev").await;
    let billing = server.get("/api/v1/billing").by(&admin).send().await.is(200);
    let expected = json!({
        "subscription": "active", "credits": 250, "billed_operations": 0,
        "period": { "from": "2026-11-01T00:00:00Z", "to": "2026-11-21T09:00:00Z" },
    });
    assert_eq!(billing, expected);
    assert_eq!(server.get("/api/v1/invoices").by(&admin).send().await.with(200).text, r#"{"invoices":[]}"#);
}

#[tokio::test]
async fn wv10_the_key_before_works_for_a_day_more_and_then_not() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (id, old) = key_of(&server, &account, "developer", "test").await;
    let answer = server.call("POST", ROTATE).by(&old).send().await.with(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let new = text(&answer.body, "new_api_key");
    let expected = json!({
        "new_api_key": new, "old_key_prefix": format!("{}...", &old[..old.len() - 26]),
        "grace_period_ends_at": "2026-11-22T09:00:00Z", "environment": "test",
    });
    assert_eq!(answer.body, expected);
    assert!(new.starts_with("wvs_test_") && new != old);
    let verified = server.verify(json!({ "key": new })).await;
    assert_eq!((&verified["key_id"], &verified["code"]), (&json!(id), &json!("VALID")));
    server.wait("23h");
    server.wait("3599s");
    assert_eq!([server.code(&old).await, server.code(&new).await], ["VALID"; 2]);
    server.wait("1s");
    assert_eq!([server.code(&old).await, server.code(&new).await], ["EXPIRED", "VALID"]);
    let refused = server.get("/api/v1/health").by(&old).send().await;
    assert_eq!((refused.status, refused.text.as_str()), (401, INVALID));
    for body in [json!({ "grace": "90d" }), json!({ "role": "account_admin" })] {
        server.post(ROTATE, &body).by(&new).send().await.wavis_error(422, "INVALID");
    }
    // A key of another kind has another path for it.
    let (_, native) = server.key_of(&account, json!({ "permissions": ["keys:write"] })).await.pair();
    server.call("POST", ROTATE).by(&native).send().await.wavis_error(409, "CONFLICT");
}

#[tokio::test]
async fn wv10_the_key_before_ends_on_time_even_while_the_server_is_down() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, old) = key_of(&server, &account, "developer", "live").await;
    let rotated = server.call("POST", ROTATE).by(&old).send().await.is(200);
    let new = text(&rotated, "new_api_key");
    let server = server.restarted("23h", false).await;
    assert_eq!([server.code(&old).await, server.code(&new).await], ["VALID"; 2]);
    let server = server.restarted("1h", false).await;
    assert_eq!([server.code(&old).await, server.code(&new).await], ["EXPIRED", "VALID"]);
    assert_eq!(status(&server, "GET", "/api/v1/health", &old).await, 401);
}

#[tokio::test]
async fn wv14_what_is_done_with_test_keys_is_metered_apart_and_never_billed() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, live) = key_of(&server, &account, "account_admin", "live").await;
    let (_, test) = key_of(&server, &account, "developer", "test").await;
    let (_, elses) = key_of(&server, &server.account().await, "developer", "live").await;
    for (key, times) in [(&live, 3), (&test, 5), (&elses, 7)] {
        for _ in 0..times {
            assert_eq!(server.code(key).await, "VALID");
        }
    }
    let tagged = json!({ "key": test, "tags": ["nightly"] });
    assert_eq!(server.verify(tagged).await["code"], "VALID");
    let denied = json!({ "key": test, "permissions": ["billing:read"] });
    assert_eq!(server.verify(denied).await["code"], "INSUFFICIENT_PERMISSIONS");
    server.app.flush_usage().await.unwrap();
    let usage = async || server.get("/api/v1/usage").by(&live).send().await.is(200);
    let row = |environment: &str, operations: i64, denied: i64| {
        let billed = environment == "live";
        json!({ "environment": environment, "operations": operations, "denied": denied, "billed": billed })
    };
    let expected = json!({
        "period": { "from": "2026-11-01T00:00:00Z", "to": "2026-11-21T09:00:00Z" },
        "environments": [row("live", 3, 0), row("test", 6, 1), row("dev", 0, 0)],
    });
    assert_eq!(usage().await, expected);
    let billing = server.get("/api/v1/billing").by(&live).send().await.is(200);
    assert_eq!(billing["billed_operations"], 3);
    // The next month begins with nothing.
    server.wait("10d");
    assert_eq!(usage().await["environments"][1], row("test", 0, 0));
}

#[tokio::test]
async fn wv17_a_key_that_does_not_work_is_a_401_whatever_the_cause() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (revoked_id, revoked) = key_of(&server, &account, "viewer", "live").await;
    server.delete(&format!("/v1/keys/{revoked_id}")).send().await.is(204);
    let (disabled_id, disabled) = key_of(&server, &account, "viewer", "live").await;
    server.call("POST", &format!("/v1/keys/{disabled_id}/disable")).send().await.is(200);
    let expired = trial(&server).await;
    server.wait("31m");
    let invalid = format!("wvs_live_{:032x}", 7);
    for (key, why) in [
        (revoked.as_str(), "revoked"),
        (&disabled, "switched off"),
        (&expired, "expired"),
        (&invalid, "of nobody"),
        (&revoked.replace("wvs_live", "wvs_lvie"), "mistyped"),
        ("wvs_live_", "cut off"),
    ] {
        for (method, path) in [("GET", "/api/v1/keys"), ("POST", ROTATE), ("GET", "/api/v1/billing")] {
            let answer = server.call(method, path).by(key).send().await;
            assert_eq!((answer.status, answer.text.as_str()), (401, INVALID), "{why}");
            answer.wavis_error(401, "");
        }
    }
    let answer = server.get("/api/v1/keys").by_nobody().send().await;
    assert_eq!((answer.status, answer.text.as_str()), (401, INVALID), "none at all");
    let (_, viewer) = key_of(&server, &account, "viewer", "live").await;
    let refused = server.get("/api/v1/invoices").by(&viewer).send().await;
    let body = r#"{"error":"this needs the permission invoices:read, which the credential does not have","code":"INSUFFICIENT_ROLE"}"#;
    assert_eq!((refused.status, refused.text.as_str()), (403, body));
}
