//! Requests whose end two readers could see in two places: none of them reaches an upstream.

use super::upstream::Upstream;
use super::{all, ask, gate, head, route};

/// Requests that two readers could read differently, by what is wrong with them.
pub(crate) fn with_two_readings(key: &str) -> Vec<(&'static str, String)> {
    let post = |fields: &str, body: &str| head("POST", "/t", key, fields) + body;
    let get = |fields: &str| head("GET", "/t", key, fields);
    let chunked = "0\r\n\r\n";
    vec![
        ("two equal lengths", post("content-length: 4\r\nContent-Length: 4\r\n", "abcd")),
        ("two lengths", post("content-length: 4\r\ncontent-length: 5\r\n", "abcde")),
        ("a list of lengths", post("content-length: 4, 4\r\n", "abcd")),
        ("a length with a sign", post("content-length: +4\r\n", "abcd")),
        ("a length, then chunks", post("content-length: 5\r\ntransfer-encoding: chunked\r\n", chunked)),
        ("chunks, then a length", post("transfer-encoding: chunked\r\ncontent-length: 5\r\n", chunked)),
        ("chunked twice", post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", chunked)),
        ("chunked among others", post("transfer-encoding: gzip, chunked\r\n", chunked)),
        ("chunked and not", post("transfer-encoding: chunked, identity\r\n", chunked)),
        ("nearly chunked", post("transfer-encoding: xchunked\r\n", chunked)),
        ("chunked behind a control character", post("transfer-encoding: \u{b}chunked\r\n", chunked)),
        ("a space before the colon", post("transfer-encoding : chunked\r\n", chunked)),
        ("a space before any colon", get("X-A : b\r\n")),
        ("a folded line", get("x-a: b\r\n c\r\n")),
        ("a bare line feed", get("x-a: b\n")),
        ("a bare carriage return", get("x-a: b\rx-key-id: c\r\n")),
        ("two hosts", get("Host: other\r\n")),
        ("two hosts that agree", get("host: gate\r\n")),
        ("a host that is none", get("").replace("host: gate", "host: a/b@c")),
        ("half an address for a host", get("").replace("host: gate", "host: [::1")),
        ("a host with two ports", get("").replace("host: gate", "host: gate:80:90")),
        ("a host with a port that is none", get("").replace("host: gate", "host: gate:99999")),
        ("no host", get("").replace("host: gate\r\n", "")),
        ("another host in the line", get("").replace("GET /t", "GET http://other/t")),
        ("another scheme in the line", get("").replace("GET /t", "GET ftp://gate/t")),
        ("a fragment", get("").replace("GET /t", "GET /t/a#/../b")),
        ("a chunk that ends in a bare line feed", post("transfer-encoding: chunked\r\n", "3\nabc\r\n0\r\n\r\n")),
        ("HTTP/1.0 with chunks", post("transfer-encoding: chunked\r\n", chunked).replace("HTTP/1.1", "HTTP/1.0")),
    ]
}

#[tokio::test]
async fn whatever_could_smuggle_a_request_is_refused() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let get = |fields: &str| head("GET", "/t", &key.key, fields);
    for (what, request) in with_two_readings(&key.key) {
        let answer = all(ask(server.address(), &request).await).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "), "{what}: {answer:?}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    let fine = get("").replace("GET /t", "GET http://gate/t").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    assert!(all(ask(server.address(), &fine).await).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_request_hidden_in_another_is_never_answered() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let hidden = head("DELETE", "/t/all", &key.key, "");
    let body = format!("0\r\n\r\n{hidden}");
    let fields = format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", body.len());
    let answer = all(ask(server.address(), &(head("POST", "/t", &key.key, &fields) + &body)).await).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("connection: close"), "{answer}");
    assert!(upstream.seen().is_empty());
}
