//! Every access token somebody could forge, made by a program that shares no line with ours, at every sort of endpoint
//! that takes one: `tests/support/python/forge.py` says which there are.
//!
//! Many of them are rightly signed, as if the key were stolen: a check that only ever met wrong signatures would pass
//! without being there. Beside each key's forgeries go right tokens by the same hand, so that none is refused for a
//! mistake of the program's.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_app::core::policy::Policy;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer, text};
use crate::issuer::{Issuer, SECOND};
use crate::python;

const FORGE: &str = include_str!("../support/python/forge.py");
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// An endpoint of each sort that takes a token: native, and each provider's; reading and changing.
const DOORS: [(&str, &str); 6] = [
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("POST", "/v1/auth/api-keys"),
    ("POST", "/api/v1/user/api-keys"),
    ("GET", "/api/v1/keys"),
    ("GET", "/api/v1/dashboard/api-keys"),
];

/// Where a token's header says that keys are. Nobody may ever look.
struct Evil(TcpListener);

impl Evil {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    #[track_caller]
    fn was_left_alone(&self) {
        assert!(self.0.accept().is_err(), "a key was fetched from where a token said");
    }
}

/// A part of a token: its header, its claims.
pub(crate) fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn named(forged: &Value, kind: &str) -> Vec<(String, String)> {
    let all = forged[kind].as_object().unwrap();
    all.iter().map(|(name, token)| (name.clone(), token.as_str().unwrap().to_owned())).collect()
}

async fn introspect(server: &TestServer, token: &str) -> Answer {
    let form = serde_urlencoded::to_string([("token", token)]).unwrap();
    server.call("POST", "/v1/introspect").form(&form).send().await
}

async fn exchange(server: &TestServer, token: &str) -> Answer {
    let fields = [("grant_type", EXCHANGE), ("subject_token_type", ACCESS_TOKEN), ("subject_token", token)];
    let form = serde_urlencoded::to_string(fields).unwrap();
    server.call("POST", "/v1/token").by_nobody().form(&form).send().await
}

/// A text that cannot stand in a header reaches no endpoint in one.
fn fits_a_header(token: &str) -> bool {
    http::HeaderValue::from_str(token).is_ok()
}

/// Where a token was taken that should not have been.
pub(crate) async fn taken(server: &TestServer, token: &str, more: &[(&str, &str)]) -> Vec<String> {
    let mut taken = Vec::new();
    for (method, path) in DOORS.iter().chain(more).filter(|_| fits_a_header(token)) {
        let body = if *method == "POST" { json!({ "name": "n", "scopes": ["org:read"] }) } else { Value::Null };
        let status = server.call(method, path).carrying(&body).by(token).send().await.status;
        if status != 401 {
            taken.push(format!("{method} {path}: {status}"));
        }
    }
    if introspect(server, token).await.body["active"] == true {
        taken.push("introspection".into());
    }
    if ![400, 413].contains(&exchange(server, token).await.status) {
        taken.push("exchange".into());
    }
    taken
}

/// Everything wrong with how a server takes forged tokens, by their names.
async fn gone_wrong(server: &TestServer, wrong: &[(String, String)], more: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, token) in wrong {
        let taken = taken(server, token, more).await;
        if !taken.is_empty() {
            found.push(format!("{name} was taken: {}", taken.join(", ")));
        }
    }
    found
}

/// The keys a server signs with that it publishes, as their owner knows them.
async fn own_keys(server: &TestServer) -> Value {
    let jwks = server.get("/.well-known/jwks.json").by_nobody().send().await.is(200);
    let kid = |crv: &str| jwks["keys"].as_array().unwrap().iter().find(|key| key["crv"] == crv).unwrap()["kid"].clone();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!([
        { "alg": "EdDSA", "kid": kid("Ed25519"), "seed": hex(server.seed("token-signing").await) },
        { "alg": "ES256", "kid": kid("P-256"), "seed": hex(server.seed("token-signing-es256").await) },
    ])
}

/// security.md 1 to 5
#[tokio::test]
async fn no_forged_session_is_taken_anywhere() {
    let (server, elsewhere, evil) = (TestServer::start().await, TestServer::start().await, Evil::start());
    let (account, other) = (server.account().await, server.account().await);
    let (_, _, token) = server.person(&account, "owner").await;
    let (other_user, other_session, _) = server.person(&other, "owner").await;
    let published = async |server: &TestServer| server.get("/.well-known/jwks.json").by_nobody().send().await.text;
    server.app.reload_policy(&format!("{}\n[tokens]\nalgorithm = \"HS256\"", Policy::DEV)).unwrap();
    let (_, _, secret) = server.person(&account, "owner").await;
    let foreign: Value = serde_json::from_str(&published(&elsewhere).await).unwrap();
    let given = json!({
        "keys": own_keys(&server).await, "claims": part(&token, 1), "jwks": published(&server).await,
        "secret_kids": [part(&secret, 0)["kid"]],
        "foreign_kids": [foreign["keys"][0]["kid"]],
        "evil": evil.url(), "longest": 4_096, "now": SECOND, "is_provider": false,
        "required": ["iss", "aud", "sub", "exp", "iat", "sid", "account_id"],
        "wrong_aud": ["documents", "", "KEYWRIGHT", "keywright ", ["keywright"], ["keywright", "documents"], 7],
        "wrong_sub": ["", "local", other_user, account, "usr_00000000000000000000000000", 7],
        "wrong": {
            "another's session": { "sid": other_session },
            "another account": { "account_id": other },
            "a second more than an hour": { "exp": SECOND + 3_601 },
            "an hour of which some is over, and a year": { "iat": SECOND - 60, "exp": SECOND + 31_536_000 },
        },
    });
    let Some(forged) = python::run(FORGE, &given) else { return };
    let (right, wrong) = (named(&forged, "right"), named(&forged, "wrong"));
    assert!(right.len() >= 6 && wrong.len() > 400, "{} and {}", right.len(), wrong.len());
    let only_sessions = [("GET", "/v1/auth/me"), ("POST", "/v1/auth/logout"), ("DELETE", "/v1/sessions")];
    for algorithm in ["HS256", "ES256", "EdDSA"] {
        server.app.reload_policy(&format!("{}\n[tokens]\nalgorithm = \"{algorithm}\"", Policy::DEV)).unwrap();
        // What a shared secret could be mistaken for matters most while there is one.
        let matters = |name: &str| algorithm == "EdDSA" || name.contains(" under ");
        let wrong: Vec<_> = wrong.iter().filter(|(name, _)| matters(name)).cloned().collect();
        let found = gone_wrong(&server, &wrong, &only_sessions).await;
        assert!(found.is_empty(), "under {algorithm}:\n{}", found.join("\n"));
        for (name, token) in &right {
            assert_eq!(server.get("/v1/auth/me").by(token).send().await.status, 200, "{name} under {algorithm}");
            assert_eq!(introspect(&server, token).await.body["active"], true, "{name} under {algorithm}");
        }
    }
    evil.was_left_alone();
}

/// security.md 1 to 4: tokens had for a key are nobody's credential, and introspection says what they are worth.
#[tokio::test]
async fn no_forged_token_of_a_key_is_active() {
    let (server, evil) = (TestServer::start().await, Evil::start());
    let issued = server.key(json!({ "permissions": ["a:read"] })).await;
    let token = text(&exchange(&server, &issued.key).await.is(200), "access_token");
    let jwks = server.get("/.well-known/jwks.json").by_nobody().send().await.text;
    let given = json!({
        "keys": own_keys(&server).await, "claims": part(&token, 1), "jwks": jwks, "evil": evil.url(),
        "longest": 4_096, "now": SECOND, "is_provider": false,
        "required": ["iss", "aud", "sub", "exp", "iat", "client_id", "account_id", "scope", "jti"],
        "wrong_aud": [["keywright"], 7],
        "wrong_sub": ["", "local", "key_00000000000000000000000000", issued.shown["account_id"], 7],
        "wrong": {
            "another client": { "client_id": "key_00000000000000000000000000" },
            "another account": { "account_id": server.account().await },
            "a second more than a quarter of an hour": { "exp": SECOND + 901 },
        },
    });
    let Some(forged) = python::run(FORGE, &given) else { return };
    let (right, wrong) = (named(&forged, "right"), named(&forged, "wrong"));
    let found = gone_wrong(&server, &wrong, &[("GET", "/v1/auth/me")]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
    for (name, token) in &right {
        assert_eq!(introspect(&server, token).await.body["active"], true, "{name}");
        assert_eq!(server.get("/v1/keys").by(token).send().await.status, 401, "{name} is no credential");
    }
    evil.was_left_alone();
}

/// security.md 1 to 4, 7
#[tokio::test]
async fn no_forged_token_of_a_providers_is_taken_anywhere() {
    let (server, issuer, evil) = (TestServer::start().await, Issuer::start(1).await, Evil::start());
    issuer.trusted_by(&server, "");
    let account = server.account().await;
    issuer.person(&server, &account, "owner", "ann").await;
    let given = json!({
        "keys": [{ "alg": "EdDSA", "kid": "p-ed" }, { "alg": "ES256", "kid": "p-ec" }, { "alg": "RS256", "kid": "p-rs" }],
        "claims": issuer.claims("ann"), "evil": evil.url(), "longest": 8_192, "now": SECOND, "is_provider": true,
        "required": ["iss", "aud", "sub", "exp"],
        "wrong_aud": ["documents", "", "KEYWRIGHT", "keywright ", ["documents"], ["keywright", 7], 7],
        "wrong_sub": ["", "a\n", "a".repeat(256), 7],
        "wrong": {
            "an ID token, by its nonce": { "nonce": "n" },
            "an ID token, by its at_hash": { "at_hash": "h" },
            "an ID token, as Keycloak says it": { "typ": "ID" },
            "a logout token": { "events": {} },
            "one bound to a key": { "cnf": { "jkt": "x" } },
        },
    });
    let Some(forged) = python::run(FORGE, &given) else { return };
    issuer.publishes_these(forged["jwks"].as_array().unwrap());
    let (right, wrong) = (named(&forged, "right"), named(&forged, "wrong"));
    assert!(right.len() >= 12 && wrong.len() > 600, "{} and {}", right.len(), wrong.len());
    for (name, token) in &right {
        assert_eq!(server.get("/v1/keys").by(token).send().await.status, 200, "{name}");
        assert_eq!(introspect(&server, token).await.body["active"], false, "{name} is none of ours");
    }
    let found = gone_wrong(&server, &wrong, &[]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(issuer.fetches(), 1, "made-up key ids are not fetched for");
    evil.was_left_alone();
}
