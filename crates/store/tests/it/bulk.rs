//! How fast much is written: run by hand, `cargo test --release -p keywright-store -- --ignored --nocapture bulk`.

use keywright_core::key::LastUse;
use keywright_store::secrets::{existing_digests, find_secret, insert_imported, list_makings};
use keywright_store::testing::Fresh;
use keywright_store::usage::{UsageRow, add_usage, set_last_use};

use crate::samples::{at, digest, key, key_id, secret, with_accounts};

const COUNT: u64 = 200_000;

async fn timed<T>(what: &str, count: u64, work: impl Future<Output = T>) -> T {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    let begun = std::time::Instant::now();
    let done = work.await;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what}: {:.0} a second, {seconds:.2} s", count as f64 / seconds);
    done
}

async fn measure(fresh: &Fresh) {
    println!("{}", fresh.db.engine());
    with_accounts(&fresh.db, 1).await;
    let imported: Vec<_> = (1..=COUNT).map(|number| (key(number.into(), 1), secret(number, number.into()))).collect();
    let digests: Vec<_> = (1..=COUNT).map(digest).collect();
    let mut tx = fresh.db.begin().await.unwrap();
    timed("import in one transaction", COUNT, insert_imported(&mut tx, &imported)).await.unwrap();
    timed("commit", COUNT, tx.commit()).await.unwrap();
    timed("existing digests", COUNT, existing_digests(&fresh.db, &digests)).await.unwrap();
    timed("makings", COUNT, list_makings(&fresh.db)).await.unwrap();
    timed("find secrets one by one", 10_000, async {
        for digest in &digests[..10_000] {
            find_secret(&fresh.db, &[*digest]).await.unwrap().unwrap();
        }
    })
    .await;
    let last = LastUse { at: at(100_000), ip: Some("203.0.113.9".into()), user_agent: Some("curl/8".into()) };
    let uses: Vec<_> = (1..=20_000).map(|number| (key_id(number * 10), last.clone())).collect();
    let mut tx = fresh.db.begin().await.unwrap();
    timed("last uses", 20_000, set_last_use(&mut tx, &uses)).await.unwrap();
    let rows: Vec<_> = (1..=20_000)
        .map(|number| UsageRow { key: key_id(number), hour: 1, outcome: "valid".into(), tag: String::new(), count: 1 })
        .collect();
    timed("usage, new rows", 20_000, add_usage(&mut tx, &rows)).await.unwrap();
    timed("usage, added to", 20_000, add_usage(&mut tx, &rows)).await.unwrap();
    timed("commit", 60_000, tx.commit()).await.unwrap();
}

#[tokio::test]
#[ignore = "a measurement"]
async fn sqlite() {
    measure(&keywright_store::testing::sqlite().await).await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn postgres() {
    if let Some(fresh) = keywright_store::testing::postgres().await {
        measure(&fresh).await;
    }
}
