//! What only SQLite has: statements that run where they are asked for, and a file that older Keywrights open too.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keywright_core::time::Time;
use keywright_store::Db;
use keywright_store::keys::{KeyFilter, list_keys};
use keywright_store::secrets::{find_secret, list_secrets};
use keywright_store::testing::{self, Fresh, statements};
use sha2::{Digest as _, Sha384};

use crate::samples::{digest, key_id, secret, with_key};

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

/// Writes about 512 pages.
async fn write_a_mebibyte(fresh: &Fresh) {
    fresh.db.run_raw("insert into filling (bytes) values (randomblob(1048576))").await.unwrap();
}

async fn to_be_filled() -> (Fresh, PathBuf) {
    let fresh = testing::sqlite().await;
    fresh.db.run_raw("create table filling (bytes blob)").await.unwrap();
    let path = path_of(&fresh);
    (fresh, path)
}

pub(crate) fn path_of(fresh: &Fresh) -> PathBuf {
    PathBuf::from(fresh.url.trim_start_matches("sqlite:"))
}

fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

#[tokio::test]
async fn the_log_is_folded_beside_its_writer() {
    let (fresh, path) = to_be_filled().await;
    for _ in 0..20 {
        write_a_mebibyte(&fresh).await;
    }
    // By a commit it would be after 128 MiB.
    for _ in 0..1_000 {
        if std::fs::metadata(&path).unwrap().len() > 16 << 20 {
            fresh.db.close().await;
            assert!(!log_of(&path).exists(), "the folder's connection is closed, too, and the last one folds the rest");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody folds the log");
}

#[tokio::test]
async fn a_log_that_never_rests_begins_anew() {
    let (fresh, path) = to_be_filled().await;
    // How often it has begun, by its header (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
    let begun = || {
        let mut header = [0; 16];
        std::fs::File::open(log_of(&path)).unwrap().read_exact(&mut header).unwrap();
        header[12..].to_vec()
    };
    let first = begun();
    for _ in 0..120 {
        write_a_mebibyte(&fresh).await;
        if begun() != first {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the log only grows");
}

/// The steps of the schema as their files have them: each a version, a name and a text.
fn steps() -> Vec<(i64, String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut steps = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let version = name.split('_').next().unwrap().parse().unwrap();
        steps.push((version, name, std::fs::read_to_string(&path).unwrap()));
    }
    steps.sort();
    steps
}

#[tokio::test]
async fn the_history_is_kept_as_older_keywrights_keep_it() {
    let fresh = testing::sqlite().await;
    let file = rusqlite::Connection::open(path_of(&fresh)).unwrap();
    let mut statement = file
        .prepare(
            "select version, description, checksum from _sqlx_migrations \
             where success and installed_on like '20__-__-__ __:__:__' order by version",
        )
        .unwrap();
    let kept = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let kept: Vec<(i64, String, Vec<u8>)> = kept.collect::<Result<_, _>>().unwrap();

    let in_history = |(version, name, text): (i64, String, String)| (version, name, Sha384::digest(text).to_vec());
    assert_eq!(kept, steps().into_iter().map(in_history).collect::<Vec<_>>());
}

/// Secrets were sorted by their digests up to step 16.
#[tokio::test]
async fn secrets_of_an_older_file_are_kept() {
    let fresh = testing::sqlite().await;
    let key = with_key(&fresh.db).await;
    let path = path_of(&fresh).with_file_name("older.db");
    let older = rusqlite::Connection::open(&path).unwrap();
    older
        .execute_batch(
            "create table _sqlx_migrations (version bigint primary key, description text not null, installed_on \
             timestamp not null default current_timestamp, success boolean not null, checksum blob not null, \
             execution_time bigint not null)",
        )
        .unwrap();
    let insert = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
        values (?1, ?2, 1, ?3, 0)";
    for (version, name, text) in steps().into_iter().take(16) {
        older.execute_batch(&text).unwrap();
        older.execute(insert, (version, name, Sha384::digest(text).to_vec())).unwrap();
    }
    older.execute("attach ?1 as fresh", [path_of(&fresh).to_str().unwrap()]).unwrap();
    older
        .execute_batch(
            "insert into accounts select * from fresh.accounts where id not in (select id from accounts); \
             insert into keys select * from fresh.keys; insert into secrets select * from fresh.secrets",
        )
        .unwrap();
    drop(older);

    let db = Db::open(&format!("sqlite:{}", path.display())).await.unwrap();
    let found = find_secret(&db, &[digest(9), digest(1)]).await.unwrap().unwrap();
    assert_eq!((found.secret, found.key), (secret(1, 1), key));
    assert_eq!(list_secrets(&db, key_id(1)).await.unwrap(), [secret(1, 1)]);
}

#[tokio::test]
async fn a_secret_is_found_without_reading_others() {
    let fresh = testing::sqlite().await;
    let file = rusqlite::Connection::open(path_of(&fresh)).unwrap();
    let mut found_by = 0;
    for (name, sql) in statements() {
        let mut statement = file.prepare(&format!("explain query plan {}", sql.text())).unwrap();
        let steps = statement.raw_query().mapped(|row| row.get(3)).collect::<Result<Vec<String>, _>>().unwrap();
        found_by += usize::from(steps.iter().any(|step| step.contains("USING INDEX secrets_by_digest (<expr>=?)")));
        let reads_all = steps.iter().any(|step| step == "SCAN s" || step.starts_with("SCAN secrets"));
        // That one counts the ways in which they are made, at the start.
        assert!(!reads_all || name == "LIST_MAKINGS", "{name}: {steps:?}");
    }
    assert_eq!(found_by, 3);
}
