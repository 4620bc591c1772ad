//! The demo's storage behind the gate: odd names, parts of files, and uploads that end half-way.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use keywright_server::{Options, demo_services};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::{ask, head};
use crate::harness::TestServer;

const BUCKET: &str = "/v1/storage/my-bucket";

async fn scene() -> (TestServer, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let upstreams: BTreeMap<_, _> = demo_services(folder.path()).await.unwrap();
    let server = TestServer::listening(Options { upstreams, ..Options::default() }).await;
    let key = server.key(json!({ "kind": "wayscloud-service", "services": ["storage"] })).await.key;
    (server, key, folder)
}

fn files(folder: &Path) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(folder.join("storage/my-bucket"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn whatever_a_file_is_called_it_stays_in_its_bucket() {
    let (server, key, folder) = scene().await;
    let long = "n".repeat(240);
    for name in [
        "...",
        "a..b",
        ".part-1",
        "a:b@c",
        "a%20b%2B",
        "%C3%A9",
        "a;v=1",
        "~",
        "%25",
        "con",
        "-rf",
        "*",
        "'\"%3C",
        long.as_str(),
    ] {
        let path = format!("{BUCKET}/{name}");
        server.call("PUT", &path).by(&key).body(name).send().await.with(200);
        assert_eq!(server.get(&path).by(&key).send().await.with(200).text, name);
    }
    for (name, status) in [
        ("..", 400),
        ("../../secret", 400),
        ("%2e%2e/secret", 400),
        ("a%2F..%2Fsecret", 400),
        ("%00", 400),
        ("%ff", 400),
        ("a\\b", 400),
        (&*format!("{long}n"), 400),
    ] {
        server.call("PUT", &format!("{BUCKET}/{name}")).by(&key).body("x").send().await.with(status);
    }
    for bucket in ["..", ".", "A", "a", "my_bucket", "-ab", "a..b", "my-bucket%2f..", "%2e%2e"] {
        let status = server.call("PUT", &format!("/v1/storage/{bucket}")).by(&key).send().await.status;
        assert_eq!(status, 400, "{bucket}");
    }
    let above: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((above, files(folder.path()).len()), (vec!["storage".into()], 14));
    let listed = server.get(BUCKET).by(&key).send().await.with(200);
    assert!(listed.text.contains("<Key>&apos;&quot;&lt;</Key>") || listed.text.contains("<Key>'&quot;&lt;</Key>"));
}

#[tokio::test]
async fn a_part_of_a_file_can_be_had() {
    let (server, key, _folder) = scene().await;
    let path = format!("{BUCKET}/ten");
    server.call("PUT", &path).by(&key).body("0123456789").send().await.with(200);
    for (range, status, text, told) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=8-", 206, "89", Some("bytes 8-9/10")),
        ("bytes=1-2,4-5", 200, "0123456789", None),
    ] {
        let answer = server.get(&path).by(&key).header("range", range).send().await.with(status);
        assert_eq!((answer.text.as_str(), answer.header("content-range")), (text, told), "{range}");
        assert_eq!(answer.header("content-length"), Some(&*text.len().to_string()));
    }
    let beyond = server.get(&path).by(&key).header("range", "bytes=10-").send().await.with(416);
    assert!(beyond.text.contains("<Code>InvalidRange</Code>"), "{}", beyond.text);
    let whole = server.call("HEAD", &path).by(&key).header("range", "bytes=2-4").send().await.with(200);
    assert_eq!((whole.header("content-length"), whole.header("accept-ranges")), (Some("10"), Some("bytes")));
}

#[tokio::test]
async fn an_upload_that_ends_half_way_leaves_nothing() {
    let (server, key, folder) = scene().await;
    let path = format!("{BUCKET}/file");
    server.call("PUT", &path).by(&key).body("as it was").send().await.with(200);
    let sound = files(folder.path());
    let becomes = async |count: usize| {
        let so = async {
            while files(folder.path()).len() != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), so).await.is_ok()
    };
    for fields in ["content-length: 1000\r\n", "transfer-encoding: chunked\r\n"] {
        let begun = head("PUT", &path, &key, fields) + if fields.starts_with('c') { "half" } else { "4\r\nhalf\r\n" };
        let mut stream = ask(server.address(), &begun).await;
        assert!(becomes(2).await, "it does not begin");
        stream.shutdown().await.unwrap();
        drop(stream);
        assert!(becomes(1).await, "{:?}", files(folder.path()));
    }
    assert_eq!(files(folder.path()), sound);
    assert_eq!(server.get(&path).by(&key).send().await.with(200).text, "as it was");
    // Nor does what a crash has left keep a bucket from being deleted.
    std::fs::write(folder.path().join("storage/my-bucket/.part-1-1"), "half").unwrap();
    demo_services(folder.path()).await.unwrap();
    assert_eq!(files(folder.path()), sound);
}
