//! The keyring.

use keywright_store::StoreError;
use keywright_store::keyring::{Sealed, insert_keyring, list_keyring, update_sealed};
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::at;

on_both_engines! {
    secrets_are_listed_by_purpose_and_version,
    a_version_is_taken_once,
    a_secret_is_sealed_anew_in_place,
}

fn sealed(purpose: &str, version: i64) -> Sealed {
    Sealed { purpose: purpose.into(), version, sealed: vec![0, 1, 255], created_at: at(version) }
}

async fn secrets_are_listed_by_purpose_and_version(fresh: &Fresh) {
    assert!(list_keyring(&fresh.db).await.unwrap().is_empty());
    let mut tx = fresh.db.begin().await.unwrap();
    for (purpose, version) in [("pepper", 10), ("pepper", 2), ("chain", 1)] {
        insert_keyring(&mut tx, &sealed(purpose, version)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let listed = list_keyring(&fresh.db).await.unwrap();
    assert!(listed == [sealed("chain", 1), sealed("pepper", 2), sealed("pepper", 10)]);
}

async fn a_version_is_taken_once(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_keyring(&mut tx, &sealed("pepper", 1)).await.unwrap();
    assert_eq!(insert_keyring(&mut tx, &sealed("pepper", 1)).await, Err(StoreError::Conflict));
}

async fn a_secret_is_sealed_anew_in_place(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_keyring(&mut tx, &sealed("pepper", 1)).await.unwrap();
    insert_keyring(&mut tx, &sealed("pepper", 2)).await.unwrap();
    update_sealed(&mut tx, "pepper", 2, &[9]).await.unwrap();
    let listed = list_keyring(&tx).await.unwrap();
    assert_eq!(listed.iter().map(|secret| secret.sealed.as_slice()).collect::<Vec<_>>(), [&[0, 1, 255][..], &[9]]);
    assert_eq!(update_sealed(&mut tx, "pepper", 3, &[9]).await, Err(StoreError::Conflict));
}
