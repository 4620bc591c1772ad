//! The gate in front of real upstreams: what reaches them, what comes back, and what stops at the gate.

mod assertions;
mod curl;
mod demo;
mod denials;
mod drain;
pub(crate) mod framing;
mod headers;
mod https;
mod paths;
mod plain;
mod streams;
pub(crate) mod upstream;
mod upstreams;
mod websockets;

use std::net::SocketAddr;

use keywright_app::core::policy::Policy;
use keywright_server::Options;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Issued, TestServer};

/// Who asks, as an upstream reads it.
pub(crate) const IDENTITY: [&str; 10] = [
    "x-account-id",
    "x-key-id",
    "x-key-kind",
    "x-key-environment",
    "x-key-role",
    "x-key-services",
    "x-key-permissions",
    "x-user-id",
    "x-session-id",
    "x-keywright-assertion",
];

/// A route to `upstream` beneath `/t`, with these lines besides.
pub(crate) fn route(upstream: &str, more: &str) -> String {
    let methods =
        "{ GET = \"storage:read\", POST = \"storage:write\", PUT = \"storage:write\", DELETE = \"storage:delete\" }";
    format!("[route.t]\npath = \"/t\"\nupstream = {upstream}\nmethods = {methods}\n{more}\n")
}

/// A server with the built-in policy and these routes besides, and a key that may do everything in storage.
pub(crate) async fn gate(routes: &str) -> (TestServer, Issued) {
    gate_with(routes, Options::default()).await
}

pub(crate) async fn gate_with(routes: &str, options: Options) -> (TestServer, Issued) {
    let server = TestServer::listening(options).await;
    server.app.reload_policy(&format!("{}\n{routes}", Policy::DEV)).unwrap();
    let key = server.key(json!({ "permissions": ["storage:manage"] })).await;
    (server, key)
}

/// A connection to the gate with a request on it.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Everything that comes back.
pub(crate) async fn all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// What comes back up to these bytes.
pub(crate) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let mut byte = [0];
        let count = stream.read(&mut byte).await.unwrap();
        assert!(count == 1, "ended before {end:?}: {:?}", String::from_utf8_lossy(&answer));
        answer.extend(byte);
    }
    String::from_utf8(answer).unwrap()
}

/// The head of a request with this key.
pub(crate) fn head(method: &str, path: &str, key: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {key}\r\n{more}\r\n")
}
