//! Recognisable secrets wherever a secret can go, and then a look for them wherever one must not be (security.md 53).
//!
//! What is looked for is the secret part of each: what may be shown of a key, its public part, is shown on purpose.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::api::Api;
use crate::support::Desk;

/// Letters no public part has: what is looked for.
fn secret_part(key: &str) -> String {
    key[key.len() - 16..].to_owned()
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn no_secret_is_found_in_logs_metrics_errors_the_database_or_its_backup() {
    let mut desk = Desk::new();
    desk.set("KEYWRIGHT_LOG", "trace");
    let (server, ready) = desk.dev();
    let api = Api::of(&ready);
    let (secrets, errors) = leave_traces(&api, &ready);
    let mut seen: Vec<(String, Vec<u8>)> = errors.into_iter().map(|(what, text)| (what, text.into_bytes())).collect();
    for path in ["/metrics", "/v1/audit?limit=200", "/v1/keys?limit=200", "/openapi.json", "/health"] {
        seen.push((path.to_owned(), api.text(path).into_bytes()));
    }
    let backup = desk.run(&["backup", "--to", "backup.db"]);
    assert_eq!(backup.code, 0, "{backup:?}");
    seen.push(("backup's output".into(), format!("{}{}", backup.stdout, backup.stderr).into_bytes()));
    server.terminate();
    files(desk.dir.path(), &mut seen);

    // The one place a development server keeps its credentials, and the file that is the master key.
    seen.retain(|(what, _)| !what.ends_with("credentials.json"));
    assert!(
        seen.iter().any(|(what, bytes)| what.ends_with("dev.log") && holds(bytes, "answered")),
        "nothing was logged"
    );
    assert!(seen.iter().any(|(what, bytes)| what.ends_with("backup.db") && holds(bytes, "canary")), "nothing was kept");
    for (what, bytes) in &seen {
        for secret in &secrets {
            assert!(!holds(bytes, secret), "`{secret}` is in {what}");
        }
    }
}

/// Uses secrets well and badly. Returns their secret parts, and every error body met on the way.
fn leave_traces(api: &Api, ready: &Value) -> (Vec<String>, Vec<(String, String)>) {
    let mut keys: Vec<String> =
        ready["keys"].as_object().unwrap().values().map(|key| key.as_str().unwrap().into()).collect();
    let body =
        json!({ "account_id": api.account, "name": "canary", "credits": 5, "metadata": { "canary": "metadata" } });
    let (_, made) = api.try_post("/v1/keys", &body).unwrap();
    let (id, first) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap().to_owned());
    let (_, rotated) = api.try_post(&format!("/v1/keys/{id}/rotate"), &json!({ "grace": "1h" })).unwrap();
    let second = rotated["key"].as_str().unwrap().to_owned();
    let user = api.get("/v1/users")["data"][0]["id"].as_str().unwrap().to_owned();
    let (_, begun) = api.try_post(&format!("/v1/users/{user}/sessions"), &json!({})).unwrap();
    let token = begun["access_token"].as_str().unwrap().to_owned();
    let (_, trial) = api.try_post("/api/v1/onboarding/temp-key", &json!({})).unwrap();
    keys.extend([first.clone(), second.clone(), token.clone(), trial["api_key"].as_str().unwrap().to_owned()]);

    let mut errors = Vec::new();
    let mut keep = |what: String, answer: Option<(u16, Value)>| {
        if let Some((_, body)) = answer {
            errors.push((what, body.to_string()));
        }
    };
    keys.extend(make_keys_as_a_person(&api.with(&token), &token, &mut keep));
    for key in &keys {
        keep(
            format!("verify {}", &key[..8]),
            api.try_post("/v1/keys/verify", &json!({ "key": key, "permissions": ["x:y"] })),
        );
        keep("explain".into(), api.try_post("/v1/keys/explain", &json!({ "key": key })));
        // A key where it does not belong.
        for misplaced in [
            json!({ "key": key, key: 1 }),
            json!({ "key": key, "permissions": key }),
            json!({ "key": key, "permissions": [key] }),
            json!({ "key": key, "ip": key }),
            json!({ "key": key, "cost": key }),
            json!({ "key": [key] }),
        ] {
            keep("a misplaced key".into(), api.try_post("/v1/keys/verify", &misplaced));
        }
        for field in
            ["kind", "environment", "role", "account_id", "expires_in", "permissions", "ratelimits", "refill", key]
        {
            let mut body = json!({ "account_id": api.account });
            body[field] = json!(key);
            keep(format!("create with a key as {}", &field[..4]), api.try_post("/v1/keys", &body));
        }
        keep("a key in a path".into(), api.try_post(&format!("/v1/keys/{key}/rotate"), &json!({})));
        keep(
            "a key in a query".into(),
            api.try_post(&format!("/v1/keys/verify?api_key={key}"), &json!({ "key": "x" })),
        );
        api.text(&format!("/v1/keys?cursor={key}"));
        api.text(&format!("/v1/keys?{key}=1"));
        keep("a broken body".into(), api.try_post("/v1/keys/verify", &Value::String(key.clone())));
    }
    api.try_delete(&format!("/v1/keys/{id}"));
    keep("a revoked key".into(), api.try_post("/v1/keys/verify", &json!({ "key": second })));
    let mut secrets: Vec<String> = keys.iter().map(|key| secret_part(key)).collect();
    secrets.push(secret_part(ready["operator_key"].as_str().unwrap()));
    secrets.push(ready["user"]["password"].as_str().unwrap().to_owned());
    (secrets, errors)
}

/// A person makes keys at every provider's door, with a token where it belongs and where it does not. Returns the keys.
fn make_keys_as_a_person(
    person: &Api,
    token: &str,
    keep: &mut impl FnMut(String, Option<(u16, Value)>),
) -> Vec<String> {
    let mut keys = Vec::new();
    for (path, body) in [
        ("/v1/auth/api-keys", json!({ "name": "canary", "scopes": ["org:read"] })),
        ("/api/v1/user/api-keys", json!({})),
        ("/api/v1/dashboard/api-keys", json!({ "name": "canary", "service": "storage" })),
    ] {
        let (status, made) = person.try_post(path, &body).unwrap();
        assert_eq!(status, 201, "{path}");
        keys.push(made["key"].as_str().unwrap().to_owned());
        for field in ["name", "scopes", "role", "service", token] {
            let mut body = body.clone();
            body[field] = json!(token);
            keep(format!("a token in {path}"), person.try_post(path, &body));
        }
    }
    keys
}
