//! Keys that say when they were issued are stored by that, and found by it.

use std::time::Duration;

use keywright_app::core::id::KeyId;
use keywright_app::core::key::Secret;
use keywright_app::core::secret::{Form, Making, Pepper};
use keywright_app::store::secrets::{list_secrets, replace_digest};
use serde_json::json;

use crate::harness::{TestServer, text};

/// A key's secrets as they are stored, the newest first.
async fn stored(server: &TestServer, id: &str) -> Vec<Secret> {
    list_secrets(server.app.db(), id.parse::<KeyId>().unwrap()).await.unwrap()
}

async fn forms(server: &TestServer, id: &str) -> Vec<(i64, Form)> {
    stored(server, id).await.iter().map(|secret| (secret.making.pepper, secret.making.form)).collect()
}

#[tokio::test]
async fn keys_are_stored_in_the_order_they_were_issued_in() {
    let server = TestServer::start().await;
    let mut digests = Vec::new();
    for _ in 0..20 {
        let issued = server.key(json!({})).await;
        let [secret] = stored(&server, &issued.id).await.try_into().unwrap();
        assert_eq!(secret.digest.bytes()[..8], issued.key.as_bytes()["kw_live_".len()..][..8]);
        digests.push(secret.digest);
        server.wait("1ms");
    }
    assert!(digests.is_sorted());
    let wavis = server.key(json!({ "kind": "wavis", "environment": "live", "role": "developer" })).await;
    assert_eq!(forms(&server, &wavis.id).await, [(1, Form::Plain)], "it says nothing of the time");
}

#[tokio::test]
async fn a_key_from_before_works_on_and_is_refused_once_it_is_revoked() {
    let server = TestServer::start().await;
    let issued = server.key(json!({})).await;
    let pepper = Pepper::new(1, &server.seed("pepper").await.try_into().unwrap());
    let [secret] = stored(&server, &issued.id).await.try_into().unwrap();
    let (before, making) = (pepper.digest(issued.key.as_bytes()), Making { pepper: 1, form: Form::Plain });
    let mut tx = server.app.db().begin().await.unwrap();
    replace_digest(&mut tx, &secret.digest, &before, making).await.unwrap();
    tx.commit().await.unwrap();

    let server = server.restarted("1m", false).await;
    assert_eq!(server.code(&issued.key).await, "VALID");
    let rotate = format!("/v1/keys/{}/rotate", issued.id);
    let newer = text(&server.post(&rotate, &json!({ "grace": "24h" })).send().await.is(200), "key");
    assert_eq!([server.code(&issued.key).await, server.code(&newer).await], ["VALID"; 2]);
    assert_eq!(forms(&server, &issued.id).await, [(1, Form::Dated), (1, Form::Plain)]);

    // Each keeps its form under a new pepper, which it is stored under once it is used.
    let server = server.restarted("1m", true).await;
    assert_eq!([server.code(&issued.key).await, server.code(&newer).await], ["VALID"; 2]);
    let renewed = [(2, Form::Dated), (2, Form::Plain)];
    let stored_anew = async {
        while forms(&server, &issued.id).await != renewed {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), stored_anew).await.expect("its secrets are stored anew");
    assert_eq!([server.code(&issued.key).await, server.code(&newer).await], ["VALID"; 2]);
    server.delete(&format!("/v1/keys/{}", issued.id)).send().await.with(204);
    assert_eq!([server.code(&issued.key).await, server.code(&newer).await], ["REVOKED"; 2]);
}
