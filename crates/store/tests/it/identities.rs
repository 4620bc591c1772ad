//! Identities at providers.

use keywright_core::account::Standing;
use keywright_core::external::LinkedIdentity;
use keywright_core::id::IdentityId;
use keywright_core::member::MemberRole;
use keywright_store::StoreError;
use keywright_store::identities::{
    Place, delete_identity, find_identity, find_identity_of, find_places, insert_identity, list_identities,
};
use keywright_store::members::insert_member;
use keywright_store::testing::Fresh;
use keywright_store::users::{insert_user, update_disabled};

use crate::on_both_engines;
use crate::samples::{account_id, at, user, with_accounts};

on_both_engines! {
    an_identity_is_one_persons_and_a_person_has_several,
    whose_it_is_is_found_with_every_account_of_theirs,
    a_deleted_identity_is_nobodys,
}

const ISSUER: &str = "https://id.example";

fn identity(number: u128, person: u128) -> LinkedIdentity {
    LinkedIdentity {
        id: IdentityId::from_bits(number),
        issuer: ISSUER.into(),
        subject: format!("subject|{number}"),
        user: user(person).id,
        email: (number == 1).then(|| "ann@example.com".into()),
        created_at: at(4),
    }
}

/// Two people, of whom the first has two identities.
async fn with_identities(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    for person in 1..=2 {
        insert_user(&mut tx, &user(person), "").await.unwrap();
    }
    for (number, person) in [(1, 1), (2, 1), (3, 2)] {
        insert_identity(&mut tx, &identity(number, person)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn an_identity_is_one_persons_and_a_person_has_several(fresh: &Fresh) {
    with_identities(fresh).await;
    assert_eq!(find_identity(&fresh.db, ISSUER, "subject|1").await.unwrap(), Some(identity(1, 1)));
    for (issuer, subject) in [(ISSUER, "SUBJECT|1"), ("https://id.example/", "subject|1"), (ISSUER, "")] {
        assert_eq!(find_identity(&fresh.db, issuer, subject).await.unwrap(), None);
    }
    let all = list_identities(&fresh.db, user(1).id, None, 10).await.unwrap();
    assert_eq!(all, [identity(1, 1), identity(2, 1)]);
    let rest = list_identities(&fresh.db, user(1).id, Some(IdentityId::from_bits(1)), 10).await.unwrap();
    assert_eq!(rest, [identity(2, 1)]);
    let mut tx = fresh.db.begin().await.unwrap();
    let theirs = LinkedIdentity { id: IdentityId::from_bits(9), ..identity(1, 2) };
    let of_nobody = identity(9, 7);
    let elsewhere = LinkedIdentity { issuer: "https://other.example".into(), ..theirs.clone() };
    for (identity, expected) in
        [(theirs, Err(StoreError::Conflict)), (of_nobody, Err(StoreError::Conflict)), (elsewhere, Ok(()))]
    {
        tx.begin_job().unwrap();
        assert_eq!(insert_identity(&mut tx, &identity).await, expected, "{identity:?}");
        if expected.is_err() {
            tx.undo_job().await.unwrap();
        }
    }
}

async fn whose_it_is_is_found_with_every_account_of_theirs(fresh: &Fresh) {
    with_identities(fresh).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_member(&mut tx, account_id(1), user(1).id, MemberRole::Owner, at(1)).await.unwrap();
    insert_member(&mut tx, account_id(2), user(1).id, MemberRole::Viewer, at(1)).await.unwrap();
    tx.commit().await.unwrap();
    let place = |number, role| Place { account: account_id(number), role, standing: Standing::Active };
    let both = vec![place(1, MemberRole::Owner), place(2, MemberRole::Viewer)];
    for subject in ["subject|1", "subject|2"] {
        let found = find_places(&fresh.db, ISSUER, subject).await.unwrap();
        assert_eq!(found, Some((user(1).id, both.clone())));
    }
    assert_eq!(find_places(&fresh.db, ISSUER, "subject|3").await.unwrap(), Some((user(2).id, Vec::new())));
    assert_eq!(find_places(&fresh.db, ISSUER, "subject|4").await.unwrap(), None);
    let mut tx = fresh.db.begin().await.unwrap();
    update_disabled(&mut tx, user(1).id, Some(at(1))).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find_places(&fresh.db, ISSUER, "subject|1").await.unwrap(), Some((user(1).id, Vec::new())));
}

async fn a_deleted_identity_is_nobodys(fresh: &Fresh) {
    with_identities(fresh).await;
    let id = IdentityId::from_bits(1);
    assert_eq!(find_identity_of(&fresh.db, user(2).id, id).await.unwrap(), None);
    assert_eq!(find_identity_of(&fresh.db, user(1).id, id).await.unwrap(), Some(identity(1, 1)));
    let mut tx = fresh.db.begin().await.unwrap();
    delete_identity(&mut tx, id).await.unwrap();
    assert_eq!(delete_identity(&mut tx, id).await, Err(StoreError::Conflict));
    tx.rollback().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    delete_identity(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find_places(&fresh.db, ISSUER, "subject|1").await.unwrap(), None);
}
