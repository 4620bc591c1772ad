//! HTTP/2, in which Envoy asks about its requests.
//!
//! What must stay true: it is spoken with proxies alone that the policy lists, and carries nothing but their questions: every
//! other call is made in HTTP/1.1, whose bytes are looked at on their way (`framing.rs`). Nothing here waits without end, and
//! nothing grows without one.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::framing::Watched;
use crate::serve::{HEAD_TIME, until_over};
use crate::{Server, gateway, room};

/// What a connection begins with on which a client speaks HTTP/2 unasked (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Questions under way at once on a connection. Envoy opens another one for more.
const MOST_STREAMS: u32 = 256;
/// The most that headers of a question may take: they are Envoy's own, and few.
const MOST_HEADER_BYTES: u32 = 16 * 1_024;
/// The most of a question, and of all of a connection, that comes in before it is read.
const STREAM_WINDOW: u32 = 64 * 1_024;
const CONNECTION_WINDOW: u32 = 1_024 * 1_024;
/// How long the other side may be silent when it is asked whether it is there.
const ALIVE_TIME: Duration = Duration::from_secs(20);
/// How long a stranger may take to be told that they are one.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// What a stranger is told.
const STRANGER: &str = "HTTP/2 is spoken with Envoy alone, where the policy lists it under forward_auth; send HTTP/1.1";

/// Reads what a connection begins with, and whether that is HTTP/2.
///
/// # Errors
/// The connection broke off.
pub(crate) async fn begin(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, bool)> {
    let mut begun = Vec::new();
    loop {
        let is_over = room::read_more(stream, &mut begun).await? == 0;
        let first = begun.get(..PREFACE.len()).unwrap_or(begun.as_slice());
        if is_over || first == PREFACE || !PREFACE.starts_with(first) {
            let is_http2 = first == PREFACE;
            return Ok((begun, is_http2));
        }
    }
}

/// Answers a proxy's questions on one connection.
pub(crate) async fn converse<T>(
    server: Server,
    begun: Vec<u8>,
    stream: T,
    peer: SocketAddr,
    stopping: watch::Receiver<()>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if !gateway::hears_envoy(&server.app.world().policy, peer.ip()) {
        let refused = tokio::time::timeout(REFUSAL_TIME, refuse(stream)).await;
        return tracing::debug!(%peer, told = matches!(refused, Ok(Ok(()))), "a stranger spoke HTTP/2");
    }
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(MOST_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(HEAD_TIME)
        .keep_alive_timeout(ALIVE_TIME);
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(gateway::check(&server, peer.ip(), request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(Watched::unwatched(begun, stream)), service);
    until_over(connection, stopping, |connection| connection.graceful_shutdown()).await;
}

/// Tells whoever speaks HTTP/2 unasked to speak HTTP/1.1 (RFC 9113, 6.5, 6.8 and 7), and no more of it.
async fn refuse<T: AsyncRead + AsyncWrite + Unpin>(mut stream: T) -> io::Result<()> {
    // Each frame is its length in three bytes, its kind, its flags, its stream in four, and what it says.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 9] = [0, 0, 8 + STRANGER.len() as u8, 7, 0, 0, 0, 0, 0];
    const { assert!(8 + STRANGER.len() <= u8::MAX as usize) };
    const NO_STREAM: [u8; 4] = [0; 4];
    const HTTP_1_1_REQUIRED: [u8; 4] = [0, 0, 0, 0xd];
    let frames = [&SETTINGS[..], &GOAWAY[..], &NO_STREAM[..], &HTTP_1_1_REQUIRED[..], STRANGER.as_bytes()].concat();
    stream.write_all(&frames).await?;
    stream.shutdown().await?;
    // What is closed with bytes unread takes back what was said.
    tokio::io::copy(&mut stream.take(u64::from(CONNECTION_WINDOW)), &mut tokio::io::sink()).await.map(drop)
}
