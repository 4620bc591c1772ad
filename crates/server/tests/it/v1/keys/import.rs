//! `POST /v1/keys/import`

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{NO_ACCOUNT, TestServer, text};

/// The SHA-256 of a key, as other systems keep it.
fn hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

const OLD: &str = "sk_prod_9f8e7d6c5b4a39281706";

async fn import(server: &TestServer, account: &str, rows: Value) -> Value {
    let body = json!({ "account_id": account, "keys": rows });
    server.post("/v1/keys/import", &body).send().await.is(200)
}

#[tokio::test]
async fn a_key_known_by_its_hash_alone_works_with_what_it_was_given() {
    let server = TestServer::start().await;
    let account = server.account().await;
    assert_eq!(server.code(OLD).await, "MALFORMED", "before an import nothing of the kind is a key");
    let row =
        json!({ "hash": hash(OLD), "prefix": "sk_prod_9f", "name": "old", "permissions": ["a:read"], "credits": 5 });
    let report = import(&server, &account, json!([row])).await;
    let id = text(&report["results"][0], "id");
    let expected = json!({ "created": 1, "present": 0, "refused": 0, "results": [{ "index": 0, "outcome": "created", "id": id }] });
    assert_eq!(report, expected);
    let verified = server.verify(json!({ "key": OLD, "permissions": ["a:read"] })).await;
    assert_eq!(
        [&verified["code"], &verified["key_id"], &verified["credits"]],
        [&json!("VALID"), &json!(id), &json!(4)]
    );
    let shown = server.get(&format!("/v1/keys/{id}")).send().await.is(200);
    assert_eq!([&shown["kind"], &shown["prefix"], &shown["last_four"]], ["imported", "sk_prod_9f", ""]);
}

/// How often a key was no key of any kind, by the server's own count.
async fn malformed(server: &TestServer) -> u32 {
    let metrics = server.get("/metrics").send().await.with(200).text;
    let count =
        metrics.lines().find_map(|line| line.strip_prefix(r#"keywright_verifications_total{outcome="MALFORMED"} "#));
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn what_only_an_imported_key_can_be_is_no_callers_key_before_there_is_one() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let ask = async || drop(server.get("/v1/keys/self").by(OLD).send().await.problem(401, "UNAUTHENTICATED"));
    ask().await;
    assert_eq!(malformed(&server).await, 1);
    import(&server, &account, json!([{ "hash": hash("another-key-of-old") }])).await;
    ask().await;
    assert_eq!(malformed(&server).await, 1, "it was looked for, and there is none");
}

#[tokio::test]
async fn a_bad_row_is_refused_with_its_reason_and_the_others_go_in() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let rows = json!([
        { "hash": hash(OLD) },
        { "hash": "short" },
        { "name": "no hash" },
        { "hash": hash("another"), "colour": "red" },
        { "hash": hash("a-third"), "credits": -1 },
        { "hash": hash(OLD) },
    ]);
    let report = import(&server, &account, rows).await;
    assert_eq!([&report["created"], &report["present"], &report["refused"]], [&json!(1), &json!(1), &json!(4)]);
    let outcomes: Vec<&str> =
        report["results"].as_array().unwrap().iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["created", "refused", "refused", "refused", "refused", "present"]);
    for (index, told) in [(1, "64 hexadecimal digits"), (2, "hash: is required"), (3, "colour"), (4, "credits")] {
        let reason = text(&report["results"][index], "reason");
        assert!(reason.contains(told), "{index}: {reason}");
    }
}

#[tokio::test]
async fn an_import_that_was_cut_off_is_run_again() {
    let server = TestServer::start().await;
    let account = server.account().await;
    import(&server, &account, json!([{ "hash": hash("first-key-of-old") }])).await;
    let report =
        import(&server, &account, json!([{ "hash": hash("first-key-of-old") }, { "hash": hash("second-key-of-old") }]))
            .await;
    assert_eq!([&report["created"], &report["present"]], [&json!(1), &json!(1)]);
}

#[tokio::test]
async fn an_imported_key_is_revoked_and_rotated_like_any_other() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let report = import(&server, &account, json!([{ "hash": hash(OLD) }])).await;
    let path = format!("/v1/keys/{}", text(&report["results"][0], "id"));
    assert_eq!(server.code(OLD).await, "VALID");
    let rotated = server.post(&format!("{path}/rotate"), &json!({ "grace": "1h" })).send().await.is(200);
    let new = text(&rotated, "key");
    assert!(new.starts_with("kw_live_"), "a new secret is of the native format");
    assert_eq!([server.code(OLD).await, server.code(&new).await], ["VALID"; 2]);
    server.delete(&path).send().await.is(204);
    assert_eq!([server.code(OLD).await, server.code(&new).await], ["REVOKED"; 2]);
}

#[tokio::test]
async fn an_import_as_a_whole_is_refused_for_its_account_its_kind_or_its_size() {
    let server = TestServer::start().await;
    let account = server.account().await;
    server.post("/v1/keys/import", &json!({ "keys": [] })).send().await.wrong("account_id");
    server.post("/v1/keys/import", &json!({ "account_id": account })).send().await.wrong("keys");
    let body = json!({ "account_id": account, "kind": "gold", "keys": [] });
    server.post("/v1/keys/import", &body).send().await.wrong("kind");
    let body = json!({ "account_id": NO_ACCOUNT, "keys": [] });
    server.post("/v1/keys/import", &body).send().await.problem(404, "NOT_FOUND");
    let rows: Vec<Value> = (0..1_001).map(|number| json!({ "hash": hash(&number.to_string()) })).collect();
    let body = json!({ "account_id": account, "keys": rows });
    assert!(server.post("/v1/keys/import", &body).send().await.wrong("keys").contains("at most 1000"));
}

#[tokio::test]
async fn a_key_that_was_tried_before_its_import_works_after_it() {
    let server = TestServer::start().await;
    let account = server.account().await;
    import(&server, &account, json!([{ "hash": hash("another-key-of-old") }])).await;
    assert_eq!(server.code(OLD).await, "NOT_FOUND");
    import(&server, &account, json!([{ "hash": hash(OLD) }])).await;
    assert_eq!(server.code(OLD).await, "VALID");
}
