//! The configurations `keywright gateway snippet` prints, in the proxies they are for: nginx, Caddy and `HAProxy` as Debian
//! has them, and Envoy as PyPI does.
//!
//! Where a proxy is not installed its tests say nothing; with `KEYWRIGHT_CI=1` they fail instead.

mod envoy;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keywright_app::core::policy::Policy;
use keywright_server::{Options, Snippet, snippet};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::gateway::IDENTITY;
use crate::gateway::upstream::{Seen, Upstream, nobody};
use crate::gateway::{all, ask};
use crate::harness::{Answer, TestServer};

/// A proxy that runs until it is dropped.
struct Proxy {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Envoy stands beside the Python whose package brings it.
    let python = std::env::var("KEYWRIGHT_TEST_PYTHON").ok();
    let python = python.and_then(|python| Path::new(&python).parent().map(Path::to_owned));
    let folders = python.into_iter().chain(std::env::split_paths(&path)).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
    assert!(found.is_some() || !ci, "{name} must be installed in CI");
    found
}

fn is_envoy(name: &str) -> bool {
    name.starts_with("envoy")
}

/// Runs the printed configuration, with nothing changed in it but where it listens.
async fn run(name: &str, policy: &str, server: std::net::SocketAddr) -> Option<Proxy> {
    let program = program(if is_envoy(name) { "envoy" } else { name })?;
    let folder = tempfile::tempdir().unwrap();
    let port = nobody().await.port();
    let policy = Policy::parse(policy).unwrap();
    let address = format!("http://{server}").parse().unwrap();
    let print = |wanted| snippet(wanted, &policy, &Options::default(), &address, None).unwrap();
    let write = |file: &str, text: String| {
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut command = Command::new(program);
    match name {
        "nginx" => {
            let printed = print(Snippet::Nginx);
            assert_eq!(printed.matches("listen 80").count(), 2);
            let printed = printed.replace("listen 80", &format!("listen 127.0.0.1:{port}"));
            let file = write("nginx.conf", around_nginx(folder.path(), &printed));
            command.args(["-e", "stderr", "-c"]).arg(file);
        }
        "caddy" => {
            let printed = print(Snippet::Caddy).replace(":80 {", &format!(":{port} {{"));
            let file = write("Caddyfile", format!("{{\n\tadmin off\n}}\n{printed}"));
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("HOME", folder.path());
            command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
        }
        "envoy" | "envoy-http" => {
            let wanted = if name == "envoy" { Snippet::Envoy } else { Snippet::EnvoyHttp };
            let (from, to) =
                ("address: 0.0.0.0, port_value: 80 }", format!("address: 127.0.0.1, port_value: {port} }}"));
            let printed = print(wanted);
            assert_eq!(printed.matches(from).count(), 1);
            command.arg("-c").arg(write("envoy.yaml", printed.replace(from, &to)));
            command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]);
        }
        _ => {
            let script = write("keywright.lua", print(Snippet::HaproxyScript));
            let printed = print(Snippet::Haproxy).replace("bind :80", &format!("bind 127.0.0.1:{port}"));
            let printed =
                printed.replace("/etc/haproxy/keywright.lua\n\ndefaults", &format!("{}\n\ndefaults", script.display()));
            command.args(["-db", "-f"]).arg(write("haproxy.cfg", printed));
        }
    }
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let mut proxy = Proxy { child, port, _folder: folder };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(proxy);
        }
        if proxy.child.try_wait().unwrap().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{name} does not run: {}", std::fs::read_to_string(proxy._folder.path().join("log")).unwrap());
}

/// What nginx needs around a configuration, in a folder of its own.
fn around_nginx(folder: &Path, printed: &str) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{printed}\n}}\n"
    )
}

/// Real services behind a proxy, and a server it asks.
struct Scene {
    name: &'static str,
    server: TestServer,
    proxy: Proxy,
    upstream: Upstream,
    /// Behind the host `h.example`.
    other: Upstream,
    policy: String,
}

impl Scene {
    async fn set(name: &'static str) -> Option<Self> {
        let (upstream, other) = (Upstream::fine().await, Upstream::fine().await);
        let server = TestServer::listening(Options::default()).await;
        let dev: String = Policy::DEV.split("\n[route.").next().unwrap().to_owned();
        let more = format!(
            "[forward_auth]\ndialects = [\"{name}\"]\npeers = [\"127.0.0.1\"]\n\
             [route.t]\npath = \"/t\"\nupstream = {0}\npreflight = true\n\
             methods = {{ GET = \"storage:read\", PUT = {{ permissions = \"storage:write\", cost = 2 }} }}\n\
             [route.nowhere]\npath = \"/s\"\nupstream = {0}\nstrip = true\nforward_credential = true\nmethods = {{ GET = [] }}\n\
             [route.h]\npath = \"/t\"\nhost = \"h.example\"\nupstream = {1}\nmethods = {{ GET = \"storage:delete\" }}\n",
            upstream.url(),
            other.url()
        );
        let policy = format!("{dev}\n{more}");
        server.app.reload_policy(&policy).unwrap();
        let proxy = run(name, &policy, server.address()).await?;
        Some(Self { name, server, proxy, upstream, other, policy })
    }

    /// What a client is answered.
    async fn send(&self, method: &str, path: &str, key: &str, more: &str) -> Answer {
        send(&self.proxy, method, path, key, more).await
    }

    async fn key(&self, permission: &str, more: Value) -> (String, String) {
        let mut fields = json!({ "permissions": [permission] });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.server.key(fields).await.pair()
    }
}

async fn send(proxy: &Proxy, method: &str, path: &str, key: &str, more: &str) -> Answer {
    let host = if more.contains("host:") { "" } else { "host: api.example\r\n" };
    let close = if more.contains("connection:") { "" } else { "connection: close\r\n" };
    let key = if key.is_empty() { String::new() } else { format!("authorization: Bearer {key}\r\n") };
    let request = format!("{method} {path} HTTP/1.1\r\n{host}{close}{key}{more}\r\n");
    Answer::parse(&all(ask(([127, 0, 0, 1], proxy.port).into(), &request).await).await)
}

/// Who asks, as the upstream read it; no other spelling of it must be there.
#[track_caller]
fn who(seen: &Seen) -> String {
    for (name, _) in &seen.headers {
        let plain: String = name.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let is_other = IDENTITY.contains(&plain.as_str()) && plain != name.to_lowercase();
        assert!(!is_other, "{name} came through: {:?}", seen.headers);
    }
    for name in IDENTITY {
        assert!(seen.all(name).len() < 2 && !seen.all(name).contains(&"forged"), "{name} in {:?}", seen.headers);
    }
    seen.one("x-key-id").to_owned()
}

const SPOOFED: &str = "X-Key-Id: forged\r\nX_Key_Id: forged\r\nX.Key.Id: forged\r\nX-Key_Id: forged\r\nx-Account-id: forged\r\n\
                       X-User-Id: forged\r\nX-Session-Id: forged\r\nX-Key-Role: forged\r\n";
/// Words of every dialect, for a request that may pass.
const FORGED: &str = "X-Original-Method: GET\r\nX-Original-URI: /t\r\nX-Original-Host: api.example\r\nX-Forwarded-Method: GET\r\n\
                      X-Forwarded-Uri: /t\r\nX-Forwarded-Host: forged.example\r\nX-Forwarded-For: 192.0.2.9\r\nX-HTTP-Method-Override: GET\r\n";

async fn who_asks_is_told_and_nobody_else_says_it(scene: &Scene) {
    let (id, key) = scene.key("storage:manage", json!({})).await;
    scene.send("GET", "/t/a%20b/?c=d%2f..", &key, &format!("{SPOOFED}{FORGED}")).await.with(200);
    let seen = scene.upstream.last();
    assert_eq!((who(&seen), seen.line.as_str()), (id.clone(), "GET /t/a%20b/?c=d%2f.."), "{}", scene.name);
    assert_eq!(seen.one("x-key-kind"), "default");
    assert_eq!(seen.all("x-user-id").concat(), "", "{:?}", seen.headers);
    for gone in ["authorization", "x-api-key", "x-original-method", "x-original-uri", "x-http-method-override"] {
        assert_eq!(seen.all(gone).concat(), "", "{gone} in {:?}", seen.headers);
    }
    assert_eq!((seen.one("x-forwarded-host"), seen.one("x-forwarded-for")), ("api.example", "127.0.0.1"));
    // A proxy that takes off what Connection names must not take off what it set itself.
    scene.send("GET", "/t", &key, "connection: close, X-Key-Id, X-Account-Id\r\nX-Key-Id: forged\r\n").await.with(200);
    assert_eq!(who(&scene.upstream.last()), id);
    let body = "content-length: 5\r\n\r\nhello";
    let put = format!("PUT /t HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\nconnection: close\r\n{body}");
    let answer = Answer::parse(&all(ask(([127, 0, 0, 1], scene.proxy.port).into(), &put).await).await);
    assert_eq!((answer.status, scene.upstream.last().body), (200, b"hello".to_vec()));
    // A client that hopes for an upgrade is asked about as any other. Envoy refuses it where the route does not take it.
    let upgrade = "connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let seen = scene.upstream.seen().len();
    let answer = scene.send("GET", "/t", &key, upgrade).await.with(if is_envoy(scene.name) { 403 } else { 200 });
    assert_eq!(scene.upstream.seen().len() - seen, usize::from(answer.status == 200), "{}", scene.name);
    assert_eq!(scene.upstream.last().all("upgrade").len(), 0);
}

async fn refusals_come_through(scene: &Scene) {
    let (_, reader) = scene.key("storage:read", json!({})).await;
    let (_, trial) = scene.key("storage:write", json!({ "credits": 1 })).await;
    let limits = json!([{ "name": "minute", "limit": 1, "window": "1m" }]);
    let (_, limited) = scene.key("storage:read", json!({ "ratelimits": limits })).await;
    scene.send("GET", "/t", &limited, "").await.with(200);
    let before = scene.upstream.seen().len();
    let told = |answer: &Answer, code: &str| assert_eq!(answer.json()["code"], code, "{}: {answer:?}", scene.name);
    let nobody = scene.send("GET", "/t", "", SPOOFED).await.with(401);
    let challenges: Vec<_> = nobody.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Bearer realm=\"keywright\""], "{}", scene.name);
    told(&nobody, "UNAUTHENTICATED");
    told(&scene.send("GET", "/t", "kw_live_guess", "").await.with(401), "UNAUTHENTICATED");
    told(&scene.send("PUT", "/t", &reader, "").await.with(403), "FORBIDDEN");
    told(&scene.send("PUT", "/t", &trial, "").await.with(402), "CREDITS_EXHAUSTED");
    let waits = scene.send("GET", "/t", &limited, "").await.with(429);
    assert!(waits.header("retry-after").is_some_and(|wait| wait.parse::<u32>().is_ok()), "{waits:?}");
    assert!(waits.header("ratelimit").is_some(), "{waits:?}");
    told(&waits, "RATE_LIMITED");
    scene.send("DELETE", "/t", &reader, "").await.with(405);
    scene.send("GET", "/elsewhere", &reader, "").await.with(404);
    scene.send("GET", "/tx", &reader, "").await.with(404);
    // Two credentials are none, whichever a proxy would read.
    let two = format!("authorization: Bearer {reader}\r\nx-api-key: {reader}\r\n");
    scene.send("GET", "/t", "", &two).await.with(401);
    assert_eq!(scene.upstream.seen().len(), before, "{}", scene.name);
}

async fn a_client_cannot_say_what_it_asks_for(scene: &Scene) {
    let (_, reader) = scene.key("storage:read", json!({})).await;
    let before = scene.upstream.seen().len();
    scene.send("PUT", "/t", &reader, FORGED).await.with(403);
    scene.send("GET", "/elsewhere", &reader, FORGED).await.with(404);
    let preflight = "X-Original-Method: OPTIONS\r\nX-Forwarded-Method: OPTIONS\r\norigin: https://a.example\r\n\
                     access-control-request-method: PUT\r\n";
    scene.send("PUT", "/t", "", preflight).await.with(401);
    for path in ["/t//a", "/t/../t", "/t/%2e%2e/t", "/t/./a", "/t/a%2fb", "/t/..;/t", "/%74/a", "/t/%252e%252e/a"] {
        let refused = scene.send("GET", path, &reader, "").await;
        assert_eq!(refused.status, 400, "{} {path}: {refused:?}", scene.name);
    }
    for path in ["/t/../../elsewhere", "//t", "/s/../t/%00"] {
        let refused = scene.send("GET", path, &reader, "").await;
        assert!((400..500).contains(&refused.status), "{} {path}: {refused:?}", scene.name);
    }
    assert_eq!(scene.upstream.seen().len(), before, "{}", scene.name);
    scene.send("OPTIONS", "/t", "", &format!("{preflight}{SPOOFED}")).await.with(200);
    let seen = scene.upstream.last();
    assert_eq!(seen.all("x-key-id").concat(), "", "{:?}", seen.headers);
}

async fn a_route_leads_where_it_was_asked_about(scene: &Scene) {
    let (_, reader) = scene.key("storage:read", json!({})).await;
    let (id, deleter) = scene.key("storage:delete", json!({})).await;
    scene.send("GET", "/s/a/b?c", &reader, "").await.with(200);
    let seen = scene.upstream.last();
    assert_eq!((seen.line.as_str(), seen.one("authorization")), ("GET /a/b?c", format!("Bearer {reader}").as_str()));
    scene.send("GET", "/s", &reader, "").await.with(200);
    assert_eq!(scene.upstream.last().line, "GET /");
    let before = scene.upstream.seen().len();
    scene.send("GET", "/t", &reader, "host: h.example\r\n").await.with(403);
    for host in ["h.example", "H.Example:80", "h.example."] {
        scene.send("GET", "/t", &deleter, &format!("host: {host}\r\n")).await.with(200);
        assert_eq!(who(&scene.other.last()), id, "{} {host}", scene.name);
    }
    assert_eq!((scene.other.seen().len(), scene.upstream.seen().len()), (3, before));
    // Case is no matter of taste: nothing is asked about as one path and led on as another.
    scene.send("GET", "/T", &reader, "").await.with(404);
}

async fn nothing_passes_while_nobody_answers(scene: &Scene) {
    let (_, key) = scene.key("storage:manage", json!({})).await;
    let before = scene.upstream.seen().len();
    let proxy = run(scene.name, &scene.policy, nobody().await).await.unwrap();
    for path in ["/t", "/s/a"] {
        let closed = send(&proxy, "GET", path, &key, SPOOFED).await;
        assert!((500..600).contains(&closed.status), "{}: {closed:?}", scene.name);
    }
    // Nor where something else answers.
    for says in ["204 No Content", "201 Created", "302 Found\r\nlocation: /"] {
        let liar = Upstream::saying(&format!("HTTP/1.1 {says}\r\ncontent-length: 0\r\n\r\n")).await;
        if ["nginx", "caddy"].contains(&scene.name) && says.starts_with('2') {
            // These proxies take any 2xx; ours is 200 alone.
            continue;
        }
        let proxy = run(scene.name, &scene.policy, liar.address).await.unwrap();
        assert_ne!(send(&proxy, "GET", "/t", &key, "").await.status, 200, "{}", scene.name);
        // It was asked, but by one who speaks another language.
        assert!(liar.seen().len() == 1 || scene.name == "envoy", "{}", scene.name);
    }
    assert_eq!(scene.upstream.seen().len(), before);
}

async fn everything(name: &'static str) {
    let Some(scene) = Scene::set(name).await else { return };
    who_asks_is_told_and_nobody_else_says_it(&scene).await;
    refusals_come_through(&scene).await;
    a_client_cannot_say_what_it_asks_for(&scene).await;
    a_route_leads_where_it_was_asked_about(&scene).await;
    nothing_passes_while_nobody_answers(&scene).await;
}

#[tokio::test]
async fn nginx_with_the_printed_configuration() {
    everything("nginx").await;
}

#[tokio::test]
async fn caddy_with_the_printed_configuration() {
    everything("caddy").await;
}

#[tokio::test]
async fn haproxy_with_the_printed_configuration() {
    everything("haproxy").await;
}
