//! Upstreams that are away, slow, or several.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keywright_app::core::route::Health;
use keywright_app::core::time::Span;
use keywright_server::Options;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::upstream::{Upstream, nobody, read_head};
use super::{all, ask, gate, gate_with, head, route};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_upstream_that_is_away_is_a_502_in_the_routes_words() {
    let away = format!("\"http://{}\"", nobody().await);
    let (server, key) = gate(&route(&away, "")).await;
    server.get("/t").by(&key.key).send().await.problem(502, "UPSTREAM_UNREACHABLE");
    let (server, key) = gate(&route(&away, "errors = \"wavis\"")).await;
    let body = server.get("/t").by(&key.key).send().await.is(502);
    assert_eq!(body["code"], "UPSTREAM_UNREACHABLE");
    let (server, key) = gate(&route("\"unknown\"", "")).await;
    server.get("/t").by(&key.key).send().await.problem(502, "UPSTREAM_UNREACHABLE");
}

#[tokio::test]
async fn each_wait_has_an_end() {
    // A socket whose queue is full takes no connection, and refuses none.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let full = listener.local_addr().unwrap();
    let _held: Vec<_> = (0..3).map(|_| tokio::spawn(TcpStream::connect(full))).collect();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let (server, key) = gate(&route(&format!("\"http://{full}\""), "timeout = { connect = \"300ms\" }")).await;
    server.get("/t").by(&key.key).send().await.problem(504, "UPSTREAM_TIMED_OUT");

    let silent = Upstream::raw(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let (server, key) = gate(&route(&silent.url(), "timeout = { header = \"300ms\" }")).await;
    server.get("/t").by(&key.key).send().await.problem(504, "UPSTREAM_TIMED_OUT");

    let stuck = Upstream::raw(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let (server, key) = gate(&route(&stuck.url(), "timeout = { idle = \"300ms\" }")).await;
    let answer = all(ask(server.address(), &head("GET", "/t", &key.key, "")).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("half"), "{answer}");
}

#[tokio::test]
async fn a_client_that_falls_silent_is_told_and_no_upstream_blamed() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "timeout = { header = \"200ms\", idle = \"500ms\" }")).await;
    let request = head("PUT", "/t", &key.key, "content-length: 10\r\n") + "half";
    let answer = all(ask(server.address(), &request).await).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn of_several_one_that_is_away_is_passed_over_and_asked_again_later() {
    let (here, other, away) = (Upstream::fine().await, Upstream::fine().await, nobody().await);
    let all = format!("[\"http://{away}\", {}, {}]", here.url(), other.url());
    let (server, key) = gate(&route(&all, "")).await;
    for _ in 0..6 {
        server.call("PUT", "/t").by(&key.key).body("whole").send().await.with(200);
    }
    assert_eq!(here.seen().len() + other.seen().len(), 6);
    assert!(here.seen().len() >= 2 && other.seen().len() >= 2, "they take turns");
    assert!(here.seen().iter().all(|seen| seen.body == b"whole"));
}

#[tokio::test]
async fn only_what_can_do_no_harm_is_asked_twice() {
    for (method, body, times) in [("GET", "", 2), ("DELETE", "", 2), ("POST", "", 1), ("PUT", "body", 1)] {
        let upstream = Upstream::answering(|_| String::new()).await;
        let (server, key) = gate(&route(&upstream.url(), "")).await;
        let answer = server.call(method, "/t").by(&key.key).body(body).send().await;
        answer.problem(502, "UPSTREAM_UNREACHABLE");
        assert_eq!(upstream.seen().len(), times, "{method} {body}");
    }
    let failed = Arc::new(AtomicBool::new(false));
    let upstream = Upstream::answering(move |_| {
        let is_second = failed.swap(true, Ordering::Relaxed);
        if is_second { "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned() } else { String::new() }
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    server.get("/t").by(&key.key).send().await.with(200);
}

#[tokio::test]
async fn connections_are_kept_and_none_is_left_behind() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    for _ in 0..50 {
        server.get("/t").by(&key.key).send().await.with(200);
    }
    assert_eq!((upstream.connections(), upstream.seen().len()), (1, 50));
}

#[tokio::test]
async fn an_upstream_that_speaks_nonsense_is_a_502() {
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n",
    ] {
        let upstream = Upstream::saying(answer).await;
        let (server, key) = gate(&route(&upstream.url(), "")).await;
        server.get("/t").by(&key.key).send().await.problem(502, "UPSTREAM_UNREACHABLE");
    }
}

#[tokio::test]
async fn an_upstream_that_says_it_is_ill_is_asked_last_until_it_is_well_again() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let says = Arc::clone(&is_ill);
    let sick = Upstream::answering(move |seen| {
        let refuses = seen.line == "GET /up?full" && says.load(Ordering::Relaxed);
        let status = if refuses { "503 Service Unavailable" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let fine = Upstream::fine().await;
    let at = |upstream: &Upstream| format!("http://{}", upstream.address).parse().unwrap();
    let options = Options {
        upstreams: BTreeMap::from([("two".to_owned(), vec![at(&sick), at(&fine)])]),
        health: BTreeMap::from([("two".to_owned(), Health { path: "/up?full".into(), every: Span::from_millis(100) })]),
        ..Options::default()
    };
    let (server, key) = gate_with(&route("\"two\"", ""), options).await;
    let metric = |is_up: u8| format!("keywright_upstream_up{{address=\"http://{}\"}} {is_up}", sick.address);
    let told = async |is_up: u8| {
        let wanted = metric(is_up);
        while !server.get("/metrics").send().await.with(200).text.contains(&wanted) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asked = || sick.seen().iter().filter(|seen| seen.line == "GET /t").count();
    timeout(PATIENCE, told(0)).await.expect("it is not found out that it is ill");
    for _ in 0..6 {
        server.get("/t").by(&key.key).send().await.with(200);
    }
    assert_eq!(asked(), 0, "it is asked though it is ill");
    let check = sick.seen().into_iter().find(|seen| seen.line == "GET /up?full").unwrap();
    assert!(check.headers.iter().all(|(name, _)| !name.starts_with("x-") && name != "authorization"), "{check:?}");
    is_ill.store(false, Ordering::Relaxed);
    timeout(PATIENCE, told(1)).await.expect("it is not found out that it is well");
    for _ in 0..6 {
        server.get("/t").by(&key.key).send().await.with(200);
    }
    assert_eq!(asked(), 3, "it takes its turns again");
}

#[tokio::test]
async fn where_all_are_ill_they_are_asked_all_the_same() {
    let sick = Upstream::answering(|seen| {
        let status = if seen.line == "GET /up" { "503 Service Unavailable" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let options = Options {
        upstreams: BTreeMap::from([("one".to_owned(), vec![format!("http://{}", sick.address).parse().unwrap()])]),
        health: BTreeMap::from([("one".to_owned(), Health { path: "/up".into(), every: Span::from_millis(50) })]),
        ..Options::default()
    };
    let (server, key) = gate_with(&route("\"one\"", ""), options).await;
    let checked = async {
        while sick.seen().len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await
        }
    };
    timeout(PATIENCE, checked).await.expect("it is not asked");
    server.get("/t").by(&key.key).send().await.with(200);
}
