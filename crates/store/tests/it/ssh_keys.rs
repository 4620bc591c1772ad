//! SSH keys.

use keywright_core::id::SshKeyId;
use keywright_core::ssh::SshKey;
use keywright_store::StoreError;
use keywright_store::ssh_keys::{
    count_ssh_keys, delete_ssh_key, find_ssh_key, find_ssh_key_by_fingerprint, insert_ssh_key, list_ssh_keys,
};
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::{account_id, at, with_accounts};

on_both_engines! {
    a_key_reads_back_as_written_and_its_accounts_alone,
    an_account_has_a_key_once,
    a_deleted_key_is_gone,
}

pub(crate) fn ssh_key(number: u128, account: u128) -> SshKey {
    SshKey {
        id: SshKeyId::from_bits(number),
        account: account_id(account),
        name: format!("machine {number}"),
        key_type: "ssh-ed25519".into(),
        fingerprint: format!("SHA256:{number}"),
        public_key: format!("ssh-ed25519 AAAA{number} you@machine"),
        created_at: at(5),
    }
}

async fn a_key_reads_back_as_written_and_its_accounts_alone(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    for (number, account) in [(2, 1), (1, 1), (3, 2)] {
        insert_ssh_key(&mut tx, &ssh_key(number, account)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let key = ssh_key(2, 1);
    assert_eq!(find_ssh_key(&fresh.db, key.id, key.account).await.unwrap(), Some(key.clone()));
    assert_eq!(find_ssh_key(&fresh.db, key.id, account_id(2)).await.unwrap(), None);
    let by = async |account, text| find_ssh_key_by_fingerprint(&fresh.db, account_id(account), text).await.unwrap();
    assert_eq!([by(1, "SHA256:2").await, by(2, "SHA256:2").await], [Some(key.clone()), None]);
    let listed = list_ssh_keys(&fresh.db, account_id(1), 10).await.unwrap();
    assert_eq!(listed, [(ssh_key(1, 1), 0), (key, 0)]);
    assert_eq!(list_ssh_keys(&fresh.db, account_id(1), 1).await.unwrap().len(), 1);
    assert_eq!(count_ssh_keys(&fresh.db, account_id(1)).await.unwrap(), 2);
}

async fn an_account_has_a_key_once(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_ssh_key(&mut tx, &ssh_key(1, 1)).await.unwrap();
    let same = |number, account| SshKey { fingerprint: "SHA256:1".into(), ..ssh_key(number, account) };
    insert_ssh_key(&mut tx, &same(2, 2)).await.unwrap();
    assert_eq!(insert_ssh_key(&mut tx, &same(3, 1)).await, Err(StoreError::Conflict));
}

async fn a_deleted_key_is_gone(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_ssh_key(&mut tx, &ssh_key(1, 1)).await.unwrap();
    delete_ssh_key(&mut tx, SshKeyId::from_bits(1)).await.unwrap();
    assert_eq!(count_ssh_keys(&tx, account_id(1)).await.unwrap(), 0);
    assert_eq!(delete_ssh_key(&mut tx, SshKeyId::from_bits(1)).await, Err(StoreError::Conflict));
}
