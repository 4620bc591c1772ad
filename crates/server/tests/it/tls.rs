//! HTTPS, as its clients meet it: who gets in, who keeps whom out, and certificates that change under way.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use keywright_app::core::policy::Policy;
use keywright_server::{Options, Tls, serve};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::{Authority, Certified};
use crate::gateway::framing::with_two_readings;
use crate::gateway::upstream::Upstream;
use crate::gateway::{all, ask, head, route};
use crate::harness::{Answer, TestServer};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const HEALTH_AND_MORE: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A server that speaks HTTPS, and what its certificate is made of.
struct Scene {
    server: TestServer,
    address: SocketAddr,
    authority: Authority,
    tls: Tls,
    folder: TempDir,
}

impl Scene {
    async fn start() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = Tls::open(authority.certify("localhost").write(folder.path())).unwrap();
        let options = Options { tls: Some(tls.clone()), ..Options::default() };
        // Called through its router; what is asked over TLS is asked here.
        let (server, listener) = (TestServer::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::clone(&server.app), options, std::future::pending()));
        Self { server, address, authority, tls, folder }
    }

    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.address, self.authority.client()).await
    }

    /// What comes back to this, over a connection of its own.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// The certificate a new connection is shown.
    async fn shown(&self) -> CertificateDer<'static> {
        shown(&self.connect().await.unwrap())
    }

    /// Puts another certificate in the place of the one there is, and waits until new connections are shown it.
    async fn renew(&self) -> Certified {
        let next = self.authority.certify("localhost");
        next.write(self.folder.path());
        timeout(PATIENCE, async { while self.shown().await != next.der() {} }).await.unwrap();
        next
    }

    fn curl(&self, more: &[&str]) -> (Option<i32>, String) {
        let authority = self.folder.path().join("authority.pem");
        std::fs::write(&authority, self.authority.pem()).unwrap();
        let url = format!("https://localhost:{}/health", self.address.port());
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--noproxy", "*", "--resolve"]);
        curl.arg(format!("localhost:{}:127.0.0.1", self.address.port()));
        curl.args(["--write-out", "%{http_version} %{ssl_verify_result}", &url]);
        let authority = authority.display().to_string();
        let more = more.iter().map(|arg| arg.replace("AUTHORITY", &authority));
        let output = curl.args(more).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

async fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, TcpStream::connect(address).await?).await
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// What comes back to the next request of a connection.
async fn next(stream: &mut TlsStream<TcpStream>, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut piece = [0; 4_096];
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&piece[..count]);
    }
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_speaks_https_of_either_version_and_no_older_one() {
    let scene = Scene::start().await;
    for version in [&["--tlsv1.3"][..], &["--tls-max", "1.2"], &["--http2"]] {
        let (code, said) = scene.curl(&[&["--cacert", "AUTHORITY"], version].concat());
        assert_eq!(code, Some(0), "{version:?} {said}");
        assert!(said.contains("\"status\":\"ok\"") && said.ends_with("1.1 0"), "{version:?} {said}");
    }
    let (code, said) = scene.curl(&["--cacert", "AUTHORITY", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]);
    assert_eq!(code, Some(35), "{said}");
    let (code, said) = scene.curl(&[]);
    assert_eq!(code, Some(60), "whoever does not know the authority does not go on: {said}");
}

#[tokio::test]
async fn keys_are_verified_over_https_one_request_after_the_other() {
    let scene = Scene::start().await;
    let Scene { server, .. } = &scene;
    let body = json!({ "key": server.operator }).to_string();
    let fields = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", server.operator);
    let request = format!(
        "POST /v1/keys/verify HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = scene.connect().await.unwrap();
    for _ in 0..20 {
        let answer = Answer::parse(&next(&mut stream, &request).await.unwrap());
        assert_eq!((answer.status, &answer.body["code"]), (200, &json!("VALID")), "{}", answer.text);
    }
}

#[tokio::test]
async fn plain_http_is_told_where_it_is_and_no_key_works_there() {
    let scene = Scene::start().await;
    let server = &scene.server;
    for request in [HEALTH.to_owned(), head("GET", "/v1/keys", &server.operator, "")] {
        let answer = timeout(PATIENCE, all(ask(scene.address, &request).await)).await.unwrap();
        let answer = Answer::parse(&answer);
        let body = answer.problem(400, "BAD_REQUEST");
        assert!(body["detail"].as_str().unwrap().contains("https://"), "{body}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    for nonsense in ["\0\0\0\0", "\u{16}\u{3}\u{1}\0\u{5}hello", "SSH-2.0-x\r\n"] {
        let answer = timeout(PATIENCE, all(ask(scene.address, nonsense).await)).await.unwrap();
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    assert!(scene.ask(HEALTH).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_hangs_keeps_nobody_out() {
    let scene = Scene::start().await;
    let address = scene.address;
    let mut hanging = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Nothing at all; the beginning of a handshake; a whole record of one that says nothing yet.
        let begun: &[u8] = match number % 3 {
            0 => b"",
            1 => b"\x16\x03\x01",
            _ => b"\x16\x03\x01\x00\x04\x01\x00\x01\xfc",
        };
        stream.write_all(begun).await.unwrap();
        hanging.push(stream);
    }
    for _ in 0..20 {
        let answer = timeout(Duration::from_secs(5), scene.ask(HEALTH)).await.expect("it has to wait");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // And those who hang are let go, in time.
    for mut stream in hanging.into_iter().take(3) {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is still open");
    }
}

#[tokio::test]
async fn requests_with_two_readings_are_refused_over_tls_too() {
    let scene = Scene::start().await;
    let upstream = Upstream::fine().await;
    scene.server.app.reload_policy(&format!("{}\n{}", Policy::DEV, route(&upstream.url(), ""))).unwrap();
    for (what, request) in with_two_readings(&scene.server.operator) {
        let answer = scene.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "), "{what}: {answer:?}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn the_upstream_is_told_that_the_way_here_was_encrypted() {
    let scene = Scene::start().await;
    let upstream = Upstream::fine().await;
    scene.server.app.reload_policy(&format!("{}\n{}", Policy::DEV, route(&upstream.url(), ""))).unwrap();
    let key = scene.server.key(json!({ "permissions": ["storage:manage"] })).await;
    let answer = scene.ask(&head("GET", "/t", &key.key, "connection: close\r\nx-forwarded-proto: http\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("fine"), "{answer}");
    assert_eq!(upstream.last().one("x-forwarded-proto"), "https");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_load_and_no_request_is_lost() {
    let scene = Arc::new(Scene::start().await);
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (scene, is_over, answered) = (Arc::clone(&scene), Arc::clone(&is_over), Arc::clone(&answered));
        clients.push(tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let answer = scene.ask(HEALTH).await;
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let mut kept = scene.connect().await.unwrap();
    let first = shown(&kept);
    for _ in 0..3 {
        let before = answered.load(Ordering::Relaxed);
        assert_ne!(scene.renew().await.der(), first);
        assert!(next(&mut kept, HEALTH_AND_MORE).await.unwrap().starts_with("HTTP/1.1 200 "), "it goes on");
        let more = async {
            while answered.load(Ordering::Relaxed) < before + 20 {
                tokio::task::yield_now().await
            }
        };
        timeout(PATIENCE, more).await.expect("there is no load");
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_pair_that_does_not_fit_leaves_the_one_before_in_force() {
    let scene = Scene::start().await;
    let (before, now) = (scene.shown().await, scene.server.app.now());
    let (other, over) = (scene.authority.certify("localhost"), scene.authority.certify_until("localhost", 2_020));
    let folder = scene.folder.path();
    let files = scene.authority.certify("localhost").write(folder);
    let broken = |certificate: &str, key: &str| {
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
    };
    for (what, certificate, key) in [
        ("nothing", "", ""),
        ("half a certificate", &other.certificate[..200], other.key.as_str()),
        ("another's key", &other.certificate, &over.key),
        ("no key", &other.certificate, &other.certificate),
        ("one that is over", &over.certificate, &over.key),
    ] {
        broken(certificate, key);
        scene.tls.reload(now);
        assert_eq!(scene.shown().await, before, "{what}");
    }
    std::fs::remove_file(&files.key).unwrap();
    scene.tls.reload(now);
    assert_eq!(scene.shown().await, before, "no file");
    let mended = other.write(folder);
    assert_eq!(mended, files);
    scene.tls.reload(now);
    assert_eq!(scene.shown().await, other.der());
}
