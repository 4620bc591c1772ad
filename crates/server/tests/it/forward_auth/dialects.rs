//! Each proxy's way of asking, and what it is told.

use serde_json::json;

use super::{ask, asked, policy};
use crate::gateway::IDENTITY;
use crate::harness::{Answer, TestServer};

const ALL: [&str; 5] = ["nginx", "caddy", "traefik", "haproxy", "envoy-http"];
const EVERY: &str = "[\"nginx\", \"caddy\", \"traefik\", \"haproxy\", \"envoy-http\"]";
#[track_caller]
fn all_said(answer: &Answer) {
    for name in IDENTITY {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name} in {:?}", answer.headers);
    }
    assert_eq!(answer.text, "");
}

#[tokio::test]
async fn whoever_may_pass_is_told_of_in_full_in_every_dialect() {
    let (server, key) = asked(EVERY, "").await;
    for dialect in ALL {
        let answer = ask(&server, dialect, "GET", "/t/a?b=c").by(&key.key).send().await.with(200);
        all_said(&answer);
        assert_eq!(answer.header("x-key-id"), Some(&*key.id), "{dialect}");
        assert_eq!(answer.header("x-key-kind"), Some("default"));
        assert_eq!(answer.header("x-user-id"), Some(""));
        // What the proxy's client says of who it is changes nothing.
        let forged = ask(&server, dialect, "GET", "/t").by(&key.key).header("x-key-id", "key_forged");
        assert_eq!(forged.send().await.with(200).header("x-key-id"), Some(&*key.id));
    }
}

#[tokio::test]
async fn whoever_may_not_is_told_why_in_the_routes_words() {
    let (server, _) = asked(EVERY, "").await;
    let reader = server.key(json!({ "permissions": ["storage:read"] })).await.key;
    for dialect in ALL {
        let refused = ask(&server, dialect, "GET", "/t").by_nobody().send().await;
        refused.problem(401, "UNAUTHENTICATED");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"keywright\""));
        assert_eq!(refused.header("x-key-id"), None);
        ask(&server, dialect, "PUT", "/t").by(&reader).send().await.problem(403, "FORBIDDEN");
        ask(&server, dialect, "DELETE", "/t").by(&reader).send().await.problem(405, "METHOD_NOT_ALLOWED");
        ask(&server, dialect, "GET", "/elsewhere").by(&reader).send().await.problem(404, "NOT_FOUND");
        ask(&server, dialect, "HEAD", "/t").by(&reader).send().await.with(200);
    }
    let (server, _) = asked(EVERY, "errors = \"wavis\"").await;
    for dialect in ALL {
        ask(&server, dialect, "GET", "/t").by("nope").send().await.wavis_error(401, "INVALID_API_KEY");
    }
}

#[tokio::test]
async fn a_path_with_two_readings_is_refused_in_every_dialect() {
    let (server, key) = asked(EVERY, "").await;
    for dialect in ALL {
        for path in ["/a//b/../c/%2e%2e/d", "/t/../t", "/t//", "/t/%2e%2e/t", "/t/%2f", "/t/..;/t", "/%74/x"] {
            ask(&server, dialect, "GET", path).by(&key.key).send().await.problem(400, "BAD_REQUEST");
        }
    }
    for uri in ["http://api.example/t", "t", "*", "?", "/t#x"] {
        for dialect in ["nginx", "caddy", "traefik", "haproxy"] {
            ask(&server, dialect, "GET", uri).by(&key.key).send().await.problem(400, "BAD_REQUEST");
        }
    }
    ask(&server, "nginx", "G T", "/t").by(&key.key).send().await.problem(400, "BAD_REQUEST");
}

#[tokio::test]
async fn what_a_proxy_does_not_say_or_says_twice_is_never_guessed() {
    let (server, key) = asked(EVERY, "").await;
    for (dialect, names) in [
        ("nginx", ["x-original-method", "x-original-uri", "x-original-host", "x-forwarded-for"].as_slice()),
        ("haproxy", &["x-original-method", "x-original-uri", "x-original-host", "x-forwarded-for"]),
        (
            "caddy",
            &["x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"],
        ),
        (
            "traefik",
            &["x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"],
        ),
    ] {
        for name in names {
            let asked = || ask(&server, dialect, "GET", "/t").by(&key.key);
            asked().without(name).send().await.problem(400, "BAD_REQUEST");
            asked().without(name).header(name, "").send().await.problem(400, "BAD_REQUEST");
            asked().header(name, "GET").send().await.problem(400, "BAD_REQUEST");
        }
    }
}

#[tokio::test]
async fn another_dialects_words_change_nothing() {
    let (server, _) = asked(EVERY, "").await;
    let reader = server.key(json!({ "permissions": ["storage:read"] })).await.key;
    for dialect in ALL {
        // A client's, which the proxy carries along because it does not know them.
        let foreign = match dialect {
            "caddy" | "traefik" => ["x-original-method", "x-original-uri", "x-original-host"],
            _ => ["x-forwarded-method", "x-forwarded-uri", "x-forwarded-host"],
        };
        let forge = |method, uri| {
            let asked = ask(&server, dialect, method, uri).by(&reader);
            foreign
                .iter()
                .zip(["GET", "/t", "other.example"])
                .fold(asked, |asked, (name, value)| asked.header(name, value))
        };
        forge("PUT", "/t").send().await.problem(403, "FORBIDDEN");
        forge("GET", "/elsewhere").send().await.problem(404, "NOT_FOUND");
        forge("GET", "/t").send().await.with(200);
        // Nor do those of frameworks, nor an upgrade.
        let overridden = ask(&server, dialect, "PUT", "/t").by(&reader).header("x-http-method-override", "GET");
        overridden.send().await.problem(403, "FORBIDDEN");
        let upgrade = ask(&server, dialect, "GET", "/t").by(&reader).header("upgrade", "websocket");
        upgrade.header("connection", "Upgrade").send().await.with(200);
    }
}

#[tokio::test]
async fn a_dialect_that_is_not_listed_and_a_peer_that_is_not_are_refused() {
    let (server, key) = asked("[\"nginx\"]", "").await;
    for dialect in ["caddy", "traefik", "haproxy", "envoy-http"] {
        ask(&server, dialect, "GET", "/t").by(&key.key).send().await.problem(404, "NOT_FOUND");
    }
    for path in ["/forward-auth/", "/forward-auth/nginx/", "/forward-auth/nginx/t", "/forward-auth/NGINX"] {
        server.get(path).by(&key.key).send().await.problem(404, "NOT_FOUND");
    }
    ask(&server, "nginx", "GET", "/t").by(&key.key).send().await.with(200);
    server.app.reload_policy(&policy("[\"nginx\"]", "[\"10.0.0.7\"]", "")).unwrap();
    // What is said of where it comes from is no peer.
    let elsewhere = ask(&server, "nginx", "GET", "/t").by(&key.key).header("x-real-ip", "10.0.0.7");
    elsewhere.header("forwarded", "for=10.0.0.7").send().await.problem(403, "FORBIDDEN");
    let inside = TestServer::start().await;
    inside.app.reload_policy(&policy("[\"nginx\"]", "[\"127.0.0.1\"]", "")).unwrap();
    ask(&inside, "nginx", "GET", "/t").send().await.problem(403, "FORBIDDEN");
    server.app.reload_policy(keywright_app::core::policy::Policy::DEV).unwrap();
    for dialect in ALL {
        ask(&server, dialect, "GET", "/t").by(&key.key).send().await.problem(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_route_that_leads_nowhere_lets_nobody_through_the_gate_itself() {
    let (server, _) = asked("[\"nginx\"]", "").await;
    let key = server.key(json!({ "permissions": ["storage:write"], "credits": 3 })).await.key;
    server.call("PUT", "/t").by(&key).send().await.problem(404, "NOT_FOUND");
    let left = async || server.verify(json!({ "key": key, "cost": 0 })).await["credits"].clone();
    assert_eq!(left().await, 3);
    // Asked about, it costs what the route says, until that is gone.
    ask(&server, "nginx", "PUT", "/t").by(&key).send().await.with(200);
    ask(&server, "nginx", "PUT", "/t").by(&key).send().await.problem(402, "CREDITS_EXHAUSTED");
    assert_eq!(left().await, 1);
}

#[tokio::test]
async fn a_host_decides_where_a_route_has_one() {
    let (server, key) = asked(EVERY, "host = \"api.example\"").await;
    for dialect in ["nginx", "caddy", "traefik", "haproxy"] {
        ask(&server, dialect, "GET", "/t").by(&key.key).send().await.with(200);
        let other = ask(&server, dialect, "GET", "/t").by(&key.key);
        let other = other.without("x-original-host").without("x-forwarded-host");
        let name = if ["nginx", "haproxy"].contains(&dialect) { "x-original-host" } else { "x-forwarded-host" };
        other.header(name, "other.example").send().await.problem(404, "NOT_FOUND");
    }
    // Envoy's question has the host of the request it is about.
    ask(&server, "envoy-http", "GET", "/t").by(&key.key).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_guesser_is_locked_out_and_not_the_proxy() {
    let (server, key) = asked("[\"nginx\", \"caddy\"]", "").await;
    for number in 0..100 {
        let dialect = if number % 2 == 0 { "nginx" } else { "caddy" };
        ask(&server, dialect, "GET", "/t").by("kw_live_guess").send().await.problem(401, "UNAUTHENTICATED");
    }
    let locked = ask(&server, "nginx", "GET", "/t").by(&key.key).send().await;
    locked.problem(429, "RATE_LIMITED");
    assert_eq!(locked.header("retry-after"), Some("60"));
    let neighbour = ask(&server, "nginx", "GET", "/t").by(&key.key).without("x-forwarded-for");
    neighbour.header("x-forwarded-for", "198.51.100.7, 198.51.100.8").send().await.with(200);
    // Nobody else is believed about where they come from.
    server.get("/v1/keys/self").by(&key.key).header("x-forwarded-for", "198.51.100.7").send().await.with(200);
}

#[tokio::test]
async fn limits_are_told_with_both_answers() {
    let (server, _) = asked(EVERY, "").await;
    let limits = json!([{ "name": "minute", "limit": 5, "window": "1m" }]);
    let key = server.key(json!({ "permissions": ["storage:read"], "ratelimits": limits })).await.key;
    for dialect in ALL {
        let answer = ask(&server, dialect, "GET", "/t").by(&key).send().await.with(200);
        assert!(answer.header("ratelimit").is_some(), "{:?}", answer.headers);
    }
    let limited = ask(&server, "caddy", "GET", "/t").by(&key).send().await;
    limited.problem(429, "RATE_LIMITED");
    assert!(limited.header("retry-after").is_some() && limited.header("ratelimit").is_some());
}

#[tokio::test]
async fn a_preflight_is_told_by_the_method_the_proxy_names() {
    let (server, _) = asked(EVERY, "preflight = true").await;
    for dialect in ALL {
        let preflight = |method| {
            let asked = ask(&server, dialect, method, "/t").by_nobody().header("origin", "https://app.example");
            asked.header("access-control-request-method", "PUT")
        };
        all_said(&preflight("OPTIONS").send().await.with(200));
        preflight("PUT").send().await.problem(401, "UNAUTHENTICATED");
    }
    // A client that asks by OPTIONS through a proxy that asks by GET, or the other way round.
    let asked = server.call("OPTIONS", "/forward-auth/nginx").by_nobody().header("origin", "https://app.example");
    let asked = asked.header("access-control-request-method", "PUT").header("x-original-method", "PUT");
    let asked =
        asked.header("x-original-uri", "/t").header("x-original-host", "a").header("x-forwarded-for", "1.2.3.4");
    asked.send().await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn people_pass_where_the_route_says_so() {
    let (server, _) = asked("[\"nginx\"]", "people = true").await;
    server
        .app
        .reload_policy(
            &policy("[\"nginx\"]", "[\"127.0.0.1\"]", "people = true").replace("GET = \"storage:read\"", "GET = []"),
        )
        .unwrap();
    let account = server.account().await;
    let (user, session, token) = server.person(&account, "owner").await;
    let answer = ask(&server, "nginx", "GET", "/t").by(&token).send().await.with(200);
    all_said(&answer);
    let said = |name| answer.header(name).unwrap_or_default().to_owned();
    assert_eq!((said("x-user-id"), said("x-session-id"), said("x-account-id")), (user, session, account));
    assert_eq!(said("x-key-id"), "");
}
