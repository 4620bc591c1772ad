//! `doctor`: what it finds, and that it changes nothing.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Answer, Desk};

fn finds(answer: &Answer, status: &str, check: &str, detail: &str) {
    let found: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    let findings = found["findings"].as_array().unwrap();
    let is_it = |finding: &&Value| {
        finding["status"] == status && finding["check"] == check && finding["detail"].as_str().unwrap().contains(detail)
    };
    let finding = findings.iter().find(is_it).unwrap_or_else(|| panic!("no {status} {check} {detail} in {found:#}"));
    assert_eq!(finding["mend"].is_string(), status != "ok", "it says how to mend it");
    assert_eq!(answer.code, i32::from(findings.iter().any(|finding| finding["status"] == "wrong")));
}

fn chmod(desk: &Desk, name: &str, mode: u32) {
    std::fs::set_permissions(desk.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_sound_one_is_healthy() {
    let (desk, _) = Desk::with_config();
    let healthy = desk.run(&["doctor"]);
    for check in [
        "configuration",
        "policy",
        "data folder",
        "file modes",
        "server",
        "schema",
        "database",
        "master key",
        "audit log",
        "clock",
    ] {
        finds(&healthy, "ok", check, "");
    }
    let server = desk.serve();
    finds(&desk.run(&["doctor"]), "ok", "server", &server.url);
}

#[test]
fn what_is_wrong_is_found() {
    let (desk, _) = Desk::with_config();
    chmod(&desk, "master.key", 0o644);
    chmod(&desk, "data", 0o755);
    let found = desk.run(&["doctor"]);
    finds(&found, "wrong", "file modes", "master.key");
    finds(&found, "warning", "data folder", "755");
    chmod(&desk, "master.key", 0o600);

    let key = desk.log("master.key");
    std::fs::write(desk.path("master.key"), "2".repeat(64)).unwrap();
    finds(&desk.run(&["doctor"]), "wrong", "master key", "master key");
    std::fs::write(desk.path("master.key"), key).unwrap();

    std::fs::write(desk.path("policy.toml"), "[kind.default]\n").unwrap();
    finds(&desk.run(&["doctor"]), "wrong", "policy", "policy.toml:1");
    std::fs::write(desk.path("keywright.toml"), "listen = 1\n").unwrap();
    finds(&desk.run(&["doctor"]), "wrong", "configuration", "keywright.toml:1");
    std::fs::write(desk.path("keywright.toml"), "listen = \"0.0.0.0:8700\"\ndata_dir = \"none\"\n").unwrap();
    let found = desk.run(&["doctor"]);
    finds(&found, "warning", "network", "0.0.0.0:8700");
    finds(&found, "warning", "data folder", "none");
    assert!(!desk.path("none").exists(), "it changes nothing");
}

#[test]
fn a_database_that_is_none_is_found() {
    let (desk, _) = Desk::with_config();
    std::fs::write(desk.path("data/keywright.db"), vec![b'x'; 8_192]).unwrap();
    let found = desk.run(&["doctor"]);
    assert_eq!(found.code, 1, "{found:?}");
}
