//! `keywright dev`: the first thing anybody runs.

use std::io::Read as _;
use std::os::unix::fs::FileExt as _;

use serde_json::{Value, json};

use crate::support::{Answer, Desk, mode, text};

fn credentials(ready: &Value) -> Value {
    let mut ready = ready.clone();
    let fields = ready.as_object_mut().unwrap();
    assert_eq!(fields.remove("event"), Some(json!("ready")));
    fields.remove("url");
    ready
}

#[test]
fn the_first_start_says_one_line_and_the_second_the_same() {
    let desk = Desk::new();
    let (server, first) = desk.dev();
    assert!(text(&first, "url").starts_with("http://127.0.0.1:") && !text(&first, "url").ends_with(":0"));
    let mut keys: Vec<&String> = first["keys"].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["cloudheed", "default", "wavis", "wayscloud_llm", "wayscloud_pat", "wayscloud_storage"]);
    assert!(text(&first["user"], "password").len() >= 15);
    assert_eq!(server.terminate(), (Some(0), String::new()));

    let (server, second) = desk.dev();
    assert_eq!(credentials(&first), credentials(&second));
    assert_eq!(server.terminate(), (Some(0), String::new()));
    for name in ["dev-credentials.json", "master.key", "keywright.db", "lock"] {
        assert_eq!(mode(&desk.path(".keywright").join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&desk.path(".keywright")), 0o700);
}

#[test]
fn every_key_it_makes_verifies() {
    let (mut desk, ready) = Desk::with_dev_folder();
    for (name, permission, environment) in [
        ("wayscloud_storage", Some("storage:delete"), None),
        ("wayscloud_llm", Some("llm:inference"), None),
        ("wayscloud_pat", Some("ssh_keys:write"), None),
        ("wavis", Some("compute:run"), Some("live")),
        ("cloudheed", Some("org:write"), None),
        ("default", Some("documents:read"), Some("live")),
    ] {
        desk.set("KEYWRIGHT_VERIFY_KEY", text(&ready["keys"], name));
        let mut args = vec!["keys", "verify"];
        args.extend(permission.iter().flat_map(|permission| ["--permission", permission]));
        args.extend(environment.iter().flat_map(|environment| ["--environment", environment]));
        let answer = desk.json(&args);
        assert_eq!((&answer["valid"], &answer["account_id"]), (&json!(true), &ready["account_id"]), "{name}: {answer}");
    }
}

#[test]
fn the_commands_it_prints_work_when_pasted() {
    let (desk, _) = Desk::with_dev_folder();
    let mut command = desk.command(crate::support::BINARY);
    command.args(["dev", "--listen", "127.0.0.1:0"]).stdout(std::fs::File::create(desk.path("screen")).unwrap());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    crate::support::until("the screen is there", || desk.log("screen").contains("Ctrl-C"));
    let screen = desk.log("screen");
    assert!(!screen.contains('\u{1b}'), "no colour where there is no terminal");
    let commands: Vec<&str> =
        screen.split("\n\n").filter_map(|part| part.trim().split_once("\ncurl ")).map(|(_, rest)| rest).collect();
    assert_eq!(commands.len(), 3, "{screen}");
    let answers: Vec<Value> = commands
        .iter()
        .map(|rest| {
            let output = desk.command("sh").args(["-c", &format!("curl {rest}")]).output().unwrap();
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
        })
        .collect();
    assert_eq!(answers[0]["code"], "VALID");
    assert!(text(&answers[1], "key").starts_with("kw_live_"));
    assert!(answers[2]["data"].as_array().unwrap().iter().any(|key| key["id"] == answers[1]["id"]));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_first_start_that_died_half_way_is_completed_by_the_next() {
    let desk = Desk::new();
    let folder = desk.path(".keywright");
    // The mark is there, a database with something in it is, and the credentials are not.
    let (server, dead) = desk.dev();
    server.kill();
    std::fs::rename(folder.join("dev-credentials.json"), folder.join("dev-unfinished")).unwrap();
    let (server, ready) = desk.dev();
    assert_ne!(credentials(&dead), credentials(&ready));
    assert!(!folder.join("dev-unfinished").exists());
    server.terminate();
    let (_, again) = desk.dev();
    assert_eq!(credentials(&ready), credentials(&again));
}

fn dev(desk: &Desk, more: &[&str]) -> Answer {
    desk.run(&[&["dev", "--listen", "127.0.0.1:0", "--json"], more].concat())
}

#[test]
fn what_stands_in_the_way_is_said() {
    let (desk, _) = Desk::with_dev_folder();
    let (server, ready) = desk.dev();
    dev(&desk, &[]).fails(1, "runs on");
    let taken = text(&ready, "url").trim_start_matches("http://");
    desk.run(&["dev", "--listen", taken, "--data-dir", "other"]).fails(1, "another program listens there");
    server.terminate();

    std::fs::write(desk.path("file"), "").unwrap();
    dev(&desk, &["--data-dir", "file/folder"]).fails(1, "cannot be made");

    std::fs::write(desk.path(".keywright/master.key"), "0".repeat(64)).unwrap();
    dev(&desk, &[]).fails(1, "is not the master key");
    std::fs::write(desk.path(".keywright/master.key"), "nonsense").unwrap();
    dev(&desk, &[]).fails(2, "64 hexadecimal digits");

    std::fs::remove_file(desk.path(".keywright/keywright.db")).unwrap();
    dev(&desk, &[]).fails(1, "is gone");
    std::fs::remove_file(desk.path(".keywright/dev-credentials.json")).unwrap();
    dev(&desk, &[]).fails(1, "did not make");
}

#[test]
fn the_gate_leads_to_real_storage_and_to_an_echo() {
    let desk = Desk::new();
    let (server, ready) = desk.dev();
    let key = |name: &str| text(&ready["keys"], name).to_owned();
    let call = |method: &str, path: &str, key: &str, body: &[u8]| {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", server.url))
            .header("authorization", format!("Bearer {key}"))
            .body(body)
            .unwrap();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).build();
        let mut answer = ureq::Agent::new_with_config(agent).run(request).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
    };
    let storage = key("wayscloud_storage");
    let (status, buckets) = call("GET", "/v1/storage/", &storage, b"");
    let buckets = String::from_utf8(buckets).unwrap();
    assert!(status == 200 && buckets.contains("<Bucket><Name>my-bucket</Name>"), "{status} {buckets}");

    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let path = "/v1/storage/my-bucket/folder/file%20one.bin";
    assert_eq!(call("PUT", path, &storage, &bytes).0, 200);
    assert_eq!(call("GET", path, &storage, b""), (200, bytes));
    let listed = String::from_utf8(call("GET", "/v1/storage/my-bucket?list-type=2", &storage, b"").1).unwrap();
    assert!(listed.contains("<Key>folder/file one.bin</Key>") && listed.contains("<Size>300000</Size>"), "{listed}");
    assert_eq!(call("DELETE", path, &storage, b"").0, 204);
    assert_eq!(call("GET", path, &storage, b"").0, 404);
    assert_eq!(call("GET", "/v1/storage/", &key("wayscloud_llm"), b"").0, 403);
    assert_eq!(call("GET", "/v1/storage/", "wayscloud_storage_abc123_wrong", b"").0, 401);

    let asked = br#"{"model":"m","messages":[{"role":"user","content":"hello there"}],"stream":true}"#;
    let (status, events) = call("POST", "/v1/chat/completions", &key("wayscloud_llm"), asked);
    let events = String::from_utf8(events).unwrap();
    assert!(
        status == 200 && events.contains("\"content\":\"hello \"") && events.ends_with("data: [DONE]\n\n"),
        "{events}"
    );
    let (status, seen) = call("GET", "/v1/databases?x=1", &key("cloudheed"), b"");
    let seen: Value = serde_json::from_slice(&seen).unwrap();
    assert_eq!((status, &seen["method"], &seen["query"]), (200, &json!("GET"), &json!("x=1")));
    assert_eq!(
        (&seen["headers"]["x-account-id"], &seen["headers"]["authorization"]),
        (&ready["account_id"], &Value::Null)
    );
}

/// By curl, as large as a body may be where the policy does not say.
#[test]
fn a_gigabyte_passes_both_ways_and_none_of_it_stays_in_memory() {
    const SIZE: u64 = 1 << 30;
    let desk = Desk::new();
    // Mostly holes, with something to know it by here and there.
    let mut options = std::fs::OpenOptions::new();
    let file = options.create_new(true).read(true).write(true).open(desk.path("sent")).unwrap();
    file.set_len(SIZE).unwrap();
    for at in (0..SIZE).step_by(9_999_991) {
        file.write_all_at(&at.to_be_bytes(), at).unwrap();
    }
    let (server, ready) = desk.dev();
    let url = format!("{}/v1/storage/my-bucket/large", server.url);
    let key = format!("Authorization: Bearer {}", text(&ready["keys"], "wayscloud_storage"));
    let curl = |args: &[&str]| {
        let mut command = desk.command("curl");
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "-H", key.as_str(), url.as_str()]);
        command.args(args);
        command
    };
    // Whatever a first body takes is there: the allocator keeps megabytes at hand for each size of block and each thread.
    std::fs::File::create(desk.path("first")).unwrap().set_len(SIZE / 16).unwrap();
    assert!(curl(&["-T", "first"]).status().unwrap().success());
    assert!(curl(&["-o", "back"]).status().unwrap().success());
    let before = server.most_memory();
    assert!(curl(&["-T", "sent"]).status().unwrap().success());
    assert_eq!(std::fs::metadata(desk.path(".keywright/storage/my-bucket/large")).unwrap().len(), SIZE);
    let mut child = curl(&[]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut read = child.stdout.take().unwrap();
    let (mut piece, mut at) = (vec![0; 1 << 20], 0);
    let mut sent = vec![0; 1 << 20];
    while at < SIZE {
        let count = read.read(&mut piece).unwrap();
        assert!(count > 0, "it ends at {at}");
        file.read_exact_at(&mut sent[..count], at).unwrap();
        assert!(piece[..count] == sent[..count], "another byte came back at {at}");
        at += count as u64;
    }
    assert!(child.wait().unwrap().success());
    let grown = server.most_memory() - before;
    assert!((grown as u64) < SIZE / 16 / 1_024, "grew by {grown} kB");
}
