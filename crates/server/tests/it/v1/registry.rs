//! `/v1/accounts/{id}/services`

use serde_json::{Value, json};

use crate::harness::{NO_ACCOUNT, NOW, TestServer, text};

const NO_SERVICE: &str = "svc_01arz3ndektsv4rrffq69g5fav";

#[tokio::test]
async fn a_service_is_written_down_changed_and_struck_off() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let path = format!("/v1/accounts/{account}/services");
    let body = json!({ "service_type": "database", "name": "prod", "region": "oslo", "metadata": { "engine": "pg" } });
    let answer = server.post(&path, &body).send().await;
    let made = answer.is(201);
    let id = text(&made, "id");
    assert_eq!(answer.header("location"), Some(format!("{path}/{id}").as_str()));
    let mut expected = json!({
        "id": id, "account_id": account, "service_type": "database", "name": "prod", "status": "running",
        "region": "oslo", "metadata": { "engine": "pg" }, "created_at": NOW, "updated_at": NOW,
    });
    assert_eq!(made, expected);
    server.wait("1h");
    let one = format!("{path}/{id}");
    expected["status"] = "stopped".into();
    expected["region"] = "".into();
    expected["updated_at"] = "2026-11-21T10:00:00.000Z".into();
    let change = json!({ "status": "stopped", "region": "", "service_type": "database" });
    assert_eq!(server.patch(&one, &change).send().await.is(200), expected);
    assert_eq!(server.get(&path).send().await.is(200), json!({ "data": [expected], "next_cursor": null }));
    server.delete(&one).send().await.is(204);
    server.delete(&one).send().await.problem(404, "NOT_FOUND");
    assert_eq!(server.get(&path).send().await.is(200)["data"], json!([]));
    let audit = server.get(&format!("/v1/audit?target={id}")).send().await.is(200);
    let actions: Vec<String> = audit["data"].as_array().unwrap().iter().map(|row| text(row, "action")).collect();
    assert_eq!(actions, ["service.delete", "service.update", "service.create"]);
}

#[tokio::test]
async fn a_repeated_request_writes_down_one_service() {
    let server = TestServer::start().await;
    let path = format!("/v1/accounts/{}/services", server.account().await);
    let body = json!({ "service_type": "vps", "name": "web-1" });
    let create = || server.post(&path, &body).header("idempotency-key", "a");
    let made = create().send().await.is(201);
    let again = create().send().await;
    assert_eq!((again.is(200), again.header("idempotent-replayed")), (made, Some("true")));
    assert_eq!(server.get(&path).send().await.is(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let server = TestServer::start().await;
    let path = format!("/v1/accounts/{}/services", server.account().await);
    for (body, field) in [
        (json!({ "name": "a" }), "service_type"),
        (json!({ "service_type": "Data Base", "name": "a" }), "service_type"),
        (json!({ "service_type": "vps" }), "name"),
        (json!({ "service_type": "vps", "name": "x".repeat(101) }), "name"),
        (json!({ "service_type": "vps", "name": "a", "status": "" }), "status"),
        (json!({ "service_type": "vps", "name": "a", "region": "O slo" }), "region"),
        (json!({ "service_type": "vps", "name": "a", "metadata": { "x": "y".repeat(5_000) } }), "metadata"),
        (json!({ "service_type": "vps", "name": "a", "metadata": { "ssh_key_ids": "x" } }), "metadata.ssh_key_ids"),
        (json!({ "service_type": "vps", "name": "a", "id": NO_SERVICE }), "id"),
        (json!({ "service_type": "vps", "name": "a", "created_at": NOW }), "created_at"),
    ] {
        server.post(&path, &body).send().await.wrong(field);
    }
    let id = text(&server.post(&path, &json!({ "service_type": "vps", "name": "a" })).send().await.is(201), "id");
    let one = format!("{path}/{id}");
    server.patch(&one, &json!({ "service_type": "database" })).send().await.wrong("service_type");
    server.patch(&one, &json!({ "name": "" })).send().await.wrong("name");
}

#[tokio::test]
async fn a_service_is_found_under_its_own_account_alone() {
    let server = TestServer::start().await;
    let (account, other) = (server.account().await, server.account().await);
    let body = json!({ "service_type": "vps", "name": "a" });
    let id = text(&server.post(&format!("/v1/accounts/{account}/services"), &body).send().await.is(201), "id");
    for path in [
        format!("/v1/accounts/{other}/services/{id}"),
        format!("/v1/accounts/{account}/services/{NO_SERVICE}"),
        format!("/v1/accounts/{account}/services/nonsense"),
        format!("/v1/accounts/nonsense/services/{id}"),
        format!("/v1/accounts/{NO_ACCOUNT}/services/{id}"),
    ] {
        server.patch(&path, &json!({ "name": "b" })).send().await.problem(404, "NOT_FOUND");
        server.delete(&path).send().await.problem(404, "NOT_FOUND");
    }
    // The operators' own account is no customer.
    for none in [NO_ACCOUNT, "nonsense", "acc_00000000000000000000000000"] {
        server.post(&format!("/v1/accounts/{none}/services"), &body).send().await.problem(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_customer_reads_their_own_and_writes_none() {
    let server = TestServer::start().await;
    let (account, other) = (server.account().await, server.account().await);
    let (_, own) = server.key_of(&account, json!({ "permissions": ["*"] })).await.pair();
    let path = format!("/v1/accounts/{account}/services");
    let body = json!({ "service_type": "vps", "name": "a" });
    server.post(&path, &body).send().await.is(201);
    assert_eq!(server.get(&path).by(&own).send().await.is(200)["data"].as_array().unwrap().len(), 1);
    server.post(&path, &body).by(&own).send().await.problem(403, "FORBIDDEN");
    server.get(&format!("/v1/accounts/{other}/services")).by(&own).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn pages_follow_each_other() {
    let server = TestServer::start().await;
    let path = format!("/v1/accounts/{}/services", server.account().await);
    let mut made = Vec::new();
    for number in 0..5 {
        let body = json!({ "service_type": "vps", "name": format!("web-{number}") });
        made.push(text(&server.post(&path, &body).send().await.is(201), "id"));
        server.wait("1s");
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{path}?limit=2{cursor}")).send().await.is(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|row| text(row, "id")));
        let Some(next) = page["next_cursor"].as_str() else {
            assert_eq!(page["next_cursor"], Value::Null);
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, made);
    server.get(&format!("{path}?cursor=key_1")).send().await.wrong("cursor");
}
