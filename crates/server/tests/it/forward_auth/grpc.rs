//! Envoy's questions over gRPC, written and read here byte by byte: what each field's number is stands in this file a second
//! time, apart from the messages of the server.

mod client;
mod connections;
mod nonsense;

use serde_json::json;

use self::client::{Client, Question};
use super::{ask, asked, policy};
use crate::forged::part;
use crate::gateway::IDENTITY;
use crate::harness::TestServer;

const BOTH: &str = "[\"envoy\", \"envoy-http\"]";

#[tokio::test]
async fn whoever_may_pass_is_told_of_in_full() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    for listed in [false, true] {
        let question = Question { listed, ..Question::of("GET", "/t/a%20b?c=d") };
        let ok = envoy.ask(question.by(&key.key).header("x-request-id", "req_of-the-client")).await.allowed();
        for name in IDENTITY {
            assert_eq!(ok.set.iter().filter(|(set, ..)| set == name).count(), 1, "{name} in {:?}", ok.set);
        }
        assert_eq!((ok.set("x-key-id"), ok.set("x-key-kind"), ok.set("x-user-id")), (&*key.id, "default", ""));
        assert_eq!(
            (ok.set("x-forwarded-for"), ok.set("x-forwarded-host"), ok.set("x-forwarded-proto")),
            ("198.51.100.7", "api.example:8080", "https")
        );
        assert_eq!(ok.set("x-request-id"), "req_of-the-client");
        // Said each time: Envoys differ in what they take one for that is left out.
        assert!(ok.set.iter().all(|(.., appended)| *appended == Some(false)), "{:?}", ok.set);
        assert_eq!((ok.removed, ok.told), (vec!["authorization".to_owned()], vec![]));
    }
}

#[tokio::test]
async fn what_is_signed_for_an_upstream_is_signed_here_too() {
    let (server, key) = asked(BOTH, "assertion = true").await;
    let question = Question::of("GET", "/t/a?c=d").header("x-keywright-assertion", "forged");
    let ok = Client::of(&server).await.ask(question.by(&key.key)).await.allowed();
    assert_eq!(ok.set.iter().filter(|(set, ..)| set == "x-keywright-assertion").count(), 1);
    let claims = part(ok.set("x-keywright-assertion"), 1);
    assert_eq!(
        (&claims["htm"], &claims["htp"], &claims["key_id"]),
        (&json!("GET"), &json!("/t/a?c=d"), &json!(key.id))
    );
}

#[tokio::test]
async fn what_a_client_says_of_who_it_is_goes_in_every_spelling() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    let gone = [
        "authorization",
        "forwarded",
        "proxy-authorization",
        "x.key.id",
        "x_api_key",
        "x_key_id",
        "x-forwarded-port",
        "x-envoy-retry-on",
        "x-forwarded-uri",
        "x-http-method-override",
        "x-key_id",
        "x-original-url",
        "x-real-ip",
        "x_forwarded_for",
    ];
    let kept = ["accept", "content-type", "my_header", "x-key", "x-keys-id", "xkeyid", "connection", "te", "cookie"];
    let mut question =
        Question::of("GET", "/t").by(&key.key).header("x-key-id", "forged").header("x-user-id", "forged");
    for name in gone.iter().chain(&kept).filter(|name| **name != "authorization") {
        question = question.header(name, "forged");
    }
    let ok = envoy.ask(question).await.allowed();
    let mut removed = ok.removed.clone();
    removed.sort();
    let mut wanted = gone.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(removed, wanted);
    assert_eq!((ok.set("x-key-id"), ok.set("x-user-id")), (&*key.id, ""));
    assert!(ok.set.iter().all(|(name, value, _)| value != "forged" && !kept.contains(&&**name)), "{:?}", ok.set);
}

#[tokio::test]
async fn the_credential_goes_on_where_the_route_says_so_and_the_dashboards_cookie_never() {
    let (server, key) = asked(BOTH, "forward_credential = true").await;
    let mut envoy = Client::of(&server).await;
    let with = |cookie: &str| Question::of("GET", "/t").by(&key.key).header("cookie", cookie).header("x_api_key", "k");
    let ok = envoy.ask(with("a=b; c=d")).await.allowed();
    assert_eq!((ok.removed.as_slice(), ok.is_set("cookie")), (&["x_api_key".to_owned()][..], false));
    let ok = envoy.ask(with("a=b; __Host-keywright=secret;c=d")).await.allowed();
    assert_eq!((ok.removed.as_slice(), ok.set("cookie")), (&["x_api_key".to_owned()][..], "a=b; c=d"));
    let listed =
        Question { listed: true, ..with("a=b") }.header("cookie", " __Host-keywright=secret").header("cookie", "e");
    assert_eq!(envoy.ask(listed).await.allowed().set("cookie"), "a=b; e");
    // Beside what cannot be said in letters, all of it goes.
    for cookie in ["__Host-keywright=secret", "__Host-keywright=secret; a=\u{e9}"] {
        let ok = envoy.ask(with(cookie)).await.allowed();
        assert!(ok.removed.contains(&"cookie".to_owned()) && !ok.is_set("cookie"), "{ok:?}");
    }
}

#[tokio::test]
async fn a_denial_is_the_gates_own_answer_whole() {
    for errors in ["native", "wayscloud", "wavis", "cloudheed"] {
        let (server, _) = asked(BOTH, &format!("errors = \"{errors}\"")).await;
        let mut envoy = Client::of(&server).await;
        let limits = json!([{ "name": "hour", "limit": 1, "window": "1h" }]);
        let reader = server.key(json!({ "permissions": ["storage:read"] })).await.key;
        let trial = server.key(json!({ "permissions": ["storage:write"], "credits": 1 })).await.key;
        let limited = server.key(json!({ "permissions": ["storage:read"], "ratelimits": limits })).await.key;
        let first = envoy.ask(Question::of("GET", "/t").by(&limited)).await.allowed();
        assert_eq!(first.told.iter().map(|(name, ..)| &**name).collect::<Vec<_>>(), ["ratelimit", "ratelimit-policy"]);
        for (status, method, path, key) in [
            (401, "GET", "/t", "nope"),
            (402, "PUT", "/t", trial.as_str()),
            (403, "PUT", "/t", &reader),
            (404, "GET", "/elsewhere", &reader),
            (405, "DELETE", "/t", &reader),
            (429, "GET", "/t", &limited),
            (400, "GET", "/t/../t", &reader),
            (400, "GET", "/%74", &reader),
        ] {
            let id = "req_of-the-client";
            let asked = Question::of(method, path).by(key).header("x-request-id", id);
            let denied = envoy.ask(asked).await.denied(status);
            let told = ask(&server, "envoy-http", method, path).by(key).header("x-request-id", id).send().await;
            assert_eq!((told.status, told.text), (status, denied.body), "{errors}");
            let mut headers: Vec<(String, String)> =
                told.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into())).collect();
            // How the body comes is told in each way's own words.
            headers.retain(|(name, _)| !["date", "content-length", "connection"].contains(&&**name));
            headers.sort();
            let mut lines: Vec<_> = denied.headers.into_iter().map(|(name, value, _)| (name, value)).collect();
            lines.sort();
            assert_eq!(lines, headers, "{errors} {status}");
            let has = |name: &str| lines.iter().any(|(found, _)| found == name);
            assert_eq!((has("www-authenticate"), has("retry-after")), (status == 401, status == 429), "{lines:?}");
            assert_eq!((has("ratelimit"), has("allow")), (status == 429, status == 405), "{lines:?}");
            assert!(has("x-request-id") && has("content-type") && has("cache-control"), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn a_path_with_two_readings_is_refused() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    for path in [
        "/a//b/../c/%2e%2e/d",
        "/t/../t",
        "/t//",
        "/t/%2e%2e/t",
        "/t/%2f",
        "/t/..;/t",
        "/%74/x",
        "http://api.example/t",
        "t",
        "*",
        "?",
        "",
        "/t#x",
        "/t\\x",
        "/t/%252e%252e/a",
        "/t/%00",
        "/t/\u{e9}",
    ] {
        let denied = envoy.ask(Question::of("GET", path).by(&key.key)).await.denied(400);
        assert_eq!(denied.json()["code"], "BAD_REQUEST", "{path}");
    }
}

#[tokio::test]
async fn a_host_decides_where_a_route_has_one() {
    let (server, key) = asked(BOTH, "host = \"api.example\"").await;
    let mut envoy = Client::of(&server).await;
    for (host, passes) in [("api.example", true), ("API.example.:443", true), ("other.example", false)] {
        let said = envoy.ask(Question { host: host.into(), ..Question::of("GET", "/t").by(&key.key) }).await;
        assert_eq!(said.denied.is_none(), passes, "{host}");
    }
    for host in ["", "a b", "a,b", "a\u{e9}"] {
        envoy.ask(Question { host: host.into(), ..Question::of("GET", "/t").by(&key.key) }).await.denied(400);
    }
}

#[tokio::test]
async fn a_preflight_is_told_by_the_method_envoy_says() {
    let (server, _) = asked(BOTH, "preflight = true").await;
    let mut envoy = Client::of(&server).await;
    let preflight = |method| {
        let asked = Question::of(method, "/t").header("origin", "https://app.example").header("x-key-id", "forged");
        asked.header("access-control-request-method", "PUT").header("x-http-method-override", "OPTIONS")
    };
    let ok = envoy.ask(preflight("OPTIONS")).await.allowed();
    assert!(IDENTITY.iter().all(|name| ok.set(name).is_empty()), "{:?}", ok.set);
    envoy.ask(preflight("PUT")).await.denied(401);
}

#[tokio::test]
async fn a_guesser_is_locked_out_by_where_envoy_sees_them() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    for number in 0..100 {
        // What a guesser says of where they are changes nothing.
        let guess =
            Question::of("GET", "/t").by("kw_live_guess").header("x-forwarded-for", &format!("192.0.2.{number}"));
        envoy.ask(guess).await.denied(401);
    }
    let from = |source: &str| Question { source: source.into(), ..Question::of("GET", "/t").by(&key.key) };
    let locked = envoy.ask(from("198.51.100.7")).await.denied(429);
    assert_eq!(locked.header("retry-after"), "60");
    envoy.ask(from("::ffff:198.51.100.7")).await.denied(429);
    envoy.ask(from("198.51.100.8").header("x-forwarded-for", "198.51.100.7")).await.allowed();
    envoy.ask(from("fe80::1%eth0")).await.allowed();
}

#[tokio::test]
async fn beyond_envoy_listed_proxies_are_believed() {
    let options =
        keywright_server::Options { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Default::default() };
    let server = TestServer::listening(options).await;
    server.app.reload_policy(&policy(BOTH, "[\"127.0.0.1/32\"]", "")).unwrap();
    let key = server.key(json!({ "permissions": ["storage:read"] })).await.key;
    let mut envoy = Client::of(&server).await;
    for (source, forwarded, whence) in [
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.1", "198.51.100.7"),
        ("203.0.113.1", "198.51.100.7", "203.0.113.1"),
    ] {
        let asked = Question { source: source.into(), ..Question::of("GET", "/t").by(&key) };
        let ok = envoy.ask(asked.header("x-forwarded-for", forwarded)).await.allowed();
        assert_eq!(ok.set("x-forwarded-for"), whence, "{source} {forwarded}");
    }
}

#[tokio::test]
async fn people_pass_where_the_route_says_so() {
    let (server, _) = asked(BOTH, "people = true").await;
    let open = policy(BOTH, "[\"127.0.0.1\"]", "people = true").replace("GET = \"storage:read\"", "GET = []");
    server.app.reload_policy(&open).unwrap();
    let account = server.account().await;
    let (user, session, token) = server.person(&account, "owner").await;
    let ok = Client::of(&server).await.ask(Question::of("GET", "/t").by(&token)).await.allowed();
    assert_eq!((ok.set("x-user-id"), ok.set("x-session-id"), ok.set("x-account-id")), (&*user, &*session, &*account));
    assert_eq!(ok.set("x-key-id"), "");
}
