//! What only PostgreSQL has: a claim on the database, connections that can be lost, a backup tool of its own.

use keywright_store::testing::{self, Fresh};
use keywright_store::{Db, StoreError, accounts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

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

/// When a connection breaks off.
#[derive(Clone, Copy)]
enum Cut {
    BeforeTheCommit,
    AfterIt,
}

/// The database behind a wire that breaks off about a commit; its other connections go on.
async fn behind_a_wire(fresh: &Fresh, cut: Cut) -> Db {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (user, rest) = fresh.url.rsplit_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let (server, near) = (server.to_owned(), listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(carry(near, TcpStream::connect(&server).await.unwrap(), cut));
        }
    });
    Db::open(&format!("{user}@{near}/{database}")).await.unwrap()
}

async fn carry(mut near: TcpStream, mut far: TcpStream, cut: Cut) {
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            Ok(length @ 1..) = near.read(&mut asked) => {
                let is_commit = asked[..length].windows(7).any(|bytes| bytes == b"commit\0");
                if is_commit && matches!(cut, Cut::BeforeTheCommit) {
                    return;
                }
                far.write_all(&asked[..length]).await.unwrap();
                if is_commit {
                    assert!(far.read(&mut answered).await.unwrap() > 0, "the server has answered");
                    return;
                }
            }
            Ok(length @ 1..) = far.read(&mut answered) => near.write_all(&answered[..length]).await.unwrap(),
            else => return,
        }
    }
}

#[tokio::test]
async fn a_commit_that_is_not_answered_may_have_been_made() {
    let Some(fresh) = testing::postgres().await else { return };
    for (number, cut, is_made) in [(1, Cut::BeforeTheCommit, false), (2, Cut::AfterIt, true)] {
        let db = behind_a_wire(&fresh, cut).await;
        let mut tx = db.begin().await.unwrap();
        accounts::insert_account(&mut tx, &account(number)).await.unwrap();
        assert_eq!(tx.commit().await, Err(StoreError::Unanswered));
        assert_eq!(accounts::has_account(&fresh.db, account_id(number)).await.unwrap(), is_made);
        db.ping().await.unwrap();
    }
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
