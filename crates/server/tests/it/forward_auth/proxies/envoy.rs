//! Envoy, which passes on any refusal whole, and has headers of its own that a client must not command it by.

use std::process::{Command, Stdio};

use keywright_app::core::policy::Policy;
use keywright_server::{Options, Snippet, snippet};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{Scene, everything, program, run};
use crate::gateway::upstream::{Upstream, read_head};
use crate::gateway::{all, ask, until};
use crate::harness::TestServer;

/// What nginx cannot pass on, and others can.
async fn a_refusal_is_keywrights_own_answer(scene: &Scene) {
    let (_, reader) = scene.key("storage:read", json!({})).await;
    for (method, path, key, status, code) in [
        ("GET", "/t", "", 401, "UNAUTHENTICATED"),
        ("PUT", "/t", &*reader, 403, "FORBIDDEN"),
        ("GET", "/t/../t", &reader, 400, "BAD_REQUEST"),
        ("GET", "/elsewhere", &reader, 404, "NOT_FOUND"),
        ("DELETE", "/t", &reader, 405, "METHOD_NOT_ALLOWED"),
    ] {
        let answer = scene.send(method, path, key, "").await.with(status);
        answer.problem(status, code);
        assert_eq!(answer.headers.get_all("content-type").iter().count(), 1, "{answer:?}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("GET, PUT"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
    let limits = json!([{ "name": "minute", "limit": 1, "window": "1m" }]);
    let (_, limited) = scene.key("storage:read", json!({ "ratelimits": limits })).await;
    let passed = scene.send("GET", "/t", &limited, "").await.with(200);
    assert_eq!(passed.header("ratelimit"), Some("\"minute\";r=0;t=60"), "{passed:?}");
    scene.send("GET", "/t", &limited, "").await.problem(429, "RATE_LIMITED");
}

/// What a client could have Envoy do besides, by headers of Envoy's own.
async fn what_was_paid_for_once_goes_on_once(scene: &Scene) {
    let (_, key) = scene.key("storage:read", json!({})).await;
    let before = scene.upstream.seen().len();
    let again = "x-envoy-retry-on: retriable-status-codes,5xx\r\nx-envoy-retriable-status-codes: 200\r\n\
                 x-envoy-max-retries: 3\r\nx-envoy-internal: true\r\n";
    scene.send("GET", "/t", &key, again).await.with(200);
    assert_eq!(scene.upstream.seen().len() - before, 1, "{}", scene.name);
    let seen = scene.upstream.last();
    assert!(!seen.headers.iter().any(|(name, _)| name.starts_with("x-envoy-retr")), "{:?}", seen.headers);
}

/// Our cookie is for the dashboard alone. Only over gRPC Envoy says what cookies there are.
async fn the_dashboards_cookie_goes_no_further(scene: &Scene) {
    let (_, key) = scene.key("storage:read", json!({})).await;
    scene.send("GET", "/t", &key, "cookie: a=b; __Host-keywright=secret\r\ncookie: c=d\r\n").await.with(200);
    assert_eq!(scene.upstream.last().one("cookie"), "a=b; c=d");
    scene.send("GET", "/t", &key, "cookie: __Host-keywright=secret\r\n").await.with(200);
    assert_eq!(scene.upstream.last().all("cookie").len(), 0);
    // Two lines that a map of them would make one of.
    let lines = format!("authorization: Bearer {key}\r\nAuthorization: Bearer {key}\r\n");
    scene.send("GET", "/t", "", &lines).await.with(401);
}

/// An upstream that answers what it reads, as it reads it, and takes upgrades: after each head it is asked on.
async fn echoing() -> Upstream {
    Upstream::raw(|mut stream| async move {
        let Some(seen) = read_head(&mut stream).await else { return };
        let upgrades = !seen.all("upgrade").is_empty();
        let head = if upgrades {
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n".to_owned()
        } else {
            format!("HTTP/1.1 200 OK\r\nx-key: {}\r\nconnection: close\r\n\r\n", seen.one("x-key-id"))
        };
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await
}

/// Bodies pass as they come, and a WebSocket where the route takes one.
async fn streams_flow_both_ways(name: &'static str) {
    let upstream = echoing().await;
    let server = TestServer::listening(Options::default()).await;
    let dev: String = Policy::DEV.split("\n[route.").next().unwrap().to_owned();
    let policy = format!(
        "{dev}\n[forward_auth]\ndialects = [\"{name}\"]\npeers = [\"127.0.0.1\"]\n\
         [route.w]\npath = \"/\"\nupstream = {}\nwebsocket = true\nmethods = {{ GET = [], POST = [] }}\n",
        upstream.url()
    );
    server.app.reload_policy(&policy).unwrap();
    let Some(proxy) = run(name, &policy, server.address()).await else { return };
    let key = server.key(json!({ "permissions": ["storage:read"] })).await;
    let authorized = format!("host: a\r\nauthorization: Bearer {}\r\n", key.key);
    let at = ([127, 0, 0, 1], proxy.port).into();
    let mut upload = ask(at, &format!("POST /u HTTP/1.1\r\n{authorized}transfer-encoding: chunked\r\n\r\n")).await;
    let head = until(&mut upload, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("x-key: {}\r\n", key.id)), "{head}");
    for piece in ["first", "second"] {
        upload.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await.unwrap();
        // It is back before the next is sent.
        until(&mut upload, &format!("{piece}\r\n")).await;
    }
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut socket = ask(at, &format!("GET /w HTTP/1.1\r\n{authorized}{upgrade}")).await;
    assert!(until(&mut socket, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    for word in ["ping", "pong"] {
        socket.write_all(word.as_bytes()).await.unwrap();
        until(&mut socket, word).await;
    }
    let refused = all(ask(at, &format!("GET /w HTTP/1.1\r\nhost: a\r\n{upgrade}")).await).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert_eq!(upstream.connections(), 2);
}

async fn envoy(name: &'static str) {
    let Some(scene) = Scene::set(name).await else { return };
    a_refusal_is_keywrights_own_answer(&scene).await;
    what_was_paid_for_once_goes_on_once(&scene).await;
    if name == "envoy" {
        the_dashboards_cookie_goes_no_further(&scene).await;
    }
    streams_flow_both_ways(name).await;
}

/// Whatever a policy may say has a place in a configuration that Envoy takes.
#[test]
fn envoy_takes_what_any_policy_comes_to() {
    let Some(program) = program("envoy") else { return };
    let dev = Policy::DEV.split("\n[route.").next().unwrap();
    let route = |name: &str, path: &str, more: &str| {
        format!("[route.{name}]\npath = \"{path}\"\nmethods = {{ GET = [] }}\n{more}\n")
    };
    let named = "upstream = [\"http://files.internal\", \"http://10.0.0.5:9000\"]\nstrip = true";
    let numbers =
        "upstream = [\"http://[::1]\", \"http://[fd00::7]:9000\"]\nwebsocket = true\nforward_credential = true";
    let odd = ["/@x/~u", "/a.b+c,d=e:f", "/A-1_2", "/v1/x"].into_iter().enumerate();
    let odd: String = odd.map(|(number, path)| route(&format!("odd{number}"), path, named)).collect();
    let routes = odd
        + &route("all", "/", &format!("{numbers}\ntimeout = {{ connect = \"100ms\", idle = \"1500ms\" }}"))
        + &route("own", "/v1", &format!("{numbers}\nhost = \"h.example\""))
        + &route("deep", "/v1/deep", &format!("{named}\nhost = \"g.h.example\""));
    let asked = "[forward_auth]\ndialects = [\"envoy\"]\npeers = [\"10.0.0.7\"]\n";
    let only = route("only", "/x", "upstream = \"http://a\"\nhost = \"h.example\"");
    for routes in [routes, only] {
        let policy = Policy::parse(&format!("{dev}\n{asked}{routes}")).unwrap();
        for wanted in [Snippet::Envoy, Snippet::EnvoyHttp] {
            for server in ["http://127.0.0.1:8700", "http://[::1]:8700", "http://keys.internal"] {
                let text = snippet(wanted, &policy, &Options::default(), &server.parse().unwrap(), None).unwrap();
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("envoy.yaml");
                std::fs::write(&file, &text).unwrap();
                let mut command = Command::new(&program);
                command
                    .args(["--mode", "validate", "--log-level", "warning", "--disable-hot-restart", "-c"])
                    .arg(&file);
                let checked = command.stdin(Stdio::null()).output().unwrap();
                let says = String::from_utf8_lossy(&checked.stderr);
                // Nor does it warn of what it will not take one day.
                assert!(checked.status.success() && !says.contains("[warning]"), "{says}\n{text}");
            }
        }
    }
}

#[tokio::test]
async fn envoy_with_the_printed_configuration_for_grpc() {
    everything("envoy").await;
    envoy("envoy").await;
}

#[tokio::test]
async fn envoy_with_the_printed_configuration_for_http() {
    everything("envoy-http").await;
    envoy("envoy-http").await;
}
