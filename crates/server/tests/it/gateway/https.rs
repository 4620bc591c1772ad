//! Upstreams behind TLS: who is believed, who is not, and that nobody is told anything who is not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywright_app::core::route::Address;
use keywright_app::trust::Trust;
use keywright_server::Options;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::upstream::{Upstream, nobody};
use super::{ask, gate, gate_with, head, route, until, websockets};
use crate::certificates::{Authority, Certified};
use crate::harness::{Issued, TestServer};

const PATIENCE: Duration = Duration::from_secs(20);

/// The name a server was asked for, and the protocol that was agreed on.
type Asked = (Option<String>, Option<Vec<u8>>);

/// What ends TLS in front of an upstream.
struct Front {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Front {
    async fn of(upstream: &Upstream, certified: &Certified) -> Self {
        let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = versions.with_no_client_auth().with_single_cert(vec![certified.der()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (acceptor, asked) = (TlsAcceptor::from(Arc::new(config)), Arc::new(Mutex::new(Vec::new())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, behind, all) = (listener.local_addr().unwrap(), upstream.address, Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, all) = (acceptor.clone(), Arc::clone(&all));
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let said = outside.get_ref().1;
                    let said = (said.server_name().map(str::to_owned), said.alpn_protocol().map(<[u8]>::to_vec));
                    all.lock().unwrap().push(said);
                    let mut inside = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self, host: &str) -> Address {
        format!("https://{host}:{}", self.address.port()).parse().unwrap()
    }
}

/// A gate with one named upstream at these addresses, for which this authority vouches.
async fn scene(addresses: Vec<Address>, authority: &Authority, more: &str) -> (TestServer, Issued) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let options = Options {
        upstreams: BTreeMap::from([("private".to_owned(), addresses)]),
        trusted: BTreeMap::from([("private".to_owned(), Trust::read(&file).unwrap())]),
        ..Options::default()
    };
    gate_with(&route("\"private\"", more), options).await
}

#[tokio::test]
async fn an_upstream_that_proves_who_it_is_is_asked_over_tls() {
    let (authority, upstream) = (Authority::new(), Upstream::fine().await);
    let front = Front::of(&upstream, &authority.certify("localhost")).await;
    let (server, key) = scene(vec![front.url("localhost")], &authority, "").await;
    for _ in 0..20 {
        server.call("PUT", "/t/a?b=c").by(&key.key).body(vec![b'x'; 100_000]).send().await.with(200);
    }
    let seen = upstream.last();
    assert_eq!((seen.line.as_str(), seen.body.len(), seen.one("x-key-id")), ("PUT /t/a?b=c", 100_000, key.id.as_str()));
    assert_eq!(seen.one("host"), format!("localhost:{}", front.address.port()));
    let asked = front.asked.lock().unwrap().clone();
    assert_eq!(asked, [(Some("localhost".to_owned()), Some(b"http/1.1".to_vec()))], "one connection serves them all");
}

#[tokio::test]
async fn an_address_can_be_proven_too() {
    let (authority, upstream) = (Authority::new(), Upstream::fine().await);
    let front = Front::of(&upstream, &authority.certify("127.0.0.1")).await;
    let (server, key) = scene(vec![front.url("127.0.0.1")], &authority, "").await;
    server.get("/t").by(&key.key).send().await.with(200);
    assert_eq!(front.asked.lock().unwrap()[0].0, None, "an address is no server's name");
}

#[tokio::test]
async fn nobody_else_is_told_anything() {
    let (authority, other, upstream) = (Authority::new(), Authority::new(), Upstream::fine().await);
    for (what, certified) in [
        ("of another authority", other.certify("localhost")),
        ("for another host", authority.certify("elsewhere.example")),
        ("that is over", authority.certify_until("localhost", 2_020)),
    ] {
        let front = Front::of(&upstream, &certified).await;
        let (server, key) = scene(vec![front.url("localhost")], &authority, "").await;
        let answer = server.get("/t").by(&key.key).send().await;
        let body = answer.problem(502, "UPSTREAM_UNREACHABLE");
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.contains("prove") && !detail.contains("localhost") && !detail.contains("2020"),
            "{what}: {body}"
        );
    }
    // The machine's own authorities do not know it either, and it has none of its own.
    let front = Front::of(&upstream, &authority.certify("localhost")).await;
    let (server, key) = gate(&route(&format!("\"{}\"", front.url("localhost")), "")).await;
    server.get("/t").by(&key.key).send().await.problem(502, "UPSTREAM_UNREACHABLE");
    let blunt = Upstream::raw(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    // What speaks no TLS.
    let plain = format!("https://localhost:{}", blunt.address.port()).parse().unwrap();
    let (server, key) = scene(vec![plain], &authority, "").await;
    server.get("/t").by(&key.key).send().await.problem(502, "UPSTREAM_UNREACHABLE");
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn another_is_asked_where_one_does_not_prove_who_it_is() {
    let (authority, other, upstream) = (Authority::new(), Authority::new(), Upstream::fine().await);
    let wrong = Front::of(&upstream, &other.certify("localhost")).await;
    let right = Front::of(&upstream, &authority.certify("localhost")).await;
    let away: Address = format!("https://localhost:{}", nobody().await.port()).parse().unwrap();
    let (server, key) = scene(vec![wrong.url("localhost"), away, right.url("localhost")], &authority, "").await;
    for _ in 0..6 {
        server.call("PUT", "/t").by(&key.key).body("whole").send().await.with(200);
    }
    assert_eq!(upstream.seen().len(), 6);
    assert!(upstream.seen().iter().all(|seen| seen.body == b"whole"));
}

#[tokio::test]
async fn a_handshake_that_hangs_is_a_504() {
    let silent = Upstream::raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let address = format!("https://127.0.0.1:{}", silent.address.port()).parse().unwrap();
    let (server, key) = scene(vec![address], &Authority::new(), "timeout = { connect = \"300ms\" }").await;
    let answer = timeout(PATIENCE, server.get("/t").by(&key.key).send()).await.unwrap();
    answer.problem(504, "UPSTREAM_TIMED_OUT");
}

#[tokio::test]
async fn a_websocket_passes_over_tls() {
    let (authority, upstream) = (Authority::new(), websockets::repeating().await);
    let front = Front::of(&upstream, &authority.certify("localhost")).await;
    let (server, key) = scene(vec![front.url("localhost")], &authority, "websocket = true").await;
    let mut stream = ask(server.address(), &head("GET", "/t", &key.key, websockets::FIELDS)).await;
    let answer = timeout(PATIENCE, until(&mut stream, "\r\n\r\n")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stream.write_all(b"heard?").await.unwrap();
    let mut heard = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"heard?");
}
