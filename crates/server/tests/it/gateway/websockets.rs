//! WebSockets pass where a route allows them; nothing else becomes of a connection.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::upstream::{Upstream, read_head};
use super::{ask, gate, head, route, until};
use crate::harness::TestServer;
use crate::python;

pub(super) const FIELDS: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                      sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(20);

/// Switches where it is asked to and then repeats what it hears; else says what it was asked.
pub(super) async fn repeating() -> Upstream {
    Upstream::raw(|mut stream| async move {
        let Some(seen) = read_head(&mut stream).await else { return };
        if seen.all("upgrade") != ["websocket"] {
            let body = format!("{:?} {:?}", seen.all("upgrade"), seen.all("connection"));
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            return stream.write_all(answer.as_bytes()).await.unwrap();
        }
        assert_eq!((seen.one("connection"), seen.one("sec-websocket-version")), ("upgrade", "13"));
        stream.write_all(SWITCHING.as_bytes()).await.unwrap();
        let mut piece = [0; 1_024];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            stream.write_all(&piece[..count]).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn a_websocket_passes_both_ways_where_the_route_allows_it() {
    let upstream = repeating().await;
    let (server, key) = gate(&route(&upstream.url(), "websocket = true")).await;
    let mut stream = ask(server.address(), &head("GET", "/t", &key.key, FIELDS)).await;
    let answer = timeout(PATIENCE, until(&mut stream, "\r\n\r\n")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("sec-websocket-accept"), "{answer}");
    assert!(answer.contains("upgrade: websocket") && answer.contains("connection: upgrade"), "{answer}");
    for said in ["\u{1}one\nGET / HTTP/1.1\n\n", "two\r\n\r\n"] {
        stream.write_all(said.as_bytes()).await.unwrap();
        let heard = timeout(PATIENCE, until(&mut stream, said)).await.unwrap();
        assert_eq!(heard, said);
    }
    let refused = head("GET", "/t", "kw_live_wrong", FIELDS);
    let mut stream = ask(server.address(), &refused).await;
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_silent_websocket_ends() {
    let upstream = repeating().await;
    let (server, key) = gate(&route(&upstream.url(), "websocket = true\ntimeout = { idle = \"300ms\" }")).await;
    let mut stream = ask(server.address(), &head("GET", "/t", &key.key, FIELDS)).await;
    until(&mut stream, "\r\n\r\n").await;
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is still open").unwrap();
}

#[tokio::test]
async fn no_other_upgrade_is_asked_for() {
    let upstream = repeating().await;
    let h2c = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let both = "connection: upgrade\r\nupgrade: websocket, h2c\r\nsec-websocket-key: a\r\n";
    for (more, fields) in [("", FIELDS), ("", h2c), ("websocket = true", h2c), ("websocket = true", both)] {
        let (server, key) = gate(&route(&upstream.url(), more)).await;
        let mut stream = ask(server.address(), &head("GET", "/t", &key.key, fields)).await;
        let answer = timeout(PATIENCE, until(&mut stream, "[] []")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

/// A WebSocket that has been opened, its upstream's end, and what asks for it to be closed.
struct Open {
    server: TestServer,
    stream: TcpStream,
    /// Closed once the upstream's end is.
    behind: mpsc::UnboundedReceiver<()>,
}

impl Open {
    /// Opened with what is made of a server and an account.
    async fn by(credential: impl AsyncFnOnce(&TestServer, &str) -> String) -> (Self, String) {
        let (open, behind) = mpsc::unbounded_channel();
        let upstream = Upstream::raw(move |mut stream| {
            let open = open.clone();
            async move {
                read_head(&mut stream).await;
                stream.write_all(SWITCHING.as_bytes()).await.unwrap();
                let mut piece = [0; 1_024];
                while let Ok(count @ 1..) = stream.read(&mut piece).await {
                    stream.write_all(&piece[..count]).await.unwrap();
                }
                open.send(()).unwrap();
            }
        })
        .await;
        let (server, _) = gate(&route(&upstream.url(), "websocket = true\npeople = true")).await;
        let account = server.account().await;
        let credential = credential(&server, &account).await;
        let mut stream = ask(server.address(), &head("GET", "/t", &credential, FIELDS)).await;
        let answer = timeout(PATIENCE, until(&mut stream, "\r\n\r\n")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let mut opened = Self { server, stream, behind };
        opened.is_heard().await;
        (opened, account)
    }

    async fn is_heard(&mut self) {
        self.stream.write_all(b"still there?").await.unwrap();
        timeout(PATIENCE, until(&mut self.stream, "still there?")).await.unwrap();
    }

    /// Both ends close, within a second and what a busy machine takes.
    async fn closes(mut self, why: &str) {
        let soon = Duration::from_secs(4);
        let mut rest = Vec::new();
        let closed = timeout(soon, self.stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{why}: the client's end is open");
        assert!(timeout(soon, self.behind.recv()).await.is_ok(), "{why}: the upstream's end is open");
    }
}

#[tokio::test]
async fn a_websocket_ends_with_the_key_it_was_opened_with() {
    let cases = ["revoke", "disable", "rotate", "suspend", "expire", "permissions"];
    for why in cases {
        let mut id = String::new();
        let (open, account) = Open::by(async |server, account| {
            let fields = json!({ "permissions": ["storage:manage"], "expires_in": "1h" });
            let key = server.key_of(account, fields).await;
            id = key.id;
            key.key
        })
        .await;
        let server = &open.server;
        let (path, suspended) = (format!("/v1/keys/{id}"), json!({ "status": "suspended" }));
        let status = match why {
            "revoke" => server.delete(&path).send().await.status,
            "disable" => server.post(&format!("{path}/disable"), &Value::Null).send().await.status,
            "rotate" => server.post(&format!("{path}/rotate"), &json!({ "grace": "0s" })).send().await.status,
            "suspend" => server.patch(&format!("/v1/accounts/{account}"), &suspended).send().await.status,
            "permissions" => server.patch(&path, &json!({ "permissions": ["dns:manage"] })).send().await.status,
            _ => {
                server.wait("1h");
                200
            }
        };
        assert!((200..300).contains(&status), "{why}: {status}");
        open.closes(why).await;
    }
}

#[tokio::test]
async fn a_websocket_ends_with_the_session_it_was_opened_with() {
    for why in ["session", "membership", "token"] {
        let (mut user, mut session) = (String::new(), String::new());
        let (open, account) = Open::by(async |server, account| {
            let (person, begun, token) = server.person(account, "admin").await;
            (user, session) = (person, begun);
            token
        })
        .await;
        let server = &open.server;
        match why {
            "session" => {
                server.delete(&format!("/v1/users/{user}/sessions/{session}")).send().await.with(204);
            }
            "membership" => {
                server.delete(&format!("/v1/accounts/{account}/members/{user}")).send().await.with(204);
            }
            _ => server.wait("61m"),
        }
        if why == "token" {
            // Nothing was changed: it is found out a little later.
            let (mut stream, mut rest) = (open.stream, Vec::new());
            assert!(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok(), "it is still open");
        } else {
            open.closes(why).await;
        }
    }
}

#[tokio::test]
async fn a_websocket_outlives_what_others_lose_and_costs_nothing_while_it_is_open() {
    let mut id = String::new();
    let (mut open, account) = Open::by(async |server, account| {
        let fields = json!({ "permissions": ["storage:manage"], "credits": 2 });
        let key = server.key_of(account, fields).await;
        id = key.id;
        key.key
    })
    .await;
    let other = open.server.key_of(&account, json!({})).await;
    open.server.delete(&format!("/v1/keys/{}", other.id)).send().await.with(204);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        open.is_heard().await;
    }
    let key = open.server.get(&format!("/v1/keys/{id}")).send().await.is(200);
    assert_eq!(key["credits"], 1, "{key}");
}

/// A library's client and server, which speak through the gate as they would to one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_librarys_client_and_server_notice_no_gate_between_them() {
    let Some(python) = python::program() else { return };
    let mut child = Command::new(python)
        .args(["-c", include_str!("../../support/python/websocket.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let upstream = format!("\"http://127.0.0.1:{}\"", heard.next().unwrap());
    let (server, key) = gate(&route(&upstream, "websocket = true")).await;
    let given = json!({ "url": format!("ws://{}/t", server.address()), "key": key.key });
    writeln!(child.stdin.take().unwrap(), "{given}").unwrap();
    let said: Vec<Value> = tokio::task::block_in_place(|| heard.collect());
    let expected =
        json!([["echo.v1", "PerMessageDeflate"], true, true, true, key.id, true, true, [4001, "as asked"], 401, 400]);
    assert_eq!(Value::from(said), expected);
    assert!(child.wait().unwrap().success());
}
