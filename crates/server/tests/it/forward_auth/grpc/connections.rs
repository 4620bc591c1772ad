//! Who may speak HTTP/2 at all, and how such a connection begins and ends.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use keywright_app::core::policy::Policy;
use keywright_server::{Options, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::client::{Body, CHECK, Client, Question, Verdict, framed};
use super::{BOTH, asked, policy};
use crate::gateway::all;
use crate::harness::TestServer;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS, with nothing said.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Everything a server says to whoever begins like this.
async fn said(server: &TestServer, begins: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(begins).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn strangers_are_told_to_speak_http_1_1() {
    let (server, key) = asked("[\"nginx\", \"envoy-http\"]", "").await;
    for (dialects, peers) in
        [("[\"nginx\", \"envoy-http\"]", "[\"127.0.0.1\"]"), (BOTH, "[\"10.0.0.7\", \"127.0.0.2\"]"), ("", "")]
    {
        let text = if dialects.is_empty() { Policy::DEV.to_owned() } else { policy(dialects, peers, "") };
        server.app.reload_policy(&text).unwrap();
        for more in [&[][..], SETTINGS, &[0; 4_096]] {
            let answer = said(&server, &[PREFACE, more].concat()).await;
            // GOAWAY with HTTP_1_1_REQUIRED, and why.
            assert_eq!(&answer[..9], SETTINGS);
            assert_eq!((answer[12], &answer[18..26]), (7, &[0, 0, 0, 0, 0, 0, 0, 0xd][..]));
            assert!(answer.ends_with(b"forward_auth; send HTTP/1.1"), "{answer:?}");
            assert_eq!(usize::from(answer[11]) + 18, answer.len());
        }
        let refused = match Client::at(server.address()).await {
            Ok(mut stranger) => {
                let message = Question::of("GET", "/t").by(&key.key).message();
                let body = http_body_util::Full::from(framed(&message)).boxed_unsync();
                stranger.send("POST", CHECK, "application/grpc", body).await.map(|_| ()).unwrap_err()
            }
            Err(error) => error,
        };
        assert!(refused.is_closed() || format!("{refused:?}").contains("HTTP_1_1_REQUIRED"), "{refused:?}");
    }
}

#[tokio::test]
async fn what_the_policy_lists_is_asked_at_every_call() {
    let (server, key) = asked(BOTH, "").await;
    let question = || Question::of("GET", "/t").by(&key.key);
    let mut envoy = Client::of(&server).await;
    envoy.ask(question()).await.allowed();
    server.app.reload_policy(&policy("[\"nginx\", \"envoy-http\"]", "[\"127.0.0.1\"]", "")).unwrap();
    assert!(envoy.check(&question().message()).await.failed(12).contains("dialects"));
    server.app.reload_policy(&policy(BOTH, "[\"10.0.0.7\"]", "")).unwrap();
    // What is said of where it comes from is no peer.
    let from = Question { source: "10.0.0.7".into(), ..question().header("x-forwarded-for", "10.0.0.7") };
    assert!(envoy.check(&from.message()).await.failed(7).contains("forward_auth.peers"));
    // Nor does it spend anything, or count as a guess.
    server.app.reload_policy(Policy::DEV).unwrap();
    envoy.check(&question().message()).await.failed(12);
    server.app.reload_policy(&policy("[\"envoy\"]", "[\"127.0.0.1\"]", "")).unwrap();
    envoy.ask(question()).await.allowed();
    // The one way of asking does not open the other.
    super::ask(&server, "envoy-http", "GET", "/t").by(&key.key).send().await.problem(404, "NOT_FOUND");
    server.get("/forward-auth/envoy/t").by(&key.key).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_connection_is_told_apart_however_its_bytes_come_in() {
    let (server, key) = asked(BOTH, "").await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in [PREFACE, SETTINGS].concat() {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!((frame[3], frame[4]), (4, 0), "SETTINGS are what HTTP/2 begins with");
    let mut settings = vec![0; usize::from(frame[2])];
    stream.read_exact(&mut settings).await.unwrap();
    // MAX_CONCURRENT_STREAMS and MAX_HEADER_LIST_SIZE.
    for limit in [[0, 3, 0, 0, 1, 0], [0, 6, 0, 0, 0x40, 0]] {
        assert!(settings.chunks(6).any(|setting| setting == limit), "{settings:?}");
    }
    let head = format!("GET /v1/keys/self HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n", key.key);
    let padded = format!("{head}x-a: {}\r\nconnection: close\r\n\r\n", "a".repeat(4_000));
    for (request, size) in [(&*padded, 1), (&padded, 500), (&padded, 1_024), (&padded, 10_000)] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in request.as_bytes().chunks(size) {
            stream.write_all(piece).await.unwrap();
        }
        let answer = all(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    // Both of two that come at once are answered.
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(format!("{head}\r\n{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let answers = all(stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answers}");
    for nearly in
        ["PRI * HTTP/2.0\r\n\r\nXX", "PRI / HTTP/1.1\r\nhost: a\r\n\r\n", "P", "PRI * HTTP/2.0\r\nhost: a\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(nearly.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = all(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{nearly:?}: {answer}");
    }
}

#[tokio::test]
async fn more_questions_than_a_connection_carries_at_once_are_all_answered() {
    let (server, key) = asked(BOTH, "").await;
    let envoy = Client::of(&server).await;
    let ask = |number: usize| {
        let (mut envoy, key) = (envoy.clone(), key.key.clone());
        async move {
            let question =
                if number.is_multiple_of(2) { Question::of("GET", "/t").by(&key) } else { Question::of("GET", "/t") };
            (number, envoy.ask(question).await)
        }
    };
    for (number, verdict) in futures_util::future::join_all((0..600).map(ask)).await {
        assert_eq!(verdict.denied.is_none(), number % 2 == 0);
    }
}

/// A body that begins with this, and goes on when it is told what with.
fn waiting(begins: Vec<u8>) -> (Body, oneshot::Sender<Vec<u8>>) {
    let (go_on, rest) = oneshot::channel();
    let frame = |bytes: Vec<u8>| Ok::<_, Infallible>(Frame::data(Bytes::from(bytes)));
    let first = stream::once(async move { frame(begins) });
    let rest = stream::once(async move { frame(rest.await.unwrap_or_default()) });
    (StreamBody::new(stream::StreamExt::chain(first, rest)).boxed_unsync(), go_on)
}

#[tokio::test]
async fn a_question_under_way_is_answered_when_the_server_stops() {
    let (server, key) = asked(BOTH, "").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(serve(listener, server.app.clone(), Options::default(), async {
        let _ = stopped.await;
    }));
    let mut envoy = Client::at(address).await.unwrap();
    envoy.ask(Question::of("GET", "/t").by(&key.key)).await.allowed();
    let message = framed(&Question::of("GET", "/t").by(&key.key).message());
    let (body, go_on) = waiting(message[..9].to_vec());
    let mut asking = envoy.clone();
    let under_way = tokio::spawn(async move { asking.send("POST", CHECK, "application/grpc", body).await });
    // Whatever is answered after it has come after it.
    envoy.ask(Question::of("GET", "/t").by(&key.key)).await.allowed();
    stop.send(()).unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.is_finished());
    go_on.send(message[9..].to_vec()).unwrap();
    Verdict::read(&under_way.await.unwrap().unwrap()).allowed();
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap();
    assert!(envoy.0.ready().await.is_err(), "no further question is taken");
}

#[tokio::test]
async fn a_question_that_does_not_come_to_its_end_is_given_up() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    let message = framed(&Question::of("GET", "/t").by(&key.key).message());
    let (body, _go_on) = waiting(message[..9].to_vec());
    // Ten seconds of a real clock: what waits is a connection.
    let slow = envoy.send("POST", CHECK, "application/grpc", body).await.unwrap();
    slow.failed(4);
    envoy.ask(Question::of("GET", "/t").by(&key.key)).await.allowed();
}
