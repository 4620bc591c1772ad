//! `keywright accounts` and `keywright services`: who an account is, how it stands and what it has.

use serde_json::{Value, json};

use crate::support::{Desk, column, text};

const KEY: [&str; 6] = ["keys", "create", "--kind", "wayscloud-service", "--service", "storage"];

#[test]
fn an_account_becomes_what_a_kind_requires() {
    let (desk, _) = Desk::with_dev_folder();
    let made = desk.json(&[
        "accounts",
        "create",
        "Ada AS",
        "--email",
        "Ada@example.com",
        "--first-name",
        "Ada",
        "--last-name",
        "L",
        "--company",
        "Ada AS",
        "--customer-type",
        "business",
        "--credits",
        "-5",
    ]);
    let id = text(&made, "id");
    assert_eq!((&made["email"], &made["credits"]), (&json!("ada@example.com"), &json!(-5)));
    assert_eq!((&made["customer_type"], &made["email_verified"]), (&json!("business"), &json!(false)));
    let key = || desk.run(&[KEY.as_slice(), &["--account", id]].concat());
    key().fails(1, "verify it");
    desk.json(&["accounts", "update", id, "--email-verified"]);
    key().fails(1, "buy credits");
    desk.json(&["accounts", "update", id, "--subscription", "active"]);
    assert_eq!(key().code, 0);
    desk.json(&["accounts", "update", id, "--email-verified", "false", "--subscription", "none", "--credits", "5"]);
    key().fails(1, "verify it");
    desk.run(&["accounts", "update", id, "--email", "nonsense"]).fails(2, "email");
    desk.run(&["accounts", "update", id]).fails(2, "what is to change");
}

#[test]
fn the_demo_account_is_as_every_kind_requires() {
    let (desk, ready) = Desk::with_dev_folder();
    let account = desk.json(&["accounts", "get", text(&ready, "account_id")]);
    assert_eq!((&account["email_verified"], &account["subscription"]), (&json!(true), &json!("active")));
    assert_eq!(desk.run(&[KEY.as_slice(), &["--account", text(&ready, "account_id")]].concat()).code, 0);
}

#[test]
fn a_service_is_written_down_changed_and_struck_off() {
    let (desk, ready) = Desk::with_dev_folder();
    let account = text(&ready, "account_id");
    let made =
        desk.json(&["services", "create", account, "vps", "web-1", "--region", "oslo", "--metadata", r#"{"cpus":4}"#]);
    assert_eq!((&made["status"], &made["metadata"]), (&json!("running"), &json!({ "cpus": 4 })));
    let id = text(&made, "id");
    let changed = desk.json(&["services", "update", account, id, "--status", "stopped", "--name", "web-one"]);
    assert_eq!(
        (&changed["status"], &changed["name"], &changed["region"]),
        (&json!("stopped"), &json!("web-one"), &json!("oslo"))
    );
    assert_eq!(column(&desk.json(&["services", "list", account]), "id"), [id]);
    desk.run(&["services", "create", account, "Data Base", "x"]).fails(2, "service_type");
    desk.run(&["services", "list", "acc_nobody"]).fails(3, "no such account");
    desk.run(&["services", "delete", account, id]).fails(4, "--yes");
    assert_eq!(desk.run(&["services", "delete", account, id, "--yes"]).code, 0);
    desk.run(&["services", "delete", account, id, "--yes"]).fails(3, "no such service");
    assert_eq!(desk.json(&["services", "list", account])["data"], Value::Array(Vec::new()));
}
