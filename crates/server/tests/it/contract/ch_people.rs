//! Cloudheed: people logging in, with a second factor, and their sessions beside keys.

use keywright_core::time::Time;
use keywright_core::totp::Secret;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, TestServer, text};

/// What an authenticator shows that was loaded with this secret, so many seconds from when every test begins.
pub(crate) fn code(secret: &str, seconds: i64) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bits = 0u64;
    let mut bytes = Vec::new();
    let mut held = 0;
    for letter in secret.bytes() {
        bits = bits << 5 | ALPHABET.iter().position(|known| *known == letter).unwrap() as u64;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    let now: Time = crate::harness::NOW.parse().unwrap();
    Secret::from_bytes(&bytes).unwrap().code_at(Time::from_millis(now.millis() + seconds * 1_000)).unwrap()
}

async fn scene() -> (TestServer, String, String) {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (email, _) = server.registered(&account, "owner").await;
    (server, email, account)
}

async fn log_in(server: &TestServer, email: &str) -> Value {
    let body = json!({ "email": email, "password": PASSWORD });
    server.post("/v1/auth/login", &body).by_nobody().send().await.is(200)
}

/// Turns on the second factor of whoever has this token: its secret, and the codes on paper.
pub(crate) async fn enrol(server: &TestServer, token: &str) -> (String, Vec<String>) {
    let set_up = server.post("/v1/auth/2fa/setup", &Value::Null).by(token).send().await.is(200);
    let secret = text(&set_up, "secret");
    let body = json!({ "code": code(&secret, 0) });
    let codes = server.post("/v1/auth/2fa/verify", &body).by(token).send().await.is(200);
    let codes = codes["backup_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    (secret, codes.collect())
}

/// security.md 5
#[tokio::test]
async fn ch1_a_login_answers_with_tokens() {
    let (server, email, account) = scene().await;
    let body = json!({ "email": email, "password": PASSWORD });
    let answer = server.post("/v1/auth/login", &body).by_nobody().send().await.with(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let (access, refresh) = (text(&answer.body, "access_token"), text(&answer.body, "refresh_token"));
    let expected =
        json!({ "access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600 });
    assert_eq!(answer.body, expected);
    assert_eq!(access.split('.').count(), 3, "a JWT");
    let me = server.get("/v1/auth/me").by(&access).send().await.is(200);
    assert_eq!((&me["user"]["email"], &me["account_id"]), (&json!(email), &json!(account)));
    server.wait("59m");
    server.get("/v1/auth/me").by(&access).send().await.is(200);
    server.wait("1m");
    server.get("/v1/auth/me").by(&access).send().await.problem(401, "UNAUTHENTICATED");
}

/// security.md 9
#[tokio::test]
async fn ch2_a_refresh_token_is_good_once() {
    let (server, email, _) = scene().await;
    let first = log_in(&server, &email).await;
    let refresh = async |token: &str| {
        server.post("/v1/auth/refresh", &json!({ "refresh_token": token })).by_nobody().send().await
    };
    server.wait("2h");
    let second = refresh(&text(&first, "refresh_token")).await.is(200);
    assert_eq!((&second["token_type"], &second["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    server.get("/v1/auth/me").by(&text(&second, "access_token")).send().await.is(200);
    server.wait("31s");
    refresh(&text(&first, "refresh_token")).await.problem(401, "SESSION_OVER");
    refresh(&text(&second, "refresh_token")).await.problem(401, "SESSION_OVER");
    server.get("/v1/auth/me").by(&text(&second, "access_token")).send().await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn ch5_the_same_header_carries_a_token_or_a_key() {
    let (server, email, _) = scene().await;
    let token = text(&log_in(&server, &email).await, "access_token");
    let made = server.post("/v1/keys", &json!({ "permissions": ["keys:read"] })).by(&token).send().await.is(201);
    let listed = server.get("/v1/keys").by(&token).send().await.is(200);
    assert_eq!(server.get("/v1/keys").by(&text(&made, "key")).send().await.is(200), listed);
}

#[tokio::test]
async fn ch6_setting_up_answers_with_a_secret_any_authenticator_loads() {
    let (server, email, _) = scene().await;
    let token = text(&log_in(&server, &email).await, "access_token");
    let answer = server.post("/v1/auth/2fa/setup", &Value::Null).by(&token).send().await.with(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let secret = text(&answer.body, "secret");
    assert_eq!(secret.len(), 32, "160 bits in base 32");
    let name = email.replace('@', "%40");
    let url = format!("otpauth://totp/Keywright:{name}?secret={secret}&issuer=Keywright");
    assert_eq!(answer.body, json!({ "secret": secret, "qr_code_url": url }));
    let picture = server.get("/v1/auth/2fa/qr.svg").by(&token).send().await.with(200);
    assert_eq!(picture.header("content-type"), Some("image/svg+xml"));
    assert!(picture.text.contains("<svg") && !picture.text.contains(&secret));
    log_in(&server, &email).await;
}

/// security.md 26
#[tokio::test]
async fn ch7_a_code_turns_it_on_and_answers_with_codes_good_once_each() {
    let (server, email, _) = scene().await;
    let token = text(&log_in(&server, &email).await, "access_token");
    let (_, codes) = enrol(&server, &token).await;
    assert_eq!(codes.len(), 10);
    let with = async |code: &str| {
        let body = json!({ "email": email, "password": PASSWORD, "code": code });
        server.post("/v1/auth/login", &body).by_nobody().send().await
    };
    for code in &codes[..3] {
        with(code).await.is(200);
        with(code).await.problem(401, "SECOND_FACTOR_WRONG");
    }
    let me = server.get("/v1/auth/me").by(&token).send().await.is(200);
    assert_eq!((&me["user"]["second_factor"], &me["backup_codes_left"]), (&json!(true), &json!(7)));
}

/// security.md 21
#[tokio::test]
async fn ch8_a_login_without_a_code_says_so_and_ends_with_one_taken_once() {
    let (server, email, _) = scene().await;
    let token = text(&log_in(&server, &email).await, "access_token");
    let (secret, codes) = enrol(&server, &token).await;
    let body = json!({ "email": email, "password": PASSWORD });
    let lacking = server.post("/v1/auth/login", &body).by_nobody().send().await;
    let challenge = text(&lacking.problem(401, "SECOND_FACTOR_REQUIRED"), "challenge");
    server.wait("30s");
    let now = code(&secret, 30);
    let by_challenge = async |code: &str| {
        let body = json!({ "challenge": challenge, "code": code });
        server.post("/v1/auth/login", &body).by_nobody().send().await
    };
    by_challenge(&now).await.is(200);
    by_challenge(&now).await.problem(401, "SECOND_FACTOR_WRONG");
    by_challenge(&codes[0]).await.is(200);
    by_challenge(&codes[0]).await.problem(401, "SECOND_FACTOR_WRONG");
}

#[tokio::test]
async fn ch9_sessions_and_keys_are_listed_and_revocable() {
    let (server, email, _) = scene().await;
    let (first, second) = (log_in(&server, &email).await, log_in(&server, &email).await);
    let token = text(&first, "access_token");
    let listed = server.get("/v1/sessions").by(&token).send().await.is(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    let other = server.get("/v1/auth/me").by(&text(&second, "access_token")).send().await.is(200);
    let path = format!("/v1/sessions/{}", text(&other, "session_id"));
    server.delete(&path).by(&token).send().await.is(204);
    server.get("/v1/auth/me").by(&text(&second, "access_token")).send().await.problem(401, "UNAUTHENTICATED");
    let body = json!({ "name": "k", "scopes": ["org:read"], "expires_in": "1d" });
    let made = server.post("/v1/auth/api-keys", &body).by(&token).send().await.is(201);
    assert_eq!(server.get("/v1/auth/api-keys").by(&token).send().await.is(200)["data"][0]["id"], made["id"]);
    server.delete(&format!("/v1/auth/api-keys/{}", text(&made, "id"))).by(&token).send().await.is(204);
    assert_eq!(server.code(&text(&made, "key")).await, "REVOKED");
}
