//! `/v1/keys/verify` and its kin: every outcome, and what each asks of the request.

use serde_json::{Value, json};

use crate::harness::TestServer;

/// What verifying this comes to.
async fn code(server: &TestServer, key: &str, request: Value) -> String {
    let mut request = request;
    request["key"] = key.into();
    server.verify(request).await["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_valid_key_tells_who_it_is_and_what_it_may_do() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let fields = json!({ "name": "n", "permissions": ["a:b"], "expires_in": "1d", "metadata": { "plan": "pro" } });
    let (id, key) = server.key_of(&account, fields).await.pair();
    let expected = json!({
        "valid": true, "code": "VALID", "key_id": id, "name": "n", "account_id": account, "kind": "default",
        "environment": "live", "role": null, "services": [], "permissions": ["a:b"],
        "expires_at": "2026-11-22T09:00:00.000Z", "metadata": { "plan": "pro" },
    });
    for _ in ["from the database", "from memory"] {
        assert_eq!(server.verify(json!({ "key": key })).await, expected);
    }
}

#[tokio::test]
async fn every_outcome_has_its_code_and_a_denied_key_tells_no_more_than_its_id() {
    let server = TestServer::start().await;
    let (account, suspended) = (server.account().await, server.account().await);
    let elsewhere = TestServer::start().await;
    let made = async |fields: Value| server.key_of(&account, fields).await.pair();
    let (valid, revoked, disabled) = (made(json!({})).await, made(json!({})).await, made(json!({})).await);
    let expired = made(json!({ "expires_in": "1s" })).await;
    let listed = made(json!({ "ip_allowlist": ["10.0.0.0/8"] })).await;
    let limited = made(json!({ "ratelimits": [{ "name": "a", "limit": 1, "window": "1h" }] })).await;
    let spent = made(json!({ "credits": 0 })).await;
    let of_suspended = server.key_of(&suspended, json!({})).await.pair();
    server.delete(&format!("/v1/keys/{}", revoked.0)).send().await.with(204);
    server.post(&format!("/v1/keys/{}/disable", disabled.0), &Value::Null).send().await.with(200);
    server.patch(&format!("/v1/accounts/{suspended}"), &json!({ "status": "suspended" })).send().await.with(200);
    server.wait("1s");
    assert_eq!(server.code(&limited.1).await, "VALID");
    for (key, request, expected) in [
        (&valid, json!({}), "VALID"),
        (&revoked, json!({}), "REVOKED"),
        (&expired, json!({}), "EXPIRED"),
        (&disabled, json!({}), "DISABLED"),
        (&listed, json!({ "ip": "192.0.2.1" }), "IP_NOT_ALLOWED"),
        (&valid, json!({ "permissions": ["a:b"] }), "INSUFFICIENT_PERMISSIONS"),
        (&valid, json!({ "environment": "test" }), "WRONG_ENVIRONMENT"),
        (&of_suspended, json!({}), "ACCOUNT_SUSPENDED"),
        (&limited, json!({}), "RATE_LIMITED"),
        (&spent, json!({}), "CREDITS_EXHAUSTED"),
    ] {
        let mut request = request;
        request["key"] = key.1.as_str().into();
        for _ in ["from the database", "from memory"] {
            let answer = server.verify(request.clone()).await;
            assert_eq!((&answer["code"], &answer["key_id"]), (&json!(expected), &json!(key.0)));
            assert_eq!(answer["valid"], expected == "VALID");
            if expected != "VALID" {
                let told = ["valid", "code", "detail", "key_id", "retry_after", "credits", "ratelimits"];
                let fields = answer.as_object().unwrap().keys();
                assert!(fields.into_iter().all(|field| told.contains(&field.as_str())), "{answer}");
                assert!(answer["detail"].is_string());
            }
        }
    }
    for (key, expected) in [
        (elsewhere.operator.as_str(), "NOT_FOUND"),
        ("kw_live_nonsense", "MALFORMED"),
        ("", "MALFORMED"),
        (&valid.1[..valid.1.len() - 1], "MALFORMED"),
        (&format!("{} ", valid.1), "MALFORMED"),
        (&"k".repeat(60_000), "MALFORMED"),
    ] {
        let answer = server.verify(json!({ "key": key })).await;
        assert_eq!(
            (&answer["valid"], &answer["code"], &answer["key_id"]),
            (&json!(false), &json!(expected), &Value::Null)
        );
    }
}

#[tokio::test]
async fn permissions_are_asked_for_as_a_list_as_all_or_as_any() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, key) =
        server.key_of(&account, json!({ "permissions": ["storage:*", "dns:manage", "ours:x"] })).await.pair();
    for (wanted, expected) in [
        (json!([]), "VALID"),
        (json!(["storage:read", "ours:x"]), "VALID"),
        (json!(["storage:read", "ours:y"]), "INSUFFICIENT_PERMISSIONS"),
        (json!(["dns:read", "dns:write"]), "VALID"),
        (json!(["storage:never-declared"]), "VALID"),
        (json!(["storages:read"]), "INSUFFICIENT_PERMISSIONS"),
        (json!({ "all": ["storage:delete", "dns:read"] }), "VALID"),
        (json!({ "all": ["storage:delete", "llm:read"] }), "INSUFFICIENT_PERMISSIONS"),
        (json!({ "any": ["llm:read", "dns:read"] }), "VALID"),
        (json!({ "any": ["llm:read", "ours:x"] }), "VALID"),
        (json!({ "any": ["llm:read", "ours:y"] }), "INSUFFICIENT_PERMISSIONS"),
        (json!({ "any": [] }), "INSUFFICIENT_PERMISSIONS"),
    ] {
        assert_eq!(code(&server, &key, json!({ "permissions": wanted })).await, expected, "{wanted}");
    }
    let (_, all) = server.key_of(&account, json!({ "permissions": ["*"] })).await.pair();
    assert_eq!(code(&server, &all, json!({ "permissions": ["any:thing", "dns:read"] })).await, "VALID");
    for wrong in [json!(["storage:*"]), json!(["*"]), json!(["read"]), json!({ "some": ["a:b"] }), json!("a:b")] {
        let answer = server.post("/v1/keys/verify", &json!({ "key": key, "permissions": wrong })).send().await;
        answer.wrong("permissions");
    }
}

#[tokio::test]
async fn an_allow_list_holds_in_every_spelling_of_an_address() {
    let server = TestServer::start().await;
    let list = json!(["10.1.2.0/24", "::ffff:192.0.2.7", "2001:db8::/32"]);
    let (_, key) = server.key_of(&server.account().await, json!({ "ip_allowlist": list })).await.pair();
    for (ip, expected) in [
        ("10.1.2.3", "VALID"),
        ("::ffff:10.1.2.3", "VALID"),
        ("::ffff:a01:203", "VALID"),
        ("192.0.2.7", "VALID"),
        ("2001:DB8:0::1", "VALID"),
        ("10.1.3.3", "IP_NOT_ALLOWED"),
        ("::10.1.2.3", "IP_NOT_ALLOWED"),
        ("2001:db9::1", "IP_NOT_ALLOWED"),
    ] {
        assert_eq!(code(&server, &key, json!({ "ip": ip })).await, expected, "{ip}");
    }
    assert_eq!(code(&server, &key, json!({})).await, "IP_NOT_ALLOWED");
    server.post("/v1/keys/verify", &json!({ "key": key, "ip": "10.1.2" })).send().await.wrong("ip");
}

#[tokio::test]
async fn a_key_works_in_its_environment_alone() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, live) = server.key_of(&account, json!({})).await.pair();
    let (_, dev) = server.key_of(&account, json!({ "kind": "wavis", "environment": "dev" })).await.pair();
    let (_, none) = server.key_of(&account, json!({ "kind": "cloudheed" })).await.pair();
    for (key, environment, expected) in [
        (&live, "live", "VALID"),
        (&live, "test", "WRONG_ENVIRONMENT"),
        (&live, "moon", "WRONG_ENVIRONMENT"),
        (&dev, "dev", "VALID"),
        (&dev, "live", "WRONG_ENVIRONMENT"),
        (&none, "live", "WRONG_ENVIRONMENT"),
        (&none, "moon", "WRONG_ENVIRONMENT"),
    ] {
        assert_eq!(code(&server, key, json!({ "environment": environment })).await, expected, "{environment}");
    }
}

#[tokio::test]
async fn a_request_is_checked_before_anything_is_counted() {
    let server = TestServer::start().await;
    let (id, key) = server.key_of(&server.account().await, json!({ "credits": 5 })).await.pair();
    for (field, value) in [
        ("cost", json!(1_000_001)),
        ("tags", json!([""])),
        ("tags", json!(["t".repeat(65)])),
        ("tags", json!(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"])),
        ("ip", json!("x")),
    ] {
        let answer = server.post("/v1/keys/verify", &json!({ "key": key, field: value })).send().await;
        answer.wrong(field);
    }
    assert_eq!(server.get(&format!("/v1/keys/{id}")).send().await.body["credits"], 5);
}

#[tokio::test]
async fn a_batch_answers_each_request_as_it_would_be_answered_alone() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, plain) = server.key_of(&account, json!({ "permissions": ["a:b"] })).await.pair();
    let (_, test) = server.key_of(&account, json!({ "environment": "test" })).await.pair();
    let requests = json!([
        { "key": plain, "permissions": ["a:b"] }, { "key": plain, "permissions": ["c:d"] }, { "key": "nonsense" },
        { "key": test, "environment": "live" }, { "key": test },
    ]);
    let batch = server.post("/v1/keys/verify-batch", &json!({ "requests": requests })).send().await.is(200);
    for (request, result) in requests.as_array().unwrap().iter().zip(batch["results"].as_array().unwrap()) {
        assert_eq!(*result, server.verify(request.clone()).await);
    }
    assert_eq!(batch["results"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_whole_batch_is_answered_in_its_order_with_what_is_known_and_what_is_not() {
    let (server, elsewhere) = (TestServer::start().await, TestServer::start().await);
    let account = server.account().await;
    let various =
        [json!({}), json!({ "name": "n".repeat(30) }), json!({ "credits": 9 }), json!({ "expires_in": "1h" })];
    let mut requests = Vec::new();
    for number in 0..24 {
        let (id, key) = server.key_of(&account, various[number % 4].clone()).await.pair();
        let mut code = "VALID";
        if number % 5 == 0 {
            server.delete(&format!("/v1/keys/{id}")).send().await.with(204);
            code = "REVOKED";
        }
        let unknown = elsewhere.key(json!({})).await.key;
        requests.extend([(key.clone(), code, json!(id)), (key[1..].into(), "MALFORMED", Value::Null)]);
        requests.extend([(unknown, "NOT_FOUND", Value::Null), (key, code, json!(id))]);
    }
    let (id, key) = server.key_of(&account, json!({ "credits": 2 })).await.pair();
    let codes = ["VALID", "VALID", "CREDITS_EXHAUSTED", "CREDITS_EXHAUSTED"];
    requests.extend(codes.map(|code| (key.clone(), code, json!(id))));
    assert_eq!(requests.len(), 100);
    // The first time the database has to be asked, the second time it need not be; but the last key is spent by then.
    for times in [100, 96] {
        let asked: Vec<Value> = requests.iter().take(times).map(|(key, ..)| json!({ "key": key })).collect();
        let batch = server.post("/v1/keys/verify-batch", &json!({ "requests": asked })).send().await.is(200);
        let results = batch["results"].as_array().unwrap();
        assert_eq!(results.len(), times);
        for ((_, code, id), result) in requests.iter().zip(results) {
            assert_eq!((&result["code"], &result["key_id"]), (&json!(code), id));
        }
    }
}

#[tokio::test]
async fn a_batch_has_from_one_to_a_hundred_requests_and_is_checked_whole() {
    let server = TestServer::start().await;
    let (id, key) = server.key_of(&server.account().await, json!({ "credits": 100 })).await.pair();
    let path = "/v1/keys/verify-batch";
    server.post(path, &json!({ "requests": [] })).send().await.wrong("requests");
    server.post(path, &json!({ "requests": vec![json!({ "key": key }); 101] })).send().await.wrong("requests");
    server.post(path, &json!({ "requests": [{ "key": key }, { "key": key, "ip": "x" }] })).send().await.wrong("ip");
    assert_eq!(server.get(&format!("/v1/keys/{id}")).send().await.body["credits"], 100);
    let whole = server.post(path, &json!({ "requests": vec![json!({ "key": key }); 100] })).send().await.is(200);
    assert!(whole["results"].as_array().unwrap().iter().all(|result| result["code"] == "VALID"));
    assert_eq!(server.code(&key).await, "CREDITS_EXHAUSTED");
}

#[tokio::test]
async fn an_explanation_shows_every_check_in_order_and_costs_nothing() {
    let server = TestServer::start().await;
    let fields = json!({
        "credits": 1, "ip_allowlist": ["10.0.0.0/8"], "ratelimits": [{ "name": "a", "limit": 1, "window": "1h" }],
    });
    let (id, key) = server.key_of(&server.account().await, fields).await.pair();
    let explain = async |mut request: Value| {
        request["key"] = key.as_str().into();
        server.post("/v1/keys/explain", &request).send().await.is(200)
    };
    for _ in 0..3 {
        let fine = explain(json!({ "ip": "10.0.0.1" })).await;
        assert_eq!((&fine["valid"], &fine["code"], &fine["key_id"]), (&json!(true), &json!("VALID"), &json!(id)));
    }
    let wrong = explain(json!({ "environment": "test", "permissions": ["a:b"], "cost": 2 })).await;
    let checks: Vec<(&str, bool)> = wrong["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| (check["check"].as_str().unwrap(), check["passed"].as_bool().unwrap()))
        .collect();
    let expected = [
        ("RATE_LIMITED", true),
        ("MALFORMED", true),
        ("NOT_FOUND", true),
        ("REVOKED", true),
        ("EXPIRED", true),
        ("DISABLED", true),
        ("IP_NOT_ALLOWED", false),
        ("INSUFFICIENT_PERMISSIONS", false),
        ("WRONG_ENVIRONMENT", false),
        ("ACCOUNT_SUSPENDED", true),
        ("RATE_LIMITED", false),
        ("CREDITS_EXHAUSTED", false),
    ];
    assert_eq!((checks, &wrong["code"]), (expected.to_vec(), &json!("IP_NOT_ALLOWED")));
    assert_eq!(server.verify(json!({ "key": key, "ip": "10.0.0.1" })).await["code"], "VALID");
    let missing = server.post("/v1/keys/explain", &json!({ "key": "nonsense" })).send().await.is(200);
    assert_eq!((&missing["code"], &missing["key_id"]), (&json!("MALFORMED"), &Value::Null));
}

#[tokio::test]
async fn an_unknown_key_is_looked_up_once_and_a_malformed_one_never() {
    let (server, elsewhere) = (TestServer::start().await, TestServer::start().await);
    let (unknown, another) = (elsewhere.key(json!({})).await.key, elsewhere.key(json!({})).await.key);
    assert_eq!(server.code(&unknown).await, "NOT_FOUND");
    // With the table gone, whatever has to look there says that it cannot.
    server.app.db().run_raw("alter table secrets rename to elsewhere").await.unwrap();
    assert_eq!(server.code(&unknown).await, "NOT_FOUND");
    assert_eq!(server.code(&another[..another.len() - 1]).await, "MALFORMED");
    server.post("/v1/keys/verify", &json!({ "key": another })).send().await.problem(500, "INTERNAL");
}
