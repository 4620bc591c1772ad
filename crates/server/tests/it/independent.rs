//! What other people's libraries make of ours: authenticators (pyotp), cameras (jsQR), and readers of tokens (PyJWT, jose).

use std::path::Path;
use std::process::Command;

use keywright_app::core::policy::Policy;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, TestServer, text};
use crate::issuer::SECOND;
use crate::{node, python};

const AUTHENTICATOR: &str = include_str!("../support/python/authenticator.py");
const READ: &str = include_str!("../support/python/read.py");
const READ_PICTURE: &str = include_str!("../support/node/qr.mjs");
const READ_IN_NODE: &str = include_str!("../support/node/read.mjs");

/// Steps from now at which the authenticator is asked.
const STEPS: [i64; 9] = [-2, -1, 0, 1, 2, 3, 4, 5, 6];

async fn scene() -> (TestServer, String, String) {
    let server = TestServer::start().await;
    let account = server.account().await;
    let (email, _) = server.registered(&account, "owner").await;
    let body = json!({ "email": email, "password": PASSWORD });
    let tokens = server.post("/v1/auth/login", &body).by_nobody().send().await.is(200);
    (server, email, text(&tokens, "access_token"))
}

/// security.md 21, 22, 24
#[tokio::test]
async fn codes_of_an_independent_authenticator_are_taken_in_their_time_and_once() {
    let (server, email, token) = scene().await;
    let set_up = server.post("/v1/auth/2fa/setup", &Value::Null).by(&token).send().await.is(200);
    let times: Vec<i64> = STEPS.iter().map(|step| SECOND + step * 30).collect();
    let given = json!({ "url": set_up["qr_code_url"], "secret": set_up["secret"], "times": times });
    let Some(shown) = python::run(AUTHENTICATOR, &given) else { return };
    let about = ["issuer", "name", "digits", "interval", "algorithm", "bits"].map(|field| &shown[field]);
    assert_eq!(json!(about), json!(["Keywright", email, 6, 30, "sha1", 160]));
    assert_eq!(shown["loaded"], shown["typed"], "by its picture or typed in, it is the same");
    let at = |step: i64| shown["loaded"][usize::try_from(step + 2).unwrap()].as_str().unwrap().to_owned();
    let verify =
        async |code: &str| server.post("/v1/auth/2fa/verify", &json!({ "code": code })).by(&token).send().await;
    for step in [-2, 2] {
        verify(&at(step)).await.problem(401, "SECOND_FACTOR_WRONG");
    }
    verify(&at(-1)).await.is(200);
    let log_in = async |code: &str| {
        let body = json!({ "email": email, "password": PASSWORD, "code": code });
        server.post("/v1/auth/login", &body).by_nobody().send().await.status
    };
    for (step, expected, says) in [
        (-1, 401, "it was turned on with it"),
        (2, 401, "two steps ahead"),
        (0, 200, "of now"),
        (0, 401, "once"),
        (1, 200, "one step ahead"),
        (0, 401, "earlier than the last"),
    ] {
        assert_eq!(log_in(&at(step)).await, expected, "{step}: {says}");
    }
    server.wait("2m");
    for (step, expected, says) in [
        (2, 401, "two steps behind"),
        (3, 200, "one step behind"),
        (4, 200, "of now"),
        (6, 401, "two steps ahead"),
        (5, 200, "one step ahead"),
    ] {
        assert_eq!(log_in(&at(step)).await, expected, "{step}: {says}");
    }
}

/// A program that is given as text, which finds packages from where it is run.
fn in_node(folder: &Path, program: &str) -> Command {
    let mut node = Command::new("node");
    node.current_dir(folder).args(["--input-type=module", "--eval", program]);
    node
}

#[tokio::test]
async fn jsqr_reads_the_picture_as_the_address_beside_it() {
    let Some(folder) = node::folder() else { return };
    let (server, _, token) = scene().await;
    let set_up = server.post("/v1/auth/2fa/setup", &Value::Null).by(&token).send().await.is(200);
    let picture = server.get("/v1/auth/2fa/qr.svg").by(&token).send().await.with(200).text;
    assert_eq!(python::said(&mut in_node(&folder, READ_PICTURE), &json!({ "svg": picture })), set_up["qr_code_url"]);
}

/// A session's token and one that was had for a key, under the policy's algorithm; and the keys as served.
async fn signed(server: &TestServer, algorithm: &str) -> (Value, [(String, String); 2]) {
    server.app.reload_policy(&format!("{}\n[tokens]\nalgorithm = \"{algorithm}\"", Policy::DEV)).unwrap();
    let account = server.account().await;
    let (user, _, token) = server.person(&account, "owner").await;
    let issued = server.key_of(&account, json!({ "permissions": ["a:read"] })).await;
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={}\
         &subject_token_type=urn:ietf:params:oauth:token-type:access_token",
        issued.key
    );
    let exchanged = server.call("POST", "/v1/token").by_nobody().form(&form).send().await.is(200);
    let jwks = server.get("/.well-known/jwks.json").by_nobody().send().await.is(200);
    assert!(!jwks.to_string().contains("\"d\""), "a private part is published: {jwks}");
    (jwks, [(token, user), (text(&exchanged, "access_token"), issued.id)])
}

/// What a library said of a token: its header and its claims.
fn is_read(said: &Value, algorithm: &str, subject: &str) {
    let expected = json!([algorithm, "at+jwt", subject]);
    assert_eq!(json!([said[0]["alg"], said[0]["typ"], said[1]["sub"]]), expected);
    let lives = said[1]["exp"].as_i64().zip(said[1]["iat"].as_i64()).map(|(exp, iat)| exp - iat);
    assert_eq!(lives, Some(if said[1]["sid"].is_string() { 3_600 } else { 900 }));
}

#[tokio::test]
async fn pyjwt_reads_our_tokens_by_the_published_keys_under_every_algorithm() {
    let server = TestServer::start().await;
    for algorithm in ["EdDSA", "ES256"] {
        let (jwks, tokens) = signed(&server, algorithm).await;
        for (token, subject) in tokens {
            let given = json!({
                "jwks": jwks, "token": token, "alg": algorithm, "aud": "keywright", "iss": "keywright", "now": SECOND,
            });
            let Some(said) = python::run(READ, &given) else { return };
            is_read(&said, algorithm, &subject);
        }
    }
}

#[tokio::test]
async fn jose_reads_our_tokens_by_the_published_keys_under_every_algorithm() {
    let Some(folder) = node::folder() else { return };
    let server = TestServer::start().await;
    for algorithm in ["EdDSA", "ES256"] {
        let (jwks, tokens) = signed(&server, algorithm).await;
        for (token, subject) in tokens {
            let given = json!({
                "jwks": jwks, "token": token, "alg": algorithm, "aud": "keywright", "iss": "keywright",
                "now": crate::harness::NOW,
            });
            is_read(&python::said(&mut in_node(&folder, READ_IN_NODE), &given), algorithm, &subject);
        }
    }
}
