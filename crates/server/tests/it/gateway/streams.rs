//! Bodies pass as they come, both ways, and nothing of them is kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::upstream::{Upstream, read_head};
use super::{all, ask, gate, head, route, until};

const SSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn each_event_of_a_stream_is_there_before_the_next_is_made() {
    let next = Arc::new(Notify::new());
    let asked = Arc::clone(&next);
    let upstream = Upstream::raw(move |mut stream| {
        let asked = Arc::clone(&asked);
        async move {
            read_head(&mut stream).await;
            stream.write_all(SSE).await.unwrap();
            for event in ["9\r\ndata: 1\n\n\r\n", "9\r\ndata: 2\n\n\r\n", "0\r\n\r\n"] {
                stream.write_all(event.as_bytes()).await.unwrap();
                asked.notified().await;
            }
        }
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let mut stream = ask(server.address(), &head("GET", "/t", &key.key, "")).await;
    let answer = timeout(PATIENCE, async {
        let first = until(&mut stream, "data: 1\n\n\r\n").await;
        next.notify_one();
        let second = until(&mut stream, "data: 2\n\n\r\n").await;
        next.notify_one();
        (first, second, until(&mut stream, "0\r\n\r\n").await)
    });
    let (first, ..) = answer.await.expect("an event was held back");
    assert!(first.contains("content-type: text/event-stream"), "{first}");
}

#[tokio::test]
async fn a_client_that_goes_away_is_missed_by_the_upstream() {
    for has_answered in [true, false] {
        let gone = Arc::new(Notify::new());
        let (told, asked) = (Arc::clone(&gone), Arc::new(Notify::new()));
        let begun = Arc::clone(&asked);
        let upstream = Upstream::raw(move |mut stream| {
            let (told, begun) = (Arc::clone(&told), Arc::clone(&begun));
            async move {
                read_head(&mut stream).await;
                if has_answered {
                    stream.write_all(SSE).await.unwrap();
                    stream.write_all(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
                }
                begun.notify_one();
                // The end of the connection is read as soon as the gate closes it.
                while stream.read(&mut [0; 16]).await.is_ok_and(|count| count > 0) {}
                told.notify_one();
            }
        })
        .await;
        let (server, key) = gate(&route(&upstream.url(), "")).await;
        let mut stream = ask(server.address(), &head("GET", "/t", &key.key, "")).await;
        timeout(PATIENCE, asked.notified()).await.unwrap();
        if has_answered {
            until(&mut stream, "data: 1\n\n\r\n").await;
        }
        drop(stream);
        timeout(PATIENCE, gone.notified()).await.expect("the upstream goes on for nobody");
    }
}

#[tokio::test]
async fn an_upload_waits_for_an_upstream_that_does_not_read() {
    let upstream = Upstream::raw(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let mut stream = ask(server.address(), &head("PUT", "/t", &key.key, "content-length: 1000000000\r\n")).await;
    let piece = vec![0; 64 * 1_024];
    let mut sent = 0_usize;
    while let Ok(written) = timeout(Duration::from_millis(500), stream.write(&piece)).await {
        sent += written.unwrap();
        assert!(sent < 64 * 1_024 * 1_024, "so much is kept of a body nobody reads");
    }
}

/// Whoever takes nothing of what it is sent is not waited for without end, however much is left to send.
#[tokio::test]
async fn a_client_that_does_not_read_is_let_go_and_so_is_its_upstream() {
    let (gone, told) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, begins) = (Arc::clone(&gone), Arc::clone(&told));
    let upstream = Upstream::raw(move |mut stream| {
        let (tells, begins) = (Arc::clone(&tells), Arc::clone(&begins));
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await.unwrap();
            begins.notify_one();
            while stream.write_all(&[0; 64 * 1_024]).await.is_ok() {}
            tells.notify_one();
        }
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "timeout = { idle = \"500ms\" }")).await;
    let stream = ask(server.address(), &head("GET", "/t", &key.key, "")).await;
    timeout(PATIENCE, told.notified()).await.expect("it is not asked");
    timeout(PATIENCE, gone.notified()).await.expect("it goes on for nobody");
    drop(stream);
}

/// It has begun to answer, so nobody waits for that any more.
#[tokio::test]
async fn an_upstream_that_takes_no_more_of_an_upload_is_let_go() {
    let gone = Arc::new(Notify::new());
    let tells = Arc::clone(&gone);
    let upstream = Upstream::raw(move |mut stream| {
        let tells = Arc::clone(&tells);
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
            // It says little, and reads nothing; what it says meets a closed connection in the end.
            while stream.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tells.notify_one();
        }
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "timeout = { idle = \"500ms\" }")).await;
    let mut stream = ask(server.address(), &head("PUT", "/t", &key.key, "content-length: 1000000000\r\n")).await;
    let piece = vec![0; 64 * 1_024];
    let sends = async { while stream.write_all(&piece).await.is_ok() {} };
    timeout(PATIENCE, sends).await.expect("the client is still listened to");
    timeout(PATIENCE, gone.notified()).await.expect("the upstream is still sent to");
}

#[tokio::test]
async fn a_large_body_passes_whole() {
    let size = 32 * 1_024 * 1_024;
    let upstream = Upstream::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let (mut sum, mut count, mut piece) = (0_u64, 0_usize, vec![0; 64 * 1_024]);
        while count < 32 * 1_024 * 1_024 {
            let read = stream.read(&mut piece).await.unwrap();
            sum += piece[..read].iter().map(|byte| u64::from(*byte)).sum::<u64>();
            count += read;
        }
        let body = format!("{count} {sum}");
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let fields = format!("content-length: {size}\r\nconnection: close\r\n");
    let mut stream = ask(server.address(), &head("PUT", "/t", &key.key, &fields)).await;
    let piece: Vec<u8> = (0..=255).cycle().take(1_024 * 1_024).collect();
    for _ in 0..32 {
        stream.write_all(&piece).await.unwrap();
    }
    let answer = all(stream).await;
    let sum = 32 * piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    assert!(answer.ends_with(&format!("{size} {sum}")), "{answer}");
}

#[tokio::test]
async fn an_early_413_passes_back() {
    let upstream = Upstream::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nmuch";
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Until the gate has had it.
        while stream.read(&mut [0; 1_024]).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let mut stream = ask(server.address(), &head("PUT", "/t", &key.key, "content-length: 1000000\r\n")).await;
    stream.write_all(&[0; 1_000]).await.unwrap();
    let answer = timeout(PATIENCE, until(&mut stream, "much")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // The rest of the upload is not waited for, so nothing else can come over this connection.
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_beyond_the_routes_limit_is_refused_however_it_comes() {
    let upstream = Upstream::fine().await;
    let (server, key) = gate(&route(&upstream.url(), "body_limit = \"1KB\"")).await;
    server.call("PUT", "/t").by(&key.key).body(vec![b'a'; 1_024]).send().await.with(200);
    let whole = server.call("PUT", "/t").by(&key.key).body(vec![b'a'; 1_025]).send().await;
    whole.problem(413, "TOO_LARGE");
    let chunks = format!("400\r\n{}\r\n1\r\na\r\n0\r\n\r\n", "a".repeat(1_024));
    let fields = "transfer-encoding: chunked\r\nconnection: close\r\n";
    let request = head("PUT", "/t", &key.key, fields) + &chunks;
    let answer = all(ask(server.address(), &request).await).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn trailers_pass_both_ways_and_say_nothing_of_who_asks() {
    let upstream = Upstream::answering(|_| {
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 9\r\n\r\n"
            .to_owned()
    })
    .await;
    let (server, key) = gate(&route(&upstream.url(), "")).await;
    let fields = "transfer-encoding: chunked\r\ntrailer: x-sum, x-key-id\r\nte: trailers\r\nconnection: close, te\r\n";
    let body = "3\r\nabc\r\n0\r\nx-sum: 6\r\nx-key-id: forged\r\nx_user_id: forged\r\n\r\n";
    let answer = all(ask(server.address(), &(head("PUT", "/t", &key.key, fields) + body)).await).await;
    assert!(answer.contains("x-sum: 9\r\n\r\n"), "{answer}");
    let seen = upstream.last();
    assert_eq!((seen.body.as_slice(), seen.trailers.as_str()), (b"abc".as_slice(), "x-sum: 6\r\n"));
}
