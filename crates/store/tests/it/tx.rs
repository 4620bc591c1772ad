//! Transactions: what is kept, what is undone, and what a failed one refuses.

use keywright_store::accounts::{find_account, insert_account, update_account};
use keywright_store::testing::Fresh;
use keywright_store::{Read, StoreError, Tx};

use crate::on_both_engines;
use crate::samples::{account, account_id, with_accounts};

on_both_engines! {
    what_is_not_committed_is_not_seen,
    a_dropped_transaction_leaves_nothing,
    a_rolled_back_transaction_leaves_nothing,
    a_failed_job_leaves_the_rest_of_the_batch,
    a_failed_transaction_does_nothing_more,
    a_savepoint_makes_a_failed_transaction_sound,
    a_write_dropped_half_way_cannot_be_committed,
    a_transaction_can_be_lent_to_a_boxed_job,
    a_hundred_dropped_transactions_leave_the_writer_free,
}

async fn seen(on: &impl Read, number: u128) -> bool {
    find_account(on, account_id(number)).await.unwrap().is_some()
}

async fn what_is_not_committed_is_not_seen(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_account(&mut tx, &account(1)).await.unwrap();
    assert!(seen(&tx, 1).await);
    assert!(!seen(&fresh.db, 1).await, "a reader does not wait, and does not see it");
    tx.commit().await.unwrap();
    assert!(seen(&fresh.db, 1).await);
}

async fn a_dropped_transaction_leaves_nothing(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_account(&mut tx, &account(1)).await.unwrap();
    drop(tx);
    let mut tx = fresh.db.begin().await.unwrap();
    assert!(!seen(&tx, 1).await);
    insert_account(&mut tx, &account(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(seen(&fresh.db, 1).await);
}

async fn a_rolled_back_transaction_leaves_nothing(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_account(&mut tx, &account(1)).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(!seen(&fresh.db.begin().await.unwrap(), 1).await);
}

async fn a_failed_job_leaves_the_rest_of_the_batch(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    for (number, kept) in [(2, true), (3, false), (1, false), (4, true)] {
        tx.savepoint().await.unwrap();
        let done = insert_account(&mut tx, &account(number)).await;
        assert_eq!(done.is_err(), number == 1);
        if kept {
            tx.release_savepoint().await.unwrap();
        } else {
            tx.rollback_to_savepoint().await.unwrap();
        }
    }
    assert!(tx.touched.accounts.contains(&account_id(3)), "what was undone may stay touched");
    tx.commit().await.unwrap();
    let there = [seen(&fresh.db, 2).await, seen(&fresh.db, 3).await, seen(&fresh.db, 4).await];
    assert_eq!(there, [true, false, true]);
}

async fn a_failed_transaction_does_nothing_more(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    // A unique violation, which PostgreSQL itself remembers; a lost version, which only we do.
    for lost in [false, true] {
        let mut tx = fresh.db.begin().await.unwrap();
        insert_account(&mut tx, &account(2)).await.unwrap();
        let failed = if lost {
            update_account(&mut tx, &keywright_core::account::Account { version: 9, ..account(1) }).await
        } else {
            insert_account(&mut tx, &account(1)).await
        };
        assert_eq!(failed, Err(StoreError::Conflict));
        assert!(matches!(find_account(&tx, account_id(1)).await, Err(StoreError::Unavailable(_))));
        assert!(matches!(insert_account(&mut tx, &account(3)).await, Err(StoreError::Unavailable(_))));
        assert!(matches!(tx.savepoint().await, Err(StoreError::Unavailable(_))));
        assert!(matches!(tx.commit().await, Err(StoreError::Unavailable(_))));
        assert!(!seen(&fresh.db.begin().await.unwrap(), 2).await);
    }
}

async fn a_savepoint_makes_a_failed_transaction_sound(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    tx.savepoint().await.unwrap();
    assert_eq!(insert_account(&mut tx, &account(1)).await, Err(StoreError::Conflict));
    assert!(insert_account(&mut tx, &account(2)).await.is_err());
    tx.rollback_to_savepoint().await.unwrap();
    insert_account(&mut tx, &account(2)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(seen(&fresh.db, 2).await);
}

async fn a_write_dropped_half_way_cannot_be_committed(fresh: &Fresh) {
    // One poll sends the statement; its answer is never fetched. It may come within that poll, so this may take turns.
    for _ in 0..1_000 {
        let mut tx = fresh.db.begin().await.unwrap();
        let one = account(1);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if std::pin::pin!(insert_account(&mut tx, &one)).poll(&mut context).is_ready() {
            tx.rollback().await.unwrap();
            continue;
        }
        assert!(matches!(tx.commit().await, Err(StoreError::Unavailable(_))));
        assert!(!seen(&fresh.db.begin().await.unwrap(), 1).await);
        return;
    }
    panic!("no write was ever half way");
}

type Job = Box<
    dyn for<'t> FnOnce(&'t mut Tx) -> std::pin::Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 't>>
        + Send,
>;

async fn a_transaction_can_be_lent_to_a_boxed_job(fresh: &Fresh) {
    let jobs: Vec<Job> = (1..=2)
        .map(|number| -> Job {
            Box::new(move |tx| {
                Box::pin(async move {
                    assert!(find_account(tx, account_id(number)).await?.is_none());
                    insert_account(tx, &account(number)).await
                })
            })
        })
        .collect();
    let db = fresh.db.clone();
    let writer = tokio::spawn(async move {
        let mut tx = db.begin().await?;
        for job in jobs {
            tx.savepoint().await?;
            job(&mut tx).await?;
            tx.release_savepoint().await?;
        }
        tx.commit().await
    });
    writer.await.unwrap().unwrap();
    assert!(seen(&fresh.db, 1).await && seen(&fresh.db, 2).await);
}

async fn a_hundred_dropped_transactions_leave_the_writer_free(fresh: &Fresh) {
    for number in 1..=100 {
        let mut tx = fresh.db.begin().await.unwrap();
        insert_account(&mut tx, &account(number)).await.unwrap();
    }
    with_accounts(&fresh.db, 1).await;
}
