//! `backup`: a copy of one moment, while a server writes.

use crate::support::{Desk, column, mode, text};

#[test]
fn a_copy_made_while_serving_is_whole() {
    let (mut desk, key) = Desk::with_config();
    let server = desk.serve();
    desk.set("KEYWRIGHT_API_KEY", &key);
    let account = text(&desk.json(&["accounts", "create", "A"]), "id").to_owned();
    let made = desk.json(&["keys", "create", "--account", &account]);
    let before = column(&desk.json(&["keys", "list", "--all"]), "id");
    let copied = desk.run(&["backup", "--to", "copy.db"]);
    assert_eq!(copied.code, 0, "{copied:?}");
    assert!(copied.stderr.contains("master.key"));
    assert_eq!(mode(&desk.path("copy.db")), 0o600);
    desk.run(&["backup", "--to", "copy.db"]).fails(2, "exists already");
    // Written after the copy, so not in it.
    desk.json(&["keys", "create", "--account", &account]);
    server.terminate();

    std::fs::create_dir(desk.path("restored")).unwrap();
    for (from, to) in [
        ("copy.db", "restored/copy.db"),
        ("master.key", "restored/master.key"),
        ("policy.toml", "restored/policy.toml"),
    ] {
        std::fs::copy(desk.path(from), desk.path(to)).unwrap();
    }
    std::fs::create_dir(desk.path("restored/data")).unwrap();
    std::fs::write(desk.path("restored/keywright.toml"), "database = \"sqlite:copy.db\"\n").unwrap();
    desk.set("KEYWRIGHT_CONFIG", "restored/keywright.toml");
    assert_eq!(column(&desk.json(&["keys", "list", "--all"]), "id"), before);
    assert_eq!(desk.json(&["audit", "verify"])["intact"], true);
    desk.set("KEYWRIGHT_VERIFY_KEY", text(&made, "key"));
    assert_eq!(desk.json(&["keys", "verify"])["valid"], true);
}

#[test]
fn postgresql_is_left_to_its_own_tool() {
    let (mut desk, _) = Desk::with_config();
    desk.set("KEYWRIGHT_DATABASE_URL", "postgres://kw:hunter2@127.0.0.1:1/kw");
    let refused = desk.run(&["backup", "--to", "copy.db"]);
    refused.fails(2, "pg_dump");
    let unreachable = desk.run(&["keys", "list"]);
    unreachable.fails(5, "postgres://127.0.0.1:1/kw");
    assert!(!format!("{refused:?}{unreachable:?}").contains("hunter2"));
}
