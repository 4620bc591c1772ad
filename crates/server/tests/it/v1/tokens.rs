//! `/v1/token`, `/v1/signing-keys`: tokens had for a key, and the keys tokens are signed with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_app::core::policy::Policy;
use serde_json::{Value, json};

use crate::harness::{Answer, NOW, TestServer, text};

const GRANT: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
    &subject_token_type=urn:ietf:params:oauth:token-type:access_token";

async fn exchange(server: &TestServer, key: &str, more: &str) -> Answer {
    let form = format!("{GRANT}&subject_token={key}{more}");
    server.call("POST", "/v1/token").by_nobody().form(&form).send().await
}

async fn introspect(server: &TestServer, token: &str) -> Value {
    server.call("POST", "/v1/introspect").form(&format!("token={token}")).send().await.is(200)
}

/// A part of a token: its header, its claims.
fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The development policy with this beneath it.
fn reload(server: &TestServer, more: &str) {
    server.app.reload_policy(&format!("{}\n{more}", Policy::DEV)).unwrap();
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_token_that_says_what_it_may_do() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "permissions": ["a:read", "b:write"] })).await;
    let answer = exchange(&server, &issued.key, "&audience=documents").await.with(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let token = text(&answer.body, "access_token");
    let expected = json!({
        "access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 900, "scope": "a:read b:write",
    });
    assert_eq!(answer.body, expected);
    let head = part(&token, 0);
    assert_eq!((&head["typ"], &head["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
    let said = part(&token, 1);
    let now = 1_795_251_600;
    assert_eq!(NOW, "2026-11-21T09:00:00.000Z");
    let expected = json!({
        "iss": "keywright", "aud": "documents", "sub": issued.id, "client_id": issued.id,
        "account_id": issued.shown["account_id"], "scope": "a:read b:write", "jti": said["jti"], "iat": now,
        "exp": now + 900,
    });
    assert_eq!(said, expected);
    let seen = introspect(&server, &token).await;
    assert_eq!(
        (&seen["active"], &seen["sub"], &seen["scope"]),
        (&json!(true), &json!(issued.id), &json!("a:read b:write"))
    );
}

#[tokio::test]
async fn a_token_is_no_wider_than_its_key_and_ends_no_later() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "permissions": ["a:*", "b:read"], "expires_in": "5m" })).await;
    for (scope, status) in [
        ("a:read", 200),
        ("a:*", 200),
        ("a:x+b:read", 200),
        ("b:*", 400),
        ("b:write", 400),
        ("*", 400),
        ("a:read+c:d", 400),
    ] {
        let answer = exchange(&server, &issued.key, &format!("&scope={scope}")).await.with(status);
        if status == 200 {
            assert_eq!(answer.body["expires_in"], 300, "no longer than the key");
        } else {
            assert_eq!(answer.problem(400, "INVALID_SCOPE")["error"], "invalid_scope");
        }
    }
    exchange(&server, &issued.key, "&scope=nonsense").await.problem(400, "INVALID_SCOPE");
    exchange(&server, &issued.key, &format!("&audience={}", "a".repeat(201))).await.problem(400, "INVALID_TARGET");
}

#[tokio::test]
async fn what_is_no_exchange_is_refused_as_oauth_says() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let send = async |form: &str| server.call("POST", "/v1/token").by_nobody().form(form).send().await;
    let refused = send("grant_type=client_credentials").await.problem(400, "UNSUPPORTED_GRANT_TYPE");
    assert_eq!(refused["error"], "unsupported_grant_type");
    assert!(refused["error_description"].is_string());
    for wrong in [
        GRANT.to_owned(),
        format!("{GRANT}&subject_token=kw_live_nonsense"),
        format!("{GRANT}&subject_token={}", server.operator),
        format!("{GRANT}&subject_token={}&actor_token=x", issued.key),
        format!(
            "{GRANT}&subject_token={}&requested_token_type=urn:ietf:params:oauth:token-type:refresh_token",
            issued.key
        ),
        format!("{}&subject_token={}", GRANT.replace("access_token", "saml2"), issued.key),
    ] {
        assert_eq!(send(&wrong).await.problem(400, "INVALID_REQUEST")["error"], "invalid_request", "{wrong}");
    }
    server.delete(&format!("/v1/keys/{}", issued.id)).send().await.is(204);
    exchange(&server, &issued.key, "").await.problem(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_token_dies_with_its_key_and_is_no_credential_here() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "permissions": ["keys:read"] })).await;
    let token = text(&exchange(&server, &issued.key, "").await.is(200), "access_token");
    for path in ["/v1/keys", "/v1/sessions", "/v1/keys/self"] {
        server.get(path).by(&token).send().await.problem(401, "UNAUTHENTICATED");
    }
    assert_eq!(server.code(&token).await, "MALFORMED");
    let rotated = server.post(&format!("/v1/keys/{}/rotate", issued.id), &json!({})).send().await;
    rotated.is(200);
    assert_eq!(introspect(&server, &token).await["active"], true, "a rotation keeps the key");
    server.post(&format!("/v1/keys/{}/disable", issued.id), &json!({})).send().await.is(200);
    assert_eq!(introspect(&server, &token).await, json!({ "active": false }));
    server.post(&format!("/v1/keys/{}/enable", issued.id), &json!({})).send().await.is(200);
    assert_eq!(introspect(&server, &token).await["active"], true);
    let other = server.account().await;
    let (_, stranger) = server.key_of(&other, json!({ "permissions": ["keys:verify"] })).await.pair();
    let seen = server.call("POST", "/v1/introspect").by(&stranger).form(&format!("token={token}")).send().await;
    assert_eq!(seen.is(200), json!({ "active": false }), "another account's token");
    server.delete(&format!("/v1/keys/{}", issued.id)).send().await.is(204);
    assert_eq!(introspect(&server, &token).await, json!({ "active": false }));
    let kept = server.key(json!({})).await;
    let token = text(&exchange(&server, &kept.key, "").await.is(200), "access_token");
    server.wait("15m");
    assert_eq!(introspect(&server, &token).await, json!({ "active": false }));
}

/// security.md 28
#[tokio::test]
async fn guessing_at_keys_here_locks_as_everywhere() {
    let server = TestServer::start().await;
    let (_, key) = server.key_of(&server.account().await, json!({ "kind": "wavis" })).await.pair();
    let guess = format!("{}{}", &key[..key.len() - 4], if key.ends_with("0000") { "1111" } else { "0000" });
    for _ in 0..10 {
        exchange(&server, &guess, "").await.problem(400, "INVALID_REQUEST");
    }
    exchange(&server, &key, "").await.problem(429, "RATE_LIMITED");
}

#[tokio::test]
async fn another_key_signs_and_nobody_is_logged_out() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    let before = server.get("/.well-known/jwks.json").by_nobody().send().await.is(200);
    server.wait("10m");
    let made = server.post("/v1/signing-keys/rotate", &Value::Null).send().await.is(201);
    assert_eq!(
        (&made["algorithm"], &made["signs"], &made["retires_at"]),
        (&json!("EdDSA"), &json!(true), &Value::Null)
    );
    let (_, _, later) = server.person(&account, "owner").await;
    assert_eq!(part(&later, 0)["kid"], made["kid"]);
    assert_ne!(part(&token, 0)["kid"], made["kid"]);
    for token in [&token, &later] {
        server.get("/v1/sessions").by(token).send().await.is(200);
    }
    let published = server.get("/.well-known/jwks.json").by_nobody().send().await.with(200);
    assert_eq!(published.header("cache-control"), Some("public, max-age=300"));
    let kids = |jwks: &Value| jwks["keys"].as_array().unwrap().iter().map(|key| text(key, "kid")).collect::<Vec<_>>();
    assert!(kids(&before).iter().all(|kid| kids(&published.body).contains(kid)));
    let server = server.restarted("64m", false).await;
    assert_eq!(kids(&server.get("/.well-known/jwks.json").by_nobody().send().await.is(200)), kids(&published.body));
    server.wait("1m");
    let left = kids(&server.get("/.well-known/jwks.json").by_nobody().send().await.is(200));
    assert!(left.contains(&text(&made, "kid")) && left.len() == kids(&before).len());
    let listed = server.get("/v1/signing-keys").send().await.is(200);
    assert_eq!(listed["data"][0], made);
}

/// security.md 1
#[tokio::test]
async fn the_policy_says_how_tokens_are_signed() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, _, first) = server.person(&account, "owner").await;
    for algorithm in ["ES256", "HS256"] {
        reload(&server, &format!("[tokens]\nalgorithm = \"{algorithm}\""));
        let (_, _, token) = server.person(&account, "owner").await;
        let head = part(&token, 0);
        assert_eq!((&head["alg"], &head["typ"]), (&json!(algorithm), &json!("at+jwt")));
        server.get("/v1/sessions").by(&token).send().await.is(200);
        server.get("/v1/sessions").by(&first).send().await.is(200);
        let published = server.get("/.well-known/jwks.json").by_nobody().send().await.is(200);
        assert_eq!(published.to_string().contains(head["kid"].as_str().unwrap()), algorithm == "ES256");
        assert!(!published.to_string().contains("\"k\"") && !published.to_string().contains("\"d\""));
        if algorithm == "HS256" {
            reload(&server, "");
            let refused = server.get("/v1/sessions").by(&token).send().await;
            refused.problem(401, "UNAUTHENTICATED");
        }
    }
}
