//! Members and invitations.

use keywright_core::id::InvitationId;
use keywright_core::key::Key;
use keywright_core::member::{Invitation, Member, MemberRole};
use keywright_store::StoreError;
use keywright_store::keys::{insert_key, list_keys_by_person, update_key};
use keywright_store::members::{
    count_invitations, count_other_owners, delete_invitation, delete_invitation_to, delete_member, find_invitation,
    find_member, forget_invitations, insert_invitation, insert_member, list_invitations, list_members, update_member,
};
use keywright_store::testing::Fresh;
use keywright_store::users::{insert_user, update_disabled};

use crate::on_both_engines;
use crate::samples::{account_id, at, key, user, with_accounts};

on_both_engines! {
    a_member_is_found_listed_changed_and_taken_out,
    owners_who_are_shut_out_do_not_count,
    an_invitation_is_one_an_address_until_it_is_over,
    keys_of_a_person_are_those_of_a_kind_that_they_made,
}

async fn with_people(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    for (number, role) in [(1, MemberRole::Owner), (2, MemberRole::Viewer), (3, MemberRole::Owner)] {
        insert_user(&mut tx, &user(number), "").await.unwrap();
        insert_member(&mut tx, account_id(1), user(number).id, role, at(5)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn invitation(number: u128, email: &str) -> Invitation {
    Invitation {
        id: InvitationId::from_bits(number),
        account: account_id(1),
        email: email.into(),
        role: MemberRole::Admin,
        invited_by: "local".into(),
        created_at: at(10),
        expires_at: at(100),
    }
}

async fn a_member_is_found_listed_changed_and_taken_out(fresh: &Fresh) {
    with_people(fresh).await;
    let mut tx = fresh.db.begin().await.unwrap();
    let (account, id) = (account_id(1), user(2).id);
    let found = find_member(&tx, account, id).await.unwrap().unwrap();
    let expected = Member {
        account,
        user: id,
        email: user(2).email,
        role: MemberRole::Viewer,
        second_factor_at: user(2).second_factor_at,
        disabled_at: None,
        since: at(5),
    };
    assert_eq!(found, expected);
    let listed = list_members(&tx, account, Some(user(1).id), 1).await.unwrap();
    assert_eq!(listed, [expected]);
    update_member(&mut tx, account, id, MemberRole::Admin).await.unwrap();
    assert_eq!(find_member(&tx, account, id).await.unwrap().unwrap().role, MemberRole::Admin);
    delete_member(&mut tx, account, id).await.unwrap();
    assert_eq!(find_member(&tx, account, id).await, Ok(None));
    assert_eq!(find_member(&tx, account_id(2), user(1).id).await, Ok(None));
    tx.commit().await.unwrap();
    // A transaction in which something failed ends there.
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(delete_member(&mut tx, account, id).await, Err(StoreError::Conflict));
    drop(tx);
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(update_member(&mut tx, account, id, MemberRole::Admin).await, Err(StoreError::Conflict));
}

async fn owners_who_are_shut_out_do_not_count(fresh: &Fresh) {
    with_people(fresh).await;
    let mut tx = fresh.db.begin().await.unwrap();
    let count = async |tx: &keywright_store::Tx, number| count_other_owners(tx, account_id(1), user(number).id).await;
    assert_eq!((count(&tx, 1).await, count(&tx, 2).await), (Ok(1), Ok(2)));
    update_disabled(&mut tx, user(3).id, Some(at(9))).await.unwrap();
    assert_eq!((count(&tx, 1).await, count(&tx, 3).await), (Ok(0), Ok(1)));
}

async fn an_invitation_is_one_an_address_until_it_is_over(fresh: &Fresh) {
    with_people(fresh).await;
    let mut tx = fresh.db.begin().await.unwrap();
    let (ann, bob) = (invitation(1, "ann@example.com"), invitation(2, "bob@example.com"));
    insert_invitation(&mut tx, &ann).await.unwrap();
    insert_invitation(&mut tx, &bob).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(find_invitation(&tx, ann.id).await, Ok(Some(ann.clone())));
    assert_eq!(list_invitations(&tx, account_id(1), Some(ann.id), at(50), 9).await, Ok(vec![bob.clone()]));
    assert_eq!(list_invitations(&tx, account_id(1), None, at(100), 9).await, Ok(Vec::new()), "they are over");
    let count = async |tx: &keywright_store::Tx, now| count_invitations(tx, account_id(1), at(now)).await;
    assert_eq!((count(&tx, 99).await, count(&tx, 100).await), (Ok(2), Ok(0)));
    assert_eq!(delete_invitation_to(&mut tx, account_id(1), "ann@example.com").await, Ok(true));
    assert_eq!(delete_invitation_to(&mut tx, account_id(1), "ann@example.com").await, Ok(false));
    delete_invitation(&mut tx, bob.id).await.unwrap();
    insert_invitation(&mut tx, &ann).await.unwrap();
    assert_eq!(forget_invitations(&mut tx, at(100)).await, Ok(0));
    assert_eq!(forget_invitations(&mut tx, at(101)).await, Ok(1));
    insert_invitation(&mut tx, &ann).await.unwrap();
    let again = Invitation { id: InvitationId::from_bits(9), ..ann };
    assert_eq!(insert_invitation(&mut tx, &again).await, Err(StoreError::Conflict));
    drop(tx);
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(delete_invitation(&mut tx, again.id).await, Err(StoreError::Conflict));
}

async fn keys_of_a_person_are_those_of_a_kind_that_they_made(fresh: &Fresh) {
    with_people(fresh).await;
    let mut tx = fresh.db.begin().await.unwrap();
    let person = format!("user:{}", user(1).id);
    let made = |number, account| Key { created_by: person.clone(), ..key(number, account) };
    let mut revoked = Key { revoked_at: None, ..made(3, 1) };
    for key in [&made(1, 1), &made(2, 2), &revoked, &key(4, 1)] {
        insert_key(&mut tx, &Key { revoked_at: None, ..key.clone() }).await.unwrap();
    }
    revoked.revoked_at = Some(at(9));
    update_key(&mut tx, &revoked).await.unwrap();
    let kind = &key(1, 1).kind;
    let ids = async |kind: &str, account| -> Vec<_> {
        let listed = list_keys_by_person(&tx, &person, kind, account).await.unwrap();
        listed.into_iter().map(|key| key.id).collect()
    };
    assert_eq!(ids(kind, None).await, [made(1, 1).id, made(2, 2).id]);
    assert_eq!(ids(kind, Some(account_id(2))).await, [made(2, 2).id]);
    assert_eq!(ids("another", None).await, []);
}
