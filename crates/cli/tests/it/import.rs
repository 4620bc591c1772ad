//! `keys import`: files with good and bad lines, cut off and gone on with.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::{Desk, text};

fn hash(key: &str) -> String {
    Sha256::digest(key).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn key(number: usize) -> String {
    format!("legacy_key_number_{number:08}")
}

#[test]
fn good_lines_go_in_and_bad_ones_are_told() {
    let (mut desk, ready) = Desk::with_dev_folder();
    let account = text(&ready, "account_id").to_owned();
    let csv = format!(
        "hash,name,permissions,expires_in,ratelimits\n{},One,documents:read; documents:write,30d,requests=5/1m\nnonsense,Two,,,\n\
         {},\"Three, quoted\",,soon,\n{},Four,,\n\n{},Five,,,\n",
        hash(&key(1)),
        hash(&key(3)),
        hash(&key(4)),
        hash(&key(5)),
    );
    std::fs::write(desk.path("keys.csv"), csv).unwrap();
    let import = ["keys", "import", "keys.csv", "--account", &account, "--report", "report.jsonl"];
    let done = desk.run(&import);
    done.fails(7, "3 lines were refused");
    let summary: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(summary, serde_json::json!({ "created": 2, "present": 0, "refused": 3 }));
    let report = desk.log("report.jsonl");
    let refused: Vec<Value> = report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<_> = refused.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4, 5], "{report}");
    assert!(text(&refused[0], "reason").contains("SHA-256"));
    assert!(text(&refused[1], "reason").contains("soon"));
    assert!(text(&refused[2], "reason").contains("4 fields"));

    desk.set("KEYWRIGHT_VERIFY_KEY", &key(1));
    let answer = desk.json(&["keys", "verify", "--permission", "documents:write"]);
    assert_eq!((text(&answer, "name"), text(&answer, "kind")), ("One", "imported"));
    // Once more is harmless.
    let again = desk.run(&import);
    assert_eq!(serde_json::from_str::<Value>(&again.stdout).unwrap()["present"], 2);
    assert_eq!(desk.log("report.jsonl").lines().count(), 3);
    assert!(!desk.path("keys.csv.keywright-import").exists());
}

#[test]
fn an_imported_key_outlives_its_first_use_and_a_new_master_key() {
    let (mut desk, ready) = Desk::with_dev_folder();
    let account = text(&ready, "account_id").to_owned();
    std::fs::write(desk.path("keys.csv"), format!("hash\n{}\n", hash(&key(1)))).unwrap();
    let import = ["keys", "import", "keys.csv", "--account", &account];
    assert_eq!(desk.json(&import)["created"], 1);
    desk.set("KEYWRIGHT_VERIFY_KEY", &key(1));
    // Every round is a start of its own; the first use used to store it as a key whose form nobody knew after the next.
    for round in 0..3 {
        let (server, _) = desk.dev();
        assert_eq!(desk.json(&["keys", "verify"])["code"], "VALID", "round {round}");
        assert_eq!(desk.json(&import)["present"], 1, "round {round}");
        server.terminate();
        if round == 0 {
            assert_eq!(desk.run(&["rekey", "--yes"]).code, 0);
        }
    }
    assert_eq!(desk.json(&["keys", "list", "--kind", "imported"])["data"].as_array().unwrap().len(), 1);
}

#[test]
fn json_lines_take_the_apis_own_fields() {
    let (desk, ready) = Desk::with_dev_folder();
    let rows = format!(
        "{{\"hash\":\"{}\",\"prefix\":\"legacy_key\",\"metadata\":{{\"a\":1}}}}\nnot json\n{{\"hash\":\"{}\",\"colour\":1}}\n",
        hash(&key(1)),
        hash(&key(2)),
    );
    std::fs::write(desk.path("keys.jsonl"), rows).unwrap();
    let done = desk.run(&["keys", "import", "keys.jsonl", "--account", text(&ready, "account_id")]);
    done.fails(7, "keys.jsonl:2: ");
    done.fails(7, "keys.jsonl:3: ");
    done.fails(7, "1 keys were brought in");
}

#[test]
fn an_import_that_was_cut_off_goes_on_where_it_was() {
    const ROWS: usize = 12_000;
    let (mut desk, operator) = Desk::with_config();
    let server = desk.serve();
    desk.set("KEYWRIGHT_API_KEY", &operator);
    let account = text(&desk.json(&["accounts", "create", "A"]), "id").to_owned();
    let mut rows = String::from("hash,name\n");
    (0..ROWS).for_each(|row| {
        // Every two thousandth line is wrong.
        let hash = if row % 2_000 == 1_999 { "wrong".into() } else { hash(&key(row)) };
        let _ = writeln!(rows, "{hash},row {row}");
    });
    std::fs::write(desk.path("keys.csv"), rows).unwrap();
    let import = ["keys", "import", "keys.csv", "--account", &account, "--report", "report.jsonl"];
    let mut child = desk.command(crate::support::BINARY).args(import).spawn().unwrap();
    let checkpoint = desk.path("keys.csv.keywright-import");
    let mut ended = false;
    crate::support::until("it has come some way", || {
        ended = child.try_wait().unwrap().is_some();
        ended || checkpoint.exists()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!ended, "it was too quick to be cut off");
    let kept: Value = serde_json::from_slice(&std::fs::read(&checkpoint).unwrap()).unwrap();
    let so_far = kept["line"].as_u64().unwrap();
    assert!(so_far > 1 && so_far < ROWS as u64, "{kept}");

    let done = desk.run(&import);
    done.fails(7, &format!("Going on after line {so_far}"));
    let summary: Value = serde_json::from_str(&done.stdout).unwrap();
    // What had got there without being kept as such is found present.
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!((count("created") + count("present"), count("refused")), (ROWS as u64 - 6, 6), "{summary}");
    let lines: Vec<u64> = desk
        .log("report.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2_001, 4_001, 6_001, 8_001, 10_001, 12_001]);
    desk.set("KEYWRIGHT_VERIFY_KEY", &key(ROWS - 2));
    assert_eq!(desk.json(&["keys", "verify"])["valid"], true);
    drop(server);
}

#[test]
fn what_cannot_begin_says_why() {
    let (desk, ready) = Desk::with_dev_folder();
    let account = text(&ready, "account_id");
    desk.run(&["keys", "import", "none.csv", "--account", account]).fails(3, "none.csv");
    std::fs::write(desk.path("keys.txt"), "").unwrap();
    desk.run(&["keys", "import", "keys.txt", "--account", account]).fails(2, "--format");
    std::fs::write(desk.path("keys.csv"), "hash,colour\n").unwrap();
    desk.run(&["keys", "import", "keys.csv", "--account", account]).fails(2, "keys.csv:1: `colour` is not a column");
    std::fs::write(desk.path("keys.csv"), format!("hash\n{}\n", hash("x"))).unwrap();
    desk.run(&["keys", "import", "keys.csv", "--account", "acc_01m7y8yp1yvp590ce3tq058yth"]).fails(3, "account");
}
