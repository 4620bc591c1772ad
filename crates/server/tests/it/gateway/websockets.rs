//! WebSockets pass where a route allows them; nothing else becomes of a connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::upstream::{Upstream, read_head};
use super::{ask, gate, head, route, until};

pub(super) const FIELDS: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                      sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
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
        let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(switching.as_bytes()).await.unwrap();
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
