//! SSH keys: AC7.

use std::process::Command;

use serde_json::json;

use super::{fields, scene};
use crate::harness::{NO_KEY, SSH_KEY, text};

/// A new pair's public line and what OpenSSH itself says its fingerprint is.
fn ssh_keygen(kind: &str, bits: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let run = |arguments: &[&str]| {
        let output = Command::new("ssh-keygen").args(arguments).arg("-f").arg(&file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["-q", "-t", kind, "-b", bits, "-N", "", "-C", "you@machine with spaces"]);
    let printed = run(&["-l"]);
    let line = std::fs::read_to_string(file.with_extension("pub")).unwrap();
    (line, printed.split(' ').nth(1).unwrap().to_owned())
}

#[tokio::test]
async fn ac7_fingerprints_equal_ssh_keygen() {
    let (server, _, pat) = scene().await;
    let mut expected = Vec::new();
    for (kind, bits, key_type) in [
        ("ed25519", "256", "ssh-ed25519"),
        ("rsa", "2048", "ssh-rsa"),
        ("rsa", "3072", "ssh-rsa"),
        ("ecdsa", "256", "ecdsa-sha2-nistp256"),
        ("ecdsa", "384", "ecdsa-sha2-nistp384"),
        ("ecdsa", "521", "ecdsa-sha2-nistp521"),
    ] {
        let (line, fingerprint) = ssh_keygen(kind, bits);
        let body = json!({ "name": format!("{kind} {bits}"), "public_key": line });
        let answer = server.post("/v1/account/ssh-keys", &body).by_token(&pat).send().await.with(201);
        assert_eq!(fields(&answer.text), ["id", "name", "fingerprint", "key_type", "created_at", "vm_count"]);
        let mut shown = answer.json();
        let id = shown["id"].take();
        let rest = json!({
            "id": null, "name": format!("{kind} {bits}"), "fingerprint": fingerprint, "key_type": key_type,
            "created_at": "2026-11-21T09:00:00Z", "vm_count": 0,
        });
        assert_eq!(shown, rest);
        shown["id"] = id;
        expected.push(shown);
    }
    expected.sort_by_key(|key| text(key, "id"));
    let listed = server.get("/v1/account/ssh-keys").by_token(&pat).send().await.is(200);
    assert_eq!(listed, json!(expected));
}

#[tokio::test]
async fn ac7_what_no_machine_should_be_opened_with_is_refused_with_its_reason() {
    let (server, _, pat) = scene().await;
    let (short, _) = ssh_keygen("rsa", "1024");
    let key = SSH_KEY.split(' ').nth(1).unwrap();
    for (public_key, says) in [
        (String::new(), "is required"),
        (short, "fewer than 2048 bits"),
        (format!("ssh-dss {key}"), "DSA"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n".into(), "private key"),
        (format!("{SSH_KEY}\n{SSH_KEY}"), "several lines"),
        (format!("no-pty,command=\"a b\" {SSH_KEY}"), "options"),
        (format!("ssh-rsa {key}"), "says one type"),
        (format!("sk-ssh-ed25519@openssh.com {key}"), "security key"),
        (format!("ssh-ed25519-cert-v01@openssh.com {key}"), "certificate"),
        ("nonsense".into(), "does not begin with a type"),
        ("x".repeat(20_000), "longer than"),
    ] {
        let body = json!({ "name": "a", "public_key": public_key });
        let answer = server.post("/v1/account/ssh-keys", &body).by_token(&pat).send().await;
        let error = answer.wayscloud_error(422, "INVALID");
        assert_eq!(error["errors"][0]["field"], "public_key");
        assert!(text(&error["errors"][0], "reason").contains(says), "{error}");
    }
    for name in ["", "a\u{7}b", &"x".repeat(101)] {
        let body = json!({ "name": name, "public_key": SSH_KEY });
        let answer = server.post("/v1/account/ssh-keys", &body).by_token(&pat).send().await;
        assert_eq!(answer.wayscloud_error(422, "INVALID")["errors"][0]["field"], "name");
    }
    assert_eq!(server.get("/v1/account/ssh-keys").by_token(&pat).send().await.is(200), json!([]));
}

#[tokio::test]
async fn ac7_an_account_has_a_key_once_and_deletes_its_own_alone() {
    let (server, _, pat) = scene().await;
    let other = server.account().await;
    let others = server.pat(&other, &["ssh_keys:write"]).await.key;
    let body = json!({ "name": "laptop", "public_key": SSH_KEY });
    let add = async |token: &str| server.post("/v1/account/ssh-keys", &body).by_token(token).send().await;
    let id = text(&add(&pat).await.is(201), "id");
    let foreign = text(&add(&others).await.is(201), "id");
    let twice = add(&pat).await.wayscloud_error(409, "CONFLICT");
    assert!(text(&twice, "error").contains("`laptop`"), "{twice}");
    let delete = async |id: &str| {
        let path = format!("/v1/account/ssh-keys/{id}");
        server.delete(&path).by_token(&pat).header("x-request-id", "req_of_a_test").send().await
    };
    let missing = delete("ssh_01arz3ndektsv4rrffq69g5fav").await;
    missing.wayscloud_error(404, "NOT_FOUND");
    for id in [foreign.as_str(), NO_KEY, "nonsense"] {
        let answer = delete(id).await;
        assert_eq!((answer.status, &answer.text, &answer.headers), (404, &missing.text, &missing.headers), "{id}");
    }
    let gone = delete(&id).await.with(200);
    assert_eq!((fields(&gone.text), &gone.body["success"]), (vec!["success".into(), "message".into()], &json!(true)));
    assert_eq!(delete(&id).await.status, 404);
    add(&pat).await.is(201);
    let listed = server.get("/v1/account/ssh-keys").by_token(&others).send().await.is(200);
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn ac7_a_hundred_ssh_keys_are_the_most() {
    use base64::Engine as _;
    let (server, _, pat) = scene().await;
    let line = |number: u8| {
        let blob = [&[0, 0, 0, 11], b"ssh-ed25519".as_slice(), &[0, 0, 0, 32], &[number; 32]].concat();
        format!("ssh-ed25519 {}", base64::engine::general_purpose::STANDARD.encode(blob))
    };
    let add = async |number: u8| {
        let body = json!({ "name": "a", "public_key": line(number) });
        server.post("/v1/account/ssh-keys", &body).by_token(&pat).send().await
    };
    for number in 0..100 {
        add(number).await.is(201);
    }
    let full = add(100).await.wayscloud_error(409, "CONFLICT");
    assert!(text(&full, "error").contains("100 SSH keys"), "{full}");
}

#[tokio::test]
async fn ac7_a_key_counts_the_machines_it_is_on() {
    let (server, account, pat) = scene().await;
    let body = json!({ "name": "laptop", "public_key": SSH_KEY });
    let id = text(&server.post("/v1/account/ssh-keys", &body).by_token(&pat).send().await.is(201), "id");
    let path = format!("/v1/accounts/{account}/services");
    let count = async || {
        server.get("/v1/account/ssh-keys").by_token(&pat).send().await.is(200)[0]["vm_count"].as_i64().unwrap()
    };
    let mut machines = Vec::new();
    for number in 1..=3 {
        let body = json!({
            "service_type": "vps", "name": format!("web-{number}"), "metadata": { "ssh_key_ids": [id, id] },
        });
        machines.push(text(&server.post(&path, &body).send().await.is(201), "id"));
    }
    // Neither a database nor another account's machine counts.
    let database = json!({ "service_type": "database", "name": "db", "metadata": { "ssh_key_ids": [id] } });
    server.post(&path, &database).send().await.is(201);
    let other = server.account().await;
    let foreign = json!({ "service_type": "vps", "name": "theirs", "metadata": { "ssh_key_ids": [id] } });
    server.post(&format!("/v1/accounts/{other}/services"), &foreign).send().await.is(201);
    assert_eq!(count().await, 3);
    server.patch(&format!("{path}/{}", machines[0]), &json!({ "status": "stopped" })).send().await.is(200);
    assert_eq!(count().await, 3);
    server.patch(&format!("{path}/{}", machines[0]), &json!({ "metadata": {} })).send().await.is(200);
    assert_eq!(count().await, 2);
    server.delete(&format!("{path}/{}", machines[1])).send().await.is(204);
    assert_eq!(count().await, 1);
}
