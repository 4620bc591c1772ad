//! Tokens of a certified provider that shares no line with ours: `oidc-provider`, run by Node beside the test.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use keywright_core::policy::Policy;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Answer, NOW, TestServer, text};
use crate::node;

/// `nightly-job:test`
const CLIENT: &str = "Basic bmlnaHRseS1qb2I6dGVzdA==";

struct Provider {
    child: Child,
    issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    fn start() -> Option<Self> {
        let folder = node::folder()?;
        let mut node = Command::new("node");
        node.arg(folder.join("provider.mjs"))
            .arg(NOW)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = node.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).unwrap();
        Some(Self { child, issuer: text(&started, "issuer") })
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        let address: SocketAddr = self.issuer.strip_prefix("http://").unwrap().parse().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: {CLIENT}\r\ncontent-type: \
             application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Answer::parse(&answer)
    }

    /// An access token for this audience, signed with this algorithm.
    async fn token(&self, algorithm: &str, audience: &str) -> String {
        let form = format!("grant_type=client_credentials&resource=urn:test:{algorithm}:{audience}");
        text(&self.post("/token", &form).await.is(200), "access_token")
    }

    /// A server that takes its tokens, and on which the job that gets them is a developer of an account's.
    async fn trusted(&self, lines: &str) -> TestServer {
        let server = TestServer::start().await;
        let issuer = format!("[issuer.main]\nurl = \"{}\"\naudience = [\"keywright\"]\n{lines}", self.issuer);
        server.app.reload_policy(&format!("{}\n{issuer}", Policy::DEV)).unwrap();
        let account = server.account().await;
        let (user, _, _) = server.person(&account, "developer").await;
        let identity = json!({ "issuer": "main", "subject": "nightly-job" });
        server.post(&format!("/v1/users/{user}/identities"), &identity).send().await.with(201);
        server
    }
}

async fn status(server: &TestServer, token: &str) -> u16 {
    server.get("/v1/keys").by(token).send().await.status
}

/// security.md 1, 7
#[tokio::test]
async fn a_certified_providers_tokens_are_taken_for_what_the_policy_says() {
    let Some(provider) = Provider::start() else { return };
    let server = provider.trusted("").await;
    for (algorithm, audience, expected) in [
        ("RS256", "keywright", 200),
        ("PS256", "keywright", 200),
        ("ES256", "keywright", 200),
        ("EdDSA", "keywright", 200),
        ("ES384", "keywright", 401),
        ("RS256", "another", 401),
    ] {
        let token = provider.token(algorithm, audience).await;
        assert_eq!(status(&server, &token).await, expected, "{algorithm} for {audience}");
    }
    let token = provider.token("RS256", "keywright").await;
    let made = server.post("/v1/keys", &json!({ "name": "by a job" })).by(&token).send().await.is(201);
    assert!(text(&made, "created_by").starts_with("user:usr_"), "{made}");
    let strict = provider.trusted("algorithms = [\"ES384\"]").await;
    assert_eq!(status(&strict, &provider.token("ES384", "keywright").await).await, 200);
    assert_eq!(status(&strict, &token).await, 401);
    server.wait("1h");
    assert_eq!(status(&server, &token).await, 200, "five seconds of leeway");
    server.wait("5s");
    assert_eq!(status(&server, &token).await, 401);
}

/// What each provider's page asks for: keys made with the token of a company's own identity provider.
#[tokio::test]
async fn a_certified_providers_tokens_make_keys_at_each_providers_own_path() {
    let Some(provider) = Provider::start() else { return };
    let server = provider.trusted("").await;
    let token = provider.token("RS256", "keywright").await;
    let stranger = provider.token("RS256", "another").await;
    for (path, body) in [
        (
            "/api/v1/dashboard/api-keys",
            json!({ "name": "Nightly backup", "service": "storage", "description": "Copies" }),
        ),
        ("/api/v1/user/api-keys", json!({ "environment": "live", "role": "developer" })),
    ] {
        let made = server.post(path, &body).by(&token).send().await.is(201);
        assert_eq!(server.code(&text(&made, "key")).await, "VALID", "{path}");
        assert_eq!(server.post(path, &body).by(&stranger).send().await.status, 401, "{path}");
        let cut = &token[..token.len() - 2];
        assert_eq!(server.post(path, &body).by(cut).send().await.status, 401, "{path}");
    }
}

/// security.md 8
#[tokio::test]
async fn a_certified_provider_changes_its_keys_and_goes_down() {
    let Some(mut provider) = Provider::start() else { return };
    let server = provider.trusted("").await;
    let before = provider.token("ES256", "keywright").await;
    assert_eq!(status(&server, &before).await, 200);
    provider.post("/control/rotate", "").await.with(204);
    let after = provider.token("ES256", "keywright").await;
    assert_eq!((status(&server, &after).await, status(&server, &before).await), (401, 200));
    server.wait("30s");
    assert_eq!((status(&server, &after).await, status(&server, &before).await), (200, 401));
    provider.post("/control/rotate", "").await.with(204);
    let unseen = provider.token("ES256", "keywright").await;
    provider.child.kill().unwrap();
    provider.child.wait().unwrap();
    server.wait("30m");
    assert_eq!((status(&server, &after).await, status(&server, &unseen).await), (200, 401));
    let never = provider.trusted("").await;
    assert_eq!(status(&never, &after).await, 503);
}
