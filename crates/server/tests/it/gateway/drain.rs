//! The server is told to stop: what is under way through the gate is finished, and nothing new begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keywright_app::core::policy::Policy;
use keywright_server::{Options, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::upstream::{Upstream, read_head};
use super::{all, ask, head, route, until};
use crate::harness::TestServer;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that can be told to stop.
struct Scene {
    server: TestServer,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    key: String,
}

impl Scene {
    async fn set(upstream: &Upstream) -> Self {
        // Called through its router; what is asked over a connection is asked here.
        let (server, listener) = (TestServer::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
        server.app.reload_policy(&format!("{}\n{}", Policy::DEV, route(&upstream.url(), ""))).unwrap();
        let key = server.key(json!({ "permissions": ["storage:manage"] })).await.key;
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopping = async { stopped.await.unwrap() };
        let serving = tokio::spawn(serve(listener, Arc::clone(&server.app), Options::default(), stopping));
        Self { server, address, stop, serving, key }
    }

    /// Stops it, and waits until it takes no more connections.
    async fn stop(self) -> JoinHandle<std::io::Result<()>> {
        self.stop.send(()).unwrap();
        let refused = async { while TcpStream::connect(self.address).await.is_ok() {} };
        assert!(timeout(PATIENCE, refused).await.is_ok(), "it takes connections");
        drop(self.server);
        self.serving
    }
}

#[tokio::test]
async fn a_stream_that_has_begun_is_told_to_its_end_and_a_quiet_connection_is_closed() {
    let goes_on = Arc::new(Notify::new());
    let told = Arc::clone(&goes_on);
    let upstream = Upstream::raw(move |mut stream| {
        let told = Arc::clone(&told);
        async move {
            read_head(&mut stream).await;
            let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(begin.as_bytes()).await.unwrap();
            for event in ["9\r\ndata: 1\n\n\r\n", "9\r\ndata: 2\n\n\r\n0\r\n\r\n"] {
                stream.write_all(event.as_bytes()).await.unwrap();
                told.notified().await;
            }
        }
    })
    .await;
    let scene = Scene::set(&upstream).await;
    let mut quiet = ask(scene.address, "GET /health HTTP/1.1\r\nhost: gate\r\n\r\n").await;
    until(&mut quiet, "}").await;
    let mut silent = TcpStream::connect(scene.address).await.unwrap();
    let mut stream = ask(scene.address, &head("GET", "/t", &scene.key, "")).await;
    until(&mut stream, "data: 1\n\n\r\n").await;
    let serving = scene.stop().await;
    for idle in [&mut quiet, &mut silent] {
        timeout(PATIENCE, idle.read_to_end(&mut Vec::new())).await.expect("it is still open").unwrap();
    }
    assert!(!serving.is_finished());
    goes_on.notify_one();
    let rest = timeout(PATIENCE, all(stream)).await.expect("the connection stays open");
    assert!(rest.ends_with("data: 2\n\n\r\n0\r\n\r\n"), "{rest}");
    timeout(PATIENCE, serving).await.expect("it does not end").unwrap().unwrap();
}

#[tokio::test]
async fn an_upload_that_has_begun_is_taken_to_its_end() {
    let upstream = Upstream::fine().await;
    let scene = Scene::set(&upstream).await;
    let mut stream = ask(scene.address, &head("PUT", "/t", &scene.key, "content-length: 10\r\n")).await;
    stream.write_all(b"first").await.unwrap();
    let begun = async {
        while upstream.connections() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.expect("it does not begin");
    let serving = scene.stop().await;
    stream.write_all(b"later").await.unwrap();
    let answer = timeout(PATIENCE, all(stream)).await.expect("the connection stays open");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("fine"), "{answer}");
    assert_eq!(upstream.last().body, b"firstlater");
    timeout(PATIENCE, serving).await.expect("it does not end").unwrap().unwrap();
}
