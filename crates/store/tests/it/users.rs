//! People and memberships.

use keywright_core::account::User;
use keywright_core::member::MemberRole;
use keywright_store::StoreError;
use keywright_store::members::insert_member;
use keywright_store::testing::Fresh;
use keywright_store::users::{
    Credentials, UserFilter, count_operators, find_credentials, find_credentials_by_email, find_pending_email,
    find_user, insert_user, list_users, update_disabled, update_email, update_operator, update_password,
    update_pending_email,
};

use crate::on_both_engines;
use crate::samples::{account_id, at, user, with_accounts};

on_both_engines! {
    a_person_is_found_by_address,
    an_address_is_taken_once,
    a_password_is_changed_over_the_one_it_was_decided_by,
    any_number_of_people_have_none,
    another_address_waits_until_it_is_shown_to_be_theirs,
    a_membership_needs_both_ends_and_is_made_once,
    operators_are_counted_who_can_log_in,
    people_are_found_by_a_part_of_their_address,
}

async fn a_person_is_found_by_address(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(1), "$argon2id$x").await.unwrap();
    tx.commit().await.unwrap();
    let found = find_credentials_by_email(&fresh.db, "person1@example.com").await.unwrap();
    let expected = Credentials { user: user(1), password_hash: "$argon2id$x".into(), totp_sealed: None, totp_step: 0 };
    assert!(found == Some(expected.clone()));
    assert!(find_credentials(&fresh.db, user(1).id).await.unwrap() == Some(expected));
    assert!(find_credentials_by_email(&fresh.db, "person2@example.com").await.unwrap().is_none());
}

async fn a_password_is_changed_over_the_one_it_was_decided_by(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(1), "a").await.unwrap();
    assert_eq!(update_password(&mut tx, user(1).id, "b", "c", at(5)).await, Ok(false));
    assert_eq!(update_password(&mut tx, user(1).id, "a", "c", at(5)).await, Ok(true));
    let found = find_credentials(&tx, user(1).id).await.unwrap().unwrap();
    assert_eq!(found.password_hash, "c");
}

async fn another_address_waits_until_it_is_shown_to_be_theirs(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    for number in 1..=2 {
        insert_user(&mut tx, &user(number), "").await.unwrap();
    }
    update_pending_email(&mut tx, user(1).id, Some("new@example.com")).await.unwrap();
    assert_eq!(find_pending_email(&tx, user(1).id).await, Ok(Some("new@example.com".into())));
    assert_eq!(find_pending_email(&tx, user(2).id).await, Ok(None));
    update_email(&mut tx, user(1).id, "new@example.com", at(9)).await.unwrap();
    let changed = find_user(&tx, user(1).id).await.unwrap().unwrap();
    assert_eq!((changed.email.as_deref(), changed.email_verified_at), (Some("new@example.com"), Some(at(9))));
    assert_eq!(find_pending_email(&tx, user(1).id).await, Ok(None));
    assert_eq!(update_email(&mut tx, user(2).id, "new@example.com", at(9)).await, Err(StoreError::Conflict));
}

async fn an_address_is_taken_once(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(1), "a").await.unwrap();
    let mut other = user(2);
    other.email = user(1).email;
    assert_eq!(insert_user(&mut tx, &other, "b").await, Err(StoreError::Conflict));
}

async fn any_number_of_people_have_none(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    for number in 1..=2 {
        let nameless = User { email: None, ..user(number) };
        insert_user(&mut tx, &nameless, "").await.unwrap();
        assert_eq!(find_user(&tx, nameless.id).await.unwrap(), Some(nameless));
    }
    tx.commit().await.unwrap();
    let all = UserFilter { limit: 10, ..UserFilter::default() };
    assert_eq!(list_users(&fresh.db, &all).await.unwrap().iter().filter(|user| user.email.is_none()).count(), 2);
}

async fn a_membership_needs_both_ends_and_is_made_once(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(1), "a").await.unwrap();
    insert_member(&mut tx, account_id(1), user(1).id, MemberRole::Owner, at(1)).await.unwrap();
    for (account, person) in [(1, 1), (2, 1), (1, 2)] {
        tx.begin_job().unwrap();
        let refused = insert_member(&mut tx, account_id(account), user(person).id, MemberRole::Viewer, at(2)).await;
        assert_eq!(refused, Err(StoreError::Conflict), "{account} {person}");
        tx.undo_job().await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn operators_are_counted_who_can_log_in(fresh: &Fresh) {
    let everything = vec!["*".to_owned()];
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(1), "a").await.unwrap();
    let operator = User { operator: Some(everything.clone()), ..user(2) };
    insert_user(&mut tx, &operator, "b").await.unwrap();
    insert_user(&mut tx, &User { operator: Some(everything.clone()), ..user(3) }, "").await.unwrap();
    assert_eq!(find_user(&tx, operator.id).await, Ok(Some(operator.clone())));
    assert_eq!(count_operators(&tx).await, Ok(1), "one has no password");
    update_operator(&mut tx, user(1).id, Some(&everything)).await.unwrap();
    assert_eq!(count_operators(&tx).await, Ok(2));
    update_disabled(&mut tx, user(2).id, Some(at(9))).await.unwrap();
    update_operator(&mut tx, user(1).id, None).await.unwrap();
    assert_eq!(count_operators(&tx).await, Ok(0));
    assert_eq!(update_operator(&mut tx, user(9).id, None).await, Err(StoreError::Conflict));
}

async fn people_are_found_by_a_part_of_their_address(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    for number in 1..=3 {
        insert_user(&mut tx, &user(number), "a").await.unwrap();
    }
    update_operator(&mut tx, user(3).id, Some(&["audit:read".to_owned()])).await.unwrap();
    tx.commit().await.unwrap();
    let find = async |words: &str, operators| {
        let words = Some(words.to_owned()).filter(|words| !words.is_empty());
        let filter = UserFilter { words, operators, limit: 10, ..UserFilter::default() };
        list_users(&fresh.db, &filter).await.unwrap().iter().map(|user| user.id.bits()).collect::<Vec<_>>()
    };
    assert_eq!(find("", false).await, [1, 2, 3]);
    assert_eq!(find("SON2@", false).await, [2]);
    assert_eq!(find(&user(3).id.to_string(), false).await, [3]);
    assert_eq!(find("%", false).await, [0; 0]);
    assert_eq!(find("", true).await, [3]);
    assert_eq!(find("person1", true).await, [0; 0]);
}
