//! Guessing: counted on every path that checks a secret, against the key guessed at and the address it comes from.

use serde_json::{Value, json};

use crate::harness::{TestServer, text};

/// A guess at a key: its public part and another secret.
fn guess(key: &str, number: u32) -> String {
    let shown = key.len() - 26;
    format!("{}{number:026x}", &key[..shown])
}

/// A WAVIS key, whose kind locks after ten wrong guesses at a key or twenty from an address, within five minutes.
async fn scene() -> (TestServer, String) {
    let server = TestServer::start().await;
    let account = server.account().await;
    let made = server.post("/v1/keys", &json!({ "account_id": account, "kind": "wavis" })).send().await.is(201);
    let key = text(&made, "key");
    assert_eq!(text(&made, "prefix").len() + 26, key.len());
    (server, key)
}

/// security.md 31
#[tokio::test]
async fn ten_guesses_at_a_key_lock_it_for_a_quarter_of_an_hour() {
    let (server, key) = scene().await;
    assert_eq!(server.code(&key).await, "VALID");
    for number in 0..10 {
        assert_eq!(server.code(&guess(&key, number)).await, "NOT_FOUND");
    }
    for presented in [&guess(&key, 11), &key] {
        let locked = server.post("/v1/keys/verify", &json!({ "key": presented })).send().await.with(200);
        let told = (&locked.body["code"], &locked.body["retry_after"], locked.header("retry-after"));
        assert_eq!(told, (&json!("RATE_LIMITED"), &json!(900), Some("900")));
        assert_eq!(locked.body["key_id"], Value::Null, "a lock tells nobody whether the key was right");
    }
    server.wait("14m");
    assert_eq!(server.code(&guess(&key, 12)).await, "RATE_LIMITED");
    server.wait("1m");
    assert_eq!(server.code(&key).await, "VALID", "a lock ends by itself, whatever is guessed meanwhile");
}

#[tokio::test]
async fn a_lock_holds_for_the_key_that_is_guessed_at_alone() {
    let (server, key) = scene().await;
    let account = server.account().await;
    let (_, other) = server.key_of(&account, json!({ "kind": "wavis" })).await.pair();
    for number in 0..10 {
        server.code(&guess(&key, number)).await;
    }
    assert_eq!((server.code(&key).await, server.code(&other).await), ("RATE_LIMITED".into(), "VALID".into()));
}

#[tokio::test]
async fn guesses_further_apart_than_five_minutes_do_not_add_up() {
    let (server, key) = scene().await;
    for number in 0..30 {
        assert_eq!(server.code(&guess(&key, number)).await, "NOT_FOUND");
        server.wait("34s");
    }
    assert_eq!(server.code(&key).await, "VALID");
}

#[tokio::test]
async fn a_right_key_between_wrong_ones_is_no_guess_and_forgives_none() {
    let (server, key) = scene().await;
    for number in 0..10 {
        assert_eq!(server.code(&key).await, "VALID");
        assert_eq!(server.code(&guess(&key, number)).await, "NOT_FOUND");
    }
    assert_eq!(server.code(&key).await, "RATE_LIMITED");
}

/// security.md 30, 33
#[tokio::test]
async fn twenty_guesses_from_one_address_lock_it_out_in_every_spelling() {
    let (server, key) = scene().await;
    let verify = async |key: &str, ip: &str| server.verify(json!({ "key": key, "ip": ip })).await;
    for number in 0..20u32 {
        let anybodys = format!("wvs_live_{number:06x}{:026x}", 7);
        let ip = if number % 2 == 0 { "192.0.2.7" } else { "::ffff:192.0.2.7" };
        assert_eq!(verify(&anybodys, ip).await["code"], "NOT_FOUND");
    }
    for ip in ["192.0.2.7", "::ffff:192.0.2.7"] {
        let locked = verify(&key, ip).await;
        assert_eq!((&locked["code"], &locked["retry_after"]), (&json!("RATE_LIMITED"), &json!(900)));
    }
    assert_eq!(verify(&key, "192.0.2.8").await["code"], "VALID");
    server.wait("15m");
    assert_eq!(verify(&key, "192.0.2.7").await["code"], "VALID");
}

/// security.md 30
#[tokio::test]
async fn malformed_keys_are_held_against_the_address_they_come_from_and_nobody_else() {
    let (server, key) = scene().await;
    let cut = &key[..key.len() - 1];
    let from = async |ip: &str, key: &str| server.verify(json!({ "key": key, "ip": ip })).await;
    for _ in 0..25 {
        assert_eq!(server.code(cut).await, "MALFORMED", "without an address there is nobody to hold it against");
    }
    for _ in 0..20 {
        assert_eq!(from("192.0.2.7", cut).await["code"], "MALFORMED");
    }
    for presented in [cut, &key] {
        let locked = from("192.0.2.7", presented).await;
        assert_eq!((&locked["code"], &locked["retry_after"]), (&json!("RATE_LIMITED"), &json!(900)));
    }
    let batch =
        json!({ "requests": [{ "key": cut, "ip": "192.0.2.7" }, { "key": cut, "ip": "192.0.2.8" }, { "key": cut }] });
    let batch = server.post("/v1/keys/verify-batch", &batch).send().await.is(200);
    let codes: Vec<&str> = (0..3).filter_map(|number| batch["results"][number]["code"].as_str()).collect();
    assert_eq!(codes, ["RATE_LIMITED", "MALFORMED", "MALFORMED"]);
    assert_eq!(server.code(&key).await, "VALID");
}

/// security.md 28
#[tokio::test]
async fn guesses_count_together_on_whatever_path_they_come() {
    let (server, key) = scene().await;
    let mut number = 0;
    let mut next = || {
        number += 1;
        guess(&key, number)
    };
    for _ in 0..2 {
        let bare = next();
        server.get("/v1/keys/self").by_nobody().header("authorization", &bare).send().await.is(401);
        server.call("GET", "/v1/keys").by(&next()).carrying(&Value::Null).send().await.with(401);
        assert_eq!(server.code(&next()).await, "NOT_FOUND");
        let form = json!(format!("token={}", next()));
        assert_eq!(server.post("/v1/introspect", &form).send().await.is(200)["active"], false);
        let batch = json!({ "requests": [{ "key": next() }] });
        server.post("/v1/keys/verify-batch", &batch).send().await.with(200);
    }
    let refused = server.call("GET", "/v1/keys/self").by(&key).carrying(&Value::Null).send().await;
    refused.problem(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), Some("900"));
    assert_eq!(server.code(&key).await, "RATE_LIMITED");
    let batch = server.post("/v1/keys/verify-batch", &json!({ "requests": [{ "key": key }] })).send().await.is(200);
    assert_eq!(batch["results"][0]["code"], "RATE_LIMITED");
    let form = json!(format!("token={key}"));
    assert_eq!(server.post("/v1/introspect", &form).send().await.is(200)["active"], false);
    let explained = server.post("/v1/keys/explain", &json!({ "key": key })).send().await.is(200);
    assert_eq!(explained["code"], "RATE_LIMITED");
}

#[tokio::test]
async fn an_operator_sees_a_lockout_and_lifts_it() {
    let (server, key) = scene().await;
    assert_eq!(server.get("/v1/lockouts").send().await.is(200), json!({ "data": [], "next_cursor": null }));
    for number in 0..10 {
        server.code(&guess(&key, number)).await;
    }
    let listed = server.get("/v1/lockouts").send().await.is(200);
    let id = text(&listed["data"][0], "id");
    let expected = json!({
        "id": id, "kind": "wavis", "key_prefix": &key[..key.len() - 26], "email": null, "ip": null, "rule": "10 in 5m for 15m",
        "since": "2026-11-21T09:00:00.000Z", "until": "2026-11-21T09:15:00.000Z",
    });
    assert_eq!(listed, json!({ "data": [expected], "next_cursor": null }));
    server.delete(&format!("/v1/lockouts/{id}")).send().await.is(204);
    assert_eq!(server.code(&key).await, "VALID");
    for number in 0..9 {
        assert_eq!(server.code(&guess(&key, number)).await, "NOT_FOUND", "counting begins anew");
    }
    server.delete(&format!("/v1/lockouts/{id}")).send().await.problem(404, "NOT_FOUND");
    let lifted = server.get("/v1/audit?action=lockout.lift").send().await.is(200);
    let row = &lifted["data"][0];
    assert_eq!((&row["target"], &row["detail"]["key_prefix"]), (&json!(id), &json!(&key[..key.len() - 26])));
    assert_eq!(lifted["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_lockout_that_is_over_is_listed_no_more_and_cannot_be_lifted() {
    let (server, key) = scene().await;
    for number in 0..10 {
        server.code(&guess(&key, number)).await;
    }
    let id = text(&server.get("/v1/lockouts").send().await.is(200)["data"][0], "id");
    server.wait("15m");
    assert_eq!(server.get("/v1/lockouts").send().await.is(200)["data"], json!([]));
    server.delete(&format!("/v1/lockouts/{id}")).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn lockouts_come_in_pages_newest_first() {
    let (server, _) = scene().await;
    for address in 1..=3 {
        for number in 0..20u32 {
            let anybodys = format!("wvs_live_{address:02x}{number:04x}{:026x}", 7);
            server.verify(json!({ "key": anybodys, "ip": format!("192.0.2.{address}") })).await;
        }
        server.wait("1s");
    }
    let first = server.get("/v1/lockouts?limit=2").send().await.is(200);
    let next = text(&first, "next_cursor");
    let second = server.get(&format!("/v1/lockouts?limit=2&cursor={next}")).send().await.is(200);
    let addresses =
        |page: &Value| page["data"].as_array().unwrap().iter().map(|row| text(row, "ip")).collect::<Vec<_>>();
    assert_eq!(
        (addresses(&first), addresses(&second)),
        (vec!["192.0.2.3".into(), "192.0.2.2".into()], vec!["192.0.2.1".into()],)
    );
    assert_eq!(second["next_cursor"], Value::Null);
}
