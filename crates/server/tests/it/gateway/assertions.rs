//! The gate's signed word on a request: what it says, who believes it of what, and that it is a credential nowhere.

use keywright_app::core::policy::Policy;
use keywright_server::Options;
use serde_json::{Value, json};

use super::upstream::{Seen, Upstream};
use super::{gate, route};
use crate::forged::{part, taken};
use crate::forward_auth;
use crate::harness::{Issued, TestServer, text};
use crate::issuer::SECOND;
use crate::python;

const DOCS: &str = include_str!("../../../../../docs/assertions.md");
const CHECK: &str = include_str!("../../support/python/assertion.py");
const HEADER: &str = "x-keywright-assertion";

/// A gate whose upstream wants assertions.
async fn scene(more: &str) -> (TestServer, Issued, Upstream) {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), &format!("assertion = \"reports\"\n{more}"))).await;
    (server, key, upstream)
}

fn said(seen: &Seen) -> (Value, Value) {
    let assertion = seen.one(HEADER);
    (part(assertion, 0), part(assertion, 1))
}

#[tokio::test]
async fn it_says_who_asks_for_what_and_for_how_long() {
    let (server, key, upstream) = scene("people = true").await;
    server.call("PUT", "/t/a%20b/?c=d&e=%2f").by(&key.key).header("x-request-id", "request-1").send().await.with(200);
    let (head, mut claims) = said(&upstream.last());
    assert_eq!((&head["typ"], &head["alg"]), (&json!("keywright-assertion+jwt"), &json!("EdDSA")));
    let jti = claims["jti"].take();
    assert!(jti.as_str().unwrap().starts_with("request-1.") && jti.as_str().unwrap().len() > 20, "{jti}");
    let expected = json!({
        "iss": "keywright", "aud": "reports", "sub": key.shown["account_id"], "key_id": key.id,
        "permissions": ["storage:manage"], "htm": "PUT", "htp": "/t/a%20b/?c=d&e=%2f",
        "iat": SECOND, "exp": SECOND + 60, "jti": null,
    });
    assert_eq!(claims, expected);
    server.get("/t").by(&key.key).header("x-request-id", "request-1").send().await.with(200);
    assert_ne!(said(&upstream.last()).1["jti"], jti, "a client's id for a request makes no two alike");

    let account = server.account().await;
    let (user, session, token) = server.person(&account, "owner").await;
    server.get("/t").by(&token).send().await.with(200);
    let claims = said(&upstream.last()).1;
    let who = ["sub", "user_id", "session_id"].map(|claim| text(&claims, claim));
    assert_eq!((who, &claims["key_id"]), ([account, user, session], &Value::Null));
}

#[tokio::test]
async fn its_path_is_the_one_the_upstream_reads() {
    let upstream = Upstream::fine().await;
    let based = format!("\"http://{}/base\"", upstream.address);
    let (server, key) = gate(&route(&based, "strip = true\nassertion = true")).await;
    for (asked, read) in [("/t/x?y=/t", "/base/x?y=/t"), ("/t", "/base/"), ("/t?", "/base/?")] {
        server.get(asked).by(&key.key).send().await.with(200);
        let seen = upstream.last();
        let claims = said(&seen).1;
        assert_eq!((seen.line, &claims["htp"], &claims["aud"]), (format!("GET {read}"), &json!(read), &json!("t")));
    }
}

#[tokio::test]
async fn nobody_but_the_gate_says_it() {
    let upstream = Upstream::fine().await;
    let routes = route(&upstream.url(), "preflight = true\nassertion = true")
        + &route(&upstream.url(), "").replace("route.t", "route.u").replace("\"/t\"", "\"/u\"");
    let (server, key) = gate(&routes).await;
    let forged = |path: &str| {
        let call = server.get(path).by(&key.key).header("connection", "close, x-keywright-assertion");
        call.header(HEADER, "forged")
            .header("X_Keywright_Assertion", "forged")
            .header("X.Keywright-Assertion", "forged")
    };
    forged("/t").send().await.with(200);
    assert_eq!(said(&upstream.last()).1["key_id"], key.id);
    assert!(!upstream.last().headers.iter().any(|(_, value)| value == "forged"));
    forged("/u").send().await.with(200);
    assert_eq!(upstream.last().one(HEADER), "", "a route that asks for none has none");
    let preflight = server.call("OPTIONS", "/t").by_nobody().header("origin", "https://a.example");
    preflight.header("access-control-request-method", "PUT").header(HEADER, "forged").send().await.with(200);
    assert_eq!(upstream.last().one(HEADER), "", "nobody asks");
}

#[tokio::test]
async fn it_is_signed_so_that_others_can_check_it_whatever_tokens_are_signed_with() {
    let (server, key, upstream) = scene("").await;
    let routes = route(&upstream.url(), "assertion = true");
    for (of_tokens, of_assertions) in [("ES256", "ES256"), ("HS256", "EdDSA"), ("EdDSA", "EdDSA")] {
        let policy = format!("{}\n{routes}\n[tokens]\nalgorithm = \"{of_tokens}\"\n", Policy::DEV);
        server.app.reload_policy(&policy).unwrap();
        server.get("/t").by(&key.key).send().await.with(200);
        let head = said(&upstream.last()).0;
        assert_eq!(head["alg"], of_assertions, "where tokens are signed with {of_tokens}");
        let jwks = server.get("/.well-known/jwks.json").by_nobody().send().await.is(200);
        let published = jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == head["kid"]);
        assert!(published, "{head} in {jwks}");
    }
}

/// security.md 4
#[tokio::test]
async fn it_is_a_credential_nowhere() {
    let (server, key, upstream) = scene("people = true").await;
    let (_, _, token) = server.person(&server.account().await, "owner").await;
    for credential in [&key.key, &token] {
        server.get("/t").by(credential).send().await.with(200);
        let assertion = upstream.last().one(HEADER).to_owned();
        let found =
            taken(&server, &assertion, &[("GET", "/v1/auth/me"), ("GET", "/t"), ("DELETE", "/v1/sessions")]).await;
        assert!(found.is_empty(), "{found:?}");
    }
    // One whose audience is the server itself, as access tokens' is.
    let routes = route(&upstream.url(), "people = true\nassertion = \"keywright\"");
    server.app.reload_policy(&format!("{}\n{routes}", Policy::DEV)).unwrap();
    server.get("/t").by(&token).send().await.with(200);
    let assertion = upstream.last().one(HEADER).to_owned();
    assert_eq!(part(&assertion, 1)["aud"], part(&token, 1)["aud"]);
    let found = taken(&server, &assertion, &[("GET", "/v1/auth/me"), ("GET", "/t")]).await;
    assert!(found.is_empty(), "{found:?}");
}

/// The program that is printed, with nothing in it changed but what stands at its top.
fn printed() -> String {
    let (_, program) = DOCS.split_once("```python\n").unwrap();
    let (program, _) = program.split_once("```").unwrap();
    let (top, check) = program.split_once("\n\n\n").unwrap();
    assert_eq!(top.lines().count(), 4, "{top}");
    format!("import jwt\n\n\n{check}\n{CHECK}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_for_upstreams_believes_it_of_its_own_request_alone() {
    let (server, key, upstream) = scene("people = true").await;
    let (_, _, token) = server.person(&server.account().await, "owner").await;
    server.get("/t/a?b=c").by(&key.key).send().await.with(200);
    let assertion = upstream.last().one(HEADER).to_owned();
    let of_another = {
        let routes = route(&upstream.url(), "assertion = \"others\"");
        server.app.reload_policy(&format!("{}\n{routes}", Policy::DEV)).unwrap();
        server.get("/t/a?b=c").by(&key.key).send().await.with(200);
        upstream.last().one(HEADER).to_owned()
    };
    let mut parts: Vec<&str> = assertion.split('.').collect();
    let others: Vec<&str> = of_another.split('.').collect();
    parts[1] = others[1];
    let mixed = parts.join(".");
    let (method, target) = ("GET", "/t/a?b=c");
    let wrong = [
        (&assertion, "DELETE", target, "another request"),
        (&assertion, method, "/t/a?b=d", "another request"),
        (&assertion, method, "/t/a", "another request"),
        (&assertion, method, "/t/b?b=c", "another request"),
        (&of_another, method, target, "InvalidAudience"),
        (&mixed, method, target, "InvalidSignature"),
        (&token, method, target, "not an assertion"),
    ];
    let asked: Vec<_> = std::iter::once((&assertion, method, target))
        .chain(wrong.iter().map(|(assertion, method, target, _)| (*assertion, *method, *target)))
        .collect();
    let given = |now: i64| {
        let jwks = format!("http://{}/.well-known/jwks.json", server.address());
        json!({ "asked": asked, "iss": "keywright", "jwks": jwks, "now": now })
    };
    let program = printed();
    let Some(answers) = python::run(&program, &given(SECOND + 59)) else { return };
    assert_eq!((&answers[0]["key_id"], &answers[0]["sub"]), (&json!(key.id), &key.shown["account_id"]), "{answers}");
    for (answer, (.., says)) in answers.as_array().unwrap().iter().skip(1).zip(&wrong) {
        assert!(answer.as_str().is_some_and(|refused| refused.contains(says)), "{says}: {answer}");
    }
    let late = python::run(&program, &given(SECOND + 60)).unwrap();
    assert!(late[0].as_str().is_some_and(|refused| refused.contains("Expired")), "{late}");
}

#[tokio::test]
async fn proxies_that_ask_are_given_it_too() {
    let every = "[\"nginx\", \"caddy\", \"traefik\", \"haproxy\", \"envoy-http\"]";
    let server = TestServer::listening(Options::default()).await;
    let key = server.key(json!({ "permissions": ["storage:manage"] })).await;
    for (more, path) in [("assertion = true", "/t/a?b=c"), ("assertion = true\nstrip = true", "/a?b=c")] {
        server.app.reload_policy(&forward_auth::policy(every, "[\"127.0.0.1\"]", more)).unwrap();
        for dialect in ["nginx", "caddy", "traefik", "haproxy", "envoy-http"] {
            let asked = forward_auth::ask(&server, dialect, "PUT", "/t/a?b=c").by(&key.key).header(HEADER, "forged");
            let answer = asked.send().await.with(200);
            let claims = part(answer.header(HEADER).unwrap(), 1);
            let said = ["htm", "htp", "aud", "key_id"].map(|claim| text(&claims, claim));
            assert_eq!(said, ["PUT", path, "t", &key.id], "{dialect}");
        }
    }
}
