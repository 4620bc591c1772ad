//! The providers' own services behind the gate: which key reaches which, and what the others are told.

use std::collections::BTreeMap;

use keywright_server::Options;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::gateway::upstream::{Upstream, read_head};
use crate::gateway::{ask, head, until};
use crate::harness::{Answer, TestServer, text};

const AUTH_FAILED: &str = r#"{"error":"Invalid or expired API key","code":"AUTH_FAILED"}"#;
const INSUFFICIENT: &str =
    r#"{"error":"API key does not have permission for this service","code":"INSUFFICIENT_PERMISSIONS"}"#;
const BUCKETS: &str = "<?xml version=\"1.0\"?><ListAllMyBucketsResult><Buckets><Bucket><Name>my-bucket</Name></Bucket>\
                       </Buckets></ListAllMyBucketsResult>";

/// A server with the built-in policy whose services are these.
async fn before(storage: &Upstream, echo: &Upstream) -> TestServer {
    let at = |upstream: &Upstream| vec![format!("http://{}", upstream.address).parse().unwrap()];
    let upstreams = BTreeMap::from([("storage".to_owned(), at(storage)), ("echo".to_owned(), at(echo))]);
    TestServer::listening(Options { upstreams, ..Options::default() }).await
}

async fn scene() -> (TestServer, Upstream, Upstream) {
    let buckets = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n{BUCKETS}",
        BUCKETS.len()
    );
    let (storage, echo) = (Upstream::saying(&buckets).await, Upstream::fine().await);
    (before(&storage, &echo).await, storage, echo)
}

async fn service_key(server: &TestServer, services: &[&str]) -> String {
    server.key(json!({ "kind": "wayscloud-service", "services": services })).await.key
}

async fn cloudheed_key(server: &TestServer, scopes: &[&str]) -> String {
    server.key(json!({ "kind": "cloudheed", "permissions": scopes })).await.key
}

/// The documented 403, whole.
#[track_caller]
fn is_insufficient(answer: &Answer, why: &str) {
    assert_eq!((answer.status, answer.text.as_str()), (403, INSUFFICIENT), "{why}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{why}");
    assert_eq!(answer.header("www-authenticate"), None, "{why}");
    assert!(answer.header("x-request-id").is_some(), "{why}");
}

#[tokio::test]
async fn wa3_each_service_is_at_its_path() {
    let (server, storage, echo) = scene().await;
    let key = service_key(&server, &["storage", "llm", "database", "dns", "gpu"]).await;
    for (method, path) in [
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/databases"),
        ("POST", "/v1/databases"),
        ("DELETE", "/v1/databases/db_1/snapshots/2"),
        ("POST", "/v1/dns/zones"),
        ("GET", "/v1/dns/zones/example.com/records?type=A"),
        ("POST", "/v1/gpu/jobs"),
        ("GET", "/v1/gpu/jobs/7"),
    ] {
        server.call(method, path).by(&key).send().await.with(200);
        assert_eq!(echo.last().line, format!("{method} {path}"));
    }
    for (sent, seen) in [
        ("/v1/storage", "/"),
        ("/v1/storage/", "/"),
        ("/v1/storage/my-bucket", "/my-bucket"),
        ("/v1/storage/my-bucket/a%20b.txt?x=1", "/my-bucket/a%20b.txt?x=1"),
    ] {
        server.get(sent).by(&key).send().await.with(200);
        assert_eq!(storage.last().line, format!("GET {seen}"));
    }
    assert_eq!(storage.last().one("x-key-services"), "database dns gpu llm storage");
    for path in ["/v1/storages", "/v1/chat", "/v1/chat/completion", "/v1/vps"] {
        server.get(path).by(&key).send().await.with(404);
    }
}

#[tokio::test]
async fn wa4_each_method_asks_for_its_scope() {
    let (server, ..) = scene().await;
    let with = async |permission: &str| {
        // What a service gives is given as a whole: a role of its own stands for a key with one scope.
        let policy = keywright_app::core::policy::Policy::DEV
            .replace(
                "[service.iot]\npermissions = [\"iot:read\", \"iot:write\"]",
                &format!("[service.iot]\npermissions = [\"{permission}\"]"),
            )
            .replace(
                "services = [\"storage\", \"llm\", \"database\", \"dns\", \"gpu\"]",
                "services = [\"storage\", \"iot\"]",
            );
        server.app.reload_policy(&policy).unwrap();
        service_key(&server, &["iot"]).await
    };
    for (permission, passes) in [
        ("storage:read", vec!["GET /v1/storage/b/k", "HEAD /v1/storage/b/k"]),
        ("storage:write", vec!["PUT /v1/storage/b/k", "POST /v1/storage/b/k"]),
        ("storage:delete", vec!["DELETE /v1/storage/b/k"]),
        ("llm:inference", vec!["POST /v1/chat/completions"]),
        ("llm:models", vec!["GET /v1/models"]),
        (
            "database:manage",
            vec!["GET /v1/databases", "POST /v1/databases", "DELETE /v1/databases/x", "PATCH /v1/databases/x"],
        ),
        (
            "dns:manage",
            vec!["GET /v1/dns/zones", "POST /v1/dns/zones", "PUT /v1/dns/zones/x", "DELETE /v1/dns/zones/x"],
        ),
        ("gpu:use", vec!["POST /v1/gpu/jobs", "GET /v1/gpu/jobs", "DELETE /v1/gpu/jobs/1"]),
    ] {
        let key = with(permission).await;
        for asked in [
            "GET /v1/storage/b/k",
            "HEAD /v1/storage/b/k",
            "PUT /v1/storage/b/k",
            "POST /v1/storage/b/k",
            "DELETE /v1/storage/b/k",
            "POST /v1/chat/completions",
            "GET /v1/models",
            "GET /v1/databases",
            "POST /v1/databases",
            "PATCH /v1/databases/x",
            "DELETE /v1/databases/x",
            "GET /v1/dns/zones",
            "POST /v1/dns/zones",
            "PUT /v1/dns/zones/x",
            "DELETE /v1/dns/zones/x",
            "POST /v1/gpu/jobs",
            "GET /v1/gpu/jobs",
            "DELETE /v1/gpu/jobs/1",
        ] {
            let (method, path) = asked.split_once(' ').unwrap();
            let status = server.call(method, path).by(&key).send().await.status;
            assert_eq!(status, if passes.contains(&asked) { 200 } else { 403 }, "{permission}: {asked}");
        }
    }
}

#[tokio::test]
async fn wa5_bodies_pass_untouched_and_streams_as_they_come() {
    let echo = Upstream::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(begin.as_bytes()).await.unwrap();
        stream.write_all(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
        // The stream goes on for as long as somebody listens.
        while stream.read(&mut [0; 16]).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    let storage = Upstream::fine().await;
    let server = before(&storage, &echo).await;
    let key = service_key(&server, &["storage", "llm"]).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let call = server.call("PUT", "/v1/storage/my-bucket/file.bin").by(&key);
    call.header("content-type", "application/octet-stream").body(bytes.clone()).send().await.with(200);
    let seen = storage.last();
    assert_eq!((seen.one("content-type"), seen.body == bytes), ("application/octet-stream", true));
    let asked = r#"{"model":"m","messages":[],"stream":true}"#;
    let request = head("POST", "/v1/chat/completions", &key, &format!("content-length: {}\r\n", asked.len())) + asked;
    let mut stream = ask(server.address(), &request).await;
    let first = tokio::time::timeout(std::time::Duration::from_secs(20), until(&mut stream, "data: 1\n\n\r\n")).await;
    assert!(first.expect("the event was held back").contains("text/event-stream"));
}

#[tokio::test]
async fn wa14_the_wrong_service_is_the_documented_403_at_the_gate() {
    let (server, storage, echo) = scene().await;
    let (store, llm) = (service_key(&server, &["storage"]).await, service_key(&server, &["llm"]).await);
    let pat = server.account().await;
    let pat = server.pat(&pat, &["profile:read"]).await.key;
    let wavis = server.key(json!({ "kind": "wavis", "role": "developer" })).await.key;
    for (method, path, key, why) in [
        ("POST", "/v1/chat/completions", &store, "a storage key for inference"),
        ("GET", "/v1/models", &store, "a storage key for models"),
        ("GET", "/v1/storage/", &llm, "a key for inference at storage"),
        ("PUT", "/v1/storage/b/k", &llm, "a key for inference writing"),
        ("POST", "/v1/databases", &llm, "a key for inference at databases"),
        ("GET", "/v1/dns/zones", &store, "a storage key at names"),
        ("GET", "/v1/storage/", &wavis, "another provider's key"),
        ("GET", "/v1/storage/", &server.operator.clone(), "an operator's key"),
    ] {
        is_insufficient(&server.call(method, path).by(key).send().await, why);
    }
    let answer = server.get("/v1/storage/").by_token(&pat).send().await;
    is_insufficient(&answer, "an access token of the account API");
    for (value, why) in [
        (None, "none"),
        (Some(store.clone()), "no Bearer"),
        (Some(format!("bearer {store}")), "lowercase"),
        (Some(format!("Bearer  {store}")), "two spaces"),
        (Some("Bearer wayscloud_storage_abc123_XyZ789SecretKey".into()), "no such key"),
    ] {
        let call = server.get("/v1/storage/").by_nobody();
        let call = match &value {
            Some(value) => call.header("authorization", value),
            None => call,
        };
        let answer = call.send().await;
        assert_eq!((answer.status, answer.text.as_str()), (401, AUTH_FAILED), "{why}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"keywright\""), "{why}");
    }
    assert!(storage.seen().is_empty() && echo.seen().is_empty(), "a denial reached a service");
}

#[tokio::test]
async fn wc8_a_new_key_lists_the_buckets() {
    let (server, storage, _) = scene().await;
    let account = server.account().await;
    let (_, manager) = server.key_of(&account, json!({ "permissions": ["*"] })).await.pair();
    let body = json!({ "name": "Production Storage Key", "service": "storage", "description": "d" });
    let made = server.post("/api/v1/dashboard/api-keys", &body).by(&manager).send().await.is(201);
    let key = text(&made, "key");
    let answer = server.get("/v1/storage/").by(&key).send().await.with(200);
    assert_eq!((answer.text.as_str(), answer.header("content-type")), (BUCKETS, Some("application/xml")));
    let seen = storage.last();
    assert_eq!(
        (seen.line.as_str(), seen.one("x-account-id"), seen.one("x-key-services")),
        ("GET /", account.as_str(), "storage")
    );
    assert!(!format!("{seen:?}").contains(&key), "the service saw the key");
}

#[tokio::test]
async fn wc8_the_demos_storage_lists_its_buckets_and_keeps_files() {
    let folder = tempfile::tempdir().unwrap();
    let upstreams = keywright_server::demo_services(folder.path()).await.unwrap();
    let server = TestServer::listening(Options { upstreams, ..Options::default() }).await;
    let key = service_key(&server, &["storage"]).await;
    let buckets = server.get("/v1/storage/").by(&key).send().await.with(200);
    assert!(buckets.text.contains("<Bucket><Name>my-bucket</Name>"), "{}", buckets.text);
    assert_eq!(buckets.header("content-type"), Some("application/xml"));
    let path = "/v1/storage/my-bucket/file.txt";
    server.call("PUT", path).by(&key).body("kept").send().await.with(200);
    assert_eq!(server.get(path).by(&key).send().await.with(200).text, "kept");
    let listed = server.get("/v1/storage/my-bucket").by(&key).send().await.with(200);
    assert!(listed.text.contains("<Key>file.txt</Key>") && listed.text.contains("<Size>4</Size>"), "{}", listed.text);
    for (method, path, status, code) in [
        ("GET", "/v1/storage/other-bucket", 404, "NoSuchBucket"),
        ("PUT", "/v1/storage/other-bucket/a", 404, "NoSuchBucket"),
        ("GET", "/v1/storage/my-bucket/none", 404, "NoSuchKey"),
        ("PUT", "/v1/storage/my-bucket", 409, "BucketAlreadyOwnedByYou"),
        ("PUT", "/v1/storage/A", 400, "InvalidBucketName"),
        ("DELETE", "/v1/storage/my-bucket", 409, "BucketNotEmpty"),
        ("POST", "/v1/storage/my-bucket/a?uploads", 501, "NotImplemented"),
    ] {
        let answer = server.call(method, path).by(&key).send().await.with(status);
        assert!(answer.text.contains(&format!("<Code>{code}</Code>")), "{method} {path}: {}", answer.text);
    }
    // Without the path only the gate knows, nobody gets to it.
    let address = keywright_server::demo_services(folder.path()).await.unwrap()["storage"][0].authority.clone();
    let request = format!("GET /storage/ HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let answer = crate::gateway::all(ask(address.parse().unwrap(), &request).await).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn wv3_an_eleventh_operation_is_a_402_and_status_reads_cost_nothing() {
    let (server, _, echo) = scene().await;
    let trial = async || {
        let issued = server.call("POST", "/api/v1/onboarding/temp-key").by_nobody().send().await.is(201);
        text(&issued, "api_key")
    };
    let compute = async |key: &str| server.post("/api/v1/compute/run", &json!({})).by(key).send().await;
    let key = trial().await;
    for operation in 1..=10 {
        for path in ["/api/v1/health", "/api/v1/status"] {
            server.get(path).by(&key).send().await.with(200);
        }
        assert_eq!(compute(&key).await.status, 200, "operation {operation}");
    }
    let refused = compute(&key).await;
    refused.wavis_error(402, "CREDITS_EXHAUSTED");
    server.get("/api/v1/health").by(&key).send().await.with(200);
    assert_eq!(echo.seen().len(), 10);

    let key = trial().await;
    let at_once = futures_util::future::join_all((0..200).map(|_| compute(&key))).await;
    let count = |status| at_once.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(402), echo.seen().len()), (10, 190, 20));

    let key = trial().await;
    compute(&key).await.with(200);
    // The bare key is taken, too.
    let bare = server.post("/api/v1/compute/run", &json!({})).by_nobody().header("authorization", &key);
    bare.send().await.with(200);
    server.wait("30m");
    compute(&key).await.wavis_error(401, "UNAUTHENTICATED");
    let viewer = server.key(json!({ "kind": "wavis", "role": "viewer" })).await.key;
    compute(&viewer).await.wavis_error(403, "FORBIDDEN");
    assert_eq!(echo.seen().len(), 22);
}

#[tokio::test]
async fn ch4_scopes_are_enforced_by_path_and_method() {
    let (server, _, echo) = scene().await;
    const ASKED: [&str; 8] = [
        "GET /v1/databases",
        "POST /v1/databases",
        "DELETE /v1/databases/x",
        "GET /v1/backups",
        "POST /v1/backups/x/restore",
        "GET /v1/billing",
        "GET /v1/org",
        "PATCH /v1/org",
    ];
    for (scope, passes) in [
        ("databases:read", vec![0]),
        ("databases:write", vec![1, 2]),
        ("backups:read", vec![3]),
        ("backups:write", vec![4]),
        ("billing:read", vec![5]),
        ("org:read", vec![6]),
        ("org:write", vec![7]),
    ] {
        let key = cloudheed_key(&server, &[scope]).await;
        for (number, asked) in ASKED.into_iter().enumerate() {
            let (method, path) = asked.split_once(' ').unwrap();
            let answer = server.call(method, path).by(&key).send().await;
            if passes.contains(&number) {
                answer.with(200);
                assert_eq!(echo.last().one("x-key-permissions"), scope);
            } else {
                answer.problem(403, "FORBIDDEN");
            }
        }
    }
    let answer =
        server.post("/v1/billing", &json!({})).by(&cloudheed_key(&server, &["billing:read"]).await).send().await;
    answer.problem(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn ch4_a_path_two_providers_share_is_of_whoevers_key_is_shown() {
    let (server, ..) = scene().await;
    let wayscloud = service_key(&server, &["database"]).await;
    let cloudheed = cloudheed_key(&server, &["databases:read"]).await;
    server.get("/v1/databases").by(&wayscloud).send().await.with(200);
    server.get("/v1/databases").by(&cloudheed).send().await.with(200);
    server.post("/v1/databases", &json!({})).by(&wayscloud).send().await.with(200);
    server.post("/v1/databases", &json!({})).by(&cloudheed).send().await.problem(403, "FORBIDDEN");
    let storage = service_key(&server, &["storage"]).await;
    is_insufficient(&server.get("/v1/databases").by(&storage).send().await, "the wrong service");
    let parts = json!({ "kind": "wayscloud-account", "services": ["database"] });
    let parts = server.key(parts).await.key;
    server.get("/v1/databases").by(&parts).send().await.with(200);
    server.delete("/v1/databases/x").by(&parts).send().await.with(200);
    let nobody = server.get("/v1/databases").by_nobody().send().await;
    assert_eq!((nobody.status, nobody.text.as_str()), (401, AUTH_FAILED));
}

#[tokio::test]
async fn ch5_one_header_carries_a_key_or_a_persons_token_through_the_gate() {
    let (server, _, echo) = scene().await;
    let account = server.account().await;
    let key = cloudheed_key(&server, &["databases:read"]).await;
    let (user, session, token) = server.person(&account, "developer").await;
    for credential in [&key, &token] {
        server.get("/v1/databases").by(credential).send().await.with(200);
    }
    let seen = echo.last();
    let said = ["x-user-id", "x-session-id", "x-account-id", "x-key-id"].map(|name| seen.one(name).to_owned());
    assert_eq!(said, [user.as_str(), &session, &account, ""]);
    assert!(!format!("{seen:?}").contains(&token), "the service saw the token");
    server.post("/v1/org", &json!({})).by(&token).send().await.problem(403, "FORBIDDEN");
    let (_, _, viewer) = server.person(&account, "viewer").await;
    server.get("/v1/databases").by(&viewer).send().await.problem(403, "FORBIDDEN");
    // An ended session is refused on the next request, and a token had for a key is no session.
    server.delete(&format!("/v1/users/{user}/sessions/{session}")).send().await.is(204);
    server.get("/v1/databases").by(&token).send().await.problem(401, "UNAUTHENTICATED");
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={key}\
         &subject_token_type=urn:ietf:params:oauth:token-type:access_token"
    );
    let exchanged = server.call("POST", "/v1/token").by_nobody().form(&form).send().await.is(200);
    let exchanged = text(&exchanged, "access_token");
    server.get("/v1/databases").by(&exchanged).send().await.problem(401, "UNAUTHENTICATED");
}
