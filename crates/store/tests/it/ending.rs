//! Keys that are about to end.

use keywright_core::time::Span;
use keywright_store::ending::{list_ending_keys, set_ending_told};
use keywright_store::keys::insert_key;
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::{at, bare_key, key_id, with_accounts};

on_both_engines! {
    keys_are_listed_that_end_soon_and_were_not_told_of,
    one_is_told_once_of_an_end_and_anew_of_another,
}

const DAY: i64 = 86_400;

async fn keys_are_listed_that_end_soon_and_were_not_told_of(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let now = at(100 * DAY);
    let mut tx = fresh.db.begin().await.unwrap();
    let ends = [None, Some(100), Some(103), Some(104), Some(114), Some(115), Some(102), Some(102), Some(101)];
    for (number, end) in (1..).zip(ends) {
        let mut key = bare_key(number, 1);
        key.created_at = at(if number == 7 { 99 * DAY + 1 } else { 0 });
        key.expires_at = end.map(|day| at(day * DAY));
        key.revoked_at = (number == 8).then_some(now);
        key.enabled = number != 9;
        insert_key(&mut tx, &key).await.unwrap();
    }
    tx.commit().await.unwrap();
    let listed = async |days, limit| {
        let keys = list_ending_keys(&fresh.db, days, now, limit).await.unwrap();
        keys.iter().map(|key| key.id).collect::<Vec<_>>()
    };
    // Not: without an end; ended; later; made too late for the notice (7); revoked (8); switched off (9).
    assert_eq!(listed(3, 9).await, [key_id(3)]);
    assert_eq!(listed(14, 9).await, [key_id(3), key_id(4), key_id(5)]);
    assert_eq!(listed(14, 2).await, [key_id(3), key_id(4)]);
    let mut tx = fresh.db.begin().await.unwrap();
    assert!(set_ending_told(&mut tx, key_id(3), at(103 * DAY), 3).await.unwrap());
    assert!(set_ending_told(&mut tx, key_id(4), at(104 * DAY), 14).await.unwrap());
    assert!(set_ending_told(&mut tx, key_id(5), at(200 * DAY), 14).await.unwrap(), "of another end");
    tx.commit().await.unwrap();
    assert_eq!((listed(3, 9).await, listed(14, 9).await), (vec![], vec![key_id(5)]));
    let later = list_ending_keys(&fresh.db, 3, now.after(Span::days(1)), 9).await.unwrap();
    assert_eq!(later.iter().map(|key| key.id).collect::<Vec<_>>(), [key_id(4)], "it was told of by the other notice");
}

async fn one_is_told_once_of_an_end_and_anew_of_another(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    let mut told = Vec::new();
    for (end, days) in [(50, 14), (50, 14), (50, 3), (50, 14), (50, 3), (60, 14), (60, 3), (40, 3), (40, 3)] {
        told.push(set_ending_told(&mut tx, key_id(1), at(end), days).await.unwrap());
    }
    assert_eq!(told, [true, false, true, false, false, true, true, true, false]);
    assert!(set_ending_told(&mut tx, key_id(2), at(50), 14).await.unwrap(), "another key");
}
