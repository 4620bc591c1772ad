//! `doctor --through`: what it finds in the gate itself, in nginx as we configure it, and in nginx as people do.

use std::net::TcpListener;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{Answer, Desk, Server, until};

/// An address nobody listens at.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// What is found, by its check: how it went, and in which words.
fn found<'f>(answer: &'f Value, check: &str) -> (&'f str, &'f str) {
    let findings = answer["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("nothing of {check} in {answer:#}"));
    (finding["status"].as_str().unwrap(), finding["detail"].as_str().unwrap())
}

#[track_caller]
fn finds(answer: &Value, check: &str, status: &str, says: &str) {
    let (is, detail) = found(answer, check);
    assert!(is == status && detail.contains(says), "{check}: {is}: {detail}");
}

struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A server with a route, a key for it, and the address its service is to have.
struct Scene {
    desk: Desk,
    server: Server,
    service: String,
}

impl Scene {
    fn set() -> Self {
        let (mut desk, operator) = Desk::with_config();
        let service = free();
        let policy = std::fs::read_to_string(desk.path("policy.toml")).unwrap();
        let more = format!(
            "[forward_auth]\ndialects = [\"nginx\"]\npeers = [\"127.0.0.1\"]\n\
             [route.t]\npath = \"/v1/t\"\nupstream = \"http://{service}\"\nmethods = {{ GET = [] }}\n"
        );
        std::fs::write(desk.path("policy.toml"), format!("{policy}\n{more}")).unwrap();
        desk.set("KEYWRIGHT_API_KEY", &operator);
        let server = desk.serve();
        let account = desk.json(&["accounts", "create", "Probe"]);
        let made = desk.json(&["keys", "create", "--account", account["id"].as_str().unwrap(), "--name", "probe"]);
        desk.set("KEYWRIGHT_PROBE_KEY", made["key"].as_str().unwrap());
        Self { desk, server, service }
    }

    /// nginx with this inside `http { }`.
    fn nginx(&self, inside: &str) -> Option<Nginx> {
        let found = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|file| std::path::Path::new(file).exists());
        let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
        assert!(found.is_some() || !ci, "nginx must be installed in CI");
        let folder = self.desk.dir.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
            .collect();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{inside}\n}}\n"
        );
        let file = self.desk.path("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = self.desk.command(found?);
        command.args(["-e", "stderr", "-c"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null());
        Some(Nginx(command.stderr(std::fs::File::create(self.desk.path("nginx.log")).unwrap()).spawn().unwrap()))
    }

    fn through(&self, host: &str) -> Answer {
        let url = format!("http://{host}/v1/t");
        until("the proxy answers", || std::net::TcpStream::connect(host).is_ok());
        self.desk.run(&["doctor", "--through", &url, "--behind", &self.service, "-o", "json"])
    }
}

/// Everything is as it should be.
#[track_caller]
fn is_sound(answer: &Answer) {
    let told = answer.json();
    assert_eq!(told["healthy"], true);
    for check in [
        "proxy",
        "no key",
        "forged words",
        "other readings",
        "framing",
        "with a key",
        "the key itself",
        "who asks",
        "spoofed",
        "misleading",
    ] {
        assert_eq!(found(&told, check).0, "ok", "{told:#}");
    }
}

#[test]
fn the_gate_itself_is_sound() {
    let scene = Scene::set();
    is_sound(&scene.through(scene.server.url.trim_start_matches("http://")));
}

#[test]
fn nginx_as_we_print_it_is_sound() {
    let scene = Scene::set();
    let printed = scene.desk.run(&["gateway", "snippet", "nginx", "--server", &scene.server.url]);
    let address = free();
    let Some(_nginx) = scene.nginx(&printed.stdout.replace("listen 80", &format!("listen {address}"))) else { return };
    is_sound(&scene.through(&address));
}

#[test]
fn a_proxy_that_asks_nobody_is_told_of() {
    let scene = Scene::set();
    let (address, service) = (free(), &scene.service);
    let open = format!("server {{ listen {address}; location / {{ proxy_pass http://{service}; }} }}");
    let Some(_nginx) = scene.nginx(&open) else { return };
    let answer = scene.through(&address);
    assert_eq!(answer.code, 1, "{answer:?}");
    let told: Value = serde_json::from_str(&answer.stdout).unwrap();
    finds(&told, "no key", "wrong", "without a key reaches the service");
    finds(&told, "the key itself", "warning", "reaches the service");
    finds(&told, "who asks", "warning", "not told");
    let (status, spoofed) = found(&told, "spoofed");
    assert_eq!(status, "wrong");
    for name in ["x-key-id", "x-account-id", "x-session-id"] {
        assert!(spoofed.contains(name), "{spoofed}");
    }
    finds(&told, "misleading", "warning", "x-original-uri");
}

/// As it is often shown: the path is asked about, one header is set, the rest goes on as it came.
#[test]
fn a_proxy_that_believes_its_clients_is_told_of() {
    let scene = Scene::set();
    let keywright = scene.server.url.trim_start_matches("http://");
    let (address, service) = (free(), &scene.service);
    let usual = format!(
        "underscores_in_headers on;
         ignore_invalid_headers off;
         server {{
           listen {address};
           location /v1/t {{
             auth_request /ask;
             auth_request_set $key $upstream_http_x_key_id;
             proxy_set_header X-Key-Id $key;
             proxy_pass http://{service};
           }}
           location / {{ proxy_pass http://{service}; }}
           location = /ask {{
             internal;
             proxy_pass http://{keywright}/forward-auth/nginx;
             proxy_pass_request_body off;
             proxy_set_header Content-Length \"\";
             proxy_set_header X-Original-Method $request_method;
             proxy_set_header X-Original-URI $request_uri;
             proxy_set_header X-Original-Host $http_host;
             proxy_set_header X-Forwarded-For $remote_addr;
           }}
         }}"
    );
    let Some(_nginx) = scene.nginx(&usual) else { return };
    let answer = scene.through(&address);
    assert_eq!(answer.code, 1, "{answer:?}");
    let told: Value = serde_json::from_str(&answer.stdout).unwrap();
    finds(&told, "no key", "ok", "401");
    finds(&told, "other readings", "wrong", "/V1/T");
    finds(&told, "with a key", "ok", "200");
    let (status, spoofed) = found(&told, "spoofed");
    assert!(status == "wrong" && spoofed.contains("x-user-id") && spoofed.contains("x_key_id"), "{spoofed}");
    assert!(!spoofed.contains(" x-key-id"), "{spoofed}");
}

#[test]
fn what_cannot_be_tried_is_said() {
    let desk = Desk::new();
    desk.run(&["doctor", "--through", "example"]).fails(2, "--through example");
    desk.run(&["doctor", "--behind", "127.0.0.1:1"]).fails(2, "--through");
    let nobody = free();
    let answer = desk.run(&["doctor", "--through", &format!("http://{nobody}/x"), "-o", "json"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let told: Value = serde_json::from_str(&answer.stdout).unwrap();
    finds(&told, "proxy", "wrong", "out of reach");
    // A service that says nothing of what it was asked.
    let scene = Scene::set();
    let address = free();
    let silent = format!("server {{ listen {address}; location / {{ return 204; }} }}");
    let Some(_nginx) = scene.nginx(&silent) else { return };
    until("the proxy answers", || std::net::TcpStream::connect(&address).is_ok());
    let answer = scene.desk.run(&["doctor", "--through", &format!("http://{address}/x"), "-o", "json"]);
    let told: Value = serde_json::from_str(&answer.stdout).unwrap();
    finds(&told, "no key", "wrong", "without a key reaches");
    finds(&told, "with a key", "warning", "does not tell");
}

/// Also where nobody tells what the service was asked.
#[test]
fn a_spelling_that_is_let_in_is_told_of_by_its_answer() {
    let scene = Scene::set();
    let address = free();
    let by_path =
        format!("server {{ listen {address}; location = /x {{ return 401; }} location / {{ return 204; }} }}");
    let Some(_nginx) = scene.nginx(&by_path) else { return };
    until("the proxy answers", || std::net::TcpStream::connect(&address).is_ok());
    let answer = scene.desk.run(&["doctor", "--through", &format!("http://{address}/x"), "-o", "json"]);
    let told: Value = serde_json::from_str(&answer.stdout).unwrap();
    finds(&told, "no key", "warning", "401, without WWW-Authenticate");
    finds(&told, "other readings", "wrong", "/X reaches the service without a key");
    finds(&told, "framing", "ok", "seen with --behind");
}
