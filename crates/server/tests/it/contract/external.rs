//! WAYSCloud and WAVIS: keys that people make with an access token of their company's identity provider.

use serde_json::json;

use crate::harness::{TestServer, text};
use crate::issuer::Issuer;

const DASHBOARD: &str = "/api/v1/dashboard/api-keys";
const USER: &str = "/api/v1/user/api-keys";

/// A server, an identity provider it trusts, and the token of an account's owner.
async fn scene() -> (TestServer, Issuer, String) {
    let (server, issuer) = (TestServer::start().await, Issuer::start(1).await);
    issuer.trusted_by(&server, "");
    let account = server.account().await;
    issuer.person(&server, &account, "owner", "ann").await;
    let token = issuer.token("ann");
    (server, issuer, token)
}

#[tokio::test]
async fn wa9_an_external_access_token_makes_a_key_from_the_documented_body() {
    let (server, issuer, token) = scene().await;
    let body = json!({ "name": "Nightly backup", "service": "storage", "description": "Copies to another region" });
    let made = server.post(DASHBOARD, &body).by(&token).send().await.is(201);
    assert_eq!(
        (&made["name"], &made["services"], &made["description"]),
        (&body["name"], &json!(["storage"]), &body["description"])
    );
    assert_eq!(server.code(&text(&made, "key")).await, "VALID");
    let stranger = server.post(DASHBOARD, &body).by(&issuer.token("eve")).send().await.is(403);
    assert!(stranger["code"] == "FORBIDDEN" && text(&stranger, "error").contains("nobody's here"), "{stranger}");
    server.post(DASHBOARD, &body).by(&token[..token.len() - 2]).send().await.wayscloud_error(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn wv8_an_external_access_token_makes_a_key_with_a_developers_role() {
    let (server, issuer, token) = scene().await;
    let made = server.post(USER, &json!({ "environment": "live" })).by(&token).send().await.is(201);
    let expected = json!({
        "key": made["key"], "id": made["id"], "prefix": made["prefix"], "created_at": "2026-11-21T09:00:00Z",
        "environment": "live",
    });
    assert_eq!(made, expected);
    assert_eq!(server.verify(json!({ "key": made["key"] })).await["role"], "developer");
    server.delete(&format!("{USER}/{}", text(&made, "id"))).by(&token).send().await.with(204);
    let stranger = server.post(USER, &json!({})).by(&issuer.token("eve")).send().await.is(403);
    assert!(stranger["code"] == "FORBIDDEN" && text(&stranger, "error").contains("nobody's here"), "{stranger}");
}
