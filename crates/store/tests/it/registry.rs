//! The services accounts have.

use keywright_core::id::{ServiceId, SshKeyId};
use keywright_core::registry::Registered;
use keywright_store::StoreError;
use keywright_store::registry::{
    count_services, delete_service, find_service, insert_service, list_services, update_service,
};
use keywright_store::ssh_keys::{delete_ssh_key, insert_ssh_key, list_ssh_keys};
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::{account_id, at, metadata, with_accounts};
use crate::ssh_keys::ssh_key;

on_both_engines! {
    a_service_reads_back_as_written_and_its_accounts_alone,
    a_change_names_its_version,
    a_machine_counts_for_the_keys_its_metadata_names,
}

fn service(number: u128, account: u128) -> Registered {
    Registered {
        id: ServiceId::from_bits(number),
        account: account_id(account),
        service_type: "vps".into(),
        name: format!("machine {number}"),
        status: "running".into(),
        region: "oslo".into(),
        metadata: metadata(r#"{"cpus":4}"#),
        created_at: at(6),
        updated_at: at(7),
        version: 1,
    }
}

/// A machine with these keys on it.
fn with_keys(number: u128, account: u128, keys: &[u128]) -> Registered {
    let ids: Vec<String> = keys.iter().map(|key| SshKeyId::from_bits(*key).to_string()).collect();
    let metadata = metadata(&serde_json::json!({ "ssh_key_ids": ids }).to_string());
    Registered { metadata, ..service(number, account) }
}

async fn a_service_reads_back_as_written_and_its_accounts_alone(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    for (number, account) in [(2, 1), (1, 1), (3, 2)] {
        insert_service(&mut tx, &service(number, account)).await.unwrap();
    }
    assert_eq!(insert_service(&mut tx, &service(3, 1)).await, Err(StoreError::Conflict));
    tx.rollback().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    for (number, account) in [(2, 1), (1, 1), (3, 2)] {
        insert_service(&mut tx, &service(number, account)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let first = service(1, 1);
    assert_eq!(find_service(&fresh.db, first.id, account_id(1)).await.unwrap(), Some(first.clone()));
    assert_eq!(find_service(&fresh.db, first.id, account_id(2)).await.unwrap(), None);
    let list = async |after, limit| list_services(&fresh.db, account_id(1), after, limit).await.unwrap();
    assert_eq!(list(None, 10).await, [first.clone(), service(2, 1)]);
    assert_eq!([list(None, 1).await, list(Some(first.id), 10).await], [[first], [service(2, 1)]]);
    assert_eq!(count_services(&fresh.db, account_id(1)).await.unwrap(), 2);
}

async fn a_change_names_its_version(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_service(&mut tx, &service(1, 1)).await.unwrap();
    let changed = Registered {
        name: "renamed".into(),
        status: "stopped".into(),
        region: String::new(),
        metadata: metadata("{}"),
        updated_at: at(50),
        ..service(1, 1)
    };
    update_service(&mut tx, &changed).await.unwrap();
    let stored = find_service(&tx, changed.id, changed.account).await.unwrap();
    assert_eq!(stored, Some(Registered { version: 2, ..changed.clone() }));
    tx.begin_job().unwrap();
    assert_eq!(update_service(&mut tx, &changed).await, Err(StoreError::Conflict), "an old version");
    tx.undo_job().await.unwrap();
    delete_service(&mut tx, changed.id).await.unwrap();
    assert_eq!(delete_service(&mut tx, changed.id).await, Err(StoreError::Conflict));
}

async fn a_machine_counts_for_the_keys_its_metadata_names(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    for (number, account) in [(1, 1), (2, 1), (3, 2)] {
        insert_ssh_key(&mut tx, &ssh_key(number, account)).await.unwrap();
    }
    // Key 3 is another account's and key 9 is nobody's: neither counts.
    insert_service(&mut tx, &with_keys(1, 1, &[1, 2, 3, 9])).await.unwrap();
    insert_service(&mut tx, &with_keys(2, 1, &[1])).await.unwrap();
    insert_service(&mut tx, &Registered { service_type: "database".into(), ..with_keys(3, 1, &[1]) }).await.unwrap();
    tx.commit().await.unwrap();
    let counts = async |account| -> Vec<i64> {
        let listed = list_ssh_keys(&fresh.db, account_id(account), 10).await.unwrap();
        listed.into_iter().map(|(_, count)| count).collect()
    };
    assert_eq!([counts(1).await, counts(2).await], [vec![2, 1], vec![0]]);

    let mut tx = fresh.db.begin().await.unwrap();
    update_service(&mut tx, &with_keys(1, 1, &[2])).await.unwrap();
    delete_service(&mut tx, ServiceId::from_bits(2)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counts(1).await, [0, 1]);

    let mut tx = fresh.db.begin().await.unwrap();
    delete_ssh_key(&mut tx, SshKeyId::from_bits(2)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counts(1).await, [0], "the machine keeps its metadata, and that names a key that is gone");
}
