//! What scripts and people rely on: exit codes, what goes where, colour, confirmation, help.

use serde_json::json;

use crate::support::{Desk, text};

#[test]
fn exit_codes_say_what_went_wrong() {
    let (mut desk, ready) = Desk::with_dev_folder();
    let account = text(&ready, "account_id").to_owned();
    desk.run(&["keys", "nonsense"]).fails(2, "nonsense");
    desk.run(&["keys", "create", "--account", &account, "--expires-in", "soon"]).fails(2, "expires_in");
    desk.run(&["keys", "update", "key_01m7y8yp1yvp590ce3tq058yth"]).fails(2, "what is to change");
    desk.run(&["keys", "get", "key_01m7y8yp1yvp590ce3tq058yth"]).fails(3, "no such key");
    desk.run(&["accounts", "get", "nonsense"]).fails(3, "no such account");
    desk.run_with(&["keys", "verify"], "kw_live_nonsense\n").fails(6, "MALFORMED");
    desk.run_with(&["keys", "verify"], "").fails(2, "no key");
    desk.set("KEYWRIGHT_API_KEY", text(&ready, "operator_key"));
    desk.run(&["--server", "http://127.0.0.1:1", "keys", "list"]).fails(5, "cannot be reached");
    desk.run(&["--server", "ftp://x", "keys", "list"]).fails(2, "not the address");
    let nowhere = Desk::new();
    nowhere.run(&["keys", "list"]).fails(2, "keywright dev");
    nowhere.run(&["--data-dir", "none", "keys", "list"]).fails(2, "--config");
    nowhere.run(&["--server", "http://127.0.0.1:1", "rekey"]).fails(2, "not through a server");
}

#[test]
fn an_accounts_name_is_taken_wherever_it_is_given_and_only_once() {
    let (desk, _) = Desk::with_dev_folder();
    for given in [&["A"][..], &["--name", "A"]] {
        assert_eq!(desk.json(&[&["accounts", "create"], given].concat())["name"], "A", "{given:?}");
    }
    desk.run(&["accounts", "create"]).fails(2, "--name");
    desk.run(&["accounts", "create", "A", "--name", "B"]).fails(2, "cannot be used with");
}

#[test]
fn a_credential_that_may_not_is_refused() {
    let (mut desk, ready) = Desk::with_dev_folder();
    let (server, _) = desk.dev();
    desk.set("KEYWRIGHT_API_KEY", text(&ready["keys"], "default"));
    desk.run(&["keys", "list"]).fails(4, "keys:read");
    drop(server);
}

#[test]
fn nothing_is_ended_before_somebody_says_yes() {
    let (desk, ready) = Desk::with_dev_folder();
    let account = text(&ready, "account_id");
    let key = desk.json(&["keys", "create", "--account", account, "--name", "Victim"]);
    let id = text(&key, "id");
    let status = || text(&desk.json(&["keys", "get", id]), "status").to_owned();
    desk.run(&["keys", "revoke", id]).fails(4, "--yes");
    desk.run(&["accounts", "suspend", account]).fails(4, "--yes");
    assert_eq!(status(), "active");
    let asked = desk.on_terminal(&format!("keys revoke {id}"), "n\n");
    asked.fails(4, "nothing was changed");
    asked.fails(4, "Victim");
    assert_eq!(status(), "active");
    assert_eq!(desk.on_terminal(&format!("keys revoke {id}"), "y\n").code, 0);
    assert_eq!(status(), "revoked");
}

#[test]
fn people_get_tables_and_programs_json() {
    let (mut desk, _) = Desk::with_dev_folder();
    let piped = desk.run(&["keys", "list", "--kind", "wavis"]);
    assert_eq!(piped.json()["data"][0]["kind"], json!("wavis"));
    let table = desk.run(&["keys", "list", "--kind", "wavis", "-o", "table"]);
    assert!(table.stdout.starts_with("ID ") && !table.stdout.contains('\u{1b}'), "{table:?}");
    let seen = desk.on_terminal("keys list", "");
    assert!(seen.stdout.contains("\u{1b}[1mID") && seen.stdout.contains("\u{1b}[32mactive"), "{seen:?}");
    desk.set("NO_COLOR", "1");
    let plain = desk.on_terminal("keys list", "");
    assert!(plain.stdout.contains("active") && !plain.stdout.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn a_secret_is_never_taken_from_the_command_line() {
    let (desk, ready) = Desk::with_dev_folder();
    let key = text(&ready["keys"], "default");
    for command in ["verify", "explain"] {
        let refused = desk.run(&["keys", command, key]);
        refused.fails(2, "standard input");
        assert!(!refused.stderr.contains(key), "{refused:?}");
    }
    assert_eq!(desk.run_with(&["keys", "verify"], &format!("{key}\n")).json()["valid"], true);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let (desk, _) = Desk::with_dev_folder();
    let line = format!("{} keys list | true", crate::support::BINARY);
    let output = desk.command("sh").args(["-c", &line]).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn help_completions_and_the_description_need_nothing() {
    let desk = Desk::new();
    for noun in [
        "dev",
        "init",
        "serve",
        "config",
        "keys",
        "accounts",
        "audit",
        "backup",
        "rekey",
        "doctor",
        "openapi",
        "completion",
    ] {
        let help = desk.run(&[noun, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.stderr.is_empty() && help.stdout.contains("Usage: keywright"), "{help:?}");
    }
    for verb in ["create", "list", "update", "rotate", "revoke", "verify", "import"] {
        assert!(desk.run(&["keys", verb, "--help"]).stdout.contains("Examples:"), "{verb}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(desk.run(&["completion", shell]).stdout.contains("revoke"), "{shell}");
    }
    desk.run(&["openapi"]).json();
}
