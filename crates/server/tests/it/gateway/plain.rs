//! Plain requests, which pass without the HTTP library: as they would pass with it, and what of them is left to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::upstream::{Seen, Upstream, read_head};
use super::{ask, gate, head, route, until};
use crate::direct::Line;
use crate::harness::Answer;

const PATIENCE: Duration = Duration::from_secs(20);

/// What an upstream may answer, by the path it is asked for.
fn answer(asked: &Seen) -> String {
    let path = asked.line.split(' ').nth(1).unwrap_or_default().trim_start_matches("/t/");
    let path = path.split('?').next().unwrap_or_default();
    match path {
        "plain" => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\netag: \"a\"\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nfine",
        "hop" => {
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: x-hop, keep-alive\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\n\
             x-request-id: theirs-theirs\r\nratelimit: theirs\r\nset-cookie: __Host-keywright=a\r\nset-cookie: b=c\r\n\r\nx"
        }
        "reason" => "HTTP/1.1 200 Well Enough\r\ncontent-length: 0\r\n\r\n",
        "none" => "HTTP/1.1 204 No Content\r\n\r\n",
        "same" => "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\netag: \"a\"\r\n\r\n",
        "early" => "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "chunked" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        "lost" => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsorry",
        "twice" => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nfine!",
        "both" => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "switch" => "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "noise" => "what?\r\n\r\n",
        other => panic!("{other}"),
    }
    .to_owned()
}

/// What an answer says, but for what differs from one to the next.
fn said(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let fields = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut fields: Vec<_> = fields.filter(|(name, value)| name != "date" || value.contains("1994")).collect();
    fields.sort();
    (answer.status, fields, answer.text.replace(&request_id(answer), ""))
}

fn request_id(answer: &Answer) -> String {
    answer.header("x-request-id").unwrap().to_owned()
}

async fn answered(mut line: Line, request: &str, is_head: bool) -> Answer {
    line.send(request).await;
    timeout(PATIENCE, line.answer_to(is_head)).await.unwrap_or_else(|_| panic!("no answer to {request}"))
}

/// What a request may have besides: much of it must not pass.
const MORE: &str = "x-request-id: mine-and-mine\r\naccept: a\r\naccept: b\r\nX-Odd: \u{e9}\r\ncookie: __Host-keywright=1; c=d\r\n\
    x-key-id: forged\r\nX-Account-Id: forged\r\nX_KEY_ROLE: forged\r\nX.User-ID: forged\r\nForwarded: for=forged\r\n\
    X-Real-IP: forged\r\nX_Api.KEY: forged\r\nProxy-Connection: forged\r\nKeep-Alive: forged\r\n\
    X-Forwarded-For: 9.9.9.9\r\nconnection: keep-alive\r\nCookie: __Host-keywright=2; E=f\r\n";

#[tokio::test]
async fn each_passes_as_it_would_with_the_library() {
    let upstream = Upstream::answering(answer).await;
    let (server, key) = gate(&route(&upstream.url(), "body_limit = \"1KB\"")).await;
    let limited = json!([{ "name": "r", "limit": 1_000, "window": "1h" }]);
    let limited = server.key(json!({ "permissions": ["storage:manage"], "ratelimits": limited })).await;
    let weak = server.key(json!({ "permissions": ["storage:read"] })).await;
    let get = |path: &str| head("GET", &format!("/t/{path}"), &key.key, MORE);
    let mut requests: Vec<String> = [
        "plain?a=/../b",
        "hop",
        "reason",
        "none",
        "same",
        "early",
        "chunked",
        "lost",
        "twice",
        "both",
        "switch",
        "noise",
    ]
    .map(get)
    .into();
    let bodies = ["content-length: 4\r\n", "content-length: 0\r\n", ""];
    requests.extend(bodies.map(|length| head("POST", "/t/plain", &key.key, length)));
    requests.extend([
        head("HEAD", "/t/plain", &key.key, MORE),
        head("GET", "/t/plain", &limited.key, MORE),
        head("POST", "/t/plain", &weak.key, MORE),
        head("GET", "/t/plain", "kw_live_wrong", MORE),
        head("PURGE", "/t/plain", &key.key, MORE),
        head("OPTIONS", "/t/plain", &key.key, MORE),
        head("DELETE", "/t/plain", &key.key, "content-length: 1025\r\n"),
        head("GET", "/t//plain", &key.key, MORE),
        head("GET", "/nowhere", &key.key, MORE),
        head("GET", "/t/plain", &key.key, "x-api-key: a\r\n"),
    ]);
    for mut request in requests {
        if request.contains("content-length: 4\r") {
            request.push_str("body");
        } else if request.contains("content-length: 1025") {
            request.push_str(&"x".repeat(1_025));
        }
        let is_head = request.starts_with("HEAD");
        let before = upstream.seen().len();
        let plain = answered(Line::to(&server).await, &request, is_head).await;
        let seen = upstream.seen();
        let library = answered(Line::of_the_library(&server).await, &request, is_head).await;
        let (mut plain, mut library) = (said(&plain), said(&library));
        for said in [&mut plain, &mut library] {
            // One of the two has used more of its limit.
            said.1.retain(|(name, value)| name != "ratelimit" || value.contains("theirs"));
            if !request.contains("mine-and-mine") {
                said.1.retain(|(name, _)| name != "x-request-id");
            }
        }
        assert_eq!(plain, library, "{request}");
        let both = upstream.seen();
        assert_eq!(both.len() - seen.len(), seen.len() - before, "{request}");
        if let (Some(plain), Some(library)) = (seen.last(), both.last()) {
            let all = |seen: &Seen| {
                let fields = seen.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
                let mut fields: Vec<_> = fields.filter(|(_, value)| !value.starts_with("req_")).collect();
                fields.sort();
                (seen.line.clone(), fields, seen.body.clone())
            };
            assert_eq!(all(plain), all(library), "{request}");
            assert!(all(plain).1.iter().all(|(_, value)| value != "for=forged" && value != "forged"), "{plain:?}");
        }
    }
}

/// The library writes names in small letters.
async fn is_plain(line: &mut Line, request: &str) -> bool {
    line.send(request).await;
    let (answer, raw) = timeout(PATIENCE, line.answer_and_bytes(false)).await.unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (200, "fine"));
    raw.contains("\r\nX-Up: a\r\n")
}

#[tokio::test]
async fn an_answer_with_a_length_needs_no_library_and_shares_connections() {
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Up: a\r\n\r\nfine").await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let request = head("GET", "/t", &key.key, "");
    for _ in 0..2 {
        let mut line = Line::to(&server).await;
        for _ in 0..3 {
            assert!(is_plain(&mut line, &request).await);
        }
    }
    assert_eq!((upstream.seen().len(), upstream.connections()), (6, 1));
    let mut library = Line::of_the_library(&server).await;
    assert!(!is_plain(&mut library, &request).await);
}

#[tokio::test]
async fn what_nobody_asked_for_is_nobodys_answer() {
    let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfineHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let upstream = Upstream::saying(evil).await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let mut line = Line::to(&server).await;
    for turn in 1..=3 {
        line.send(head("GET", "/t", &key.key, "")).await;
        assert_eq!(line.answer().await.text, "fine");
        assert_eq!(upstream.connections(), turn);
    }
}

#[tokio::test]
async fn a_connection_that_came_late_with_more_or_was_closed_is_not_taken_up_again() {
    for late in ["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", ""] {
        let turns = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&turns);
        let upstream = Upstream::raw(move |mut stream| {
            let count = Arc::clone(&count);
            async move {
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine").await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.write_all(late.as_bytes()).await.unwrap();
                count.fetch_add(1, Ordering::Release);
                if !late.is_empty() {
                    std::future::pending::<()>().await;
                }
            }
        })
        .await;
        let (server, key) = gate(&route(&upstream.url(), "")).await;
        let mut line = Line::to(&server).await;
        for turn in 1..=2 {
            line.send(head("GET", "/t", &key.key, "")).await;
            assert_eq!(line.answer().await.text, "fine");
            while turns.load(Ordering::Acquire) < turn {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(upstream.connections(), 2);
    }
}

#[tokio::test]
async fn what_is_closed_under_a_request_is_asked_again_only_where_that_does_no_harm() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&asked);
    // Answers the first request of a connection, and closes it on the second.
    let upstream = Upstream::raw(move |mut stream| {
        let all = Arc::clone(&all);
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine").await.unwrap();
            let second = read_head(&mut stream).await;
            all.lock().unwrap().push(second);
        }
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let mut line = Line::to(&server).await;
    for (method, fields, status) in [
        ("GET", "", 200),
        ("GET", "", 200),
        ("POST", "content-length: 2\r\n", 502),
        ("POST", "content-length: 2\r\n", 200),
    ] {
        let body = if fields.is_empty() { "" } else { "hi" };
        line.send(head(method, "/t", &key.key, fields) + body).await;
        let answer = timeout(PATIENCE, line.answer()).await.unwrap();
        assert_eq!(answer.status, status, "{method} {}", answer.text);
    }
    assert_eq!((asked.lock().unwrap().len(), upstream.connections()), (2, 3));
}

#[tokio::test]
async fn requests_of_every_sort_are_answered_in_turn() {
    let upstream = Upstream::answering(answer).await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let verify = json!({ "key": key.key }).to_string();
    let verify = format!(
        "POST /v1/keys/verify HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{verify}",
        server.operator,
        verify.len()
    );
    let plain = head("GET", "/t/plain", &key.key, "");
    let posted = head("POST", "/t/plain", &key.key, "content-length: 4\r\n") + "body";
    let chunked = head("GET", "/t/chunked", &key.key, "");
    let all = [&plain, &verify, &posted, &verify, &verify, &plain, &chunked, &plain, &verify];
    let mut line = Line::to(&server).await;
    line.send(all.map(String::as_str).concat()).await;
    for asked in all {
        let answer = timeout(PATIENCE, line.answer()).await.unwrap().with(200);
        if *asked == verify {
            assert_eq!(answer.json()["code"], "VALID");
        } else if *asked == chunked {
            assert_eq!(answer.text, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        } else {
            assert_eq!(answer.text, "fine");
        }
    }
    assert_eq!(upstream.seen()[1].body, b"body");
}

#[tokio::test]
async fn a_long_answer_passes_whole_and_a_broken_one_ends_its_connection() {
    let long = "0123456789abcdef".repeat(64 * 1_024);
    let (whole, upstream_long) = (long.clone(), long.clone());
    let upstream = Upstream::answering(move |seen| {
        let length = if seen.line.contains("broken") { upstream_long.len() + 1 } else { upstream_long.len() };
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{upstream_long}")
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "timeout = { idle = \"300ms\" }")).await;
    let mut line = Line::to(&server).await;
    for _ in 0..2 {
        line.send(head("GET", "/t", &key.key, "")).await;
        assert!(timeout(PATIENCE, line.answer()).await.unwrap().text == whole);
    }
    assert_eq!(upstream.connections(), 1);
    let broken = ask(server.address(), &head("GET", "/t/broken", &key.key, "")).await;
    let got = timeout(PATIENCE, super::all(broken)).await.unwrap();
    assert!(got.ends_with(&whole) && got.contains(&format!("content-length: {}\r\n", whole.len() + 1)));
}

#[tokio::test]
async fn a_revoked_key_is_refused_on_a_connection_it_was_taken_on() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let mut stream = ask(server.address(), &head("GET", "/t", &key.key, "")).await;
    until(&mut stream, "fine").await;
    server.delete(&format!("/v1/keys/{}", key.id)).by(&server.operator).send().await.with(204);
    stream.write_all(head("GET", "/t", &key.key, "").as_bytes()).await.unwrap();
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 401 "));
    assert_eq!(upstream.seen().len(), 1);
}
