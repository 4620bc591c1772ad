//! Credits.

use keywright_core::credits::Balance;
use keywright_core::key::Refill;
use keywright_core::time::Span;
use keywright_store::StoreError;
use keywright_store::credits::{add_credits, find_balance, set_balance, update_balance};
use keywright_store::keys::find_key;
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::{at, digest, key_id, with_key};

on_both_engines! {
    a_balance_moves_on_only_from_what_was_read,
    a_balance_moves_on_between_counted_and_not,
    units_come_back_where_they_are_counted,
    an_administrator_sets_all_of_it,
    two_takers_never_take_the_same_units,
}

const KEY: u128 = 1;
const NONE: Balance = Balance { credits: None, refill: None, refill_at: None };

fn refill() -> Option<Refill> {
    Some(Refill { amount: 500, every: Span::days(30) })
}

async fn a_balance_moves_on_only_from_what_was_read(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let read = Balance { credits: Some(100), refill: refill(), refill_at: Some(at(2_000)) };
    assert_eq!(find_balance(&fresh.db, key_id(KEY)).await, Ok(Some(read)));
    assert_eq!(find_balance(&fresh.db, key_id(2)).await, Ok(None));

    let mut tx = fresh.db.begin().await.unwrap();
    let now = Balance { credits: Some(90), ..read };
    update_balance(&mut tx, key_id(KEY), &read, &now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find_balance(&fresh.db, key_id(KEY)).await, Ok(Some(now)));

    let elsewhere = Balance { refill_at: None, ..now };
    for stale in [read, elsewhere] {
        let mut tx = fresh.db.begin().await.unwrap();
        let lost = update_balance(&mut tx, key_id(KEY), &stale, &Balance { credits: Some(80), ..stale }).await;
        assert_eq!(lost, Err(StoreError::Conflict));
        tx.rollback().await.unwrap();
    }
    let key = find_key(&fresh.db, key_id(KEY)).await.unwrap().unwrap();
    assert_eq!((key.credits, key.version), (Some(90), 1), "use is no change of the key");
}

async fn a_balance_moves_on_between_counted_and_not(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let mut read = find_balance(&fresh.db, key_id(KEY)).await.unwrap().unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    for (credits, refill_at) in [(None, None), (Some(0), Some(at(1))), (Some(500), Some(at(2)))] {
        let next = Balance { credits, refill_at, ..read };
        update_balance(&mut tx, key_id(KEY), &read, &next).await.unwrap();
        read = next;
        assert_eq!(find_balance(&tx, key_id(KEY)).await, Ok(Some(read)));
    }
}

async fn units_come_back_where_they_are_counted(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    add_credits(&mut tx, key_id(KEY), 7).await.unwrap();
    assert_eq!(find_balance(&tx, key_id(KEY)).await.unwrap().unwrap().credits, Some(107));
    set_balance(&mut tx, key_id(KEY), &NONE).await.unwrap();
    add_credits(&mut tx, key_id(KEY), 7).await.unwrap();
    add_credits(&mut tx, key_id(2), 7).await.unwrap();
    assert_eq!(find_balance(&tx, key_id(KEY)).await.unwrap().unwrap().credits, None);
}

async fn an_administrator_sets_all_of_it(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let refill = Some(Refill { amount: 5, every: Span::days(1) });
    let mut tx = fresh.db.begin().await.unwrap();
    let set = Balance { credits: Some(5), refill, refill_at: Some(at(9)) };
    set_balance(&mut tx, key_id(KEY), &set).await.unwrap();
    assert_eq!(find_balance(&tx, key_id(KEY)).await, Ok(Some(set)));
    assert_eq!(
        (tx.touched.keys.as_slice(), tx.touched.digests.as_slice()),
        ([key_id(KEY)].as_slice(), [digest(1)].as_slice())
    );
    assert_eq!(set_balance(&mut tx, key_id(2), &NONE).await, Err(StoreError::Conflict));
}

async fn two_takers_never_take_the_same_units(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let take = || {
        let db = fresh.db.clone();
        tokio::spawn(async move {
            let mut taken = 0;
            for _ in 0..10 {
                let mut tx = db.begin().await.unwrap();
                let read = find_balance(&tx, key_id(KEY)).await.unwrap().unwrap();
                let left = Balance { credits: read.credits.map(|credits| credits - 3), ..read };
                match update_balance(&mut tx, key_id(KEY), &read, &left).await {
                    Ok(()) => {
                        tx.commit().await.unwrap();
                        taken += 3;
                    }
                    Err(error) => {
                        assert_eq!(error, StoreError::Conflict);
                        tx.rollback().await.unwrap();
                    }
                }
            }
            taken
        })
    };
    let takers = [take(), take(), take()];
    let mut taken = 0;
    for taker in takers {
        taken += taker.await.unwrap();
    }
    let left = find_balance(&fresh.db, key_id(KEY)).await.unwrap().unwrap().credits;
    assert_eq!(left, Some(100 - taken));
    assert!(taken >= 30, "one of them gets through each time");
}
