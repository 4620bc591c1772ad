//! `Idempotency-Key` on `POST /v1/keys`

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer, text};

async fn create(server: &TestServer, token: &str, body: &Value) -> Answer {
    server.post("/v1/keys", body).header("idempotency-key", token).send().await
}

#[tokio::test]
async fn a_replay_answers_with_the_key_that_was_made_but_not_with_its_secret() {
    let server = TestServer::start().await;
    let body = json!({ "account_id": server.account().await, "name": "once" });
    let first = create(&server, "7f5c2b1e", &body).await;
    let mut made = first.is(201);
    let replay = create(&server, "7f5c2b1e", &body).await;
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    assert_eq!(replay.header("location"), first.header("location"));
    assert_eq!(replay.header("cache-control"), Some("no-store"));
    let key = made.as_object_mut().unwrap().remove("key").unwrap();
    assert_eq!(replay.is(200), made);
    assert_eq!(server.code(key.as_str().unwrap()).await, "VALID");
    let listed = server.get(&format!("/v1/keys?account_id={}", text(&made, "account_id"))).send().await.is(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_replay_shows_the_key_as_it_is_now() {
    let server = TestServer::start().await;
    let body = json!({ "account_id": server.account().await });
    let id = text(&create(&server, "a", &body).await.is(201), "id");
    server.delete(&format!("/v1/keys/{id}")).send().await.is(204);
    assert_eq!(create(&server, "a", &body).await.is(200)["status"], "revoked");
}

#[tokio::test]
async fn the_same_token_with_another_request_is_refused() {
    let server = TestServer::start().await;
    let account = server.account().await;
    create(&server, "a", &json!({ "account_id": account, "name": "one" })).await.is(201);
    let other = create(&server, "a", &json!({ "account_id": account, "name": "two" })).await;
    assert!(other.wrong("Idempotency-Key").contains("another request"));
}

#[tokio::test]
async fn each_caller_has_tokens_of_their_own() {
    let server = TestServer::start().await;
    let body = json!({ "account_id": server.account().await });
    create(&server, "a", &body).await.is(201);
    let other = server.operator_with(&["*"]).await;
    server.post("/v1/keys", &body).by(&other).header("idempotency-key", "a").send().await.is(201);
}

#[tokio::test]
async fn a_token_is_forgotten_after_a_day() {
    let server = TestServer::start().await;
    let body = json!({ "account_id": server.account().await });
    create(&server, "a", &body).await.is(201);
    server.wait("23h");
    server.app.forget_replays().await.unwrap();
    create(&server, "a", &body).await.is(200);
    server.wait("61m");
    server.app.forget_replays().await.unwrap();
    create(&server, "a", &body).await.is(201);
}

#[tokio::test]
async fn a_refused_request_uses_up_no_token() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let wrong = json!({ "account_id": account, "credits": -1 });
    create(&server, "a", &wrong).await.wrong("credits");
    create(&server, "a", &json!({ "account_id": account })).await.is(201);
}

#[tokio::test]
async fn a_token_is_1_to_255_visible_characters() {
    let server = TestServer::start().await;
    let body = json!({ "account_id": server.account().await });
    for token in ["".as_bytes(), "a b".as_bytes(), "é".as_bytes(), "x".repeat(256).as_bytes()] {
        let call = server.post("/v1/keys", &body).raw_header("idempotency-key", token);
        assert!(call.send().await.wrong("Idempotency-Key").contains("UUID"));
    }
    create(&server, &"x".repeat(255), &body).await.is(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_identical_requests_at_once_make_one_key() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let body = json!({ "account_id": account });
    let calls = (0..20).map(|_| create(&server, "at-once", &body));
    let answers = join_all(calls).await;
    let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1);
    let id = text(&made[0].json(), "id");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let replayed = answer.is(200);
        assert_eq!((text(&replayed, "id"), replayed.get("key")), (id.clone(), None));
    }
    let listed = server.get(&format!("/v1/keys?account_id={account}")).send().await.is(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}
