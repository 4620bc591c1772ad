//! Headers on their way through.

use keywright_server::Options;
use serde_json::json;

use super::upstream::Upstream;
use super::{IDENTITY, gate, gate_with, route};
use crate::harness::text;

#[tokio::test]
async fn who_asks_is_said_by_the_gate_alone() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let mut call = server.get("/t/x").by(&key.key).header("connection", "close, x-key-id, X-Account-Id");
    for name in ["X-Key-Id", "x-key-id", "X_Key_Id", "X.Key.Id", "x-key_id", "X-KEY-ROLE", "X_User_Id", "x-session-id"]
    {
        call = call.header(name, "forged");
    }
    // Nor is there another spelling of where the request ends, or of which it is.
    for name in ["Content_Length", "content.length", "Transfer_Encoding", "X_Request_Id"] {
        call = call.header(name, "forged");
    }
    call.send().await.with(200);
    let seen = upstream.last();
    assert!(!seen.headers.iter().any(|(_, value)| value.contains("forged")), "{seen:?}");
    let said = IDENTITY.map(|name| seen.one(name).to_owned());
    let account = text(&key.shown, "account_id");
    assert_eq!(said, [&account, &key.id, "default", "live", "", "", "storage:manage", "", "", ""]);
}

#[tokio::test]
async fn a_person_is_said_by_their_id_and_session() {
    let upstream = Upstream::fine().await;
    let (server, _) = gate(&route(&upstream.url(), "people = true")).await;
    let account = server.account().await;
    let (user, session, token) = server.person(&account, "owner").await;
    server.get("/t").by(&token).send().await.with(200);
    let seen = upstream.last();
    let said = IDENTITY.map(|name| seen.one(name).to_owned());
    assert_eq!(said, [account.as_str(), "", "", "", "", "", "", &user, &session, ""]);
}

#[tokio::test]
async fn the_credential_stays_at_the_gate_unless_the_route_says_so() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    server.get("/t").by(&key.key).header("x_api_key", "a").header("X-Api_Key", "b").send().await.with(200);
    let seen = upstream.last();
    let found = seen
        .headers
        .iter()
        .any(|(name, value)| name.contains("auth") || name.contains("api") || value.contains(&key.key));
    assert!(!found, "{seen:?}");

    let (server, key) = gate(&route(&upstream.url(), "forward_credential = true")).await;
    server.get("/t").by(&key.key).header("x_api_key", "a").send().await.with(200);
    assert_eq!(upstream.last().one("authorization"), format!("Bearer {}", key.key));
    assert!(upstream.last().all("x_api_key").is_empty());
}

#[tokio::test]
async fn what_concerns_one_connection_stays_on_it() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-internal\r\nkeep-alive: timeout=5\r\nx-internal: 1\r\n\
         proxy-authenticate: Basic\r\nupgrade: h2c\r\ncache-control: public, max-age=60\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let mut call = server.get("/t").by(&key.key).header("connection", "close, x-hop, Upgrade");
    for (name, value) in [
        ("x-hop", "1"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("keep-alive", "1"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("te", "trailers, deflate"),
        ("expect", "100-continue"),
        ("x-http-method-override", "DELETE"),
        ("X_HTTP_Method_Override", "DELETE"),
        ("x-original-url", "/admin"),
        ("proxy", "http://evil.example"),
        ("x-kept", "1"),
    ] {
        call = call.header(name, value);
    }
    let answer = call.send().await.with(200);
    let seen = upstream.last();
    for name in [
        "x-hop",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "expect",
        "x-http-method-override",
        "x_http_method_override",
        "x-original-url",
        "proxy",
    ] {
        assert!(seen.all(name).is_empty(), "{name} in {seen:?}");
    }
    assert_eq!((seen.one("te"), seen.one("connection"), seen.one("x-kept")), ("trailers", "te", "1"));
    assert_eq!(seen.one("host"), upstream.address.to_string());
    for name in ["keep-alive", "x-internal", "proxy-authenticate", "upgrade", "x-content-type-options"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    assert_eq!(answer.header("x-request-id"), Some(seen.one("x-request-id")));
}

#[tokio::test]
async fn where_a_request_comes_from_is_what_we_saw_or_what_a_listed_proxy_says() {
    let upstream = Upstream::fine().await;
    let routes = route(&upstream.url(), "");
    let trusting = Options { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Options::default() };
    for (options, expected) in [
        (Options::default(), ["127.0.0.1", "http", "keywright"]),
        (trusting, ["203.0.113.7", "https", "api.example.com"]),
    ] {
        let (server, key) = gate_with(&routes, options).await;
        let call = server.get("/t").by(&key.key).header("x-forwarded-for", "198.51.100.1, 203.0.113.7");
        let call = call.header("X_Forwarded_For", "1.1.1.1").header("x-real-ip", "1.1.1.1");
        let call = call.header("forwarded", "for=1.1.1.1").header("x-forwarded-port", "1");
        let call = call.header("x-forwarded-proto", "https").header("x-forwarded-host", "api.example.com");
        call.send().await.with(200);
        let seen = upstream.last();
        let said = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"].map(|name| seen.one(name).to_owned());
        assert_eq!(said, expected);
        let other = ["x_forwarded_for", "x-real-ip", "forwarded", "x-forwarded-port"];
        assert!(other.iter().all(|name| seen.all(name).is_empty()), "{seen:?}");
    }
}

#[tokio::test]
async fn limits_of_the_key_are_told_beside_the_answer() {
    let upstream = Upstream::fine().await;
    let (server, _) = gate(&route(&upstream.url(), "")).await;
    let fields = json!({ "permissions": ["storage:*"], "ratelimits": [{ "name": "r", "limit": 2, "window": "1m" }] });
    let key = server.key(fields).await.key;
    let answer = server.get("/t").by(&key).send().await.with(200);
    assert_eq!(answer.header("ratelimit"), Some("\"r\";r=1;t=60"));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"r\";q=2;w=60"));
    server.get("/t").by(&key).send().await.with(200);
    let denied = server.get("/t").by(&key).send().await;
    denied.problem(429, "RATE_LIMITED");
    assert_eq!((denied.header("retry-after"), denied.header("ratelimit")), (Some("60"), Some("\"r\";r=0;t=60")));
    assert_eq!(upstream.seen().len(), 2);
}

/// The dashboard may be on the same host, and its session opens everything its person may do.
#[tokio::test]
async fn the_dashboards_cookie_is_neither_shown_to_an_upstream_nor_set_by_one() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nset-cookie: __Host-keywright=kwb_theirs; Path=/; Secure\r\nset-cookie: theirs=1\r\n\
         set-cookie: __Host-keywright =kwb_theirs\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let call = server.get("/t").by(&key.key).header("cookie", "a=b; __Host-keywright=kwb_secret; c=d");
    let answer = call.header("cookie", "__Host-keywright = kwb_secret").send().await.with(200);
    let seen = upstream.last();
    assert!(!seen.headers.iter().any(|(_, value)| value.contains("kwb_")), "{seen:?}");
    assert_eq!(seen.all("cookie"), ["a=b; c=d"]);
    let set: Vec<&str> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(set, ["theirs=1"]);
}
