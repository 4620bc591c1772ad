//! What only PostgreSQL has: a claim on the database, connections that can be lost, a backup tool of its own.

use keywright_store::testing;
use keywright_store::{Db, StoreError, accounts};

use crate::samples::{account, account_id};

/// Ends every connection to the database this one is on but the one asked.
const END_THE_OTHERS: &str = "select pg_terminate_backend(pid) from pg_stat_activity \
    where datname = current_database() and pid <> pg_backend_pid()";

#[tokio::test]
async fn one_process_serves_a_database() {
    let Some(fresh) = testing::postgres().await else { return };
    let other = Db::open(&fresh.url).await.unwrap();
    let mut claim = fresh.db.claim().await.unwrap();
    claim.renew().await.unwrap();
    let refused = other.claim().await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(reason) if reason.contains("process ")), "{refused:?}");
    drop(claim);
    // The server notices the closed connection in its own time.
    let mut tries = 0;
    while other.claim().await.is_err() {
        tries += 1;
        assert!(tries < 1_000, "the claim was never given up");
    }
}

#[tokio::test]
async fn a_lost_claim_is_noticed() {
    let Some(fresh) = testing::postgres().await else { return };
    let mut claim = fresh.db.claim().await.unwrap();
    fresh.db.run_raw(END_THE_OTHERS).await.unwrap();
    assert!(matches!(claim.renew().await, Err(StoreError::Unavailable(_))));
    fresh.db.claim().await.unwrap();
}

#[tokio::test]
async fn a_transaction_whose_connection_is_lost_is_unavailable_and_leaves_nothing() {
    let Some(fresh) = testing::postgres().await else { return };
    let mut tx = fresh.db.begin().await.unwrap();
    accounts::insert_account(&mut tx, &account(1)).await.unwrap();
    fresh.db.run_raw(END_THE_OTHERS).await.unwrap();
    let lost = accounts::insert_account(&mut tx, &account(2)).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert!(matches!(tx.undo_job().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(tx.commit().await, Err(StoreError::Unavailable(_))));
    let mut tx = fresh.db.begin().await.unwrap();
    assert!(accounts::find_account(&tx, account_id(1)).await.unwrap().is_none());
    accounts::insert_account(&mut tx, &account(1)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_write_dropped_half_way_cannot_be_committed() {
    let Some(fresh) = testing::postgres().await else { return };
    // One poll sends the statement; its answer is never fetched. It may come within that poll, so this may take turns.
    for _ in 0..1_000 {
        let mut tx = fresh.db.begin().await.unwrap();
        let one = account(1);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if std::pin::pin!(accounts::insert_account(&mut tx, &one)).poll(&mut context).is_ready() {
            tx.rollback().await.unwrap();
            continue;
        }
        assert!(matches!(tx.commit().await, Err(StoreError::Unavailable(_))));
        let tx = fresh.db.begin().await.unwrap();
        assert!(accounts::find_account(&tx, account_id(1)).await.unwrap().is_none());
        return;
    }
    panic!("no write was ever half way");
}

#[tokio::test]
async fn a_backup_names_the_tool_for_it() {
    let Some(fresh) = testing::postgres().await else { return };
    let refused = fresh.db.backup_to(std::path::Path::new("unused")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(reason)) if reason.contains("pg_dump")));
    assert_eq!(fresh.db.engine(), "postgres");
}

#[tokio::test]
async fn sqlite_needs_no_claim() {
    let fresh = testing::sqlite().await;
    let mut claims = [fresh.db.claim().await.unwrap(), fresh.db.claim().await.unwrap()];
    for claim in &mut claims {
        claim.renew().await.unwrap();
    }
    assert_eq!(fresh.db.engine(), "sqlite");
}
