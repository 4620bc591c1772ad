//! Usage counts and last uses.

use keywright_core::key::LastUse;
use keywright_store::denials::{DenialRow, KEPT, add_denials, list_denials};
use keywright_store::keys::{find_key, insert_key};
use keywright_store::permission_uses::{
    PermissionUseRow, begin_noting, find_since, list_permission_uses, set_permission_uses,
};
use keywright_store::testing::Fresh;
use keywright_store::usage::{HourSum, UsageRow, UsageSum, add_usage, list_usage, set_last_use, sum_hours, sum_usage};
use keywright_store::usage_batches::{Batch, Taken, add_batch, put_batch_aside, take_batches};
use keywright_store::uses::{UseRow, list_uses, set_uses};

use crate::on_both_engines;
use crate::samples::{account_id, at, bare_key, key_id, with_accounts, with_key};

on_both_engines! {
    counts_add_up,
    counts_are_listed_by_hour,
    a_last_use_moves_only_forward,
    sums_tell_environments_and_outcomes_apart,
    hours_are_summed_for_many_keys_at_once,
    uses_are_kept_by_secret_and_address_and_are_bounded,
    the_latest_refusals_of_each_key_are_kept,
    a_permissions_use_moves_only_forward_and_it_is_known_since_when,
    batches_that_were_put_aside_are_added_once,
    a_batch_that_cannot_be_read_stays_and_holds_up_no_other,
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

async fn hours_are_summed_for_many_keys_at_once(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    let rows: Vec<_> = (1..=70).flat_map(|key| [row(key, 5, "VALID", "", 2), row(key, 5, "VALID", "tag", 9)]).collect();
    add_usage(&mut tx, &rows).await.unwrap();
    add_usage(&mut tx, &[row(1, 4, "VALID", "", 8), row(1, 6, "EXPIRED", "", 3), row(99, 5, "VALID", "", 7)])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let keys: Vec<_> = (1..=70).map(key_id).collect();
    let sums = sum_hours(&fresh.db, &keys, 5, 7).await.unwrap();
    let sum = |hour, outcome: &str, count| HourSum { key: key_id(1), hour, outcome: outcome.into(), count };
    assert_eq!(sums.len(), 71);
    assert_eq!(
        sums.iter().filter(|sum| sum.key == key_id(1)).cloned().collect::<Vec<_>>(),
        [sum(5, "VALID", 2), sum(6, "EXPIRED", 3)]
    );
    assert_eq!(sum_hours(&fresh.db, &[], 5, 7).await.unwrap(), []);
}

async fn uses_are_kept_by_secret_and_address_and_are_bounded(fresh: &Fresh) {
    let used =
        |secret, ip: &str, seconds| UseRow { key: key_id(1), secret, ip: ip.into(), user_agent: None, at: at(seconds) };
    let mut tx = fresh.db.begin().await.unwrap();
    set_uses(&mut tx, &[]).await.unwrap();
    set_uses(&mut tx, &[used(-1, "10.0.0.1", 5), used(-1, "10.0.0.1", 7), used(2, "10.0.0.1", 6)]).await.unwrap();
    // What comes late changes nothing.
    set_uses(&mut tx, &[used(-1, "10.0.0.1", 3)]).await.unwrap();
    set_uses(&mut tx, &[UseRow { key: key_id(2), ..used(2, "10.0.0.9", 6) }]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(list_uses(&fresh.db, key_id(1)).await.unwrap(), [used(-1, "10.0.0.1", 7), used(2, "10.0.0.1", 6)]);
    let mut tx = fresh.db.begin().await.unwrap();
    let many: Vec<_> =
        (0..1_000).map(|number| used(2, &format!("10.1.{}.{}", number / 256, number % 256), 9)).collect();
    set_uses(&mut tx, &many).await.unwrap();
    tx.commit().await.unwrap();
    let kept = list_uses(&fresh.db, key_id(1)).await.unwrap();
    assert_eq!(kept.iter().filter(|row| row.secret == 2).count(), 16);
}

async fn the_latest_refusals_of_each_key_are_kept(fresh: &Fresh) {
    let denied = |key, seconds: i64| DenialRow {
        key: key_id(key),
        at: at(seconds),
        outcome: "EXPIRED".into(),
        request_id: format!("req_{seconds}"),
        ip: Some("10.0.0.1".into()),
        user_agent: None,
    };
    let mut tx = fresh.db.begin().await.unwrap();
    add_denials(&mut tx, &[]).await.unwrap();
    add_denials(&mut tx, &[denied(1, 1), denied(1, 1), denied(2, 1)]).await.unwrap();
    add_denials(&mut tx, &[denied(1, 1)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(list_denials(&fresh.db, key_id(1)).await.unwrap(), [denied(1, 1)]);
    let mut tx = fresh.db.begin().await.unwrap();
    add_denials(&mut tx, &(2..=KEPT + 5).map(|seconds| denied(1, seconds)).collect::<Vec<_>>()).await.unwrap();
    tx.commit().await.unwrap();
    let kept = list_denials(&fresh.db, key_id(1)).await.unwrap();
    assert_eq!((kept.len(), kept.first(), kept.last()), (100, Some(&denied(1, KEPT + 5)), Some(&denied(1, 6))));
    assert_eq!(list_denials(&fresh.db, key_id(2)).await.unwrap(), [denied(2, 1)]);
}

async fn a_permissions_use_moves_only_forward_and_it_is_known_since_when(fresh: &Fresh) {
    let used = |key, permission: &str, day| PermissionUseRow { key: key_id(key), permission: permission.into(), day };
    assert_eq!(find_since(&fresh.db).await.unwrap(), None);
    let mut tx = fresh.db.begin().await.unwrap();
    set_permission_uses(&mut tx, &[]).await.unwrap();
    begin_noting(&mut tx, at(2)).await.unwrap();
    let rows = [used(1, "b:*", 5), used(1, "a:read", 7), used(1, "b:*", 6), used(1, "b:*", 4), used(2, "a:read", 1)];
    set_permission_uses(&mut tx, &rows).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    set_permission_uses(&mut tx, &[used(1, "a:read", 6), used(1, "b:*", 9)]).await.unwrap();
    begin_noting(&mut tx, at(3)).await.unwrap();
    tx.commit().await.unwrap();
    let listed = list_permission_uses(&fresh.db, key_id(1)).await.unwrap();
    assert_eq!(listed, [used(1, "a:read", 7), used(1, "b:*", 9)]);
    assert_eq!(list_permission_uses(&fresh.db, key_id(3)).await.unwrap(), []);
    assert_eq!(find_since(&fresh.db).await.unwrap(), Some(at(2)));
}

async fn batches_that_were_put_aside_are_added_once(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let used = |secret, ip: &str, agent: Option<&str>, seconds| UseRow {
        key: key_id(1),
        secret,
        ip: ip.into(),
        user_agent: agent.map(Into::into),
        at: at(seconds),
    };
    let refused = DenialRow {
        key: key_id(1),
        at: at(101),
        outcome: "EXPIRED".into(),
        request_id: "r\"\n".into(),
        ip: None,
        user_agent: Some("curl/8 ø".into()),
    };
    let first = Batch {
        counts: vec![row(1, 5, "VALID", "", 3), row(1, 5, "VALID", "a\"b", 1)],
        uses: vec![used(i64::MIN, "10.1.2.3", Some("curl/8"), 100), used(7, "", None, 102)],
        denials: vec![refused.clone()],
        permissions: vec![PermissionUseRow { key: key_id(1), permission: "a:*".into(), day: 9 }],
    };
    let second = Batch { counts: vec![row(1, 5, "VALID", "", 4)], ..Batch::default() };
    for batch in [&first, &second] {
        let mut tx = fresh.db.begin().await.unwrap();
        put_batch_aside(&mut tx, batch).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(list_usage(&fresh.db, key_id(1), 5, 6).await.unwrap(), []);

    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(take_batches(&mut tx).await.unwrap().batch.rows(), 7);
    tx.rollback().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    let all = take_batches(&mut tx).await.unwrap().batch;
    let mut both = first.clone();
    both.append(second);
    assert_eq!(all, both, "nothing of it was lost, though it was taken once and given back");
    add_batch(&mut tx, &all).await.unwrap();
    assert_eq!(take_batches(&mut tx).await.unwrap(), Taken::default());
    tx.commit().await.unwrap();
    let counted = list_usage(&fresh.db, key_id(1), 5, 6).await.unwrap();
    assert_eq!(counted, [row(1, 5, "VALID", "", 7), row(1, 5, "VALID", "a\"b", 1)]);
    let last = find_key(&fresh.db, key_id(1)).await.unwrap().unwrap().last_use;
    assert_eq!(last, Some(LastUse { at: at(102), ip: None, user_agent: None }));
    assert_eq!(list_uses(&fresh.db, key_id(1)).await.unwrap().len(), 2);
    assert_eq!(list_denials(&fresh.db, key_id(1)).await.unwrap(), [refused]);
    assert_eq!(list_permission_uses(&fresh.db, key_id(1)).await.unwrap().len(), 1);
}

async fn a_batch_that_cannot_be_read_stays_and_holds_up_no_other(fresh: &Fresh) {
    let one = |count| Batch { counts: vec![row(1, 5, "VALID", "", count)], ..Batch::default() };
    let mut tx = fresh.db.begin().await.unwrap();
    put_batch_aside(&mut tx, &one(3)).await.unwrap();
    tx.commit().await.unwrap();
    fresh.db.run_raw("insert into usage_batches (batch) values ('{\"counts\":7}')").await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    put_batch_aside(&mut tx, &one(4)).await.unwrap();
    tx.commit().await.unwrap();

    // As it was written before rows were lists.
    let named = format!("{{\"key\":\"{}\",\"hour\":5,\"outcome\":\"VALID\",\"tag\":\"\",\"count\":5}}", key_id(1));
    let before = format!("{{\"counts\":[{named}],\"uses\":[],\"denials\":[],\"permissions\":[]}}");
    fresh.db.run_raw(&format!("insert into usage_batches (batch) values ('{before}')")).await.unwrap();

    let mut both = one(3);
    both.append(one(4));
    both.append(one(5));
    for expected in [Taken { batch: both, unreadable: 1 }, Taken::default()] {
        let mut tx = fresh.db.begin().await.unwrap();
        assert_eq!(take_batches(&mut tx).await.unwrap(), expected, "it is told of once");
        tx.commit().await.unwrap();
    }
    // It is still there, to be copied.
    let still = "insert into usage_batches (batch) select batch from usage_batches where unreadable = 1";
    fresh.db.run_raw(still).await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(take_batches(&mut tx).await.unwrap().unreadable, 1);
}
