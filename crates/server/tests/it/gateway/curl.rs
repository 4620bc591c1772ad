//! Real curl through the gate: each of its ways to send a body, and what it makes of an answer that comes early.

use std::process::Command;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::upstream::{Upstream, read_head};
use super::{gate, route};
use crate::harness::{Issued, TestServer};

/// More than sockets between two programs hold.
const LARGE: usize = 48 * 1_024 * 1_024;

/// What curl was answered: the status and the body, or why there was none.
struct Said {
    status: String,
    body: String,
    error: String,
}

struct Scene {
    server: TestServer,
    key: Issued,
    upstream: Upstream,
    folder: TempDir,
}

impl Scene {
    async fn set(upstream: Upstream, more: &str) -> Self {
        let (server, key) = gate(&route(&upstream.url(), more)).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small"), "a\r\nb\0c").unwrap();
        let large: Vec<u8> = (0..=255).cycle().take(LARGE).collect();
        std::fs::write(folder.path().join("large"), large).unwrap();
        Self { server, key, upstream, folder }
    }

    /// By a shell, for what is written to standard input.
    async fn curl(&self, args: &str) -> Said {
        let line = format!(
            "curl --silent --show-error --noproxy '*' --max-time 60 -H 'Authorization: Bearer {}' -w '\\n%{{http_code}}' \
             {args} http://{}/t/x",
            self.key.key,
            self.server.address()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(self.folder.path());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let [said, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let (body, status) = said.rsplit_once('\n').unwrap();
        Said { status: status.to_owned(), body: body.to_owned(), error }
    }
}

#[tokio::test]
async fn each_way_to_send_a_body_passes() {
    let scene = Scene::set(Upstream::fine().await, "").await;
    for (args, method, body) in [
        ("-T small", "PUT", "a\r\nb\0c"),
        // With its length, and in pieces.
        ("--data-binary @small", "POST", "a\r\nb\0c"),
        ("-H 'Transfer-Encoding: chunked' --data-binary @small", "POST", "a\r\nb\0c"),
        ("-H 'Expect: 100-continue' --data-binary @small", "POST", "a\r\nb\0c"),
        ("-0 -T small", "PUT", "a\r\nb\0c"),
        ("-X DELETE", "DELETE", ""),
        ("-X POST -d ''", "POST", ""),
    ] {
        let said = scene.curl(args).await;
        assert_eq!((said.status.as_str(), said.body.as_str()), ("200", "fine"), "{args}: {}", said.error);
        let seen = scene.upstream.last();
        assert_eq!((seen.line, seen.body), (format!("{method} /t/x"), body.as_bytes().to_vec()), "{args}");
    }
    let said = scene.curl("< small -T -").await;
    assert_eq!(said.status, "200", "{}", said.error);
    assert_eq!(scene.upstream.last().body, b"a\r\nb\0c");
    let said = scene.curl("-F 'file=@small;type=text/plain' -F name=value").await;
    assert_eq!(said.status, "200", "{}", said.error);
    let seen = scene.upstream.last();
    let boundary = seen.one("content-type").strip_prefix("multipart/form-data; boundary=").unwrap().to_owned();
    let body = String::from_utf8(seen.body).unwrap();
    assert!(body.contains("\r\n\r\na\r\nb\0c\r\n--") && body.ends_with(&format!("--{boundary}--\r\n")), "{body}");
}

#[tokio::test]
async fn a_large_body_passes_however_it_is_sent() {
    let upstream = Upstream::raw(|mut stream| async move {
        let Some(seen) = read_head(&mut stream).await else { return };
        let is_in_pieces = seen.all("content-length").is_empty();
        let (mut count, mut end, mut piece) = (0, Vec::<u8>::new(), vec![0; 256 * 1_024]);
        while if is_in_pieces { end != b"0\r\n\r\n" } else { count < LARGE } {
            let read = stream.read(&mut piece).await.unwrap();
            count += read;
            end.extend(&piece[..read]);
            end.drain(..end.len().saturating_sub(5));
        }
        // Beside the sizes of the pieces there is all of it.
        assert!(count >= LARGE);
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\nkept").await.unwrap();
    })
    .await;
    let scene = Scene::set(upstream, "").await;
    for args in ["-T large", "-H 'Expect:' -T large", "< large -T -", "-H 'Expect:' --data-binary @large"] {
        let said = scene.curl(args).await;
        assert_eq!((said.status.as_str(), said.body.as_str()), ("201", "kept"), "{args}: {}", said.error);
    }
}

/// Where a connection is closed with bytes unread, the other side may never see what was answered.
#[tokio::test]
async fn an_answer_that_comes_early_is_read() {
    let upstream = Upstream::raw(|mut stream| async move {
        if read_head(&mut stream).await.is_none() {
            return;
        }
        let answer = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nmuch";
        stream.write_all(answer).await.unwrap();
        while stream.read(&mut [0; 1_024]).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    let early = Scene::set(upstream, "").await;
    let small = Scene::set(Upstream::fine().await, "body_limit = \"1KB\"").await;
    for args in ["-T large", "-H 'Expect:' -T large", "< large -H 'Expect:' -T -", "-H 'Expect:' --data-binary @large"]
    {
        for _ in 0..3 {
            let said = early.curl(args).await;
            assert_eq!((said.status.as_str(), said.body.as_str()), ("413", "much"), "{args}: {}", said.error);
            let said = small.curl(args).await;
            assert!(said.status == "413" && said.body.contains("TOO_LARGE"), "{args}: {} {}", said.body, said.error);
            // So is a refusal.
            let said = small.curl(&format!("-H 'X-Api-Key: second' {args}")).await;
            assert!(said.status == "401" && said.body.contains("UNAUTH"), "{args}: {} {}", said.body, said.error);
        }
    }
    assert!(small.upstream.seen().is_empty());
}
