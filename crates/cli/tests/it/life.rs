//! A key's whole life, by the same commands against a server and straight on the folder.

use serde_json::{Value, json};

use crate::support::{Desk, column, text};

fn code(desk: &mut Desk, key: &str, more: &[&str]) -> String {
    desk.set("KEYWRIGHT_VERIFY_KEY", key);
    let answer = desk.run(&[&["keys", "verify"], more].concat());
    let body: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    assert_eq!(answer.code, if body["valid"] == true { 0 } else { 6 });
    text(&body, "code").to_owned()
}

fn live(desk: &mut Desk) {
    let account = desk.json(&["accounts", "create", "Example Ltd", "--metadata", r#"{"crm":4711}"#]);
    assert_eq!((&account["status"], &account["metadata"]), (&json!("active"), &json!({ "crm": 4711 })));
    let account = text(&account, "id").to_owned();

    let made = desk.json(&[
        "keys",
        "create",
        "--account",
        &account,
        "--name",
        "CI",
        "--permission",
        "documents:read,documents:write",
        "--allow-ip",
        "10.0.0.0/8",
        "--expires-in",
        "90d",
        "--ratelimit",
        "requests=100/1m",
        "--credits",
        "5",
        "--refill",
        "5/30d",
        "--metadata",
        r#"{"team":"shop"}"#,
    ]);
    let (id, key) = (text(&made, "id").to_owned(), text(&made, "key").to_owned());
    assert!(key.starts_with("kw_live_"));
    assert_eq!(made["ratelimits"], json!([{ "name": "requests", "limit": 100, "window": "1m" }]));
    assert_eq!(made["refill"], json!({ "amount": 5, "every": "30d" }));

    assert_eq!(code(desk, &key, &["--permission", "documents:read", "--ip", "10.1.2.3"]), "VALID");
    assert_eq!(code(desk, &key, &["--permission", "documents:delete", "--ip", "10.1.2.3"]), "INSUFFICIENT_PERMISSIONS");
    assert_eq!(code(desk, &key, &["--ip", "192.0.2.1"]), "IP_NOT_ALLOWED");
    assert_eq!(code(desk, &key, &["--ip", "10.1.2.3", "--cost", "50"]), "CREDITS_EXHAUSTED");
    let explained = desk.json(&["keys", "explain", "--ip", "192.0.2.1"]);
    assert_eq!(explained["code"], "IP_NOT_ALLOWED");
    assert!(explained["checks"].as_array().unwrap().iter().any(|check| check["passed"] == false));

    let got = desk.json(&["keys", "get", &id]);
    assert_eq!((&got["name"], got["secrets"].as_array().unwrap().len()), (&json!("CI"), 1));
    assert!(got.get("key").is_none());
    let changed = desk.json(&[
        "keys",
        "update",
        &id,
        "--name",
        "CI of the shop",
        "--no-expiry",
        "--no-credits",
        "--allow-ip",
        "",
    ]);
    assert_eq!(changed["name"], "CI of the shop");
    assert_eq!(
        (&changed["expires_at"], &changed["credits"], &changed["refill"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(changed["ip_allowlist"], json!([]));

    let new = rotate(desk, &id, &key);
    switch_off_and_on(desk, &account, &id, &new);
    end(desk, &account, &id, &new);
}

const HERE: [&str; 2] = ["--ip", "10.1.2.3"];

/// Rotates a key, and returns its new secret.
fn rotate(desk: &mut Desk, id: &str, key: &str) -> String {
    let rotated = desk.json(&["keys", "rotate", id, "--grace", "24h"]);
    let new = text(&rotated, "key").to_owned();
    assert_eq!((code(desk, key, &HERE), code(desk, &new, &HERE)), ("VALID".into(), "VALID".into()));
    desk.json(&["keys", "grace", id, "0s"]);
    assert_ne!(code(desk, key, &HERE), "VALID");
    new
}

fn switch_off_and_on(desk: &mut Desk, account: &str, id: &str, key: &str) {
    desk.json(&["keys", "disable", id]);
    assert_eq!(code(desk, key, &HERE), "DISABLED");
    desk.json(&["keys", "enable", id]);
    desk.json(&["accounts", "suspend", account, "--yes"]);
    assert_eq!(code(desk, key, &HERE), "ACCOUNT_SUSPENDED");
    desk.json(&["accounts", "activate", account]);
    assert_eq!(code(desk, key, &HERE), "VALID");
}

/// Revokes a key, after which everything that happened to it is known.
fn end(desk: &mut Desk, account: &str, id: &str, key: &str) {
    let listed = desk.json(&["keys", "list", "--account", account, "--status", "active"]);
    assert_eq!(column(&listed, "id"), [id]);
    assert_eq!(desk.run(&["keys", "revoke", id, "--yes"]).code, 0);
    assert_eq!(code(desk, key, &HERE), "REVOKED");
    desk.run(&["keys", "rotate", id]).fails(1, "revoked");

    let actions = desk.json(&["audit", "list", "--target", id, "--all"]);
    let mut actions = column(&actions, "action");
    actions.reverse();
    assert_eq!(
        actions,
        ["key.create", "key.update", "key.rotate", "key.set_grace", "key.disable", "key.enable", "key.revoke"]
    );
    assert_eq!(desk.json(&["audit", "verify"])["intact"], true);
    crate::support::until("the uses are written down", || {
        let usage = desk.json(&["keys", "usage", id]);
        column(&usage, "outcome").iter().any(|outcome| outcome == "VALID")
    });
}

#[test]
fn straight_on_the_folder() {
    let (mut desk, _) = Desk::with_config();
    live(&mut desk);
}

#[test]
fn against_the_server_that_runs_on_the_folder() {
    let (mut desk, key) = Desk::with_config();
    let server = desk.serve();
    desk.run(&["keys", "list"]).fails(4, "KEYWRIGHT_API_KEY");
    desk.set("KEYWRIGHT_API_KEY", &key);
    live(&mut desk);
    drop(server);
}

#[test]
fn against_a_server_that_is_named() {
    let (desk, key) = Desk::with_config();
    let server = desk.serve();
    let mut elsewhere = Desk::new();
    elsewhere.set("KEYWRIGHT_BASE_URL", &server.url);
    elsewhere.run(&["keys", "list"]).fails(4, "KEYWRIGHT_API_KEY");
    elsewhere.set("KEYWRIGHT_API_KEY", "kw_operator_wrong");
    elsewhere.run(&["keys", "list"]).fails(4, "operator key");
    elsewhere.set("KEYWRIGHT_API_KEY", &key);
    live(&mut elsewhere);
}

#[test]
fn a_dev_server_needs_no_key_in_the_environment() {
    let (desk, _) = Desk::with_dev_folder();
    let (server, ready) = desk.dev();
    assert!(column(&desk.json(&["keys", "list"]), "kind").contains(&"operator".to_owned()));
    assert_eq!(desk.run(&["--server", text(&ready, "url"), "keys", "list"]).code, 0);
    drop(server);
}

#[test]
fn lists_come_in_pages_and_whole() {
    let (desk, ready) = Desk::with_dev_folder();
    let first = desk.run(&["keys", "list", "--limit", "2"]);
    assert_eq!(column(&first.json(), "id").len(), 2);
    assert!(first.stderr.contains("--cursor"));
    let cursor = text(&first.json(), "next_cursor").to_owned();
    let second = desk.json(&["keys", "list", "--limit", "2", "--cursor", &cursor]);
    assert_ne!(column(&first.json(), "id"), column(&second, "id"));
    let all = desk.json(&["keys", "list", "--all"]);
    assert_eq!((column(&all, "id").len(), &all["next_cursor"]), (7, &Value::Null));
    let wavis = desk.json(&["keys", "list", "--account", text(&ready, "account_id"), "--kind", "wavis"]);
    assert_eq!(column(&wavis, "kind"), ["wavis"]);
}
