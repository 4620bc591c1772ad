//! `GET /v1/keys/{id}`

use serde_json::{Value, json};

use crate::harness::{NO_KEY, NOW, TestServer, text};

#[tokio::test]
async fn a_key_is_shown_with_the_secrets_that_still_work() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "name": "mine" })).await;
    let path = format!("/v1/keys/{}", issued.id);
    let mut expected = issued.shown.clone();
    expected.as_object_mut().unwrap().remove("key");
    let first = json!({ "prefix": expected["prefix"], "last_four": expected["last_four"], "created_at": NOW, "expires_at": null });
    expected["secrets"] = json!([first]);
    assert_eq!(server.get(&path).send().await.is(200), expected);

    server.wait("1h");
    let rotated = server.post(&format!("{path}/rotate"), &json!({ "grace": "2h" })).send().await.is(200);
    let mut ending = first.clone();
    ending["expires_at"] = "2026-11-21T12:00:00.000Z".into();
    let second = json!({
        "prefix": rotated["prefix"], "last_four": rotated["last_four"],
        "created_at": "2026-11-21T10:00:00.000Z", "expires_at": null,
    });
    assert_eq!(server.get(&path).send().await.is(200)["secrets"], json!([second, ending]));
    server.wait("2h");
    assert_eq!(server.get(&path).send().await.is(200)["secrets"], json!([second]));
}

#[tokio::test]
async fn the_last_use_is_shown_with_where_it_came_from() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    server.wait("5m");
    let asked = json!({ "key": issued.key, "ip": "::ffff:203.0.113.7", "user_agent": "curl/8.7" });
    assert_eq!(server.verify(asked).await["code"], "VALID");
    server.app.flush_usage().await.unwrap();
    let shown = server.get(&format!("/v1/keys/{}", issued.id)).send().await.is(200);
    assert_eq!(shown["last_used_at"], "2026-11-21T09:05:00.000Z");
    assert_eq!((&shown["last_used_ip"], &shown["last_used_user_agent"]), (&json!("203.0.113.7"), &json!("curl/8.7")));
    assert_eq!(shown["updated_at"], NOW, "a use is no change");
}

#[tokio::test]
async fn credits_shown_are_what_is_left_however_they_are_kept() {
    let server = TestServer::start().await;
    let issued = server.key(json!({ "credits": 100 })).await;
    let path = format!("/v1/keys/{}", issued.id);
    for left in [99, 98, 97] {
        server.verify(json!({ "key": issued.key })).await;
        assert_eq!(server.get(&path).send().await.is(200)["credits"], left);
    }
    let listed = server.get(&format!("/v1/keys?account_id={}", text(&issued.shown, "account_id"))).send().await.is(200);
    assert_eq!(listed["data"][0]["credits"], 97, "a list tells the same as the key itself");
}

#[tokio::test]
async fn what_is_not_an_id_is_as_good_as_missing() {
    let server = TestServer::start().await;
    let missing = server.get(&format!("/v1/keys/{NO_KEY}")).send().await;
    let told = |problem: &Value| [text(problem, "code"), text(problem, "detail"), text(problem, "type")];
    let expected = told(&missing.problem(404, "NOT_FOUND"));
    for id in ["7", "key_", &NO_KEY.to_uppercase(), "acc_01arz3ndektsv4rrffq69g5fav", "%20", "%ff", "..%2f", "é"] {
        let encoded: String = id
            .bytes()
            .map(|byte| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02x}") })
            .collect();
        let answer = server.get(&format!("/v1/keys/{encoded}")).send().await;
        assert_eq!(told(&answer.problem(404, "NOT_FOUND")), expected, "{id}");
    }
}
