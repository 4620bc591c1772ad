//! People, sessions and lockouts, by command.

use serde_json::{Value, json};

use crate::support::{Desk, text};

fn people(desk: &Desk) {
    let account = desk.json(&["accounts", "create", "Example Ltd"]);
    let account = text(&account, "id").to_owned();
    let ann = desk.json(&["users", "create", "Ann@Example.com", "--account", &account, "--role", "owner"]);
    assert_eq!(ann["memberships"], json!([{ "account_id": account, "role": "owner" }]));
    assert_eq!(desk.json(&["users", "get", "ann@example.com"]), ann);
    assert_eq!(desk.run(&["users", "get", "bob@example.com"]).code, 3);

    let printed = desk.run(&["users", "token", "ann@example.com", "--expires-in", "15m"]);
    assert_eq!((printed.code, printed.stdout.trim().split('.').count()), (0, 3), "{printed:?}");
    let begun = desk.json(&["users", "token", text(&ann, "id"), "-o", "json"]);
    assert_eq!((&begun["token_type"], &begun["expires_in"]), (&json!("Bearer"), &json!(3_600)));

    let held = desk.json(&["users", "sessions", "ann@example.com"]);
    assert_eq!(held["data"].as_array().map(Vec::len), Some(2));
    desk.run(&["users", "end-session", "ann@example.com", text(&begun, "id")]);
    let held = desk.json(&["users", "sessions", "ann@example.com"]);
    assert_eq!(held["data"].as_array().map(Vec::len), Some(1));

    let link = ["users", "link-identity", "ann@example.com", "--issuer", "main", "--subject", "f3a1c6d0"];
    assert_eq!(desk.run(&link).code, 2, "the policy has no such issuer");
    assert_eq!(desk.json(&["users", "identities", "ann@example.com"])["data"], json!([]));
    assert_eq!(desk.run(&["users", "unlink-identity", "ann@example.com", "idn_00000000000000000000000000"]).code, 3);

    assert_eq!(desk.json(&["lockouts", "list"])["data"], Value::Array(Vec::new()));
    assert_eq!(desk.run(&["lockouts", "lift", "lock_00000000000000000000000000"]).code, 3);
}

#[test]
fn people_are_managed_straight_on_the_folder() {
    let (desk, _) = Desk::with_dev_folder();
    people(&desk);
}

#[test]
fn people_are_managed_through_a_server() {
    let (desk, _) = Desk::with_dev_folder();
    let (server, _) = desk.dev();
    people(&desk);
    drop(server);
}
