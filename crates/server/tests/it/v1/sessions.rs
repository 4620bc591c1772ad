//! `/v1/users` and `/v1/sessions`: people, and what their sessions are worth from one request to the next.

use serde_json::{Value, json};

use crate::harness::{NO_ACCOUNT, TestServer, text};

#[tokio::test]
async fn a_person_is_made_once_whatever_the_spelling_of_the_address() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let ann = json!({ "email": " Ann@Example.COM ", "account_id": account, "role": "developer" });
    let made = server.post("/v1/users", &ann).send().await.is(201);
    let expected = json!({
        "id": made["id"], "email": "ann@example.com", "email_verified": true, "second_factor": false, "status": "active",
        "created_at": "2026-11-21T09:00:00.000Z",
        "memberships": [{ "account_id": account, "role": "developer" }], "operator_permissions": null,
    });
    assert_eq!(made, expected);
    server.post("/v1/users", &ann).send().await.problem(409, "CONFLICT");
    let listed = server.get("/v1/users?email=ANN%40example.com").send().await.is(200);
    assert_eq!(listed, json!({ "data": [expected], "next_cursor": null }));
    assert_eq!(server.get(&format!("/v1/users/{}", text(&made, "id"))).send().await.is(200), expected);
    for (field, value) in [("email", "ann"), ("email", "ann@"), ("role", "boss"), ("account_id", NO_ACCOUNT)] {
        let mut wrong = ann.clone();
        wrong["email"] = "bob@example.com".into();
        wrong[field] = value.into();
        server.post("/v1/users", &wrong).send().await.wrong(field);
    }
}

#[tokio::test]
async fn a_session_reaches_its_own_account_with_its_persons_role() {
    let server = TestServer::start().await;
    let (account, other) = (server.account().await, server.account().await);
    let foreign = server.key_of(&other, json!({})).await.id;
    let (user, _, owner) = server.person(&account, "owner").await;
    let (_, _, viewer) = server.person(&account, "viewer").await;
    let made = server.post("/v1/keys", &json!({ "name": "by ann" })).by(&owner).send().await.is(201);
    assert_eq!((&made["account_id"], &made["created_by"]), (&json!(account), &json!(format!("user:{user}"))));
    server.get(&format!("/v1/keys/{foreign}")).by(&owner).send().await.problem(404, "NOT_FOUND");
    assert_eq!(server.get("/v1/keys").by(&viewer).send().await.is(200)["data"].as_array().map(Vec::len), Some(1));
    server.post("/v1/keys", &json!({})).by(&viewer).send().await.problem(403, "FORBIDDEN");
    server.post("/v1/accounts", &json!({ "name": "x" })).by(&owner).send().await.problem(403, "FORBIDDEN");
    server.get("/v1/keys/self").by(&owner).send().await.problem(409, "CONFLICT");
    let log = server.get("/v1/audit?action=key.create").by(&owner).send().await.is(200);
    assert_eq!(log["data"][0]["actor"], format!("user:{user}"));
}

#[tokio::test]
async fn nobody_hands_out_more_than_their_role_has() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, _, developer) = server.person(&account, "developer").await;
    let (_, _, owner) = server.person(&account, "owner").await;
    let make = async |token: &str, permission: &str| {
        server.post("/v1/keys", &json!({ "permissions": [permission] })).by(token).send().await
    };
    make(&developer, "keys:read").await.with(201);
    make(&developer, "billing:read").await.problem(403, "FORBIDDEN");
    make(&owner, "billing:read").await.with(201);
}

#[tokio::test]
async fn an_ended_session_is_refused_on_the_very_next_request() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (user, first, token) = server.person(&account, "owner").await;
    server.wait("1s");
    let (second, _) = server.session_of(&user).await;
    let own = server.get("/v1/sessions").by(&token).send().await.is(200);
    let ids: Vec<&Value> = own["data"].as_array().unwrap().iter().map(|session| &session["id"]).collect();
    assert_eq!(ids, [&json!(second), &json!(first)]);
    server.delete(&format!("/v1/sessions/{second}")).by(&token).send().await.is(204);
    server.delete(&format!("/v1/sessions/{second}")).by(&token).send().await.problem(404, "NOT_FOUND");
    server.delete(&format!("/v1/users/{user}/sessions/{first}")).send().await.is(204);
    server.get("/v1/sessions").by(&token).send().await.problem(401, "UNAUTHENTICATED");
    let ended = server.get("/v1/audit?action=session.end").send().await.is(200);
    assert_eq!(ended["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.get(&format!("/v1/users/{user}/sessions")).send().await.is(200)["data"], json!([]));
}

#[tokio::test]
async fn another_persons_session_looks_missing() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, session, _) = server.person(&account, "owner").await;
    let (other, _, token) = server.person(&account, "owner").await;
    server.delete(&format!("/v1/sessions/{session}")).by(&token).send().await.problem(404, "NOT_FOUND");
    server.delete(&format!("/v1/users/{other}/sessions/{session}")).send().await.problem(404, "NOT_FOUND");
}

/// security.md 5, 13
#[tokio::test]
async fn a_session_ends_with_its_hour_and_with_its_accounts_standing() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (user, _, token) = server.person(&account, "owner").await;
    let path = format!("/v1/accounts/{account}");
    server.patch(&path, &json!({ "status": "suspended" })).send().await.is(200);
    server.get("/v1/sessions").by(&token).send().await.problem(401, "UNAUTHENTICATED");
    server.patch(&path, &json!({ "status": "active" })).send().await.is(200);
    server.get("/v1/sessions").by(&token).send().await.is(200);
    server.wait("1h");
    server.get("/v1/sessions").by(&token).send().await.problem(401, "UNAUTHENTICATED");
    let sessions = format!("/v1/users/{user}/sessions");
    for (lasts, wrong) in [("0s", true), ("2h", true), ("1h", false), ("1s", false)] {
        let begun = server.post(&sessions, &json!({ "expires_in": lasts })).send().await;
        if wrong {
            begun.wrong("expires_in");
        } else {
            begun.with(201);
        }
    }
}

#[tokio::test]
async fn a_token_is_a_bearers_and_stands_nowhere_else() {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    for (name, value) in [
        ("authorization", token.clone()),
        ("authorization", format!("bearer {token}")),
        ("authorization", format!("Bearer  {token}")),
        ("x-api-key", token.clone()),
        ("cookie", format!("access_token={token}")),
    ] {
        let call = server.get("/v1/sessions").by_nobody().header(name, &value);
        call.send().await.problem(401, "UNAUTHENTICATED");
    }
}

/// security.md 28
#[tokio::test]
async fn forged_tokens_are_refused_and_count_as_guesses() {
    let (server, elsewhere) = (TestServer::start().await, TestServer::start().await);
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    let there = elsewhere.account().await;
    let (_, _, foreign) = elsewhere.person(&there, "owner").await;
    let cut = &token[..token.len() - 4];
    for wrong in [foreign.as_str(), cut, &format!("{cut}AAAA"), "eyJhbGciOiJub25lIn0.e30."] {
        server.get("/v1/keys").by(wrong).send().await.problem(401, "UNAUTHENTICATED");
    }
    server.get("/v1/keys").by(&token).send().await.is(200);
}
