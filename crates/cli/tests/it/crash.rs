//! `kill -9` at random moments of creates, rotations and revocations, a hundred times on one data folder (security.md 59).
//!
//! What was acknowledged must be there after the next start; what was not may be there, but whole; the audit log's
//! chain must hold. Clients keep what they were told in order, so that the last word on each key is known.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::support::{Desk, Server};

const KILLS: u32 = 100;
const CLIENTS: usize = 6;

/// What a client was told of a key.
#[derive(Clone, Debug)]
struct Known {
    id: String,
    /// The newest plaintext it was given.
    plain: String,
    revoked: bool,
    /// A call about it got no answer: it may have happened.
    unsure: bool,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_done() {
    let desk = Desk::new();
    let mut known: HashMap<String, Known> = HashMap::new();
    let mut created = 0;
    for round in 0..KILLS {
        let (server, ready) = desk.dev();
        let api = Api::of(&ready);
        check(&api, &known);
        let told = torment(server, &api, round);
        created += told.len();
        known.extend(told.into_iter().map(|key| (key.id.clone(), key)));
    }
    assert!(created > KILLS as usize, "only {created} keys were made: the kills came too early to prove anything");
    let (_server, ready) = desk.dev();
    check(&Api::of(&ready), &known);
    check_whole(&Api::of(&ready));
}

/// Calls from several clients at once until the server is killed.
fn torment(server: Server, api: &Api, round: u32) -> Vec<Known> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (api, told, over) = (api.clone(), Arc::clone(&told), Arc::clone(&over));
            std::thread::spawn(move || {
                let mut step = client;
                while !over.load(Ordering::Relaxed) {
                    match live_a_life(&api, step) {
                        Some(key) => told.lock().unwrap().push(key),
                        None => return,
                    }
                    step += 1;
                }
            })
        })
        .collect();
    // The moment is spread over a create's, a rotation's and a revocation's whole length.
    let moment = 15 + u64::from(round.wrapping_mul(2_654_435_761) % 120);
    std::thread::sleep(Duration::from_millis(moment));
    server.kill();
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    Arc::try_unwrap(told).unwrap().into_inner().unwrap()
}

/// A key's life, as far as it comes; `None` where not even its creation was acknowledged.
fn live_a_life(api: &Api, step: usize) -> Option<Known> {
    let account = &api.account;
    let (status, made) =
        api.try_post("/v1/keys", &json!({ "account_id": account, "name": format!("crash {step}") }))?;
    assert_eq!(status, 201, "{made}");
    let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
    let mut key = Known { id: text(&made, "id"), plain: text(&made, "key"), revoked: false, unsure: false };
    if !step.is_multiple_of(3) {
        match api.try_post(&format!("/v1/keys/{}/rotate", key.id), &json!({ "grace": "1h" })) {
            Some((status, rotated)) => {
                assert_eq!(status, 200, "{rotated}");
                key.plain = text(&rotated, "key");
            }
            None => return Some(Known { unsure: true, ..key }),
        }
    }
    if step % 3 == 2 {
        match api.try_delete(&format!("/v1/keys/{}", key.id)) {
            Some(status) => {
                assert_eq!(status, 204);
                key.revoked = true;
            }
            None => return Some(Known { unsure: true, ..key }),
        }
    }
    Some(key)
}

/// Every key is as its client was last told.
fn check(api: &Api, known: &HashMap<String, Known>) {
    for key in known.values() {
        let (_, verdict) = api.try_post("/v1/keys/verify", &json!({ "key": key.plain })).unwrap();
        let code = verdict["code"].as_str().unwrap();
        let allowed: &[&str] = match (key.revoked, key.unsure) {
            (true, _) => &["REVOKED"],
            (false, false) => &["VALID"],
            // A rotation leaves the old secret in its grace; a revocation may have happened.
            (false, true) => &["VALID", "REVOKED"],
        };
        assert!(allowed.contains(&code), "{key:?} is {code}");
    }
}

/// Every key there is has one live secret, was audited, and the chain holds.
fn check_whole(api: &Api) {
    let (_, followed) = api.try_post("/v1/audit/verify", &json!({})).unwrap();
    assert_eq!(followed["intact"], true, "{followed}");
    let created = api.list("/v1/audit?action=key.create").len();
    let rotated = api.list("/v1/audit?action=key.rotate").len();
    let revoked = api.list("/v1/audit?action=key.revoke").len();
    let keys = api.list("/v1/keys?");
    assert_eq!(keys.len(), created);
    assert_eq!(keys.iter().filter(|key| !key["rotated_at"].is_null()).count(), rotated);
    assert_eq!(keys.iter().filter(|key| key["status"] == "revoked").count(), revoked);
    for key in keys.iter().step_by(7) {
        let whole = api.get(&format!("/v1/keys/{}", key["id"].as_str().unwrap()));
        let secrets = whole["secrets"].as_array().unwrap();
        let live = secrets.iter().filter(|secret| secret["expires_at"].is_null()).count();
        assert_eq!(live, 1, "{whole}");
        assert_eq!(secrets.len(), 1 + usize::from(!key["rotated_at"].is_null()), "{whole}");
    }
}
