//! People, sessions and lockouts, by command.

use serde_json::{Value, json};

use crate::support::{Desk, text};

fn people(desk: &Desk, is_served: bool) {
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

    members(desk, &account, text(&ann, "id"), is_served);
    operators(desk);
    assert_eq!(desk.json(&["users", "disable", "ann@example.com"])["status"], "disabled");
    assert_eq!(desk.json(&["users", "enable", "ann@example.com"])["status"], "active");
    assert_eq!(desk.run(&["users", "reset-2fa", "ann@example.com"]).code, 1, "none is on");
    let made = desk.json(&["signing-keys", "rotate"]);
    let keys = desk.json(&["signing-keys", "list"]);
    assert_eq!((&keys["data"][0]["kid"], &keys["data"][0]["signs"]), (&made["kid"], &json!(true)));
    let link = ["users", "link-identity", "ann@example.com", "--issuer", "main", "--subject", "f3a1c6d0"];
    assert_eq!(desk.run(&link).code, 2, "the policy has no such issuer");
    assert_eq!(desk.json(&["users", "identities", "ann@example.com"])["data"], json!([]));
    assert_eq!(desk.run(&["users", "unlink-identity", "ann@example.com", "idn_00000000000000000000000000"]).code, 3);

    assert_eq!(desk.json(&["lockouts", "list"])["data"], Value::Array(Vec::new()));
    assert_eq!(desk.run(&["lockouts", "lift", "lock_00000000000000000000000000"]).code, 3);
}

fn members(desk: &Desk, account: &str, ann: &str, is_served: bool) {
    let other = desk.json(&["accounts", "create", "Other Ltd"]);
    let bob = desk.json(&["users", "create", "bob@example.com", "--account", text(&other, "id"), "--role", "owner"]);
    let bob = text(&bob, "id");
    assert_eq!(desk.json(&["members", "add", account, bob, "--role", "viewer"])["role"], "viewer");
    assert_eq!(desk.json(&["members", "set-role", account, bob, "--role", "admin"])["role"], "admin");
    let listed = desk.json(&["members", "list", account]);
    let mut roles: Vec<&str> = listed["data"].as_array().unwrap().iter().map(|row| text(row, "role")).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["admin", "owner"]);
    assert_eq!(desk.run(&["members", "set-role", account, bob, "--role", "king"]).code, 2);
    let last = desk.run(&["members", "remove", account, ann, "--yes"]);
    assert!(last.code == 1 && last.stderr.contains("last owner"), "{last:?}");
    assert_eq!(desk.run(&["members", "remove", account, bob, "--yes"]).code, 0);
    assert_eq!(desk.json(&["members", "list", account])["data"].as_array().map(Vec::len), Some(1));
    let invite = ["members", "invite", account, "eve@example.com", "--role", "viewer"];
    if is_served {
        let invited = desk.json(&invite);
        assert_eq!(desk.json(&["members", "invitations", account])["data"][0]["id"], invited["id"]);
        assert_eq!(desk.run(&["members", "withdraw", account, text(&invited, "id")]).code, 0);
    } else {
        // Nobody knows where the link would lead.
        let refused = desk.run(&invite);
        assert!(refused.code == 1 && refused.stderr.contains("public_url"), "{refused:?}");
    }
    assert_eq!(desk.json(&["members", "invitations", account])["data"], json!([]));
}

fn operators(desk: &Desk) {
    let eve = ["users", "create", "eve@example.com", "--operator", "--password-stdin"];
    let eve = desk.run_with(&eve, "plum tractor ode\n").json();
    assert_eq!((&eve["operator_permissions"], &eve["memberships"]), (&json!(["*"]), &json!([])));
    let some = ["users", "promote", "ann@example.com", "--permission", "audit:read", "--permission", "accounts:read"];
    assert_eq!(desk.json(&some)["operator_permissions"], json!(["accounts:read", "audit:read"]));
    assert_eq!(desk.json(&["users", "promote", "ann@example.com"])["operator_permissions"], json!(["*"]));
    assert_eq!(desk.json(&["users", "demote", "ann@example.com"])["operator_permissions"], Value::Null);
    assert_eq!(desk.run(&["users", "demote", "ann@example.com"]).code, 1, "she is none");
    desk.run(&["users", "create", "bo@example.com"]).fails(2, "--account");
    desk.run(&["users", "setup-link"]).fails(1, "there is an operator who can log in");
}

#[test]
fn a_password_comes_by_standard_input() {
    let (desk, ready) = Desk::with_dev_folder();
    let create = |password: &str| {
        let account = text(&ready, "account_id");
        let args = ["users", "create", "eve@example.com", "--account", account, "--role", "viewer", "--password-stdin"];
        desk.run_with(&args, password)
    };
    let weak = create("too short\n");
    assert!(weak.code != 0 && weak.stderr.contains("at least 15 characters"), "{weak:?}");
    assert_eq!(create("plum tractor ode\n").code, 0);
    let (server, ready) = desk.dev();
    let login = ureq::post(format!("{}/v1/auth/login", text(&ready, "url")));
    let mut answer = login.send_json(json!({ "email": "eve@example.com", "password": "plum tractor ode" })).unwrap();
    let tokens: Value = answer.body_mut().read_json().unwrap();
    assert_eq!(tokens["expires_in"], 3_600);
    drop(server);
}

#[test]
fn people_are_managed_straight_on_the_folder() {
    let (desk, _) = Desk::with_dev_folder();
    people(&desk, false);
}

#[test]
fn people_are_managed_through_a_server() {
    let (desk, _) = Desk::with_dev_folder();
    let (server, _) = desk.dev();
    people(&desk, true);
    drop(server);
}
