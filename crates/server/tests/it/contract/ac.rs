//! WAYSCloud's Account API.

mod ssh;

use serde_json::{Value, json};

use crate::harness::{NO_KEY, SSH_KEY, TestServer, text};

const SCOPES: [&str; 6] =
    ["profile:read", "api_keys:read", "api_keys:write", "ssh_keys:read", "ssh_keys:write", "services:read"];

/// An account and a token of its own that may do everything here.
async fn scene() -> (TestServer, String, String) {
    let server = TestServer::start().await;
    let account = server.account().await;
    let pat = server.pat(&account, &SCOPES).await.key;
    (server, account, pat)
}

/// The names of a JSON object's fields, in the order they were sent in.
fn fields(text: &str) -> Vec<String> {
    let object = text.trim_start_matches('[').split_once('}').unwrap().0;
    let names = object.split(",\"").filter_map(|part| part.split_once("\":"));
    names.map(|(name, _)| name.trim_start_matches(['{', '"']).to_owned()).collect()
}

#[tokio::test]
async fn ac1_a_token_does_what_its_scopes_say_and_nothing_else() {
    let (server, account, pat) = scene().await;
    let (_, secret) = pat.strip_prefix("wayscloud_pat_").unwrap().split_once('_').unwrap();
    assert!(secret.len() >= 39 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let routes = [
        ("GET", "/v1/account/profile", "profile:read", Value::Null),
        ("GET", "/v1/account/api-keys", "api_keys:read", Value::Null),
        ("POST", "/v1/account/api-keys/service", "api_keys:write", json!({ "service": "dns" })),
        ("POST", "/v1/account/api-keys/pat", "api_keys:write", json!({ "scopes": ["api_keys:write"] })),
        ("DELETE", "/v1/account/api-keys/key_01arz3ndektsv4rrffq69g5fav", "api_keys:write", Value::Null),
        ("GET", "/v1/account/ssh-keys", "ssh_keys:read", Value::Null),
        ("POST", "/v1/account/ssh-keys", "ssh_keys:write", json!({ "name": "a", "public_key": SSH_KEY })),
        ("DELETE", "/v1/account/ssh-keys/ssh_01arz3ndektsv4rrffq69g5fav", "ssh_keys:write", Value::Null),
        ("GET", "/v1/account/services", "services:read", Value::Null),
    ];
    for scope in SCOPES {
        let token = server.pat(&account, &[scope]).await.key;
        for (method, path, needed, body) in &routes {
            let answer = server.call(method, path).by_token(&token).carrying(body).send().await;
            // To write is to read, too.
            if scope == *needed || scope.replace("write", "read") == *needed {
                assert!([200, 201, 404].contains(&answer.status), "{scope}: {method} {path}: {answer:?}");
            } else {
                answer.wayscloud_error(403, "FORBIDDEN");
            }
        }
    }
    // The header is X-API-Key, and the token opens nothing of the native API.
    server.get("/v1/account/profile").by(&pat).send().await.wayscloud_error(401, "UNAUTHENTICATED");
    for path in ["/v1/keys", "/v1/accounts", "/v1/audit"] {
        server.get(path).by_token(&pat).send().await.problem(403, "FORBIDDEN");
    }
    server.post("/v1/keys", &json!({})).by_token(&pat).send().await.problem(403, "FORBIDDEN");
    server.post("/v1/keys/verify", &json!({ "key": "x" })).by_token(&pat).send().await.problem(403, "FORBIDDEN");
}

#[tokio::test]
async fn ac1_no_token_of_a_suspended_account_works() {
    let (server, account, pat) = scene().await;
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "status": "suspended" })).send().await.is(200);
    let profile = || server.get("/v1/account/profile").by_token(&pat);
    profile().send().await.wayscloud_error(401, "UNAUTHENTICATED");
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "status": "active" })).send().await.is(200);
    profile().send().await.is(200);
}

#[tokio::test]
async fn ac1_an_operators_credential_belongs_to_no_account() {
    let server = TestServer::start().await;
    server.get("/v1/account/profile").send().await.wayscloud_error(409, "CONFLICT");
    server.get("/v1/account/profile").by_local().send().await.wayscloud_error(409, "CONFLICT");
}

#[tokio::test]
async fn ac2_the_profile_has_the_eight_documented_fields() {
    let server = TestServer::start().await;
    let said = json!({
        "name": "Simula", "email": "Kristen.Nygaard@simula.no", "email_verified": true, "first_name": "Kristen",
        "last_name": "Nygaard", "company": "Simula Research Laboratory", "customer_type": "business", "credits": 5,
    });
    let account = text(&server.post("/v1/accounts", &said).send().await.is(201), "id");
    let pat = server.pat(&account, &["profile:read"]).await.key;
    let profile = server.get("/v1/account/profile").by_token(&pat).send().await.with(200);
    let expected = format!(
        r#"{{"customer_id":"{account}","email":"kristen.nygaard@simula.no","first_name":"Kristen","last_name":"Nygaard","company":"Simula Research Laboratory","customer_type":"business","status":"active","created_at":"2026-11-21T09:00:00Z"}}"#
    );
    assert_eq!(profile.text, expected);
    server.patch(&format!("/v1/accounts/{account}"), &json!({ "customer_type": "private" })).send().await.is(200);
    let profile = server.get("/v1/account/profile").by_token(&pat).send().await.is(200);
    assert_eq!(profile["customer_type"], "private");
}

#[tokio::test]
async fn ac3_the_list_has_the_nine_documented_fields_and_no_secret() {
    let (server, account, pat) = scene().await;
    server.wait("1s");
    let body = json!({ "service": "database", "description": "Production database access" });
    let made = server.post("/v1/account/api-keys/service", &body).by_token(&pat).send().await.is(201);
    server.wait("1s");
    let spare = server.pat(&account, &["services:read"]).await;
    let change = json!({ "enabled": false });
    server.patch(&format!("/v1/keys/{}", spare.id), &change).send().await.is(200);
    // A key of another kind, and one of another account, are not in it.
    server.key_of(&account, json!({})).await;
    let other = server.account().await;
    server.pat(&other, &["services:read"]).await;
    let answer = server.get("/v1/account/api-keys").by_token(&pat).send().await.with(200);
    let names =
        ["id", "key_prefix", "key_type", "service", "description", "scopes", "is_active", "created_at", "last_used_at"];
    assert_eq!(fields(&answer.text), names);
    assert!(!answer.text.contains(&text(&made, "key")[18..]) && !answer.text.contains(&spare.key[24..]));
    let listed = answer.json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(
        listed[1],
        json!({
            "id": made["id"], "key_prefix": made["key_prefix"], "key_type": "service", "service": "database",
            "description": "Production database access", "scopes": ["database:read", "database:write"],
            "is_active": true, "created_at": "2026-11-21T09:00:01Z", "last_used_at": null,
        })
    );
    let shown =
        |key: &Value| (key["id"].clone(), key["key_type"].clone(), key["service"].clone(), key["is_active"].clone());
    assert_eq!(shown(&listed[0]), (json!(spare.id), json!("pat"), Value::Null, json!(false)));
    assert_eq!(
        (&listed[2]["key_type"], &listed[2]["service"], &listed[2]["is_active"]),
        (&json!("pat"), &Value::Null, &json!(true))
    );
    assert_eq!(listed[2]["scopes"].as_array().unwrap().len(), SCOPES.len());
}

#[tokio::test]
async fn ac4_a_service_key_is_made_for_each_documented_service() {
    let (server, _, pat) = scene().await;
    for service in ["database", "storage", "llm-api", "dns", "vps", "iot"] {
        let body = json!({ "service": service, "description": "CI/CD pipeline" });
        let answer = server.post("/v1/account/api-keys/service", &body).by_token(&pat).send().await.with(201);
        assert_eq!(fields(&answer.text), ["id", "key", "key_prefix", "key_type", "warning"]);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let key = text(&answer.body, "key");
        let (id, secret) = key.strip_prefix("wayscloud_").unwrap().split_once('_').unwrap();
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(is_plain(id) && is_plain(secret) && secret.len() >= 39, "{key}");
        assert_eq!(answer.body["key_prefix"], key[..17]);
        assert_eq!(answer.body["key_type"], "service");
        assert!(!text(&answer.body, "warning").is_empty());
        assert_eq!(server.code(&key).await, "VALID");
    }
    for (body, field) in [
        (json!({}), "service"),
        (json!({ "service": "gpu" }), "service"),
        (json!({ "service": "" }), "service"),
        (json!({ "service": ["dns"] }), "service"),
        (json!({ "service": "dns", "scopes": ["*"] }), "scopes"),
        (json!({ "service": "dns", "account_id": "acc_1" }), "account_id"),
        (json!({ "service": "dns", "description": "x".repeat(1_001) }), "description"),
    ] {
        let answer = server.post("/v1/account/api-keys/service", &body).by_token(&pat).send().await;
        let error = answer.wayscloud_error(422, "INVALID");
        assert_eq!(error["errors"][0]["field"], field, "{error}");
    }
}

#[tokio::test]
async fn ac4_a_key_for_tests_makes_no_key_for_real_use() {
    let (server, account, _) = scene().await;
    for (environment, status) in [("live", 201), ("test", 403)] {
        let fields = json!({ "environment": environment, "permissions": ["api_keys:write"] });
        let maker = server.key_of(&account, fields).await.key;
        let body = json!({ "service": "database" });
        server.post("/v1/account/api-keys/service", &body).by(&maker).send().await.with(status);
    }
}

#[tokio::test]
async fn ac5_a_token_is_no_wider_than_the_one_it_is_made_with() {
    let (server, account, _) = scene().await;
    let maker = server
        .key_of(
            &account,
            json!({
                "kind": "wayscloud-pat", "permissions": ["api_keys:write", "services:read"], "expires_in": "90d",
                "ip_allowlist": [],
            }),
        )
        .await
        .key;
    let make = async |body: Value| server.post("/v1/account/api-keys/pat", &body).by_token(&maker).send().await;
    let body =
        json!({ "scopes": ["services:read", "api_keys:read"], "description": "Terraform", "expires_in_days": 30 });
    let answer = make(body).await.with(201);
    assert_eq!(fields(&answer.text), ["id", "key", "key_prefix", "key_type", "warning"]);
    assert_eq!(answer.body["key_type"], "pat");
    let key = text(&answer.body, "key");
    assert!(key.starts_with("wayscloud_pat_"));
    let stored = server.get(&format!("/v1/keys/{}", text(&answer.body, "id"))).send().await.is(200);
    assert_eq!(stored["expires_at"], "2026-12-21T09:00:00.000Z");
    assert_eq!(stored["permissions"], json!(["api_keys:read", "services:read"]));
    server.get("/v1/account/services").by_token(&key).send().await.is(200);

    // Left out, it ends with the one it is made with; asked for longer, it is refused.
    let same = make(json!({ "scopes": ["services:read"] })).await.is(201);
    let stored = server.get(&format!("/v1/keys/{}", text(&same, "id"))).send().await.is(200);
    assert_eq!(stored["expires_at"], "2027-02-19T09:00:00.000Z");
    let longer = make(json!({ "scopes": ["services:read"], "expires_in_days": 91 })).await;
    assert!(text(&longer.is(403), "error").contains("outlive"), "{longer:?}");
    for scope in ["profile:read", "ssh_keys:read", "ssh_keys:write"] {
        let wider = make(json!({ "scopes": ["services:read", scope] })).await.is(403);
        assert!(text(&wider, "error").contains("permitted more"), "{wider}");
    }
    for (body, field) in [
        (json!({}), "scopes"),
        (json!({ "scopes": [] }), "scopes"),
        (json!({ "scopes": ["*"] }), "scopes"),
        (json!({ "scopes": ["api_keys:*"] }), "scopes"),
        (json!({ "scopes": ["keys:write"] }), "scopes"),
        (json!({ "scopes": ["services:read"], "expires_in_days": 0 }), "expires_in_days"),
        (json!({ "scopes": ["services:read"], "expires_in_days": 3_651 }), "expires_in_days"),
        (json!({ "scopes": ["services:read"], "expires_in_days": -1 }), "expires_in_days"),
        (json!({ "scopes": ["services:read"], "expires_in_days": "90" }), "expires_in_days"),
    ] {
        let error = make(body).await.wayscloud_error(422, "INVALID");
        assert!(error["errors"][0]["field"].as_str().unwrap().starts_with(field), "{error}");
    }
    server.wait("31d");
    server.get("/v1/account/services").by_token(&key).send().await.wayscloud_error(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn ac5_a_token_works_from_where_the_one_it_is_made_with_works() {
    let server = TestServer::listening(keywright_server::Options::default()).await;
    let account = server.account().await;
    let fields = json!({
        "kind": "wayscloud-pat", "permissions": ["api_keys:write"], "ip_allowlist": ["127.0.0.1"],
    });
    let maker = server.key_of(&account, fields).await.key;
    let body = json!({ "scopes": ["api_keys:read"] });
    let made = server.post("/v1/account/api-keys/pat", &body).by_token(&maker).send().await.is(201);
    let stored = server.get(&format!("/v1/keys/{}", text(&made, "id"))).send().await.is(200);
    assert_eq!(stored["ip_allowlist"], json!(["127.0.0.1"]));
}

#[tokio::test]
async fn ac6_a_key_is_deleted_at_once_and_for_ever() {
    let (server, account, pat) = scene().await;
    let key = server.key_of(&account, json!({ "kind": "wayscloud-account", "services": ["dns"] })).await;
    assert_eq!(server.code(&key.key).await, "VALID");
    let path = format!("/v1/account/api-keys/{}", key.id);
    let answer = server.delete(&path).by_token(&pat).send().await.with(200);
    assert_eq!(fields(&answer.text), ["success", "message"]);
    assert_eq!(answer.body["success"], true);
    assert_eq!(server.code(&key.key).await, "REVOKED");
    let listed = server.get("/v1/account/api-keys").by_token(&pat).send().await.is(200);
    assert!(listed.as_array().unwrap().iter().all(|row| row["id"] != key.id.as_str()), "{listed}");
    server.delete(&path).by_token(&pat).send().await.is(200);

    // Another account's, one of a kind that is none of WAYSCloud's, and a missing one all look alike.
    let other = server.account().await;
    let foreign = server.pat(&other, &["profile:read"]).await;
    let native = server.key_of(&account, json!({})).await;
    let delete = async |id: &str| {
        let path = format!("/v1/account/api-keys/{id}");
        server.delete(&path).by_token(&pat).header("x-request-id", "req_of_a_test").send().await
    };
    let missing = delete(NO_KEY).await;
    missing.wayscloud_error(404, "NOT_FOUND");
    for id in [foreign.id.as_str(), &native.id, "nonsense", "%00"] {
        let answer = delete(id).await;
        assert_eq!((answer.status, &answer.text, &answer.headers), (404, &missing.text, &missing.headers), "{id}");
    }
    assert_eq!([server.code(&foreign.key).await, server.code(&native.key).await], ["VALID"; 2]);
}

#[tokio::test]
async fn every_change_is_audited_under_the_token_that_made_it() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let pat = server.pat(&account, &SCOPES).await;
    let post = async |path: &str, body: Value| server.post(path, &body).by_token(&pat.key).send().await.is(201);
    let made = post("/v1/account/api-keys/service", json!({ "service": "dns" })).await;
    let ssh = post("/v1/account/ssh-keys", json!({ "name": "laptop", "public_key": SSH_KEY })).await;
    for path in
        [format!("/v1/account/api-keys/{}", text(&made, "id")), format!("/v1/account/ssh-keys/{}", text(&ssh, "id"))]
    {
        server.delete(&path).by_token(&pat.key).send().await.is(200);
    }
    let audit = server.get(&format!("/v1/audit?actor=key:{}", pat.id)).send().await.with(200);
    let rows = audit.body["data"].as_array().unwrap();
    let told: Vec<(String, Value)> = rows.iter().map(|row| (text(row, "action"), row["account_id"].clone())).collect();
    let expected = ["ssh_key.delete", "key.revoke", "ssh_key.create", "key.create"];
    assert_eq!(told, expected.map(|action| (action.to_owned(), json!(account))));
    assert!(!audit.text.contains(&text(&made, "key")[30..]));
}

#[tokio::test]
async fn ac8_an_account_reads_the_services_the_operator_has_written_down() {
    let (server, account, pat) = scene().await;
    assert_eq!(server.get("/v1/account/services").by_token(&pat).send().await.is(200), json!([]));
    let body = json!({
        "service_type": "database", "name": "webapp-prod-db", "status": "running", "region": "oslo",
        "metadata": { "engine": "postgresql", "version": "16" },
    });
    let made = server.post(&format!("/v1/accounts/{account}/services"), &body).send().await.is(201);
    let other = server.account().await;
    server.post(&format!("/v1/accounts/{other}/services"), &body).send().await.is(201);
    let listed = server.get("/v1/account/services").by_token(&pat).send().await.with(200);
    let id = text(&made, "id");
    let expected = format!(
        r#"[{{"id":"{id}","service_type":"database","name":"webapp-prod-db","status":"running","region":"oslo","created_at":"2026-11-21T09:00:00Z","metadata":{{"engine":"postgresql","version":"16"}}}}]"#
    );
    assert_eq!(listed.text, expected);
}

#[tokio::test]
async fn ac9_a_service_key_reads_and_writes_its_service() {
    let (server, account, pat) = scene().await;
    for (asked, service) in [
        ("database", "database"),
        ("storage", "storage"),
        ("llm-api", "llm"),
        ("llm", "llm"),
        ("dns", "dns"),
        ("vps", "vps"),
        ("iot", "iot"),
    ] {
        let body = json!({ "service": asked });
        let made = server.post("/v1/account/api-keys/service", &body).by_token(&pat).send().await.is(201);
        let key = text(&made, "key");
        let code = async |permission: String| {
            text(&server.verify(json!({ "key": key, "permissions": [permission] })).await, "code")
        };
        assert_eq!(code(format!("{service}:read")).await, "VALID");
        assert_eq!(code(format!("{service}:write")).await, "VALID");
        assert_eq!(code(format!("{service}:manage")).await, "INSUFFICIENT_PERMISSIONS");
        assert_eq!(code("gpu:use".into()).await, "INSUFFICIENT_PERMISSIONS");
    }
    for service in ["database", "storage", "llm", "dns", "vps", "iot"] {
        let manage = server.key_of(&account, json!({ "permissions": [format!("{service}:manage")] })).await;
        let both = [format!("{service}:read"), format!("{service}:write")];
        assert_eq!(server.verify(json!({ "key": manage.key, "permissions": both })).await["code"], "VALID");
    }
}
