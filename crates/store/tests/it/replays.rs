//! Requests with an idempotency key.

use keywright_store::StoreError;
use keywright_store::replays::{Replay, delete_replays_before, find_replay, insert_replay};
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::at;

on_both_engines! {
    a_request_is_found_by_its_caller_and_key,
    of_two_requests_with_one_key_one_is_kept,
    old_requests_are_forgotten,
}

fn replay(caller: &str, key: &str, seconds: i64) -> Replay {
    Replay {
        caller: caller.into(),
        idem_key: key.into(),
        request_hash: [7; 32],
        target: "key_1".into(),
        created_at: at(seconds),
    }
}

async fn a_request_is_found_by_its_caller_and_key(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_replay(&mut tx, &replay("a", "k", 1)).await.unwrap();
    insert_replay(&mut tx, &replay("b", "k", 2)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find_replay(&fresh.db, "b", "k").await.unwrap(), Some(replay("b", "k", 2)));
    assert_eq!(find_replay(&fresh.db, "c", "k").await.unwrap(), None);
}

async fn of_two_requests_with_one_key_one_is_kept(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_replay(&mut tx, &replay("a", "k", 1)).await.unwrap();
    tx.begin_job().unwrap();
    assert_eq!(insert_replay(&mut tx, &replay("a", "k", 2)).await, Err(StoreError::Conflict));
    tx.undo_job().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find_replay(&fresh.db, "a", "k").await.unwrap(), Some(replay("a", "k", 1)));
}

async fn old_requests_are_forgotten(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    for seconds in 1..=4 {
        insert_replay(&mut tx, &replay("a", &seconds.to_string(), seconds)).await.unwrap();
    }
    assert_eq!(delete_replays_before(&mut tx, at(3)).await, Ok(2));
    assert_eq!(delete_replays_before(&mut tx, at(3)).await, Ok(0));
    assert_eq!(find_replay(&tx, "a", "2").await.unwrap(), None);
    assert!(find_replay(&tx, "a", "3").await.unwrap().is_some());
}
