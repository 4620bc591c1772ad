//! A disk that fails when it is to keep what was written.

use serde_json::json;

use crate::api::Api;
use crate::support::Desk;

/// Stands before the C library: where there is a file `fails`, nothing is kept.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
static int keep(long call, int file) {
    if (access("fails", F_OK) == 0) { errno = EIO; return -1; }
    return syscall(call, file);
}
int fsync(int file) { return keep(SYS_fsync, file); }
int fdatasync(int file) { return keep(SYS_fdatasync, file); }
"#;

#[test]
fn what_a_failing_disk_may_have_kept_is_said_to_be_uncertain_and_the_server_goes_on() {
    let mut desk = Desk::new();
    std::fs::write(desk.path("disk.c"), LIBRARY).unwrap();
    let built = desk.command("cc").args(["-shared", "-fPIC", "-o", "disk.so", "disk.c"]).status().unwrap();
    assert!(built.success());
    desk.set("LD_PRELOAD", desk.path("disk.so").to_str().unwrap());
    let (server, ready) = desk.dev();
    let api = Api::of(&ready);
    let make = |name: &str| api.try_post("/v1/keys", &json!({ "account_id": api.account, "name": name })).unwrap();
    let verify = |key: &str| api.try_post("/v1/keys/verify", &json!({ "key": key })).unwrap().1["code"].clone();
    let (status, before) = make("before");
    assert_eq!((status, verify(before["key"].as_str().unwrap())), (201, json!("VALID")));

    std::fs::write(desk.path("fails"), "").unwrap();
    let (status, problem) = make("meanwhile");
    assert_eq!((status, &problem["code"]), (503, &json!("UNAVAILABLE")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("may still make it"), "{problem}");
    assert_eq!(verify(before["key"].as_str().unwrap()), "VALID");

    std::fs::remove_file(desk.path("fails")).unwrap();
    let (status, after) = make("after");
    assert_eq!((status, verify(after["key"].as_str().unwrap())), (201, json!("VALID")));
    let id = before["id"].as_str().unwrap();
    assert_eq!(api.try_delete(&format!("/v1/keys/{id}")), Some(204));
    assert_eq!(verify(before["key"].as_str().unwrap()), "REVOKED");
    server.terminate();
    assert_eq!(desk.json(&["audit", "verify"])["intact"], true);
}
