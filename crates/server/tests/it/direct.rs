//! Verifications answered from a connection's own bytes: as the library answers them, however they come in.

use std::net::SocketAddr;
use std::sync::Arc;

use keywright_server::{Options, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::harness::{Answer, TestServer, text};

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n";

/// A connection that is read answer by answer.
pub(crate) struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Line {
    pub(crate) async fn to(server: &TestServer) -> Self {
        Self::at(server.address()).await
    }

    async fn at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// One on which the library has begun to answer, and so goes on.
    pub(crate) async fn of_the_library(server: &TestServer) -> Self {
        let mut line = Self::to(server).await;
        line.send(HEALTH).await;
        assert_eq!(line.answer().await.status, 200);
        line
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to(false).await
    }

    /// The answer to a request for the head alone, or another one.
    pub(crate) async fn answer_to(&mut self, is_head: bool) -> Answer {
        self.answer_and_bytes(is_head).await.0
    }

    /// The same, and how it came in.
    pub(crate) async fn answer_and_bytes(&mut self, is_head: bool) -> (Answer, String) {
        loop {
            let text = String::from_utf8_lossy(&self.read);
            if let Some(end) = text.find("\r\n\r\n") {
                let lower = text[..end].to_ascii_lowercase();
                let length = lower.split("content-length: ").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
                let body = if is_head || lower.starts_with("http/1.1 304") { 0 } else { length.parse().unwrap() };
                let chunks = text[end..].find("0\r\n\r\n").map_or(usize::MAX / 2, |at| at + 1);
                let body = if lower.contains("transfer-encoding: chunked") { chunks } else { body };
                let whole = end + 4 + body;
                if self.read.len() >= whole {
                    let rest = self.read.split_off(whole);
                    let whole = String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
                    return (Answer::parse(&whole), whole);
                }
            }
            let more = self.stream.read_buf(&mut self.read).await.unwrap();
            assert_ne!(more, 0, "closed after {:?}", String::from_utf8_lossy(&self.read));
        }
    }
}

fn post(fields: &[&str], body: &str) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// What an answer says, but for what differs from one to the next.
fn said(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !["date", "x-request-id", "content-length"].contains(&name.as_str()))
        .collect();
    headers.sort();
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    (answer.status, headers, body)
}

#[tokio::test]
async fn every_call_is_answered_as_the_library_answers_it() {
    let server = TestServer::listening(Options::default()).await;
    let limits = json!([{ "name": "r", "limit": 1_000, "window": "1h" }]);
    let issued = server.key(json!({ "permissions": ["a:read"], "ratelimits": limits })).await;
    let (by, json) = (format!("Authorization: Bearer {}", server.operator), "Content-Type: application/json");
    let asked = |more: &str| format!(r#"{{"key":"{}"{more}}}"#, issued.key);
    let narrow = server.operator_with(&["keys:read"]).await;
    let by_narrow = format!("authorization:Bearer {narrow}");
    let mut statuses = Vec::new();
    for request in [
        post(&[&by, json, "Connection: keep-alive"], &asked("")),
        post(&[&by, json, "X-Request-Id: mine-and-mine"], &asked("")),
        post(&[&by, json], &asked(r#","permissions":["b:read"]"#)),
        post(&[&by, json], &asked(r#","colour":1"#)),
        post(&[&by, json], "{"),
        post(&[&by], &asked("")),
        post(&[json], &asked("")),
        post(&[&by, &by, json], &asked("")),
        post(&[&by, "x-api-key: a", json], &asked("")),
        post(&[&by_narrow, json], &asked("")),
        post(&[&by, json], ""),
    ] {
        let (mut direct, mut library) = (Line::to(&server).await, Line::of_the_library(&server).await);
        direct.send(&request).await;
        library.send(&request).await;
        let (direct, library) = (direct.answer().await, library.answer().await);
        assert!(direct.header("date").is_some() && direct.header("x-request-id").is_some());
        let name =
            |answer: &Answer| answer.header("x-request-id").filter(|id| *id == "mine-and-mine").map(str::to_owned);
        assert_eq!(name(&direct), name(&library));
        let (mut direct, library) = (said(&direct), said(&library));
        // The one that is answered later has used more of its limit.
        for (name, value) in &mut direct.1 {
            if name == "ratelimit" {
                library.1.iter().find(|(other, _)| other == name).unwrap().1.clone_into(value);
            }
        }
        if let Some(left) = direct.2.get_mut("ratelimits") {
            *left = library.2["ratelimits"].clone();
        }
        assert_eq!(direct, library, "{request}");
        statuses.push(direct.0);
    }
    assert_eq!(statuses, [200, 200, 200, 422, 400, 415, 401, 401, 401, 403, 422]);
}

#[tokio::test]
async fn whoever_asks_is_counted_once_also_where_the_key_has_to_be_looked_up() {
    let server = TestServer::listening(Options::default()).await;
    let account = server.account().await;
    let (own, by) = server.key_of(&account, json!({ "permissions": ["keys:verify"] })).await.pair();
    let (id, key) = server.key_of(&account, json!({})).await.pair();
    let newer = server.post(&format!("/v1/keys/{id}/rotate"), &json!({ "grace": "1h" })).send().await.is(200);
    let (by, json) = (format!("Authorization: Bearer {by}"), "Content-Type: application/json");
    let mut line = Line::to(&server).await;
    // Neither is in memory; then both are; then it is known who asks, and the key is not.
    for key in [&key, &key, &text(&newer, "key")] {
        line.send(post(&[&by, json], &json!({ "key": key }).to_string())).await;
        assert_eq!(line.answer().await.json()["code"], "VALID");
    }
    server.app.flush_usage().await.unwrap();
    let counts = |id: String| {
        let server = &server;
        async move { server.get(&format!("/v1/keys/{id}/usage")).send().await.is(200)["data"][0]["count"].clone() }
    };
    assert_eq!([counts(own).await, counts(id).await], [3, 3]);
}

#[tokio::test]
async fn a_head_that_is_known_proves_nothing() {
    let server = TestServer::listening(Options::default()).await;
    let account = server.account().await;
    let (own, by) = server.key_of(&account, json!({ "permissions": ["keys:verify"] })).await.pair();
    let (_, key) = server.key_of(&account, json!({})).await.pair();
    let request = |by: &str, key: &str| {
        let by = format!("Authorization: Bearer {by}");
        post(&[&by, "Content-Type: application/json"], &json!({ "key": key }).to_string())
    };
    let mut line = Line::to(&server).await;
    let other = server.key(json!({})).await.key;
    for (key, code) in [(&key, "VALID"), (&key, "VALID"), (&other, "NOT_FOUND"), (&key, "VALID")] {
        line.send(request(&by, key)).await;
        assert_eq!(line.answer().await.json()["code"], code);
    }
    // Heads as long as that: of somebody else, and with another field where the credential was.
    line.send(request(&key, &key)).await;
    assert_eq!(line.answer().await.status, 403);
    let fields = ["Content-Type: application/json", &format!("Authorization: Bearer {by}")];
    line.send(post(&fields, &json!({ "key": key }).to_string())).await;
    assert_eq!(line.answer().await.status, 200);
    server.post(&format!("/v1/keys/{own}/disable"), &json!({})).send().await.is(200);
    line.send(request(&by, &key)).await;
    assert_eq!(line.answer().await.status, 401);
    server.post(&format!("/v1/keys/{own}/enable"), &json!({})).send().await.is(200);
    line.send(request(&by, &key)).await;
    assert_eq!(line.answer().await.status, 200);
    server.delete(&format!("/v1/keys/{own}")).send().await;
    line.send(request(&by, &key)).await;
    assert_eq!(line.answer().await.status, 401);
}

#[tokio::test]
async fn calls_are_answered_in_turn_however_their_bytes_come_in() {
    let server = TestServer::listening(Options::default()).await;
    let issued = server.key(json!({})).await;
    let by = format!("Authorization: Bearer {}", server.operator);
    let request = post(&[&by, "Content-Type: application/json"], &json!({ "key": issued.key }).to_string());
    let mut line = Line::to(&server).await;
    for byte in request.as_bytes() {
        line.send([*byte]).await;
    }
    assert_eq!(line.answer().await.json()["code"], "VALID");
    // Two and a half at once, then the other half, with something else behind it, and another one behind that.
    let (first, second) = request.split_at(request.len() / 2);
    line.send([request.as_str(), &request, first].concat()).await;
    for _ in 0..2 {
        assert_eq!(line.answer().await.json()["code"], "VALID");
    }
    line.send([second, HEALTH, request.as_str()].concat()).await;
    assert_eq!(line.answer().await.json()["code"], "VALID");
    assert_eq!(line.answer().await.json()["status"], "ok");
    assert_eq!(line.answer().await.json()["code"], "VALID");
}

#[tokio::test]
async fn what_two_readers_could_read_differently_is_refused_behind_a_call_as_well() {
    let server = TestServer::listening(Options::default()).await;
    let by = format!("Authorization: Bearer {}", server.operator);
    let request = post(&[&by, "Content-Type: application/json"], r#"{"key":"a"}"#);
    for second in [
        request.replace("Content-Length: 11", "Content-Length: 11\r\nTransfer-Encoding: chunked"),
        request.replace("Content-Length: 11", "Content-Length: 11\r\nContent-Length: 12"),
        request.replace("Host: a\r\n", "Host: a\n"),
    ] {
        let mut line = Line::to(&server).await;
        line.send([request.as_str(), &second].concat()).await;
        assert_eq!(line.answer().await.json()["code"], "MALFORMED");
        let refused = line.answer().await;
        assert_eq!((refused.status, refused.header("connection")), (400, Some("close")), "{second}");
    }
}

#[tokio::test]
async fn a_server_that_is_to_stop_ends_idle_connections() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let until = async { drop(stopped.await) };
    let served = tokio::spawn(serve(listener, Arc::clone(&server.app), Options::default(), until));
    let by = format!("Authorization: Bearer {}", server.operator);
    let request = post(&[&by, "Content-Type: application/json"], &json!({ "key": issued.key }).to_string());
    let mut idle = Line::at(address).await;
    idle.send(&request).await;
    let answered = idle.answer().await;
    assert_eq!((answered.status, answered.header("connection")), (200, None));
    stop.send(()).unwrap();
    assert_eq!(idle.stream.read_buf(&mut idle.read).await.unwrap(), 0);
    served.await.unwrap().unwrap();
}
