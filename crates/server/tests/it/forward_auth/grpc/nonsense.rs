//! Questions no Envoy asks, and requests no client should send: each is refused, and the next is answered.

use http_body_util::{BodyExt as _, Full};

use super::client::{CHECK, Client, Question, Verdict, field, framed};
use super::{BOTH, asked};

/// Refused by gRPC: it is Envoy's mistake.
const INVALID: u16 = 3;

#[tokio::test]
async fn what_says_two_things_or_nothing_is_no_question() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    let sound = || Question::of("GET", "/t").by(&key.key);
    let with = |more: Vec<u8>| Question { more, ..sound() }.message();
    let http = sound().http();
    let source = |text: &str| field(1, &field(1, &field(1, &field(2, text.as_bytes()))));
    let request = field(4, &field(2, &http));
    let listed = field(13, &field(1, &[field(1, b"a"), field(3, b"b")].concat()));
    for (message, says) in [
        (vec![], "no HTTP request"),
        (field(1, &[]), "no HTTP request"),
        (field(1, &source("198.51.100.7")), "no HTTP request"),
        (field(1, &[source("198.51.100.7"), field(4, &[])].concat()), "no HTTP request"),
        (field(1, &request), "what address"),
        (field(1, &[source(""), request.clone()].concat()), "what address"),
        (field(1, &[source("nobody"), request.clone()].concat()), "what address"),
        // The path of a socket, as where Envoy is asked on one.
        (field(1, &[field(1, &field(1, &field(2, &field(1, b"/run/a")))), request].concat()), "what address"),
        (with(field(7, b"a=b")), "apart from the path"),
        (with(field(8, b"x")), "apart from the path"),
        (with(listed), "the headers twice"),
        (with(field(3, &[field(1, b"x-a"), field(2, b"a"), field(3, b"b")].concat())), "value of a header twice"),
        (sound().by(&key.key).message(), "a header twice"),
        (sound().header("Authorization", "Bearer other").message(), "a header twice"),
        (sound().header(":path", "/elsewhere").message(), "two readings"),
        (sound().header(":method", "PUT").message(), "two readings"),
        (sound().header(":authority", "other.example").message(), "two readings"),
        (sound().header(":scheme", "http").message(), "two readings"),
        (sound().header("host", "other.example").message(), "two readings"),
        (with(field(4, b"/elsewhere")), "two readings"),
    ] {
        let called = envoy.check(&message).await;
        let said = called.failed(INVALID).replace("%20", " ");
        assert!(said.contains(says), "{said}");
    }
    envoy.ask(sound()).await.allowed();
    // Two of a client's are two where Envoy says lines as they came, and none are read.
    envoy.ask(Question { listed: true, ..sound().by(&key.key) }).await.denied(401);
    envoy.ask(sound().header("x-api-key", &key.key)).await.denied(401);
    envoy.ask(sound().header(":protocol", "websocket").header("host", "api.example:8080")).await.allowed();
}

#[tokio::test]
async fn a_clients_mistake_is_denied_and_is_no_failure_envoy_could_be_told_to_let_pass() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    let sound = || Question::of("GET", "/t").by(&key.key);
    let path = |path: &[u8]| {
        let headers = sound().headers.into_iter().filter(|(name, _)| name != b":path").collect();
        Question { path: path.to_vec(), headers, ..sound() }
    };
    let method = |method: &str| Question::of(method, "/t").by(&key.key);
    let mut many = sound();
    many.headers.extend((0..25_000).map(|number: u32| (format!("{number:x}").into_bytes(), Vec::new())));
    let scheme = Question {
        scheme: "file".into(),
        headers: vec![("authorization".into(), format!("Bearer {}", key.key).into())],
        ..sound()
    };
    for question in [
        sound().raw_header(b"x a", b"b"),
        sound().raw_header(b"", b"b"),
        sound().raw_header("x-\u{e9}".as_bytes(), b"b"),
        sound().raw_header(b"x-\xff", b"b"),
        sound().raw_header(b"x-a", b"b\r\nc: d"),
        sound().raw_header(b"x-a", b"b\0"),
        path(b"/t/\xff"),
        path(b"/t/ a"),
        path(b"/t/\x01"),
        method("G T"),
        method(""),
        many,
        scheme,
    ] {
        let denied = envoy.ask(question).await.denied(400);
        assert_eq!(denied.json()["code"], "BAD_REQUEST");
        assert_eq!(denied.header("x-request-id"), denied.json()["request_id"].as_str().unwrap());
    }
    // What is no letter and no mistake stays what it is.
    envoy.ask(sound().raw_header(b"x-a", b"\xff\xfe")).await.allowed();
    envoy.ask(method("CONNECT")).await.denied(405);
    envoy.ask(sound()).await.allowed();
}

#[tokio::test]
async fn what_is_no_message_or_too_long_a_one_is_refused_and_the_next_is_answered() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    let sound = || Question::of("GET", "/t").by(&key.key);
    // As much as Envoy takes of a client unless it is told otherwise.
    let large = sound().header("x-a", &"a".repeat(60 * 1_024));
    envoy.ask(large).await.allowed();
    let called = envoy.check(&sound().header("x-a", &"a".repeat(256 * 1_024)).message()).await;
    assert!(called.failed(11).contains("262144"), "{called:?}");
    let send = async |body: Vec<u8>, kind: &str| {
        let mut envoy = envoy.clone();
        envoy.send("POST", CHECK, kind, Full::from(body).boxed_unsync()).await.unwrap()
    };
    let message = sound().message();
    let deep = (0..200).fold(vec![], |inner, _| field(1, &inner));
    for body in [
        vec![],
        framed(&message)[..20].to_vec(),
        framed(&[0xff; 40]),
        framed(&message[..message.len() - 1]),
        framed(&field(1, &field(4, b"\x12\xff"))),
        [&[1], &framed(&message)[1..]].concat(),
        [&[7], &framed(&message)[1..]].concat(),
        [&[0, 0xff, 0xff, 0xff, 0xff], &message[..]].concat(),
    ] {
        let called = send(body, "application/grpc").await;
        assert!(called.code.is_some_and(|code| code != 0), "{called:?}");
    }
    // What nobody reads is skipped.
    assert_eq!(send(framed(&deep), "application/grpc").await.code, Some(INVALID));
    Verdict::read(&send(framed(&[message, field(15, &[0xff; 9])].concat()), "application/grpc+proto").await).allowed();
}

#[tokio::test]
async fn whatever_byte_of_a_question_is_another_it_is_answered_and_nobody_else_is_let_in() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    for listed in [false, true] {
        let message = Question { listed, ..Question::of("GET", "/t/a?b").by(&key.key) }.message();
        for (place, byte) in message.iter().enumerate() {
            for other in [byte ^ 1, byte ^ 0x80, 0, 0xff] {
                let mut changed = message.clone();
                changed[place] = other;
                let called = envoy.check(&changed).await;
                assert_eq!(called.status, 200, "{called:?}");
                if called.code == Some(0) {
                    let verdict = Verdict::read(&called);
                    assert!(verdict.ok.is_none_or(|ok| ok.set("x-key-id") == key.id), "{place} {other}");
                }
            }
            let called = envoy.check(&message[..place]).await;
            assert_eq!(called.status, 200, "{called:?}");
        }
    }
}

#[tokio::test]
async fn over_http_2_nothing_else_is_answered() {
    let (server, key) = asked(BOTH, "").await;
    let mut envoy = Client::of(&server).await;
    let body = || Full::from(framed(&Question::of("GET", "/t").by(&key.key).message())).boxed_unsync();
    for path in ["/envoy.service.auth.v2.Authorization/Check", "/grpc.health.v1.Health/Check", "/v1/keys/verify", "/t"]
    {
        let called = envoy.send("POST", path, "application/grpc", body()).await.unwrap();
        called.failed(12);
    }
    for (method, kind) in [("GET", "application/grpc"), ("POST", "application/json"), ("POST", "")] {
        let called = envoy.send(method, CHECK, kind, body()).await.unwrap();
        assert_eq!((called.status, called.code), (415, None));
    }
    // Nor is it answered in HTTP/1.1.
    server.call("POST", CHECK).header("content-type", "application/grpc").send().await.problem(404, "NOT_FOUND");
}
