//! What only SQLite has: statements that run where they are asked for, and a file that older Keywrights open too.

use keywright_core::time::Time;
use keywright_store::keys::{KeyFilter, list_keys};
use keywright_store::testing;
use sha2::{Digest as _, Sha384};

#[tokio::test]
async fn a_reader_that_goes_away_gives_its_connection_back() {
    let fresh = testing::sqlite().await;
    let filter = KeyFilter::all(1, Time::from_millis(0));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut half_way = 0;
    for _ in 0..100 {
        let mut listing = Box::pin(list_keys(&fresh.db, &filter));
        // One poll hands the statement over, where a connection is free.
        half_way += usize::from(listing.as_mut().poll(&mut context).is_pending());
        drop(listing);
        fresh.db.ping().await.unwrap();
    }
    assert!(half_way > 4, "{half_way} of the readings were dropped");
}

#[tokio::test]
async fn a_write_does_not_leave_its_thread() {
    let fresh = testing::sqlite().await;
    assert!(fresh.db.blocks());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let begun = std::pin::pin!(fresh.db.begin()).poll(&mut context);
    let std::task::Poll::Ready(Ok(tx)) = begun else { panic!("it waited for another thread") };
    assert!(std::pin::pin!(tx.commit()).poll(&mut context).is_ready());
}

#[tokio::test]
async fn the_history_is_kept_as_older_keywrights_keep_it() {
    let fresh = testing::sqlite().await;
    let file = rusqlite::Connection::open(fresh.url.trim_start_matches("sqlite:")).unwrap();
    let mut statement = file
        .prepare(
            "select version, description, checksum from _sqlx_migrations \
             where success and installed_on like '20__-__-__ __:__:__' order by version",
        )
        .unwrap();
    let kept = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let kept: Vec<(i64, String, Vec<u8>)> = kept.collect::<Result<_, _>>().unwrap();

    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut expected = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let version = name.split('_').next().unwrap().parse().unwrap();
        expected.push((version, name, Sha384::digest(std::fs::read(&path).unwrap()).to_vec()));
    }
    expected.sort();
    assert_eq!(kept, expected);
}
