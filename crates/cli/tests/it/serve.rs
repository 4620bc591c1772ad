//! `init`, `serve` and `config check`; signals.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Desk, column, mode, text, until};

#[test]
fn init_writes_what_serve_reads_and_overwrites_nothing() {
    let desk = Desk::new();
    let made = desk.run(&["init", "--dir", "etc"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(made.stdout.lines().count(), 1);
    assert!(made.stdout.starts_with("kw_operator_"), "{made:?}");
    assert!(made.stderr.contains("keywright serve --config etc/keywright.toml"));
    assert_eq!(mode(&desk.path("etc/master.key")), 0o600);
    desk.run(&["init", "--dir", "etc"]).fails(2, "exists already");
    assert_eq!(desk.run(&["config", "check", "--config", "etc/keywright.toml"]).code, 0);
    let listed = desk.json(&["keys", "list", "--config", "etc/keywright.toml"]);
    assert_eq!(column(&listed, "kind"), ["operator"]);
}

#[test]
fn an_init_that_fails_takes_back_what_it_made_and_nothing_else() {
    let mut desk = Desk::new();
    std::fs::create_dir(desk.path("data")).unwrap();
    std::fs::write(desk.path("data/mine"), "").unwrap();
    desk.set("KEYWRIGHT_DATABASE_URL", "postgres://127.0.0.1:1/kw");
    desk.run(&["init"]).fails(5, "cannot be used");
    for name in ["keywright.toml", "policy.toml", "master.key", "data/lock"] {
        assert!(!desk.path(name).exists(), "{name} is left");
    }
    assert!(desk.path("data/mine").exists());
    desk.set("KEYWRIGHT_DATABASE_URL", "");
    assert_eq!(desk.run(&["init"]).code, 0);
}

#[test]
fn mistakes_are_told_by_file_and_line() {
    let (desk, _) = Desk::with_config();
    let config = desk.path("keywright.toml");
    std::fs::write(&config, "listen = \"127.0.0.1:0\"\n\nlisten_on = 1\n").unwrap();
    for args in [&["config", "check"][..], &["serve"], &["keys", "list"]] {
        desk.run(args).fails(2, "keywright.toml:3: ");
    }
    std::fs::write(&config, "trusted_proxies = [\n  \"10.0.0.0/8\",\n  \"proxy\",\n]\ncached_keys = 1\n").unwrap();
    desk.run(&["config", "check"]).fails(2, "keywright.toml:3: trusted_proxies: `proxy`");
    desk.run(&["config", "check"]).fails(2, "keywright.toml:5: cached_keys");
    std::fs::write(&config, "").unwrap();
    std::fs::write(desk.path("policy.toml"), "[kind.default]\nformat = \"kw_{secret:26}\"\ncolour = 1\n").unwrap();
    for args in [&["config", "check"][..], &["serve"], &["keys", "list"]] {
        desk.run(args).fails(2, "policy.toml:3: ");
    }
    std::fs::remove_file(config).unwrap();
    desk.run(&["serve"]).fails(3, "keywright init");
}

#[test]
fn a_route_is_put_in_force_by_a_reload_once_its_upstream_has_an_address() {
    let (desk, _) = Desk::with_config();
    let (config, policy) = (desk.path("keywright.toml"), desk.path("policy.toml"));
    let plain = std::fs::read_to_string(&policy).unwrap();
    let route = "\n[route.things]\npath = \"/things\"\nupstream = \"things\"\nmethods = { GET = [] }\n";
    let line = plain.lines().count() + 4;
    std::fs::write(&policy, format!("{plain}{route}")).unwrap();
    for args in [&["config", "check"][..], &["serve"]] {
        desk.run(args)
            .fails(2, &format!("policy.toml:{line}: route.things: the configuration has no upstream `things`"));
    }
    std::fs::write(&config, "[upstreams]\nthings = [\"http://127.0.0.1:1\", \"things\"]\n").unwrap();
    desk.run(&["config", "check"]).fails(2, "keywright.toml:2: upstreams.things: `things` is no upstream's address");
    std::fs::write(&config, "[upstreams]\nthings = \"http://127.0.0.1:1\"\n").unwrap();
    assert_eq!(desk.run(&["config", "check"]).code, 0);

    std::fs::write(&policy, &plain).unwrap();
    let server = desk.serve();
    let status = |path: &str| match ureq::get(format!("{}{path}", server.url)).call() {
        Err(ureq::Error::StatusCode(status)) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status("/things"), 404);
    std::fs::write(&policy, format!("{plain}{route}")).unwrap();
    server.signal(Signal::HUP);
    until("the route is in force", || status("/things") == 401);
    // One whose upstream has no address is not put in force.
    std::fs::write(&policy, format!("{plain}{}", route.replace("\"things\"", "\"others\""))).unwrap();
    server.signal(Signal::HUP);
    until("the mistake is told", || desk.log("serve.log").contains("no upstream `others`"));
    assert_eq!(status("/things"), 401);
}

#[test]
fn a_good_policy_is_reloaded_and_a_bad_one_is_not() {
    let (mut desk, key) = Desk::with_config();
    let server = desk.serve();
    desk.set("KEYWRIGHT_API_KEY", &key);
    let account = desk.json(&["accounts", "create", "A"]);
    let create = |kind: &str| desk.run(&["keys", "create", "--account", text(&account, "id"), "--kind", kind]);
    create("shop").fails(2, "no such kind");

    let path = desk.path("policy.toml");
    let good = std::fs::read_to_string(&path).unwrap() + "\n[kind.shop]\nformat = \"shop_{secret:26}\"\n";
    std::fs::write(&path, &good).unwrap();
    server.signal(Signal::HUP);
    until("the policy is reloaded", || desk.log("serve.log").contains("the policy was reloaded"));
    assert!(text(&create("shop").json(), "key").starts_with("shop_"));

    let line = good.lines().count() + 1;
    std::fs::write(&path, good + "colour = 1\n").unwrap();
    server.signal(Signal::HUP);
    until("the mistake is logged", || desk.log("serve.log").contains(&format!("policy.toml:{line}: ")));
    assert!(text(&create("shop").json(), "key").starts_with("shop_"));
    assert_eq!(server.terminate().0, Some(0));
    assert!(!desk.log("serve.log").contains(&key), "no secret is logged");
}

#[test]
fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let (mut desk, key) = Desk::with_config();
    let server = desk.serve();
    desk.set("KEYWRIGHT_API_KEY", &key);
    let account = text(&desk.json(&["accounts", "create", "A"]), "id").to_owned();
    let acknowledged = Mutex::new(Vec::new());
    let ended = AtomicBool::new(false);
    let url = server.url.clone();
    let create = || -> Option<Value> {
        let body = json!({ "account_id": account, "name": "load" });
        let request = ureq::post(format!("{url}/v1/keys")).header("authorization", format!("Bearer {key}"));
        request.send_json(body).ok()?.body_mut().read_json().ok()
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(made) = create() {
                    acknowledged.lock().unwrap().push(text(&made, "id").to_owned());
                }
                ended.store(true, Ordering::SeqCst);
            });
        }
        until("there is load", || acknowledged.lock().unwrap().len() > 200 || ended.load(Ordering::SeqCst));
        assert_eq!(server.terminate().0, Some(0));
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > 200);
    let kept = column(&desk.json(&["keys", "list", "--account", &account, "--all"]), "id");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !kept.contains(id)).collect();
    assert!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());
    assert_eq!(desk.json(&["audit", "verify"])["intact"], true);
    assert!(!desk.path("data/server.json").exists());
}

#[test]
fn a_server_killed_leaves_its_folder_usable() {
    let (desk, _) = Desk::with_config();
    desk.serve().kill();
    assert!(desk.path("data/server.json").exists());
    assert_eq!(desk.run(&["keys", "list"]).code, 0);
    assert!(!desk.path("data/server.json").exists());
}

#[test]
fn only_one_server_runs_on_a_folder() {
    let (desk, _) = Desk::with_config();
    let server = desk.serve();
    desk.run(&["serve", "--listen", "127.0.0.1:0"]).fails(1, &server.url);
}

/// What a link in a text leads to, within a server.
fn link_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("/setup?token=")?;
    let token = rest.split(|char: char| !(char.is_ascii_alphanumeric() || "-_".contains(char))).next()?;
    Some(format!("/setup?token={token}"))
}

#[test]
fn the_first_start_prints_a_set_up_link_and_the_next_ones_do_not() {
    let (mut desk, key) = Desk::with_config();
    let server = desk.serve();
    until("the link is printed", || link_in(&desk.log("serve.log")).is_some());
    let log = desk.log("serve.log");
    let link = link_in(&log).unwrap();
    assert!(log.contains(&format!("{}{link}", server.url)), "{log}");
    let page = |path: &str| match ureq::get(format!("{}{path}", server.url)).call() {
        Ok(mut answer) => (200, answer.body_mut().read_to_string().unwrap()),
        Err(ureq::Error::StatusCode(status)) => (status, String::new()),
        Err(other) => panic!("{other:?}"),
    };
    assert!(page(&link).1.contains("The first operator"));
    desk.set("KEYWRIGHT_API_KEY", &key);
    let printed = desk.run(&["users", "setup-link"]);
    assert_eq!((printed.code, printed.stdout.lines().count()), (0, 1), "{printed:?}");
    assert_eq!(page(&link).0, 404, "a newer one took its place");
    assert_eq!(page(&link_in(&printed.stdout).unwrap()).0, 200);
    assert_eq!(server.terminate().0, Some(0));
    desk.serve().terminate();
    assert_eq!(desk.log("serve.log").matches("/setup?token=").count(), 1);
}

#[test]
fn the_log_is_json_where_asked() {
    let (desk, _) = Desk::with_config();
    let path = desk.path("keywright.toml");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "\nlog_format = \"json\"\n").unwrap();
    let server = desk.serve();
    server.terminate();
    let lines: Vec<Value> = desk.log("serve.log").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["setup_link"].as_str().is_some_and(|link| link.contains("/setup?token="))));
}

/// Shells and older init systems begin with a limit of 1,024, which the gate would be at with 500 clients.
#[test]
fn it_opens_as_many_files_as_it_may() {
    let (desk, _) = Desk::with_config();
    let server = desk.serve_after("ulimit -S -n 300; ulimit -H -n 4000");
    let limits = server.limits();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["4000", "4000"], "{files}");
}
