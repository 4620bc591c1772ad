//! `/v1/accounts`

use serde_json::{Value, json};

use crate::harness::{NO_ACCOUNT, NOW, TestServer, text};

#[tokio::test]
async fn an_account_is_made_shown_and_changed() {
    let server = TestServer::start().await;
    let body = json!({ "name": "Ada AS", "metadata": { "plan": "gold" } });
    let made = server.post("/v1/accounts", &body).send().await.is(201);
    let id = text(&made, "id");
    assert!(id.starts_with("acc_"));
    let mut expected = json!({
        "id": id, "name": "Ada AS", "status": "active", "email": "", "email_verified": false, "first_name": "",
        "last_name": "", "company": "", "customer_type": "private", "subscription": "none", "credits": 0,
        "metadata": { "plan": "gold" }, "created_at": NOW, "updated_at": NOW,
    });
    assert_eq!(made, expected);
    let path = format!("/v1/accounts/{id}");
    assert_eq!(server.get(&path).send().await.is(200), expected);
    server.wait("1h");
    expected["name"] = "Ada ASA".into();
    expected["metadata"] = json!({});
    expected["updated_at"] = "2026-11-21T10:00:00.000Z".into();
    let change = json!({ "name": "Ada ASA", "metadata": {} });
    assert_eq!(server.patch(&path, &change).send().await.is(200), expected);
    assert_eq!(server.get(&path).send().await.is(200), expected);
}

#[tokio::test]
async fn suspending_stops_every_key_at_once_and_can_be_undone() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (cached, fresh) = (server.key_of(&account, json!({})).await, server.key_of(&account, json!({})).await);
    let other = server.key(json!({})).await;
    assert_eq!(server.code(&cached.key).await, "VALID");
    let path = format!("/v1/accounts/{account}");
    let suspended = server.patch(&path, &json!({ "status": "suspended" })).send().await.is(200);
    assert_eq!(suspended["status"], "suspended");
    assert_eq!([server.code(&cached.key).await, server.code(&fresh.key).await], ["ACCOUNT_SUSPENDED"; 2]);
    assert_eq!(server.code(&other.key).await, "VALID");
    server.patch(&path, &json!({ "status": "active" })).send().await.is(200);
    assert_eq!([server.code(&cached.key).await, server.code(&fresh.key).await], ["VALID"; 2]);
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let path = format!("/v1/accounts/{account}");
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "x".repeat(101) }), "name"),
        (json!({ "name": "a\u{0}b" }), "name"),
        (json!({ "name": "a", "metadata": { "x": "y".repeat(5_000) } }), "metadata"),
        (json!({ "name": "a", "status": "suspended" }), "status"),
        (json!({ "name": "a", "id": NO_ACCOUNT }), "id"),
    ] {
        server.post("/v1/accounts", &body).send().await.wrong(field);
    }
    for (body, field) in [
        (json!({ "status": "gone" }), "status"),
        (json!({ "name": "" }), "name"),
        (json!({ "colour": "red" }), "colour"),
        (json!({ "created_at": NOW }), "created_at"),
    ] {
        server.patch(&path, &body).send().await.wrong(field);
    }
}

#[tokio::test]
async fn who_an_account_is_and_how_it_stands_is_set_by_operators() {
    let server = TestServer::start().await;
    let body = json!({
        "name": "Ada AS", "email": "Ada@Example.com", "email_verified": true, "first_name": "Ada", "last_name": "L",
        "company": "Ada AS", "customer_type": "business", "subscription": "trialing", "credits": -5,
    });
    let made = server.post("/v1/accounts", &body).send().await.is(201);
    let mut expected = body.clone();
    expected["email"] = "ada@example.com".into();
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    let path = format!("/v1/accounts/{}", text(&made, "id"));
    let change = json!({ "email": "eve@example.com", "credits": 7, "subscription": "past_due" });
    let changed = server.patch(&path, &change).send().await.is(200);
    assert_eq!((&changed["email"], &changed["email_verified"]), (&json!("eve@example.com"), &json!(false)));
    assert_eq!((&changed["credits"], &changed["subscription"]), (&json!(7), &json!("past_due")));
    assert_eq!(changed["first_name"], "Ada");
    for (body, field) in [
        (json!({ "email": "nonsense" }), "email"),
        (json!({ "email": "a@b@example.com" }), "email"),
        (json!({ "email": "", "email_verified": true }), "email_verified"),
        (json!({ "first_name": "x".repeat(101) }), "first_name"),
        (json!({ "company": "a\u{7}" }), "company"),
        (json!({ "customer_type": "robot" }), "customer_type"),
        (json!({ "subscription": "free" }), "subscription"),
        (json!({ "credits": 1.5 }), "credits"),
        (json!({ "credits": i64::MAX }), "credits"),
    ] {
        server.patch(&path, &body).send().await.wrong(field);
    }
    assert_eq!(server.get(&path).send().await.is(200), changed);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    for id in [NO_ACCOUNT, "7", "%ff", "key_01arz3ndektsv4rrffq69g5fav"] {
        let path = format!("/v1/accounts/{id}");
        server.get(&path).send().await.problem(404, "NOT_FOUND");
        server.patch(&path, &json!({ "name": "x" })).send().await.problem(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn the_operators_own_account_cannot_be_changed() {
    let server = TestServer::start().await;
    let path = "/v1/accounts/acc_00000000000000000000000000";
    server.patch(path, &json!({ "status": "suspended" })).send().await.problem(409, "CONFLICT");
    server.get("/v1/keys").send().await.is(200);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let server = TestServer::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(server.account().await);
        server.wait("1s");
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/accounts?limit=2{cursor}")).send().await.is(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|row| text(row, "id")));
        let Some(next) = page["next_cursor"].as_str() else {
            assert_eq!(page["next_cursor"], Value::Null);
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, made);
    server.get("/v1/accounts?cursor=key_1").send().await.wrong("cursor");
    server.get("/v1/accounts?limit=0").send().await.wrong("limit");
}

#[tokio::test]
async fn a_repeated_request_makes_one_account() {
    let server = TestServer::start().await;
    let create = |token: &str, name: &str| {
        server.post("/v1/accounts", &json!({ "name": name })).header("idempotency-key", token)
    };
    let first = create("a", "Ada AS").send().await;
    let made = first.is(201);
    assert_eq!(first.header("location"), Some(format!("/v1/accounts/{}", text(&made, "id")).as_str()));
    let again = create("a", "Ada AS").send().await;
    assert_eq!((again.is(200), again.header("idempotent-replayed")), (made, Some("true")));
    create("a", "Eve AS").send().await.wrong("Idempotency-Key");
    // A token belongs to one request, and another path is another request.
    server
        .post("/v1/keys", &json!({ "name": "Ada AS" }))
        .header("idempotency-key", "a")
        .send()
        .await
        .wrong("account_id");
    let listed = server.get("/v1/accounts").send().await.is(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_used_for_an_account_is_good_for_no_key() {
    let server = TestServer::start().await;
    let body = json!({ "name": "x" });
    let customer = server.key(json!({ "permissions": ["keys:write"] })).await;
    server.post("/v1/accounts", &body).header("idempotency-key", "a").send().await.is(201);
    server.post("/v1/keys", &body).by(&customer.key).header("idempotency-key", "a").send().await.is(201);
    let operators = json!({ "name": "x", "kind": "operator" });
    server.post("/v1/keys", &operators).header("idempotency-key", "a").send().await.wrong("Idempotency-Key");
}
