//! `[tls]`: a server that speaks HTTPS, what is told of its certificate, and commands that find it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustix::process::Signal;

use crate::support::{Desk, text, until};

/// Writes a certificate for `localhost` that ends so many days from now, and its key.
fn certify(desk: &Desk, days: i64) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let ends = now.checked_add_signed(days * 86_400).unwrap();
    params.not_after = date_time_ymd(1_970, 1, 1) + Duration::from_secs(ends);
    let key = KeyPair::generate().unwrap();
    std::fs::write(desk.path("tls.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(desk.path("tls.key"), key.serialize_pem()).unwrap();
    chmod(desk, 0o600);
}

fn chmod(desk: &Desk, mode: u32) {
    std::fs::set_permissions(desk.path("tls.key"), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder with a sound configuration of a server that speaks HTTPS, and the operator's key.
fn desk() -> (Desk, String) {
    let (desk, key) = Desk::with_config();
    let config = "public_url = \"https://localhost:8700\"\n\n[tls]\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n";
    std::fs::write(desk.path("keywright.toml"), config).unwrap();
    certify(&desk, 300);
    (desk, key)
}

#[test]
fn a_server_speaks_https_to_the_world_and_to_commands_on_its_machine() {
    let (mut desk, key) = desk();
    let server = desk.serve();
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let shown = |with: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--noproxy", "*", "--resolve", &format!("localhost:{port}:127.0.0.1"), "--cacert"]);
        curl.arg(desk.path(with)).arg(format!("https://localhost:{port}/health"));
        curl.output().expect("curl is installed").status.success()
    };
    std::fs::copy(desk.path("tls.pem"), desk.path("first.pem")).unwrap();
    assert!(shown("first.pem"));
    certify(&desk, 200);
    server.signal(Signal::HUP);
    until("the other certificate is shown", || shown("tls.pem"));
    assert!(!shown("first.pem"));
    std::fs::copy(desk.path("tls.pem"), desk.path("second.pem")).unwrap();
    std::fs::write(desk.path("tls.key"), "nonsense").unwrap();
    until("the mistake is told", || desk.log("serve.log").contains("the certificate stays as it was"));
    assert!(shown("second.pem"));

    let found = desk.run(&["doctor"]);
    assert!(found.stdout.contains(&server.url), "{found:?}");
    desk.set("KEYWRIGHT_API_KEY", &key);
    assert_eq!(desk.json(&["keys", "list"])["data"].as_array().unwrap().len(), 1);
    let elsewhere = desk.run(&["keys", "list", "--server", &server.url]);
    elsewhere.fails(5, "cannot be reached");
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_before_a_server_starts_with_it() {
    let (desk, _) = desk();
    assert_eq!(desk.run(&["config", "check"]).code, 0);
    let (certificate, key) = (desk.log("tls.pem"), desk.log("tls.key"));
    std::fs::remove_file(desk.path("tls.pem")).unwrap();
    for args in [&["config", "check"][..], &["serve"]] {
        desk.run(args).fails(2, "keywright.toml:4: tls.certificate: ");
    }
    std::fs::write(desk.path("tls.pem"), &certificate).unwrap();
    certify(&desk, 300);
    std::fs::write(desk.path("tls.pem"), &certificate).unwrap();
    for args in [&["config", "check"][..], &["serve"]] {
        desk.run(args).fails(2, "keywright.toml:5: tls.key: ");
    }
    let found = desk.run(&["doctor"]);
    found.fails(1, "is not the key of the first certificate");
    std::fs::write(desk.path("tls.key"), &key).unwrap();
    chmod(&desk, 0o644);
    let checked = desk.run(&["config", "check"]);
    assert_eq!(checked.code, 0);
    assert!(checked.stderr.contains("tls.key can be read by others"), "{checked:?}");
    desk.run(&["doctor"]).fails(0, "tls.key can be read by others");

    certify(&desk, 10);
    desk.run(&["config", "check"]).fails(0, "tls.pem ends at ");
    desk.run(&["doctor", "-o", "table"]).fails(0, "warning certificate    ");
    certify(&desk, -1);
    desk.run(&["config", "check"]).fails(2, "keywright.toml:4: tls.certificate: ");
    desk.run(&["doctor"]).fails(1, "ended at ");

    std::fs::write(desk.path("keywright.toml"), "\n[tls]\ncertificate = \"tls.pem\"\n").unwrap();
    desk.run(&["config", "check"]).fails(2, "keywright.toml:2: [tls]: write both");
    let other = "public_url = \"https://keys.example.com\"\n[tls]\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n";
    std::fs::write(desk.path("keywright.toml"), other).unwrap();
    certify(&desk, 300);
    desk.run(&["doctor"]).fails(0, "is not for keys.example.com");
}

#[test]
fn an_upstream_over_tls_is_believed_by_its_authority_and_the_log_says_why_one_is_not() {
    // Another server stands in for a service.
    let (service, _) = desk();
    let behind = service.serve();
    let port = behind.url.rsplit(':').next().unwrap().to_owned();
    let (mut desk, operator) = Desk::with_config();
    std::fs::copy(service.path("tls.pem"), desk.path("authority.pem")).unwrap();
    let policy = std::fs::read_to_string(desk.path("policy.toml")).unwrap();
    let route = "[route.t]\npath = \"/t\"\nstrip = true\nupstream = \"service\"\nmethods = { GET = [] }\n";
    std::fs::write(desk.path("policy.toml"), format!("{policy}\n{route}")).unwrap();
    desk.set("KEYWRIGHT_API_KEY", &operator);

    let mut key = String::new();
    for (host, ca, status, says) in [
        ("localhost", "", 502, "nobody vouches for the upstream's certificate"),
        ("127.0.0.1", "ca = \"authority.pem\"", 502, "not valid for name"),
        ("localhost", "ca = \"authority.pem\"", 200, "listening"),
    ] {
        let upstream = format!("[upstreams.service]\nurl = \"https://{host}:{port}\"\n{ca}\n");
        std::fs::write(desk.path("keywright.toml"), upstream).unwrap();
        assert_eq!(desk.run(&["config", "check"]).code, 0);
        let server = desk.serve();
        if key.is_empty() {
            let account = desk.json(&["accounts", "create", "A"]);
            key = text(&desk.json(&["keys", "create", "--account", text(&account, "id")]), "key").to_owned();
        }
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let asked = agent.get(format!("{}/t/health", server.url)).header("authorization", format!("Bearer {key}"));
        let mut answer = asked.call().unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status().as_u16(), status, "{body}");
        assert!(desk.log("serve.log").contains(says), "{says}: {}", desk.log("serve.log"));
        assert!(!body.contains("localhost") && !body.contains("certificate"), "{body}");
        assert_eq!(server.terminate().0, Some(0));
    }
    std::fs::write(desk.path("authority.pem"), "nobody").unwrap();
    for args in [&["config", "check"][..], &["serve"]] {
        desk.run(args).fails(2, "upstreams.service: ca: ");
    }
}
