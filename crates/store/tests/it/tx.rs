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
    what_is_written_again_waits_for_the_commit,
    a_failed_transaction_does_nothing_more,
    a_failed_transaction_is_sound_without_the_job,
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
    let mut version = 1;
    for (number, kept) in [(2, true), (3, false), (1, false), (1, false), (4, true), (5, true), (6, false), (7, true)] {
        tx.begin_job().unwrap();
        // What is written again must not be written twice.
        let renamed = keywright_core::account::Account { version, name: format!("for {number}"), ..account(1) };
        update_account(&mut tx, &renamed).await.unwrap();
        let done = insert_account(&mut tx, &account(number)).await;
        assert_eq!(done.is_err(), number == 1);
        if kept {
            version += 1;
        } else {
            tx.undo_job().await.unwrap();
            assert_eq!(find_account(&tx, account_id(1)).await.unwrap().unwrap().version, version, "after {number}");
        }
    }
    assert!(tx.touched.accounts.contains(&account_id(3)), "what was undone may stay touched");
    tx.commit().await.unwrap();
    for (number, there) in [(2, true), (3, false), (4, true), (5, true), (6, false), (7, true)] {
        assert_eq!(seen(&fresh.db, number).await, there, "{number}");
    }
    let renamed = find_account(&fresh.db, account_id(1)).await.unwrap().unwrap();
    assert_eq!((renamed.version, renamed.name.as_str()), (5, "for 7"));
}

async fn what_is_written_again_waits_for_the_commit(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    for number in 2..5 {
        tx.begin_job().unwrap();
        insert_account(&mut tx, &account(number)).await.unwrap();
        tx.begin_job().unwrap();
        assert_eq!(insert_account(&mut tx, &account(1)).await, Err(StoreError::Conflict));
        tx.undo_job().await.unwrap();
        assert!(seen(&tx, number).await && !seen(&fresh.db, number).await, "{number}");
    }
    tx.rollback().await.unwrap();
    for number in 2..5 {
        assert!(!seen(&fresh.db, number).await, "{number}");
    }
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
        assert!(matches!(tx.begin_job(), Err(StoreError::Unavailable(_))));
        assert!(matches!(tx.commit().await, Err(StoreError::Unavailable(_))));
        assert!(!seen(&fresh.db.begin().await.unwrap(), 2).await);
    }
}

async fn a_failed_transaction_is_sound_without_the_job(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    tx.begin_job().unwrap();
    insert_account(&mut tx, &account(3)).await.unwrap();
    tx.begin_job().unwrap();
    assert_eq!(insert_account(&mut tx, &account(1)).await, Err(StoreError::Conflict));
    assert!(insert_account(&mut tx, &account(2)).await.is_err());
    tx.undo_job().await.unwrap();
    insert_account(&mut tx, &account(2)).await.unwrap();
    tx.undo_job().await.unwrap();
    assert!(!seen(&tx, 2).await, "what follows is still of the job");
    insert_account(&mut tx, &account(4)).await.unwrap();
    tx.commit().await.unwrap();
    let there = [seen(&fresh.db, 2).await, seen(&fresh.db, 3).await, seen(&fresh.db, 4).await];
    assert_eq!(there, [false, true, true]);
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
            tx.begin_job()?;
            job(&mut tx).await?;
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
