//! What only a connection shows: the way in of `POST /v1/keys/verify`, which does not go through the router, whose
//! address a request comes from, and what no router ever sees.

use keywright_server::Options;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Answer, TestServer};

#[tokio::test]
async fn verifying_answers_the_same_by_either_way_in() {
    let (wired, routed) = (TestServer::listening(Options::default()).await, TestServer::start().await);
    let fields =
        json!({ "credits": 3, "ratelimits": [{ "name": "r", "limit": 9, "window": "1h" }], "permissions": ["a:read"] });
    for request in [
        json!({ "permissions": ["a:read"] }),
        json!({ "permissions": ["b:read"] }),
        json!({ "cost": 5 }),
        json!({ "colour": "red" }),
    ] {
        let mut told = Vec::new();
        for server in [&wired, &routed] {
            let issued = server.key(fields.clone()).await;
            let mut request = request.clone();
            request["key"] = issued.key.as_str().into();
            let answer = server.post("/v1/keys/verify", &request).send().await;
            let mut body = answer.json();
            for field in ["key_id", "account_id", "request_id"] {
                body.as_object_mut().unwrap().remove(field);
            }
            let headers = [
                "content-type",
                "cache-control",
                "x-content-type-options",
                "ratelimit",
                "ratelimit-policy",
                "retry-after",
            ];
            told.push((answer.status, headers.map(|name| answer.header(name).map(str::to_owned)), body));
        }
        assert_eq!(told[0], told[1]);
    }
}

#[tokio::test]
async fn verifying_refuses_the_same_by_either_way_in() {
    let (wired, routed) = (TestServer::listening(Options::default()).await, TestServer::start().await);
    let mut told = Vec::new();
    for server in [&wired, &routed] {
        let narrow = server.operator_with(&["keys:read"]).await;
        let asked = json!({ "key": "kw_live_x" });
        let verify = || server.post("/v1/keys/verify", &asked);
        let mut answers = Vec::new();
        for call in [
            verify().by_nobody(),
            verify().by("kw_operator_wrong"),
            verify().by(&narrow),
            verify().header("x-api-key", &server.operator),
            verify().without("authorization").header("authorization", &format!("bearer {}", server.operator)),
            verify().without("authorization").header("authorization", &format!("Bearer  {}", server.operator)),
            verify().without("authorization").header("authorization", &server.operator),
            server.call("POST", &format!("/v1/keys/verify?key={}&access_token={0}", server.operator)).by_nobody(),
            verify().without("content-type"),
            verify().body("{"),
            verify().body(r#"{"key": "x"}{}"#),
            verify().body("[]"),
            verify().body(vec![b' '; 65 * 1_024]),
            server.call("GET", "/v1/keys/verify"),
        ] {
            let answer = call.send().await;
            let body = answer.json();
            answers.push((
                answer.status,
                body["code"].clone(),
                body["detail"].clone(),
                answer.header("www-authenticate").map(str::to_owned),
            ));
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    let statuses: Vec<u16> = told[0].iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [401, 401, 403, 401, 401, 401, 401, 401, 415, 400, 400, 422, 413, 405]);
}

/// security.md 32
#[tokio::test]
async fn a_caller_from_outside_its_allow_list_is_nobody() {
    let server = TestServer::listening(Options::default()).await;
    let home = server.key(json!({ "ip_allowlist": "::ffff:127.0.0.1" })).await;
    let away = server.key(json!({ "ip_allowlist": "203.0.113.0/24" })).await;
    server.get("/v1/keys/self").by(&home.key).send().await.is(200);
    server.get("/v1/keys/self").by(&away.key).send().await.problem(401, "UNAUTHENTICATED");
    let forged = server.get("/v1/keys/self").by(&away.key).header("x-forwarded-for", "203.0.113.7");
    forged.send().await.problem(401, "UNAUTHENTICATED");
}

/// security.md 32, 33
#[tokio::test]
async fn a_listed_proxy_is_believed() {
    let trusted = Options { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Options::default() };
    let server = TestServer::listening(trusted).await;
    let issued = server.key(json!({ "ip_allowlist": "203.0.113.0/24" })).await;
    let call = |from: &str| server.get("/v1/keys/self").by(&issued.key).header("x-forwarded-for", from);
    call("203.0.113.7").send().await.is(200);
    call("198.51.100.1, 203.0.113.7").send().await.is(200);
    call("203.0.113.7, 198.51.100.1").send().await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn guessing_locks_the_address_and_says_for_how_long() {
    let server = TestServer::listening(Options::default()).await;
    for _ in 0..100 {
        server.get("/v1/keys/self").by("kw_live_wrong").send().await.problem(401, "UNAUTHENTICATED");
    }
    let locked = server.get("/v1/keys/self").by("kw_live_wrong").send().await;
    locked.problem(429, "RATE_LIMITED");
    assert_eq!(locked.header("retry-after"), Some("60"));
    server.wait("1m");
    server.get("/v1/keys/self").by("kw_live_wrong").send().await.problem(401, "UNAUTHENTICATED");
}

/// Sends bytes as they are and reads what comes back.
async fn raw(server: &TestServer, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_server_lives_on() {
    let server = TestServer::listening(Options::default()).await;
    for request in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nbroken\r\n\r\n",
    ] {
        let answer = raw(&server, request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    server.get("/health").by_nobody().send().await.is(200);
}

#[tokio::test]
async fn a_request_told_twice_how_long_it_is_is_refused() {
    let server = TestServer::listening(Options::default()).await;
    let head = "POST /v1/keys/verify HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    for lengths in ["content-length: 2\r\ncontent-length: 3\r\n", "content-length: x\r\n"] {
        let answer = raw(&server, format!("{head}{lengths}\r\n{{}}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}

#[tokio::test]
async fn several_requests_go_over_one_connection() {
    let server = TestServer::listening(Options::default()).await;
    let issued = server.key(json!({})).await;
    let body = json!({ "key": issued.key }).to_string();
    let request = |connection: &str| {
        let head = format!("POST /v1/keys/verify HTTP/1.1\r\nhost: a\r\nconnection: {connection}\r\n");
        let rest = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", server.operator);
        format!("{head}{rest}content-length: {}\r\n\r\n{body}", body.len())
    };
    let health = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n".to_owned();
    let answers = raw(&server, [request("keep-alive"), health, request("close")].concat().as_bytes()).await;
    let valid = answers.matches(r#""code":"VALID""#).count();
    assert_eq!((valid, answers.matches("HTTP/1.1 200").count()), (2, 3), "{answers}");
}

#[tokio::test]
async fn an_error_to_a_head_request_has_no_body() {
    let server = TestServer::listening(Options::default()).await;
    let answer = raw(&server, b"HEAD /v1/keys HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let answer = Answer::parse(&answer);
    assert_eq!((answer.status, answer.text.as_str()), (401, ""));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let _: Value = server.get("/health").by_nobody().send().await.is(200);
}
