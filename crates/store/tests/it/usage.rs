//! Usage counts and last uses.

use keywright_core::key::LastUse;
use keywright_store::keys::{find_key, insert_key};
use keywright_store::testing::Fresh;
use keywright_store::usage::{UsageRow, UsageSum, add_usage, list_usage, set_last_use, sum_usage};

use crate::on_both_engines;
use crate::samples::{account_id, at, bare_key, key_id, with_accounts, with_key};

on_both_engines! {
    counts_add_up,
    counts_are_listed_by_hour,
    a_last_use_moves_only_forward,
    sums_tell_environments_and_outcomes_apart,
}

fn row(key: u128, hour: i64, outcome: &str, tag: &str, count: i64) -> UsageRow {
    UsageRow { key: key_id(key), hour, outcome: outcome.into(), tag: tag.into(), count }
}

async fn counts_add_up(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    add_usage(&mut tx, &[]).await.unwrap();
    // The same row twice in one call, and more rows than are written at once.
    let mut rows: Vec<_> = (0..20).map(|hour| row(1, hour, "valid", "", 1)).collect();
    rows.extend([row(1, 5, "valid", "", 10), row(1, 5, "valid", "search", 4), row(1, 5, "expired", "", 2)]);
    add_usage(&mut tx, &rows).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    add_usage(&mut tx, &[row(1, 5, "valid", "", 100), row(2, 5, "valid", "", 7)]).await.unwrap();
    tx.commit().await.unwrap();
    let listed = list_usage(&fresh.db, key_id(1), 5, 6).await.unwrap();
    assert_eq!(listed, [row(1, 5, "expired", "", 2), row(1, 5, "valid", "", 111), row(1, 5, "valid", "search", 4)]);
}

async fn counts_are_listed_by_hour(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    add_usage(&mut tx, &(0..6).map(|hour| row(1, hour, "valid", "", hour + 1)).collect::<Vec<_>>()).await.unwrap();
    let hours: Vec<_> = list_usage(&tx, key_id(1), 2, 4).await.unwrap().iter().map(|row| row.hour).collect();
    assert_eq!(hours, [2, 3], "from the first, up to but without the second");
}

async fn a_last_use_moves_only_forward(fresh: &Fresh) {
    let key = with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_key(&mut tx, &bare_key(2, 1)).await.unwrap();
    let use_at = |seconds| LastUse { at: at(seconds), ip: None, user_agent: Some(seconds.to_string()) };
    // Key 1 was last used at 13 and key 2 never; key 9 is not there.
    let uses = [(key_id(1), use_at(12)), (key_id(2), use_at(1)), (key_id(2), use_at(3)), (key_id(2), use_at(2))];
    set_last_use(&mut tx, &uses).await.unwrap();
    set_last_use(&mut tx, &[(key_id(9), use_at(1))]).await.unwrap();
    set_last_use(&mut tx, &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find_key(&fresh.db, key_id(1)).await.unwrap(), Some(key));
    let second = find_key(&fresh.db, key_id(2)).await.unwrap().unwrap();
    assert_eq!((second.last_use, second.version), (Some(use_at(3)), 1));

    let mut tx = fresh.db.begin().await.unwrap();
    let many: Vec<_> = (1..=30).map(|number| (key_id(number), use_at(100))).collect();
    set_last_use(&mut tx, &many).await.unwrap();
    tx.commit().await.unwrap();
    for number in [1, 2] {
        assert_eq!(find_key(&fresh.db, key_id(number)).await.unwrap().unwrap().last_use, Some(use_at(100)));
    }
}

async fn sums_tell_environments_and_outcomes_apart(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    // Two keys for live use, one for tests, one without an environment; another kind's, and another account's.
    let live = Some("live");
    let places =
        [(1, live, "a"), (1, live, "a"), (1, Some("test"), "a"), (1, None, "a"), (1, live, "b"), (2, live, "a")];
    for (number, (account, environment, kind)) in (1..).zip(places) {
        let mut key = bare_key(number, account);
        key.environment = environment.map(str::to_owned);
        key.kind = kind.into();
        insert_key(&mut tx, &key).await.unwrap();
    }
    let mut rows: Vec<_> = (1..=6).map(|key| row(key, 5, "VALID", "", 1 << key)).collect();
    rows.extend([row(1, 6, "VALID", "", 1_000), row(1, 7, "VALID", "", 5_000), row(1, 4, "VALID", "", 5_000)]);
    rows.extend([row(1, 5, "VALID", "search", 9_000), row(3, 5, "EXPIRED", "", 7)]);
    add_usage(&mut tx, &rows).await.unwrap();
    tx.commit().await.unwrap();
    let sum = |environment: &str, outcome: &str, count| UsageSum {
        environment: environment.into(),
        outcome: outcome.into(),
        count,
    };
    let sums = sum_usage(&fresh.db, account_id(1), "a", 5, 7).await.unwrap();
    let expected =
        [sum("", "VALID", 16), sum("live", "VALID", 2 + 4 + 1_000), sum("test", "EXPIRED", 7), sum("test", "VALID", 8)];
    assert_eq!(sums, expected);
}
