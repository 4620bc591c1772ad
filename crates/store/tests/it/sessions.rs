//! Sessions.

use keywright_core::account::Standing;
use keywright_core::id::{AccountId, SessionId};
use keywright_core::member::MemberRole;
use keywright_core::session::{Method, Session};
use keywright_store::StoreError;
use keywright_store::members::{insert_member, list_memberships};
use keywright_store::sessions::{
    Access, end_account_sessions, end_other_sessions, end_session, find_access, find_session, forget_sessions,
    has_logged_in_from, insert_session, list_sessions, prove_session, take_turn, touch_session,
};
use keywright_store::testing::Fresh;
use keywright_store::users::{UserFilter, insert_user, list_users, update_disabled, update_operator};

use crate::on_both_engines;
use crate::samples::{account_id, at, user, with_accounts};

on_both_engines! {
    a_session_is_ended_once,
    a_turn_is_taken_once,
    a_session_that_is_used_goes_on,
    all_other_sessions_end_together,
    an_address_is_known_by_a_login,
    access_needs_a_membership_and_a_person_who_is_let_in,
    an_operator_needs_no_membership_in_the_operators_own_account,
    a_proof_is_written_down_while_the_session_holds,
    sessions_that_hold_are_listed_newest_first,
    people_are_listed_with_their_accounts,
}

fn session(number: u128) -> Session {
    Session {
        id: SessionId::from_bits(number),
        user: user(1).id,
        account: account_id(1),
        created_by: "local".into(),
        created_at: at(1),
        expires_at: at(100),
        ends_at: at(1_000),
        ended_at: None,
        method: Method::Totp,
        ip: "2001:db8::1".parse().ok(),
        user_agent: Some("curl/8".into()),
        salt: [7; 16],
        turn: 0,
        refreshed_at: None,
        proved_at: Some(at(1)),
    }
}

async fn with_sessions(fresh: &Fresh, count: u128) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(1), "").await.unwrap();
    for number in 1..=count {
        insert_session(&mut tx, &session(number)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn a_session_is_ended_once(fresh: &Fresh) {
    with_sessions(fresh, 1).await;
    let id = session(1).id;
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(end_session(&mut tx, id, at(5)).await, Ok(true));
    assert_eq!(end_session(&mut tx, id, at(6)).await, Ok(false));
    assert_eq!(end_session(&mut tx, SessionId::from_bits(9), at(6)).await, Ok(false));
    let ended = Session { ended_at: Some(at(5)), ..session(1) };
    assert_eq!(find_session(&tx, id).await, Ok(Some(ended)));
    let orphan = Session { user: user(2).id, ..session(2) };
    assert_eq!(insert_session(&mut tx, &orphan).await, Err(StoreError::Conflict));
}

async fn a_turn_is_taken_once(fresh: &Fresh) {
    with_sessions(fresh, 1).await;
    let next =
        Session { turn: 1, expires_at: at(150), ip: None, user_agent: None, refreshed_at: Some(at(50)), ..session(1) };
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(take_turn(&mut tx, &next, at(50)).await, Ok(true));
    assert_eq!(take_turn(&mut tx, &next, at(50)).await, Ok(false));
    assert_eq!(find_session(&tx, next.id).await, Ok(Some(next.clone())));
    let later = Session { turn: 2, ..next.clone() };
    assert_eq!(take_turn(&mut tx, &later, at(150)).await, Ok(false), "it is over");
    end_session(&mut tx, next.id, at(60)).await.unwrap();
    assert_eq!(take_turn(&mut tx, &later, at(60)).await, Ok(false), "it was ended");
}

async fn a_session_that_is_used_goes_on(fresh: &Fresh) {
    with_sessions(fresh, 1).await;
    let used = Session { expires_at: at(500), refreshed_at: Some(at(50)), ip: None, ..session(1) };
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(touch_session(&mut tx, &used, at(50)).await, Ok(true));
    assert_eq!(find_session(&tx, used.id).await, Ok(Some(used.clone())));
    assert_eq!(touch_session(&mut tx, &used, at(500)).await, Ok(false), "it is over");
    end_session(&mut tx, used.id, at(60)).await.unwrap();
    assert_eq!(touch_session(&mut tx, &used, at(70)).await, Ok(false), "it was ended");
}

async fn all_other_sessions_end_together(fresh: &Fresh) {
    with_sessions(fresh, 3).await;
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(end_other_sessions(&mut tx, user(1).id, Some(session(2).id), at(5)).await, Ok(2));
    assert_eq!(end_other_sessions(&mut tx, user(2).id, None, at(5)).await, Ok(0));
    assert_eq!(end_account_sessions(&mut tx, user(1).id, account_id(2), at(6)).await, Ok(0));
    assert_eq!(end_account_sessions(&mut tx, user(1).id, account_id(1), at(6)).await, Ok(1));
    assert_eq!(end_other_sessions(&mut tx, user(1).id, None, at(6)).await, Ok(0));
    assert_eq!(forget_sessions(&mut tx, at(1_000)).await, Ok(0));
    assert_eq!(forget_sessions(&mut tx, at(1_001)).await, Ok(3));
}

async fn an_address_is_known_by_a_login(fresh: &Fresh) {
    with_sessions(fresh, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    let begun = Session { method: Method::Operator, ip: "192.0.2.1".parse().ok(), ..session(2) };
    insert_session(&mut tx, &begun).await.unwrap();
    let known = async |email, ip: &str| has_logged_in_from(&tx, email, ip.parse().unwrap()).await;
    assert_eq!(known("person1@example.com", "2001:db8::1").await, Ok(true));
    assert_eq!(known("person1@example.com", "2001:db8::2").await, Ok(false));
    assert_eq!(known("person2@example.com", "2001:db8::1").await, Ok(false));
    assert_eq!(known("person1@example.com", "192.0.2.1").await, Ok(false), "an operator began it");
}

async fn access_needs_a_membership_and_a_person_who_is_let_in(fresh: &Fresh) {
    with_sessions(fresh, 1).await;
    assert_eq!(find_access(&fresh.db, session(1).id).await, Ok(None));
    let mut tx = fresh.db.begin().await.unwrap();
    insert_member(&mut tx, account_id(1), user(1).id, MemberRole::Viewer, at(1)).await.unwrap();
    tx.commit().await.unwrap();
    let access =
        Access { session: session(1), role: Some(MemberRole::Viewer), standing: Standing::Active, operator: None };
    assert_eq!(find_access(&fresh.db, session(1).id).await, Ok(Some(access.clone())));
    for (since, found) in [(Some(at(9)), None), (None, Some(access))] {
        let mut tx = fresh.db.begin().await.unwrap();
        update_disabled(&mut tx, user(1).id, since).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(find_access(&fresh.db, session(1).id).await, Ok(found));
    }
}

async fn an_operator_needs_no_membership_in_the_operators_own_account(fresh: &Fresh) {
    with_sessions(fresh, 1).await;
    let own = Session { account: AccountId::OPERATOR, ..session(2) };
    let mut tx = fresh.db.begin().await.unwrap();
    insert_session(&mut tx, &own).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find_access(&fresh.db, own.id).await, Ok(None));
    let permissions = vec!["audit:read".to_owned()];
    for (given, found) in [(Some(permissions.clone()), true), (None, false)] {
        let mut tx = fresh.db.begin().await.unwrap();
        update_operator(&mut tx, user(1).id, given.as_deref()).await.unwrap();
        tx.commit().await.unwrap();
        let expected = Access { session: own.clone(), role: None, standing: Standing::Active, operator: given.clone() };
        assert_eq!(find_access(&fresh.db, own.id).await, Ok(found.then_some(expected)));
        // Elsewhere it opens nothing.
        assert_eq!(find_access(&fresh.db, session(1).id).await, Ok(None));
    }
}

async fn a_proof_is_written_down_while_the_session_holds(fresh: &Fresh) {
    with_sessions(fresh, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(prove_session(&mut tx, session(1).id, at(9)).await, Ok(true));
    let proved = Session { proved_at: Some(at(9)), ..session(1) };
    assert_eq!(find_session(&tx, proved.id).await, Ok(Some(proved)));
    assert_eq!(prove_session(&mut tx, session(1).id, at(100)).await, Ok(false), "it is over");
    end_session(&mut tx, session(1).id, at(10)).await.unwrap();
    assert_eq!(prove_session(&mut tx, session(1).id, at(11)).await, Ok(false), "it was ended");
}

async fn sessions_that_hold_are_listed_newest_first(fresh: &Fresh) {
    with_sessions(fresh, 4).await;
    let mut tx = fresh.db.begin().await.unwrap();
    end_session(&mut tx, session(3).id, at(5)).await.unwrap();
    tx.commit().await.unwrap();
    let ids = async |before, now, limit| {
        let listed = list_sessions(&fresh.db, user(1).id, before, at(now), limit).await.unwrap();
        listed.iter().map(|session| session.id.bits()).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 10, 10).await, [4, 2, 1]);
    assert_eq!(ids(None, 10, 1).await, [4]);
    assert_eq!(ids(Some(session(4).id), 10, 10).await, [2, 1]);
    assert_eq!(ids(None, 100, 10).await, [0; 0]);
}

async fn people_are_listed_with_their_accounts(fresh: &Fresh) {
    with_sessions(fresh, 0).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(2), "").await.unwrap();
    for (account, role) in [(2, MemberRole::Owner), (1, MemberRole::Developer)] {
        insert_member(&mut tx, account_id(account), user(1).id, role, at(1)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let all = UserFilter { limit: 10, ..UserFilter::default() };
    assert_eq!(list_users(&fresh.db, &all).await, Ok(vec![user(1), user(2)]));
    let after = UserFilter { after: Some(user(1).id), ..all };
    assert_eq!(list_users(&fresh.db, &after).await, Ok(vec![user(2)]));
    let of_first = vec![(account_id(1), MemberRole::Developer), (account_id(2), MemberRole::Owner)];
    assert_eq!(list_memberships(&fresh.db, user(1).id).await, Ok(of_first));
    assert_eq!(list_memberships(&fresh.db, user(2).id).await, Ok(Vec::new()));
}
