//! `rekey`: a new master key, whole or cut off.

use serde_json::Value;

use crate::support::{Desk, text};

fn verify_all(desk: &mut Desk, ready: &Value) {
    for name in ["default", "wavis", "cloudheed"] {
        desk.set("KEYWRIGHT_VERIFY_KEY", text(&ready["keys"], name));
        assert_eq!(desk.json(&["keys", "verify"])["valid"], true, "{name}");
    }
}

fn rekey(desk: &Desk) -> (String, String) {
    let old = desk.log(".keywright/master.key");
    let done = desk.run(&["rekey", "--yes"]);
    assert_eq!(done.code, 0, "{done:?}");
    let new = desk.log(".keywright/master.key");
    assert_ne!(old, new);
    assert_eq!(desk.log(".keywright/master.key.old-1"), old);
    assert!(!desk.path(".keywright/master.key.new").exists());
    (old, new)
}

#[test]
fn keys_made_before_verify_after() {
    let (mut desk, ready) = Desk::with_dev_folder();
    let (old, _) = rekey(&desk);
    verify_all(&mut desk, &ready);
    let (server, again) = desk.dev();
    assert_eq!(again["keys"], ready["keys"]);
    verify_all(&mut desk, &ready);
    drop(server);
    assert_eq!(desk.json(&["audit", "verify"])["intact"], true);
    std::fs::write(desk.path(".keywright/master.key"), old).unwrap();
    desk.run(&["keys", "list"]).fails(1, "is not the master key");
}

#[test]
fn one_cut_off_before_the_database_is_taken_back() {
    let (mut desk, ready) = Desk::with_dev_folder();
    std::fs::write(desk.path(".keywright/master.key.new"), "1".repeat(64)).unwrap();
    let before = desk.log(".keywright/master.key");
    verify_all(&mut desk, &ready);
    assert_eq!(desk.log(".keywright/master.key"), before);
    assert!(!desk.path(".keywright/master.key.new").exists());
}

#[test]
fn one_cut_off_after_the_database_is_finished() {
    let (mut desk, ready) = Desk::with_dev_folder();
    let (old, new) = rekey(&desk);
    // As if the last step had not been made.
    std::fs::remove_file(desk.path(".keywright/master.key.old-1")).unwrap();
    std::fs::write(desk.path(".keywright/master.key.new"), &new).unwrap();
    std::fs::write(desk.path(".keywright/master.key"), &old).unwrap();
    verify_all(&mut desk, &ready);
    assert_eq!(desk.log(".keywright/master.key"), new);
    assert_eq!(desk.log(".keywright/master.key.old-1"), old);
    assert!(!desk.path(".keywright/master.key.new").exists());
}

#[test]
fn the_server_has_to_be_stopped_and_somebody_has_to_say_yes() {
    let (desk, _) = Desk::with_dev_folder();
    desk.run(&["rekey"]).fails(4, "--yes");
    let (server, _) = desk.dev();
    desk.run(&["rekey", "--yes"]).fails(1, "stop it first");
    drop(server);
}
