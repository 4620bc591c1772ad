//! What goes wrong outside: damaged rows, a full disk, files that are no database, a server that is gone.

use keywright_core::id::AccountId;
use keywright_store::keys::{KeyFilter, find_key, insert_key, list_keys};
use keywright_store::secrets::{find_secret, list_makings};
use keywright_store::testing::{self, Fresh};
use keywright_store::{Db, StoreError, accounts, audit};

use crate::on_both_engines;
use crate::samples::{at, digest, key, key_id, metadata, with_accounts, with_key};
use crate::sqlite_only::path_of;

on_both_engines! {
    a_value_that_does_not_decode_is_corrupt_and_not_repeated,
    a_missing_audit_head_is_corrupt,
    errors_never_hold_a_value,
}

async fn a_value_that_does_not_decode_is_corrupt_and_not_repeated(fresh: &Fresh) {
    let key = with_key(&fresh.db).await;
    for (damage, column) in [
        ("update keys set services = 'sesame'", "services"),
        ("update keys set services = '[]', ip_allowlist = 'sesame'", "ip_allowlist"),
        ("update keys set ip_allowlist = '', enabled = 2", "enabled"),
        ("update keys set enabled = 1, metadata = '[\"sesame\"]'", "metadata"),
        ("update keys set metadata = '{}', ratelimits = '{\"sesame\":1}'", "ratelimits"),
        ("update keys set ratelimits = '[]', refill_every_ms = -1", "refill_every_ms"),
    ] {
        fresh.db.run_raw(damage).await.unwrap();
        for result in [
            find_key(&fresh.db, key.id).await.map(drop),
            find_secret(&fresh.db, &[digest(1)]).await.map(drop),
            list_keys(&fresh.db, &KeyFilter::all(10, at(0))).await.map(drop),
        ] {
            let Err(StoreError::Corrupt(reason)) = result else { panic!("{damage}: {result:?}") };
            assert!(reason.contains(column) && !reason.contains("sesame"), "{damage}: {reason}");
        }
    }
    fresh.db.run_raw("update keys set refill_every_ms = null").await.unwrap();
    assert!(matches!(find_key(&fresh.db, key.id).await, Err(StoreError::Corrupt(_))), "half a refill");
    fresh.db.run_raw("update keys set refill_amount = null").await.unwrap();
    assert!(find_key(&fresh.db, key.id).await.is_ok());

    fresh.db.run_raw("update secrets set form = 7").await.unwrap();
    assert!(matches!(find_secret(&fresh.db, &[digest(1)]).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(list_makings(&fresh.db).await, Err(StoreError::Corrupt(_))));
    fresh.db.run_raw("update accounts set standing = 'sesame'").await.unwrap();
    let found = accounts::find_account(&fresh.db, AccountId::OPERATOR).await;
    assert!(matches!(found, Err(StoreError::Corrupt(reason)) if reason.contains("standing")));
}

async fn a_missing_audit_head_is_corrupt(fresh: &Fresh) {
    fresh.db.run_raw("delete from audit_head").await.unwrap();
    assert!(matches!(audit::audit_head(&fresh.db).await, Err(StoreError::Corrupt(_))));
}

async fn errors_never_hold_a_value(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    let mut taken = key(1, 1);
    taken.name = "sesame".into();
    let error = insert_key(&mut tx, &taken).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("sesame"));
    tx.rollback().await.unwrap();
    // PostgreSQL refuses a zero byte in a text, and says so; SQLite takes it.
    let mut tx = fresh.db.begin().await.unwrap();
    taken.id = key_id(2);
    taken.name = "sesame\0".into();
    if let Err(error) = insert_key(&mut tx, &taken).await {
        assert!(matches!(error, StoreError::Corrupt(_)) && !error.to_string().contains("sesame"), "{error}");
    }
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_service_continues() {
    let fresh = testing::sqlite().await;
    with_accounts(&fresh.db, 1).await;
    // As many pages as there are, and a few more. How many there may be is said to the connection that writes.
    let file = rusqlite::Connection::open(path_of(&fresh)).unwrap();
    let pages: i64 = file.query_row("pragma page_count", [], |row| row.get(0)).unwrap();
    fresh.db.run_raw(&format!("pragma max_page_count = {}", pages + 8)).await.unwrap();
    let large = |number| {
        let mut key = key(number, 1);
        key.metadata = metadata(&format!(r#"{{"a":"{}"}}"#, "x".repeat(3_000)));
        key
    };
    let mut tx = fresh.db.begin().await.unwrap();
    let mut kept = 0;
    let refused = loop {
        tx.begin_job().unwrap();
        match insert_key(&mut tx, &large(kept + 1)).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, StoreError::Unavailable(reason) if reason.contains("full")), "{refused:?}");
    assert!(kept > 0);
    // Whether the engine gave up the job alone or the whole batch, what is reported as kept is kept, and no more.
    let batch = match tx.undo_job().await {
        Ok(()) => tx.commit().await.is_ok(),
        Err(error) => {
            assert!(matches!(error, StoreError::Unavailable(_)));
            drop(tx);
            false
        }
    };
    let stored = list_keys(&fresh.db, &KeyFilter::all(1_000, at(0))).await.unwrap();
    assert_eq!(stored.len() as u128, if batch { kept } else { 0 }, "reading goes on");

    let mut tx = fresh.db.begin().await.unwrap();
    insert_key(&mut tx, &large(1_000)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(find_key(&fresh.db, key_id(1_000)).await.unwrap().is_some(), "and writing too, once there is room");
}

#[tokio::test]
async fn a_writer_in_another_process_is_waited_for_and_then_unavailable() {
    let fresh = testing::sqlite().await;
    let other = Db::open(&fresh.url).await.unwrap();
    let held = other.begin().await.unwrap();
    let refused = fresh.db.begin().await.err().unwrap();
    assert!(matches!(&refused, StoreError::Unavailable(reason) if reason.contains("locked")), "{refused:?}");
    fresh.db.ping().await.unwrap();
    held.rollback().await.unwrap();
    fresh.db.begin().await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn what_is_no_database_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keywright.db");
    std::fs::write(&file, "not a database, but long enough to be looked at as one".repeat(100)).unwrap();
    let url = format!("sqlite:{}", file.display());
    assert!(matches!(Db::open(&url).await, Err(StoreError::Corrupt(_))));

    let nowhere = format!("sqlite:{}", folder.path().join("no/such/folder/k.db").display());
    assert!(matches!(Db::open(&nowhere).await, Err(StoreError::Unavailable(reason)) if reason.contains("no/such")));
    for url in ["mysql://x", "", "postgres://user:sesame@:port/x", "postgres://user:sesame@127.0.0.1:1/x"] {
        let error = Db::open(url).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)) && !error.to_string().contains("sesame"), "{error}");
    }
}

#[tokio::test]
async fn a_backup_is_whole_private_and_never_overwrites() {
    let fresh = testing::sqlite().await;
    let key = with_key(&fresh.db).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("backup.db");
    // While a transaction is open: what it has not committed is not in the copy.
    let mut tx = fresh.db.begin().await.unwrap();
    insert_key(&mut tx, &crate::samples::key(2, 1)).await.unwrap();
    fresh.db.backup_to(&copy).await.unwrap();
    tx.commit().await.unwrap();

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let refused = fresh.db.backup_to(&copy).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(reason)) if reason.contains("exists")));
    let copied = Db::open(&format!("sqlite:{}", copy.display())).await.unwrap();
    assert_eq!(find_key(&copied, key.id).await.unwrap(), Some(key));
    assert_eq!(find_key(&copied, key_id(2)).await.unwrap(), None);
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_database_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let fresh = testing::sqlite().await;
    with_key(&fresh.db).await;
    let path = std::path::PathBuf::from(fresh.url.strip_prefix("sqlite:").unwrap());
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}
