//! `POST /v1/keys`

use serde_json::{Value, json};

use crate::harness::{NO_ACCOUNT, NOW, TestServer, text};

/// Everything a new key can be asked to be.
fn everything() -> Value {
    json!({
        "kind": "default",
        "name": "checkout",
        "description": "The checkout's key.\nOn the second line.",
        "environment": "test",
        "permissions": ["orders:write", "orders:read", "orders:read"],
        "ip_allowlist": "203.0.113.42, ::ffff:10.1.2.0/120",
        "expires_in": "30d",
        "credits": 500,
        "refill": { "amount": 1000, "every": "1d" },
        "ratelimits": [{ "name": "burst", "limit": 10, "window": "1s" }, { "name": "daily", "limit": 1000, "window": "24h" }],
        "metadata": { "team": "payments", "nested": { "a": [1, null] } },
    })
}

#[tokio::test]
async fn every_field_comes_back_in_its_canonical_form() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let mut shown = server.key_of(&account, everything()).await.shown;
    let (id, key, prefix) = (text(&shown, "id"), text(&shown, "key"), text(&shown, "prefix"));
    assert!(id.starts_with("key_") && key.starts_with(&prefix) && prefix.starts_with("kw_test_"), "{shown}");
    assert!(key.len() >= prefix.len() + 26 && key.ends_with(&text(&shown, "last_four")));
    let created_by = text(&shown, "created_by");
    assert!(created_by.starts_with("key:key_"));
    for field in ["id", "key", "prefix", "last_four", "created_by"] {
        shown.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(
        shown,
        json!({
            "account_id": account,
            "kind": "default",
            "name": "checkout",
            "description": "The checkout's key.\nOn the second line.",
            "environment": "test",
            "role": null,
            "services": [],
            "permissions": ["orders:read", "orders:write"],
            "ip_allowlist": ["203.0.113.42", "10.1.2.0/24"],
            "expires_at": "2026-12-21T09:00:00.000Z",
            "credits": 500,
            "refill": { "amount": 1000, "every": "1d" },
            "ratelimits": [{ "name": "burst", "limit": 10, "window": "1s" }, { "name": "daily", "limit": 1000, "window": "1d" }],
            "metadata": { "team": "payments", "nested": { "a": [1, null] } },
            "enabled": true,
            "status": "active",
            "rotation_due": false,
            "created_at": NOW,
            "updated_at": NOW,
            "rotated_at": null,
            "revoked_at": null,
            "last_used_at": null,
            "last_used_ip": null,
            "last_used_user_agent": null,
        })
    );
}

#[tokio::test]
async fn the_answer_says_where_the_key_is_and_is_kept_by_nobody() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let answer = server.post("/v1/keys", &json!({ "account_id": account })).send().await;
    let shown = answer.is(201);
    assert_eq!(answer.header("location"), Some(format!("/v1/keys/{}", text(&shown, "id")).as_str()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("idempotent-replayed"), None);
}

#[tokio::test]
async fn the_plaintext_is_shown_this_once() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let issued = server.key_of(&account, json!({ "name": "once" })).await;
    for path in [
        format!("/v1/keys/{}", issued.id),
        format!("/v1/keys?account_id={account}"),
        format!("/v1/keys/{}/usage", issued.id),
        format!("/v1/audit?target={}", issued.id),
    ] {
        let answer = server.get(&path).send().await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains(&issued.key), "{path} tells the key");
        assert!(!answer.text.contains(&issued.key[issued.key.len() - 32..]), "{path} tells the secret");
    }
}

#[tokio::test]
async fn what_is_left_out_gets_the_kinds_defaults() {
    let server = TestServer::start().await;
    let shown = server.key(json!({})).await.shown;
    assert_eq!([&shown["kind"], &shown["environment"], &shown["name"]], ["default", "live", ""]);
    assert_eq!([&shown["role"], &shown["expires_at"], &shown["credits"], &shown["refill"]], [&Value::Null; 4]);
    assert_eq!([&shown["ip_allowlist"], &shown["ratelimits"], &shown["permissions"]], [&json!([]); 3]);

    let trial = server.key(json!({ "kind": "wavis-trial" })).await.shown;
    assert_eq!([&trial["environment"], &trial["role"]], ["trial", "trial"]);
    assert_eq!((&trial["credits"], &trial["expires_at"]), (&json!(10), &json!("2026-11-21T09:30:00.000Z")));
}

#[tokio::test]
async fn every_kind_issues_keys_of_its_own_format_that_verify() {
    let server = TestServer::start().await;
    for (fields, begins) in [
        (json!({ "kind": "default" }), "kw_live_"),
        (json!({ "kind": "wayscloud-service", "services": ["storage"] }), "wayscloud_storage_"),
        (json!({ "kind": "wayscloud-service", "services": ["llm", "dns"] }), "wayscloud_multi_"),
        (json!({ "kind": "wayscloud-account", "services": ["llm-api"] }), "wayscloud_"),
        (json!({ "kind": "wayscloud-pat", "permissions": ["api_keys:read"] }), "wayscloud_pat_"),
        (json!({ "kind": "wavis", "environment": "dev", "role": "viewer" }), "wvs_dev_"),
        (json!({ "kind": "wavis-trial" }), "wvs_trial_"),
        (json!({ "kind": "cloudheed", "permissions": ["databases:read"] }), "ch_live_"),
    ] {
        let issued = server.key(fields).await;
        assert!(issued.key.starts_with(begins), "{}", issued.shown);
        assert_eq!(server.code(&issued.key).await, "VALID");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_with_how_to_mend_it() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let body = json!({
        "account_id": account,
        "name": "n".repeat(101),
        "description": "bell \u{7}",
        "environment": "moon",
        "role": "king",
        "services": ["storage"],
        "permissions": ["all"],
        "expires_in": "0s",
        "credits": -1,
        "refill": { "amount": 0, "every": "1s" },
        "ratelimits": [{ "name": "a", "limit": 1, "window": "1s" }, { "name": "a", "limit": 1, "window": "1s" }],
        "metadata": { "blob": "x".repeat(5_000) },
    });
    let answer = server.post("/v1/keys", &body).send().await;
    for (field, told) in [
        ("name", "longer than 100 characters"),
        ("description", "control character"),
        ("environment", "use live, test"),
        ("role", "leave it out"),
        ("services", "leave it out"),
        ("permissions", "resource:action"),
        ("expires_in", "at least 1s"),
        ("credits", "from 0 to"),
        ("refill", "from 1 to"),
        ("ratelimits", "there twice"),
        ("metadata", "at most 4096"),
    ] {
        let reason = answer.wrong(field);
        assert!(reason.contains(told), "{field}: {reason}");
    }
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 11, "{}", answer.text);
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named() {
    let server = TestServer::start().await;
    let account = server.account().await;
    for (field, value, told) in [
        ("name", json!(7), "expected a string"),
        ("kind", json!(["default"]), "expected a string"),
        ("permissions", json!("orders:read"), "expected a sequence"),
        ("ip_allowlist", json!(["10.0.0.1", "banana"]), "`banana`"),
        ("expires_in", json!("soon"), "30d"),
        ("expires_in", json!(30), "expected a string"),
        ("credits", json!("many"), "expected i64"),
        ("metadata", json!([]), "expected a map"),
        ("environment", json!({}), "expected a string"),
    ] {
        let mut body = json!({ "account_id": account });
        body[field] = value;
        let reason = server.post("/v1/keys", &body).send().await.wrong(field);
        assert!(reason.contains(told), "{field}: {reason}");
    }
    let nested = json!({ "account_id": account, "ratelimits": [{ "name": "a", "limit": 1, "window": "ages" }] });
    assert!(server.post("/v1/keys", &nested).send().await.wrong("ratelimits[0].window").contains("30d"));
    let nested = json!({ "account_id": account, "refill": { "amount": 1, "every": "1d", "colour": "red" } });
    assert!(server.post("/v1/keys", &nested).send().await.wrong("refill.colour").contains("unknown field"));
}

#[tokio::test]
async fn unknown_and_privileged_fields_are_refused() {
    let server = TestServer::start().await;
    let account = server.account().await;
    for field in
        ["colour", "id", "key", "enabled", "created_by", "revoked_at", "account", "prefix", "status", "version"]
    {
        let mut body = json!({ "account_id": account });
        body[field] = json!("x");
        let reason = server.post("/v1/keys", &body).send().await.wrong(field);
        assert!(reason.contains("unknown field"), "{field}: {reason}");
    }
}

#[tokio::test]
async fn an_operator_has_to_name_an_account_that_exists() {
    let server = TestServer::start().await;
    assert!(server.post("/v1/keys", &json!({})).send().await.wrong("account_id").contains("is required"));
    server.post("/v1/keys", &json!({ "account_id": NO_ACCOUNT })).send().await.problem(404, "NOT_FOUND");
    server.post("/v1/keys", &json!({ "account_id": "7" })).send().await.wrong("account_id");
}

#[tokio::test]
async fn a_kind_that_is_not_there_or_not_issued_is_refused() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let of_kind = |kind: &str| json!({ "account_id": account, "kind": kind });
    assert!(server.post("/v1/keys", &of_kind("gold")).send().await.wrong("kind").contains("use one of"));
    assert!(server.post("/v1/keys", &of_kind("imported")).send().await.wrong("kind").contains("/v1/keys/import"));
    assert!(server.post("/v1/keys", &of_kind("operator")).send().await.wrong("account_id").contains("leave it out"));
    let operators = json!({ "account_id": "acc_00000000000000000000000000" });
    server.post("/v1/keys", &operators).send().await.wrong("kind");
}

#[tokio::test]
async fn an_account_has_at_most_so_many_live_keys_of_a_kind() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let fields = json!({ "kind": "wayscloud-service", "services": ["dns"] });
    let first = server.key_of(&account, fields.clone()).await;
    for _ in 1..50 {
        server.key_of(&account, fields.clone()).await;
    }
    let mut body = fields.clone();
    body["account_id"] = account.as_str().into();
    let problem = server.post("/v1/keys", &body).send().await.problem(409, "CONFLICT");
    assert!(text(&problem, "detail").contains("50 live keys"), "{problem}");
    server.key(fields.clone()).await;
    server.delete(&format!("/v1/keys/{}", first.id)).send().await.is(204);
    server.key_of(&account, fields).await;
}

#[tokio::test]
async fn no_two_keys_share_a_secret_or_an_id() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let issued = server.key_of(&account, json!({})).await;
        assert!(seen.insert(issued.key) && seen.insert(issued.id));
    }
}
