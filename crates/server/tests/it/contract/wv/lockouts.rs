//! Guessing at keys, on every path.

use futures_util::future::join_all;
use keywright_server::{Needs, ROUTES, Route};
use serde_json::json;

use super::{behind_a_proxy, key_of, status};
use crate::harness::{NOW, TestServer};

/// A guess at a key: its public part and another secret.
fn guess(key: &str, number: usize) -> String {
    format!("{}{number:026x}", &key[..key.len() - 26])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wv13_two_hundred_guesses_at_once_lock_a_key_once_for_a_quarter_of_an_hour() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, key) = key_of(&server, &account, "viewer", "live").await;
    let calls = (0..200).map(|number| server.get("/api/v1/health").by(&guess(&key, number)).send());
    let answers = join_all(calls).await;
    let refused = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(refused, 10, "the tenth locks, and after it nothing is tried");
    for answer in answers.iter().filter(|answer| answer.status != 401) {
        answer.wavis_error(429, "RATE_LIMITED");
        assert_eq!(answer.header("retry-after"), Some("900"));
    }
    let held = server.get("/v1/lockouts").send().await.is(200);
    assert_eq!(held["data"].as_array().unwrap().len(), 1);
    assert_eq!((&held["data"][0]["since"], &held["data"][0]["rule"]), (&json!(NOW), &json!("10 in 5m for 15m")));
    // The right key among the guesses is tried no more than the others.
    let (_, other) = key_of(&server, &account, "viewer", "live").await;
    let server = server.restarted("0s", false).await;
    let tried = |number| if number == 199 { other.clone() } else { guess(&other, number) };
    let answers = join_all((0..200).map(|number| server.get("/api/v1/health").by(&tried(number)).send())).await;
    let of = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((of(200), of(401), of(429)), (0, 10, 190));
    let key = other;
    server.wait("899s");
    let refused = server.get("/api/v1/health").by(&key).send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    server.wait("1s");
    assert_eq!(status(&server, "GET", "/api/v1/health", &key).await, 200);
}

/// A path to anything, for a credential is read before what it is about.
fn anything(route: &str) -> String {
    route.replace("{id}", "x").replace("{service_id}", "x")
}

#[tokio::test]
async fn wv13_guesses_count_on_every_path_that_reads_a_credential() {
    let server = TestServer::start().await;
    let account = server.account().await;
    // Pages read a cookie, and no key.
    let reads = |route: &&Route| !matches!(route.needs, Needs::Nothing | Needs::Browser | Needs::Desk(_));
    for Route { method, path, .. } in ROUTES.iter().filter(reads) {
        let (_, key) = key_of(&server, &account, "viewer", "live").await;
        for number in 0..10 {
            let call = server.call(method, &anything(path));
            let answer = if number % 2 == 0 {
                call.by(&guess(&key, number)).send().await
            } else {
                call.by_nobody().header("authorization", &guess(&key, number)).send().await
            };
            assert_eq!(answer.status, 401, "{method} {path}");
        }
        let refused = server.call(method, &anything(path)).by(&key).send().await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("900")), "{method} {path}");
        assert_eq!(server.code(&key).await, "RATE_LIMITED", "{method} {path}");
    }
}

#[tokio::test]
async fn wv13_guesses_count_on_every_path_that_is_asked_about_a_key() {
    let server = TestServer::start().await;
    let account = server.account().await;
    for path in ["/v1/keys/verify", "/v1/keys/verify-batch", "/v1/introspect", "/v1/revoke"] {
        let (_, key) = key_of(&server, &account, "viewer", "live").await;
        for number in 0..10 {
            let key = guess(&key, number);
            let body = match path {
                "/v1/keys/verify" => json!({ "key": key }),
                "/v1/keys/verify-batch" => json!({ "requests": [{ "key": key }] }),
                _ => json!(format!("token={key}")),
            };
            server.post(path, &body).send().await.with(200);
        }
        let refused = server.get("/api/v1/health").by(&key).send().await;
        refused.wavis_error(429, "RATE_LIMITED");
        assert_eq!(refused.header("retry-after"), Some("900"), "{path}");
    }
}

#[tokio::test]
async fn wv13_twenty_guesses_from_one_address_lock_it_out_for_a_quarter_of_an_hour() {
    let server = behind_a_proxy().await;
    let account = server.account().await;
    let (_, key) = key_of(&server, &account, "viewer", "live").await;
    let health = async |key: &str, address: &str| {
        server.get("/api/v1/health").by(key).header("x-forwarded-for", address).send().await
    };
    for number in 0..20u32 {
        let anybodys = format!("wvs_live_{number:06x}{:026x}", 7);
        health(&anybodys, "203.0.113.7").await.wavis_error(401, "");
    }
    let refused = health(&key, "203.0.113.7").await;
    refused.wavis_error(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), Some("900"));
    assert_eq!(health(&key, "203.0.113.8").await.status, 200);
    server.wait("15m");
    assert_eq!(health(&key, "203.0.113.7").await.status, 200);
}
