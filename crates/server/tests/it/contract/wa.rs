//! WAYSCloud: authentication, and keys as its dashboard makes them.

use serde_json::{Value, json};

use crate::harness::{Answer, Issued, TestServer, text};

const AUTH_FAILED: &str = r#"{"error":"Invalid or expired API key","code":"AUTH_FAILED"}"#;
const INSUFFICIENT: &str =
    r#"{"error":"API key does not have permission for this service","code":"INSUFFICIENT_PERMISSIONS"}"#;
const DASHBOARD: &str = "/api/v1/dashboard/api-keys";

/// An account, a key of its own that manages its keys, and a service key.
async fn scene() -> (TestServer, String, Issued) {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, manager) = server.key_of(&account, json!({ "permissions": ["*"] })).await.pair();
    let key = server.key_of(&account, json!({ "kind": "wayscloud-service", "services": ["storage"] })).await;
    (server, manager, key)
}

async fn with_header(server: &TestServer, value: &str) -> Answer {
    server.get(DASHBOARD).by_nobody().header("authorization", value).send().await
}

/// The documented 401, whole.
#[track_caller]
fn is_unauthorised(answer: &Answer, why: &str) {
    assert_eq!((answer.status, answer.text.as_str()), (401, AUTH_FAILED), "{why}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{why}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"keywright\""), "{why}");
    assert!(answer.header("x-request-id").is_some(), "{why}");
}

#[tokio::test]
async fn wa1_a_key_is_shown_as_bearer_or_not_at_all() {
    let (server, manager, _) = scene().await;
    with_header(&server, &format!("Bearer {manager}")).await.with(200);
    is_unauthorised(&server.get(DASHBOARD).by_nobody().send().await, "no credential");
    is_unauthorised(&with_header(&server, "Bearer wayscloud_storage_abc123_XyZ789SecretKey").await, "no such key");
    is_unauthorised(&with_header(&server, "Basic b3BlcmF0b3I6").await, "another scheme");
}

#[tokio::test]
async fn wa13_every_cause_of_a_401_answers_alike() {
    let (server, manager, key) = scene().await;
    let account = text(&key.shown, "account_id");
    let fields = json!({ "kind": "wayscloud-service", "services": ["storage"], "expires_in": "1h" });
    let expiring = server.key_of(&account, fields).await.key;
    server.wait("2h");
    let revoked = server.key_of(&account, json!({ "kind": "wayscloud-service", "services": ["dns"] })).await;
    server.delete(&format!("/v1/keys/{}", revoked.id)).send().await.is(204);
    let last = if manager.ends_with('A') { 'B' } else { 'A' };
    for (value, why) in [
        (format!("Bearer {}{last}", &key.key[..key.key.len() - 1]), "a wrong key"),
        (format!("Bearer {}", revoked.key), "a revoked key"),
        (format!("Bearer {expiring}"), "an expired key"),
        (key.key.clone(), "no Bearer"),
        (format!("Bearer  {}", key.key), "two spaces"),
        (format!("bearer {}", key.key), "lowercase"),
        (format!("BEARER {}", key.key), "capitals"),
        (format!("Bearer\t{}", key.key), "a tab"),
    ] {
        is_unauthorised(&with_header(&server, &value).await, why);
    }
    // Shown as it should be, the same key is known: it only may not manage keys.
    assert_eq!(with_header(&server, &format!("Bearer {}", key.key)).await.text, INSUFFICIENT);
}

#[tokio::test]
async fn wa13_guessing_is_told_how_long_to_wait() {
    let server = TestServer::listening(keywright_server::Options::default()).await;
    for _ in 0..100 {
        is_unauthorised(&with_header(&server, "Bearer wayscloud_storage_abc123_guess").await, "a guess");
    }
    let locked = with_header(&server, "Bearer wayscloud_storage_abc123_guess").await;
    let body = locked.wayscloud_error(429, "RATE_LIMITED");
    assert_eq!((body.as_object().unwrap().len(), locked.header("retry-after")), (2, Some("60")));
}

#[tokio::test]
async fn wa14_a_missing_permission_is_the_documented_403() {
    let (server, _, key) = scene().await;
    let body = json!({ "name": "Backup", "service": "storage" });
    let path = format!("{DASHBOARD}/{}", key.id);
    for call in [
        server.get(DASHBOARD),
        server.post(DASHBOARD, &body),
        server.delete(&path),
        server.post(&format!("{path}/rotate"), &json!({})),
    ] {
        let answer = call.by(&key.key).send().await;
        assert_eq!((answer.status, answer.text.as_str()), (403, INSUFFICIENT));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("www-authenticate"), None);
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(server.code(&key.key).await, "VALID");
}

#[tokio::test]
async fn wa14_other_errors_say_what_is_wrong_in_the_same_shape() {
    let (server, manager, _) = scene().await;
    let answer = server.post(DASHBOARD, &json!({ "name": "", "service": "storage" })).by(&manager).send().await;
    let body = answer.wayscloud_error(422, "INVALID");
    assert_eq!(body["errors"][0]["field"], "name");
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["code", "error", "errors"], "sorted by the reader");
    let answer = server.call("PUT", DASHBOARD).by(&manager).send().await;
    answer.wayscloud_error(405, "METHOD_NOT_ALLOWED");
    assert!(answer.header("allow").is_some());
    let answer = server.post(DASHBOARD, &Value::Null).body("{").by(&manager);
    answer.header("content-type", "application/json").send().await.wayscloud_error(400, "INVALID_JSON");
}

#[tokio::test]
async fn wa9_a_key_is_made_from_the_documented_body() {
    let (server, manager, _) = scene().await;
    let body = json!({
        "name": "Production Storage Key", "service": "storage", "description": "Production environment storage access",
    });
    let answer = server.post(DASHBOARD, &body).by(&manager).send().await.with(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let key = text(&answer.body, "key");
    assert!(key.starts_with("wayscloud_storage_"), "{key}");
    assert_eq!(
        (&answer.body["name"], &answer.body["description"], &answer.body["services"]),
        (&body["name"], &body["description"], &json!(["storage"]))
    );
    let want = json!({ "key": key, "permissions": ["storage:read", "storage:write", "storage:delete"] });
    assert_eq!(server.verify(want).await["code"], "VALID");
    for (body, field) in [
        (json!({ "service": "storage" }), "name"),
        (json!({ "name": "  ", "service": "storage" }), "name"),
        (json!({ "name": "a" }), "services"),
        (json!({ "name": "a", "service": "vps" }), "services"),
        (json!({ "name": "a", "service": "dns", "ip_allowlist": "203.0.113.42, 10.0.0.0/33" }), "ip_allowlist"),
        (json!({ "name": "a", "service": "dns", "permissions": ["*"] }), "permissions"),
    ] {
        let error = server.post(DASHBOARD, &body).by(&manager).send().await.wayscloud_error(422, "INVALID");
        assert_eq!(error["errors"][0]["field"], field, "{error}");
    }
    // Whoever manages keys and may use no service makes no key that may.
    let account = text(&answer_of(&server, &answer).await, "account_id");
    let (_, narrow) = server.key_of(&account, json!({ "permissions": ["keys:write"] })).await.pair();
    let refused = server.post(DASHBOARD, &json!({ "name": "a", "service": "dns" })).by(&narrow).send().await;
    assert!(text(&refused.is(403), "error").contains("permitted more"));
}

/// What the native API says of a key that was just made.
async fn answer_of(server: &TestServer, made: &Answer) -> Value {
    server.get(&format!("/v1/keys/{}", text(&made.body, "id"))).send().await.is(200)
}

#[tokio::test]
async fn wa6_one_key_covers_several_services() {
    let (server, manager, _) = scene().await;
    let body = json!({ "name": "Both", "service": "llm", "services": ["storage", "llm"] });
    let made = server.post(DASHBOARD, &body).by(&manager).send().await.is(201);
    let key = text(&made, "key");
    assert!(key.starts_with("wayscloud_multi_"), "{key}");
    assert_eq!(made["services"], json!(["llm", "storage"]));
    let want = json!({ "key": key, "permissions": ["llm:inference", "storage:read"] });
    assert_eq!(server.verify(want).await["code"], "VALID");
}

#[tokio::test]
async fn wa2_a_keys_text_has_the_documented_form() {
    let (server, manager, _) = scene().await;
    for service in ["storage", "llm", "database", "dns", "gpu"] {
        let body = json!({ "name": "A key", "service": service });
        let key = text(&server.post(DASHBOARD, &body).by(&manager).send().await.is(201), "key");
        let parts: Vec<&str> = key.split('_').collect();
        assert_eq!((parts[0], parts[1], parts.len()), ("wayscloud", service, 4));
        assert_eq!(parts[2].len(), 8);
        assert!(parts[3].len() >= 39, "{key}");
        assert!(parts[2..].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    }
}

#[tokio::test]
async fn wa7_addresses_are_listed_in_every_documented_form() {
    let (server, manager, _) = scene().await;
    for (form, inside, outside) in [
        ("203.0.113.42", "203.0.113.42", "203.0.113.43"),
        ("203.0.113.0/24", "203.0.113.9", "203.0.114.9"),
        ("203.0.113.42, 198.51.100.10", "198.51.100.10", "198.51.100.11"),
        ("2001:db8::/32, 203.0.113.1", "2001:db8::7", "2001:db9::7"),
    ] {
        let body = json!({ "name": "A key", "service": "dns", "ip_allowlist": form });
        let key = text(&server.post(DASHBOARD, &body).by(&manager).send().await.is(201), "key");
        let from = async |ip: &str| text(&server.verify(json!({ "key": key, "ip": ip })).await, "code");
        assert_eq!([from(inside).await, from(outside).await], ["VALID", "IP_NOT_ALLOWED"], "{form}");
    }
    let body = json!({ "name": "A key", "service": "dns", "ip_allowlist": "" });
    let key = text(&server.post(DASHBOARD, &body).by(&manager).send().await.is(201), "key");
    assert_eq!(server.verify(json!({ "key": key, "ip": "192.0.2.1" })).await["code"], "VALID");
}

#[tokio::test]
async fn wa8_wa10_a_key_is_shown_once_and_listed_without_its_secret() {
    let (server, manager, first) = scene().await;
    server.delete(&format!("{DASHBOARD}/{}", first.id)).by(&manager).send().await.is(200);
    let body = json!({
        "name": "Images", "service": "storage", "description": "Web app", "ip_allowlist": "203.0.113.0/24, 2001:db8::1",
    });
    let made = server.post(DASHBOARD, &body).by(&manager).send().await.is(201);
    let key = text(&made, "key");
    let listed = server.get(DASHBOARD).by(&manager).send().await.with(200);
    let secret = key.rsplit_once('_').unwrap().1;
    assert!(!listed.text.contains(&secret[..secret.len() - 4]));
    let prefix = text(&made, "key_prefix");
    assert_eq!(key.strip_prefix(&prefix).map(|rest| rest.trim_start_matches('_')), Some(secret));
    let expected = json!([{
        "id": made["id"], "name": "Images", "description": "Web app", "services": ["storage"], "key_prefix": prefix,
        "masked_key": format!("{prefix}…{}", &key[key.len() - 4..]), "ip_allowlist": ["203.0.113.0/24", "2001:db8::1"],
        "status": "active", "rotation_due": false, "created_at": crate::harness::NOW, "last_used_at": null,
    }]);
    assert_eq!(listed.json(), expected);
    assert_eq!(server.verify(json!({ "key": key, "ip": "203.0.113.7" })).await["code"], "VALID");
}

#[tokio::test]
async fn wa11_revoking_is_immediate_and_cannot_be_undone() {
    let (server, manager, key) = scene().await;
    assert_eq!(server.code(&key.key).await, "VALID");
    let answer = server.delete(&format!("{DASHBOARD}/{}", key.id)).by(&manager).send().await.is(200);
    assert_eq!(answer["success"], true);
    assert_eq!(server.code(&key.key).await, "REVOKED");
    server.post(&format!("/v1/keys/{}/enable", key.id), &json!({})).send().await.problem(409, "CONFLICT");
    let path = format!("{DASHBOARD}/{}/rotate", key.id);
    server.post(&path, &json!({})).by(&manager).send().await.wayscloud_error(409, "CONFLICT");
    assert_eq!(server.code(&key.key).await, "REVOKED");
}

#[tokio::test]
async fn wa12_a_rotated_keys_old_secret_works_for_seven_days_more() {
    let (server, manager, key) = scene().await;
    let path = format!("{DASHBOARD}/{}/rotate", key.id);
    let rotated = server.post(&path, &json!({})).by(&manager).send().await.is(200);
    let new = text(&rotated, "key");
    assert_ne!(new, key.key);
    assert_eq!(rotated["old_key_prefix"], key.shown["prefix"]);
    assert_eq!(rotated["grace_period_ends_at"], "2026-11-28T09:00:00.000Z");
    let may =
        async |key: &str| text(&server.verify(json!({ "key": key, "permissions": ["storage:write"] })).await, "code");
    assert_eq!([may(&key.key).await, may(&new).await], ["VALID"; 2]);
    server.wait("7d");
    assert_eq!(may(&new).await, "VALID");
    assert_ne!(may(&key.key).await, "VALID");
    // A key of another kind, though the account's own, is none of the dashboard's.
    let account = text(&key.shown, "account_id");
    let native = server.key_of(&account, json!({})).await.id;
    let foreign = server.key(json!({ "kind": "wayscloud-service", "services": ["dns"] })).await.id;
    for id in [native, foreign] {
        let path = format!("{DASHBOARD}/{id}");
        server.post(&format!("{path}/rotate"), &json!({})).by(&manager).send().await.wayscloud_error(404, "NOT_FOUND");
        server.delete(&path).by(&manager).send().await.wayscloud_error(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn wa15_no_error_body_repeats_a_key() {
    let (server, manager, key) = scene().await;
    for answer in [
        with_header(&server, &format!("bearer {}", key.key)).await,
        server.delete(&format!("{DASHBOARD}/{}", key.key)).by(&manager).send().await,
        server.post(DASHBOARD, &json!({ "name": "a", "service": key.key })).by(&manager).send().await,
        server.post(DASHBOARD, &json!({ key.key.as_str(): 1 })).by(&manager).send().await,
    ] {
        assert!(answer.status >= 400 && !answer.text.contains(&key.key[20..]), "{}", answer.text);
    }
}

#[tokio::test]
async fn wa17_a_key_of_ninety_days_is_due_for_rotation() {
    let (server, manager, key) = scene().await;
    let due = async || {
        let listed = server.get(DASHBOARD).by(&manager).send().await.is(200);
        listed.as_array().unwrap().iter().find(|row| row["id"] == key.id.as_str()).unwrap()["rotation_due"].clone()
    };
    server.wait("89d");
    assert_eq!(due().await, false);
    server.wait("1d");
    assert_eq!(due().await, true);
    server.post(&format!("{DASHBOARD}/{}/rotate", key.id), &json!({})).by(&manager).send().await.is(200);
    assert_eq!(due().await, false);
}

#[tokio::test]
async fn wa17_a_key_that_becomes_due_raises_one_event_for_each_secret() {
    let (server, manager, key) = scene().await;
    let account = text(&key.shown, "account_id");
    let events = async || {
        let path = format!("/v1/audit?action=key.rotation_due&account_id={account}");
        let listed = server.get(&path).send().await.is(200);
        let targets = listed["data"].as_array().unwrap().iter().map(|row| text(row, "target"));
        targets.filter(|target| *target == key.id).count()
    };
    let off = server.key_of(&account, json!({ "kind": "wayscloud-service", "services": ["dns"] })).await.id;
    server.post(&format!("/v1/keys/{off}/disable"), &Value::Null).send().await.is(200);
    server.wait("89d");
    assert_eq!(server.app.tell_due_keys().await, Ok(0));
    server.wait("1d");
    // The manager's own key is as old, and so is the operator's.
    assert_eq!(server.app.tell_due_keys().await, Ok(3));
    assert_eq!((server.app.tell_due_keys().await, events().await), (Ok(0), 1));
    server.post(&format!("{DASHBOARD}/{}/rotate", key.id), &json!({})).by(&manager).send().await.is(200);
    server.patch(&format!("/v1/keys/{}", key.id), &json!({ "description": "d" })).send().await.is(200);
    server.wait("89d");
    assert_eq!((server.app.tell_due_keys().await, events().await), (Ok(0), 1));
    server.wait("1d");
    assert_eq!((server.app.tell_due_keys().await, events().await), (Ok(1), 2));
    server.post(&format!("/v1/keys/{off}/enable"), &Value::Null).send().await.is(200);
    assert_eq!(server.app.tell_due_keys().await, Ok(1), "switched on, it is due at once");
}
