//! A customer's own credential: it reaches its account alone, and makes nothing wider than itself.

use serde_json::{Value, json};

use crate::harness::{NO_KEY, TestServer, text};

/// A customer who may manage keys and read orders, and their credential.
async fn customer(server: &TestServer) -> (String, String) {
    let account = server.account().await;
    let fields = json!({ "permissions": ["keys:read", "keys:write", "keys:verify", "audit:read", "accounts:read", "orders:read"] });
    let own = server.key_of(&account, fields).await;
    (account, own.key)
}

#[tokio::test]
async fn a_customer_needs_to_name_no_account_and_makes_keys_for_their_own() {
    let server = TestServer::start().await;
    let (account, own) = customer(&server).await;
    let made = server.post("/v1/keys", &json!({ "permissions": ["orders:read"] })).by(&own).send().await.is(201);
    assert_eq!(made["account_id"], account.as_str());
    let named = json!({ "account_id": account });
    server.post("/v1/keys", &named).by(&own).send().await.is(201);
}

#[tokio::test]
async fn lists_show_a_customer_what_is_theirs_alone() {
    let server = TestServer::start().await;
    let (account, own) = customer(&server).await;
    let other = server.key(json!({})).await;
    let other_account = text(&other.shown, "account_id");
    let keys = server.get("/v1/keys").by(&own).send().await.is(200);
    assert!(keys["data"].as_array().unwrap().iter().all(|key| key["account_id"] == account.as_str()));
    let accounts = server.get("/v1/accounts").by(&own).send().await.is(200);
    assert_eq!(
        accounts["data"].as_array().unwrap().iter().map(|row| text(row, "id")).collect::<Vec<_>>(),
        std::slice::from_ref(&account)
    );
    let audit = server.get("/v1/audit").by(&own).send().await.is(200);
    assert!(audit["data"].as_array().unwrap().iter().all(|row| row["account_id"] == account.as_str()), "{audit}");
    for path in [
        format!("/v1/keys?account_id={other_account}"),
        format!("/v1/audit?account_id={other_account}"),
        format!("/v1/audit?target={}", other.id),
    ] {
        assert_eq!(server.get(&path).by(&own).send().await.is(200)["data"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn anothers_account_looks_missing_where_a_key_is_made_for_it() {
    let server = TestServer::start().await;
    let (_, own) = customer(&server).await;
    let other = server.account().await;
    for account in [other.as_str(), crate::harness::NO_ACCOUNT] {
        server.post("/v1/keys", &json!({ "account_id": account })).by(&own).send().await.problem(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn nothing_is_made_wider_than_its_maker() {
    let server = TestServer::start().await;
    let (account, own) = customer(&server).await;
    for permissions in [
        json!(["orders:write"]),
        json!(["orders:*"]),
        json!(["*"]),
        json!(["keys:*"]),
        json!(["orders:read", "keys:import"]),
    ] {
        let body = json!({ "permissions": permissions });
        server.post("/v1/keys", &body).by(&own).send().await.problem(403, "FORBIDDEN");
    }
    let narrow = server.post("/v1/keys", &json!({ "permissions": ["orders:read"] })).by(&own).send().await.is(201);
    let path = format!("/v1/keys/{}", text(&narrow, "id"));
    server.patch(&path, &json!({ "permissions": ["orders:write"] })).by(&own).send().await.problem(403, "FORBIDDEN");
    let wide = server.key_of(&account, json!({ "permissions": ["orders:write"] })).await;
    let path = format!("/v1/keys/{}", wide.id);
    // A wider key's new secret would be as good as a wider key.
    server.post(&format!("{path}/rotate"), &json!({})).by(&own).send().await.problem(403, "FORBIDDEN");
    server.patch(&path, &json!({ "name": "x" })).by(&own).send().await.problem(403, "FORBIDDEN");
    assert_eq!(server.code(&wide.key).await, "VALID");
    // Ending one widens nothing.
    server.delete(&path).by(&own).send().await.is(204);
}

#[tokio::test]
async fn a_key_for_one_environment_makes_keys_for_that_one_alone() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let own = server.key_of(&account, json!({ "environment": "test", "permissions": ["keys:write"] })).await;
    server.post("/v1/keys", &json!({ "environment": "live" })).by(&own.key).send().await.problem(403, "FORBIDDEN");
    server.post("/v1/keys", &json!({ "environment": "test" })).by(&own.key).send().await.is(201);
    let live = server.key_of(&account, json!({ "environment": "live" })).await;
    let path = format!("/v1/keys/{}/rotate", live.id);
    server.post(&path, &json!({})).by(&own.key).send().await.problem(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_key_of_a_kind_without_environments_is_made_by_one_for_real_use_alone() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let body = json!({ "kind": "wayscloud-service", "services": ["dns"] });
    for (environment, status) in [("live", 201), ("test", 403)] {
        let own = server.key_of(&account, json!({ "environment": environment, "permissions": ["*"] })).await;
        server.post("/v1/keys", &body).by(&own.key).send().await.with(status);
    }
}

#[tokio::test]
async fn an_operator_makes_no_operator_wider_than_itself() {
    let server = TestServer::start().await;
    let narrow = server.operator_with(&["keys:write", "keys:read"]).await;
    let make = |permissions: Value| json!({ "kind": "operator", "permissions": permissions });
    server.post("/v1/keys", &make(json!(["*"]))).by(&narrow).send().await.problem(403, "FORBIDDEN");
    server.post("/v1/keys", &make(json!(["accounts:read"]))).by(&narrow).send().await.problem(403, "FORBIDDEN");
    server.post("/v1/keys", &make(json!(["keys:read"]))).by(&narrow).send().await.is(201);
    let listed = server.get("/v1/keys?kind=operator").send().await.is(200);
    let wide = listed["data"].as_array().unwrap().iter().find(|key| key["permissions"] == json!(["*"])).unwrap();
    let path = format!("/v1/keys/{}", text(wide, "id"));
    server.post(&format!("{path}/rotate"), &json!({})).by(&narrow).send().await.problem(403, "FORBIDDEN");
}

#[tokio::test]
async fn another_accounts_key_verifies_introspects_and_revokes_as_one_that_is_not_there() {
    let server = TestServer::start().await;
    let (_, own) = customer(&server).await;
    let other = server.key(json!({})).await;
    let verified = server.post("/v1/keys/verify", &json!({ "key": other.key })).by(&own).send().await;
    let unknown = format!("{}aaaa", &other.key[..other.key.len() - 4]);
    assert_eq!(verified.is(200)["code"], "NOT_FOUND");
    assert_eq!(verified.json().get("key_id"), None);
    assert_ne!(unknown, other.key);
    let introspected =
        server.call("POST", "/v1/introspect").by(&own).form(&format!("token={}", other.key)).send().await;
    assert_eq!(introspected.is(200), json!({ "active": false }));
    server.call("POST", "/v1/revoke").by(&own).form(&format!("token={}", other.key)).send().await.is(200);
    assert_eq!(server.code(&other.key).await, "VALID");
}

#[tokio::test]
async fn a_suspended_accounts_keys_speak_for_nobody() {
    let server = TestServer::start().await;
    let (account, own) = customer(&server).await;
    server.get("/v1/keys").by(&own).send().await.is(200);
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "status": "suspended" })).send().await.is(200);
    server.get("/v1/keys").by(&own).send().await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn permissions_are_looked_at_on_every_call() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let own = server.key_of(&account, json!({ "permissions": ["keys:read"] })).await;
    server.get("/v1/keys").by(&own.key).send().await.is(200);
    server.patch(&format!("/v1/keys/{}", own.id), &json!({ "permissions": ["orders:read"] })).send().await.is(200);
    server.get("/v1/keys").by(&own.key).send().await.problem(403, "FORBIDDEN");
    server.get(&format!("/v1/keys/{NO_KEY}")).by(&own.key).send().await.problem(403, "FORBIDDEN");
}

/// A call to Keywright itself is no operation of the customer's.
#[tokio::test]
async fn calling_costs_neither_credits_nor_limits() {
    let server = TestServer::start().await;
    let fields = json!({ "permissions": ["keys:read"], "credits": 2, "ratelimits": [{ "name": "r", "limit": 2, "window": "1h" }] });
    let own = server.key(fields).await;
    for _ in 0..5 {
        server.get("/v1/keys").by(&own.key).send().await.is(200);
    }
    let verified = server.verify(json!({ "key": own.key })).await;
    assert_eq!((&verified["credits"], &verified["ratelimits"][0]["remaining"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_metered_key_cannot_loosen_its_own_metering_or_make_a_key_without_it() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let limits = json!([{ "name": "r", "limit": 5, "window": "1h" }]);
    let (id, key) = server
        .key_of(&account, json!({ "permissions": ["keys:write"], "credits": 10, "ratelimits": limits }))
        .await
        .pair();
    let path = format!("/v1/keys/{id}");
    for change in [json!({ "credits": null }), json!({ "credits": 1_000 }), json!({ "ratelimits": [] })] {
        server.call("PATCH", &path).by(&key).carrying(&change).send().await.problem(403, "FORBIDDEN");
    }
    server.call("POST", "/v1/keys").by(&key).carrying(&json!({})).send().await.problem(403, "FORBIDDEN");
    server.call("POST", "/v1/keys").by(&key).carrying(&json!({ "credits": 10 })).send().await.problem(403, "FORBIDDEN");
    assert_eq!(server.call("PATCH", &path).by(&key).carrying(&json!({ "name": "renamed" })).send().await.status, 200);
}

#[tokio::test]
async fn a_key_cannot_make_one_that_outlives_it_or_works_where_it_does_not() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let own = json!({ "permissions": ["keys:write"], "expires_in": "7d" });
    let (id, key) = server.key_of(&account, own).await.pair();
    for wide in [json!({}), json!({ "expires_in": "8d" })] {
        server.call("POST", "/v1/keys").by(&key).carrying(&wide).send().await.problem(403, "FORBIDDEN");
    }
    let longer = json!({ "expires_in": "30d" });
    server.call("PATCH", &format!("/v1/keys/{id}")).by(&key).carrying(&longer).send().await.problem(403, "FORBIDDEN");
    assert_eq!(
        server.call("POST", "/v1/keys").by(&key).carrying(&json!({ "expires_in": "6d" })).send().await.status,
        201
    );
}
