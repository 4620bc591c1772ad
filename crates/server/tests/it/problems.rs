//! Errors are RFC 9457 problem documents, all of one shape, and say what to do.

use serde_json::{Value, json};

use crate::harness::{Answer, NO_KEY, TestServer, text};

/// One of every problem there can be without a fault of the server's.
async fn every_kind(server: &TestServer) -> Vec<(u16, &'static str, Answer)> {
    let customer = server.key(json!({ "permissions": ["keys:read"] })).await;
    let revoked = server.key(json!({})).await;
    let path = format!("/v1/keys/{}", revoked.id);
    server.delete(&path).send().await.is(204);
    let create = |body: Vec<u8>| server.call("POST", "/v1/keys").json(&Value::Null).body(body);
    vec![
        (400, "INVALID_JSON", create(b"{\"name\": ".to_vec()).send().await),
        (401, "UNAUTHENTICATED", server.get("/v1/keys").by_nobody().send().await),
        (403, "FORBIDDEN", server.post("/v1/keys", &json!({})).by(&customer.key).send().await),
        (404, "NOT_FOUND", server.get(&format!("/v1/keys/{NO_KEY}")).send().await),
        (404, "NOT_FOUND", server.get("/v1/nothing").by_nobody().send().await),
        (405, "METHOD_NOT_ALLOWED", server.call("PUT", "/v1/keys").send().await),
        (409, "CONFLICT", server.post(&format!("{path}/rotate"), &json!({})).send().await),
        (413, "TOO_LARGE", create(vec![b' '; 65 * 1_024]).send().await),
        (415, "NOT_JSON", create(b"name=x".to_vec()).without("content-type").send().await),
        (422, "INVALID", server.post("/v1/keys", &json!({})).send().await),
    ]
}

#[tokio::test]
async fn every_problem_has_the_same_shape() {
    let server = TestServer::start().await;
    for (status, code, answer) in every_kind(&server).await {
        let mut body = answer.problem(status, code);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{code}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{code}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{code}");
        assert_eq!(Some(text(&body, "request_id").as_str()), answer.header("x-request-id"), "{code}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{code}");
        assert_eq!(body["status"], status);
        assert_eq!(text(&body, "type"), format!("/docs#{}", code.to_lowercase().replace('_', "-")));
        assert!(!text(&body, "detail").is_empty() && !text(&body, "title").is_empty());
        let fields = body.as_object_mut().unwrap();
        assert_eq!(fields.remove("errors").is_some(), code == "INVALID", "{code}");
        let names: Vec<&String> = fields.keys().collect();
        assert_eq!(names, ["code", "detail", "request_id", "status", "title", "type"]);
    }
}

#[tokio::test]
async fn the_type_of_every_problem_leads_to_a_place_on_the_page() {
    let server = TestServer::start().await;
    let page = server.get("/docs").by_nobody().send().await.text;
    for (_, _, answer) in every_kind(&server).await {
        let kind = text(&answer.json(), "type");
        let anchor = kind.strip_prefix("/docs#").unwrap();
        assert!(page.contains(&format!("id=\"{anchor}\"")), "{kind} leads nowhere");
    }
}

/// security.md 53: what stands where it does not belong may be a password or a code, which is too short to be told from a word.
#[tokio::test]
async fn a_value_of_the_wrong_type_is_not_repeated() {
    let server = TestServer::start().await;
    let login = json!({ "email": "ann@example.com", "password": "plum tractor ode" });
    for (path, field, value, says) in [
        ("login", "", json!("plum tractor ode"), "invalid type: string, expected an object"),
        ("login", "code", json!(123_456), "invalid type: integer, expected a string"),
        ("login", "code", json!(1234.56), "invalid type: floating point, expected a string"),
        ("login", "password", json!(true), "invalid type: boolean, expected a string"),
        ("login", "email", json!(["plum"]), "invalid type: sequence, expected a string"),
        ("refresh", "", json!("kwr_short"), "invalid type: string, expected an object"),
    ] {
        let mut body = login.clone();
        if field.is_empty() {
            body = value;
        } else {
            body[field] = value;
        }
        let call = server.post(&format!("/v1/auth/{path}"), &json!({})).by_nobody().body(body.to_string());
        let refused = call.send().await;
        assert_eq!(refused.wrong(if field.is_empty() { "body" } else { field }), says);
        for secret in ["plum", "1234", "123456", "kwr_"] {
            assert!(!refused.text.contains(secret), "{}", refused.text);
        }
    }
    // What was meant is told all the same where it can be no secret.
    let made = server.post("/v1/keys", &json!({ "permissions": "orders:read" })).send().await;
    assert_eq!(made.wrong("permissions"), "invalid type: string, expected a sequence");
    let made = server.post("/v1/keys", &json!({ "permisions": [] })).send().await;
    assert!(made.wrong("permisions").starts_with("unknown field `permisions`, expected"), "{}", made.text);
}

#[tokio::test]
async fn a_request_is_named_by_its_caller_or_by_us() {
    let server = TestServer::start().await;
    let named = async |name: &[u8]| {
        let answer = server.get("/health").by_nobody().raw_header("x-request-id", name).send().await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(named(b"order-7.b_C").await, "order-7.b_C");
    for unusable in [b"short".as_slice(), &[b'x'; 65], b"with space", b"semi;colon;x", "h\u{e9}llo-world".as_bytes()] {
        assert!(named(unusable).await.starts_with("req_"), "{unusable:?}");
    }
    let (one, two) = (named(b"").await, named(b"").await);
    assert!(one.starts_with("req_") && one != two);
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_right() {
    let server = TestServer::start().await;
    for (path, allowed) in [("/v1/keys", ["GET", "POST"]), ("/v1/accounts", ["GET", "POST"])] {
        let answer = server.call("PUT", path).send().await;
        answer.problem(405, "METHOD_NOT_ALLOWED");
        let told = answer.header("allow").unwrap_or_default();
        assert!(allowed.iter().all(|method| told.contains(method)), "{path}: {told}");
    }
}

/// Bodies nobody would send, made from a body somebody would: a part cut off, a byte changed, a value of another type.
fn spoilt(body: &Value) -> Vec<Vec<u8>> {
    let text = body.to_string().into_bytes();
    let mut all = vec![
        Vec::new(),
        b"null".to_vec(),
        b"7".to_vec(),
        b"\"x\"".to_vec(),
        b"[]".to_vec(),
        b"[[[[".to_vec(),
        b"\xff\xfe".to_vec(),
    ];
    all.push("[".repeat(20_000).into_bytes());
    all.push(format!("{{\"a\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000)).into_bytes());
    all.extend((0..text.len()).step_by(3).map(|end| text[..end].to_vec()));
    for place in (0..text.len()).step_by(5) {
        for byte in [0, b'"', b'9', 0x80] {
            let mut changed = text.clone();
            changed[place] = byte;
            all.push(changed);
        }
    }
    let strange = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!("\u{0}"),
        json!("\u{202e}x"),
        json!([]),
        json!({ "a": [{}] }),
        json!(true),
    ];
    for (field, value) in
        strange.iter().flat_map(|value| body.as_object().unwrap().keys().map(move |field| (field, value)))
    {
        let mut changed = body.clone();
        changed[field] = value.clone();
        all.push(changed.to_string().into_bytes());
        changed[field] = json!([value]);
        all.push(changed.to_string().into_bytes());
    }
    all
}

#[tokio::test]
async fn no_body_whatever_is_a_fault_of_the_servers() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let issued = server.key_of(&account, json!({})).await;
    let key = format!("/v1/keys/{}", issued.id);
    let full = json!({
        "account_id": account, "kind": "default", "name": "n", "description": "d", "environment": "test", "role": null,
        "services": [], "permissions": ["a:b"], "ip_allowlist": ["10.0.0.0/8"], "expires_in": "1d", "credits": 1,
        "refill": { "amount": 1, "every": "1d" }, "ratelimits": [{ "name": "r", "limit": 1, "window": "1d" }], "metadata": { "a": "b" },
    });
    let mut change = full.clone();
    for field in ["account_id", "kind", "environment"] {
        change.as_object_mut().unwrap().remove(field);
    }
    let ask = json!({ "key": issued.key, "permissions": { "any": ["a:b"] }, "ip": "::1", "cost": 1, "environment": "live", "tags": ["t"], "user_agent": "u" });
    for (method, path, body) in [
        ("POST", "/v1/keys", full.clone()),
        ("PATCH", &key, change),
        ("POST", "/v1/keys/verify", ask.clone()),
        ("POST", "/v1/keys/verify-batch", json!({ "requests": [ask.clone()] })),
        ("POST", "/v1/keys/explain", ask),
        ("POST", &format!("{key}/rotate"), json!({ "grace": "1d" })),
        ("POST", &format!("{key}/grace"), json!({ "grace": "1d" })),
        ("POST", "/v1/accounts", json!({ "name": "x", "metadata": {} })),
        (
            "POST",
            "/v1/keys/import",
            json!({ "account_id": account, "kind": "imported", "keys": [{ "hash": "0".repeat(64) }] }),
        ),
    ] {
        for spoilt in spoilt(&body) {
            let answer = server.call(method, path).json(&Value::Null).body(spoilt.clone()).send().await;
            assert!(answer.status < 500, "{method} {path} {:?}: {}", String::from_utf8_lossy(&spoilt), answer.text);
        }
    }
    let verified = server.call("POST", "/v1/audit/verify").send().await.is(200);
    assert_eq!(verified["intact"], true);
}

#[tokio::test]
async fn no_query_whatever_is_a_fault_of_the_servers() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let usage = format!("/v1/keys/{}/usage", issued.id);
    let fields = [
        "account_id",
        "kind",
        "environment",
        "status",
        "unused_since",
        "expiring_before",
        "rotation_due",
        "prefix",
        "cursor",
        "limit",
        "target",
        "action",
        "actor",
        "from",
        "to",
    ];
    let values = [
        "",
        "%00",
        "%ff",
        "'",
        "%25",
        "-1",
        "9223372036854775808",
        "1e9",
        "9999-12-31T23:59:59Z",
        "100y",
        "-9999-01-01T00:00:00Z",
        "%F0%9F%92%A9",
    ];
    for path in ["/v1/keys", "/v1/accounts", "/v1/audit", &usage] {
        for (field, value) in fields.iter().flat_map(|field| values.iter().map(move |value| (field, value))) {
            let answer = server.get(&format!("{path}?{field}={value}")).send().await;
            assert!(answer.status < 500, "{path}?{field}={value}: {}", answer.text);
        }
    }
}
