//! Keys.

use keywright_core::id::AccountId;
use keywright_core::key::{Key, Status};
use keywright_core::time::Span;
use keywright_store::StoreError;
use keywright_store::keys::{
    KeyFilter, count_live_keys, delete_ended_keys, find_key, insert_key, list_keys, update_key,
};
use keywright_store::permission_uses::{PermissionUseRow, list_permission_uses, set_permission_uses};
use keywright_store::secrets::{insert_secret, list_secrets};
use keywright_store::testing::Fresh;
use keywright_store::usage::{UsageRow, add_usage, list_usage};

use crate::on_both_engines;
use crate::samples::{account_id, at, bare_key, digest, key, key_id, metadata, secret, with_accounts, with_key};

on_both_engines! {
    a_key_reads_back_as_written,
    an_id_is_taken_once_and_an_account_is_needed,
    a_change_writes_everything_but_what_use_writes,
    a_change_touches_the_key_and_all_its_digests,
    of_two_writers_at_one_version_the_second_loses,
    filters_leave_out_what_does_not_fit,
    the_operators_keys_are_listed_only_when_asked_for,
    states_are_told_apart_at_the_time_asked,
    pages_follow_each_other,
    live_keys_are_counted_up_to_a_limit,
    ended_keys_go_with_all_they_have,
}

async fn insert(fresh: &Fresh, keys: &[Key]) {
    let mut tx = fresh.db.begin().await.unwrap();
    for key in keys {
        insert_key(&mut tx, key).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn listed(fresh: &Fresh, filter: KeyFilter) -> Vec<u128> {
    list_keys(&fresh.db, &filter).await.unwrap().iter().map(|key| key.id.bits()).collect()
}

async fn a_key_reads_back_as_written(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    insert(fresh, &[key(1, 1), bare_key(2, 1)]).await;
    assert_eq!(find_key(&fresh.db, key_id(1)).await.unwrap(), Some(key(1, 1)));
    assert_eq!(find_key(&fresh.db, key_id(2)).await.unwrap(), Some(bare_key(2, 1)));
    assert_eq!(find_key(&fresh.db, key_id(3)).await.unwrap(), None);
}

async fn an_id_is_taken_once_and_an_account_is_needed(fresh: &Fresh) {
    with_key(&fresh.db).await;
    for taken in [key(1, 1), key(2, 9)] {
        let mut tx = fresh.db.begin().await.unwrap();
        assert_eq!(insert_key(&mut tx, &taken).await, Err(StoreError::Conflict));
        tx.rollback().await.unwrap();
    }
}

async fn a_change_writes_everything_but_what_use_writes(fresh: &Fresh) {
    let before = with_key(&fresh.db).await;
    let changed = Key {
        name: "other".into(),
        description: "elsewhere".into(),
        environment: None,
        role: Some("viewer".into()),
        services: vec!["dns".into()],
        permissions: Vec::new(),
        ip_allowlist: "198.51.100.10".parse().unwrap(),
        expires_at: Some(at(9_000)),
        refill: None,
        ratelimits: Vec::new(),
        metadata: metadata(r#"{"a":[1]}"#),
        enabled: false,
        revoked_at: Some(at(60)),
        prefix: "kw_test_2".into(),
        last_four: "abcd".into(),
        updated_at: at(61),
        rotated_at: Some(at(62)),
        ..before.clone()
    };
    let with_use = Key { credits: Some(1), refill_at: None, last_use: None, ..changed.clone() };
    let mut tx = fresh.db.begin().await.unwrap();
    update_key(&mut tx, &with_use).await.unwrap();
    tx.commit().await.unwrap();
    let stored = find_key(&fresh.db, before.id).await.unwrap().unwrap();
    assert_eq!(stored, Key { version: 2, ..changed });
}

async fn a_change_touches_the_key_and_all_its_digests(fresh: &Fresh) {
    let key = with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_secret(&mut tx, &secret(2, 1)).await.unwrap();
    assert_eq!(tx.touched.added, [digest(2)]);
    tx.touched = keywright_store::Touched::default();
    update_key(&mut tx, &key).await.unwrap();
    tx.touched.digests.sort();
    let mut digests = vec![digest(1), digest(2)];
    digests.sort();
    assert_eq!((tx.touched.keys.as_slice(), &tx.touched.digests), ([key.id].as_slice(), &digests));
}

async fn of_two_writers_at_one_version_the_second_loses(fresh: &Fresh) {
    let read = with_key(&fresh.db).await;
    let write = |name: &str| {
        let (db, key) = (fresh.db.clone(), Key { name: name.into(), ..read.clone() });
        tokio::spawn(async move {
            let mut tx = db.begin().await?;
            update_key(&mut tx, &key).await?;
            tx.commit().await
        })
    };
    let (one, other) = (write("one"), write("other"));
    let results = [one.await.unwrap(), other.await.unwrap()];
    assert!(results.contains(&Ok(())) && results.contains(&Err(StoreError::Conflict)), "{results:?}");
    let stored = find_key(&fresh.db, read.id).await.unwrap().unwrap();
    assert_eq!(stored.version, 2);
    assert_eq!(stored.name, if results[0].is_ok() { "one" } else { "other" });
}

async fn filters_leave_out_what_does_not_fit(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut keys: Vec<_> = (1..=6).map(|number| key(number, 1)).collect();
    keys[1].account = account_id(2);
    keys[2].kind = "trial".into();
    keys[3].environment = None;
    keys[4].prefix = "50%_off".into();
    keys[5].expires_at = None;
    (keys[5].last_use, keys[5].rotated_at) = (None, None);
    insert(fresh, &keys).await;

    let all = KeyFilter::all(100, at(100));
    assert_eq!(listed(fresh, all.clone()).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(listed(fresh, KeyFilter { account: Some(account_id(2)), ..all.clone() }).await, [2]);
    assert_eq!(listed(fresh, KeyFilter { kind: Some("trial".into()), ..all.clone() }).await, [3]);
    let live = KeyFilter { environment: Some("live".into()), account: Some(account_id(1)), ..all.clone() };
    assert_eq!(listed(fresh, live).await, [1, 3, 5, 6]);
    for (prefix, fits) in [("50%_o", vec![5]), ("%", vec![]), ("kw_live_", vec![1, 2, 3, 4, 6]), ("50%_off!", vec![])] {
        assert_eq!(listed(fresh, KeyFilter { prefix: Some(prefix.into()), ..all.clone() }).await, fits, "{prefix}");
    }
    // Used at 13 but for key 6, which was never used and made at 10.
    assert_eq!(listed(fresh, KeyFilter { unused_since: Some(at(13)), ..all.clone() }).await, [6]);
    assert_eq!(listed(fresh, KeyFilter { unused_since: Some(at(14)), ..all.clone() }).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(listed(fresh, KeyFilter { unused_since: Some(at(10)), ..all.clone() }).await, [0_u128; 0]);
    assert_eq!(listed(fresh, KeyFilter { expiring_before: Some(at(1_000)), ..all.clone() }).await, [0_u128; 0]);
    assert_eq!(listed(fresh, KeyFilter { expiring_before: Some(at(1_001)), ..all.clone() }).await, [1, 2, 3, 4, 5]);
    // Rotated at 12 but for key 6, made at 10.
    assert_eq!(listed(fresh, KeyFilter { issued_before: Some(at(12)), ..all.clone() }).await, [6]);
    let newest = KeyFilter { newest_first: true, limit: 2, ..all.clone() };
    assert_eq!(listed(fresh, newest.clone()).await, [6, 5]);
    assert_eq!(listed(fresh, KeyFilter { after: Some(key_id(5)), ..newest.clone() }).await, [4, 3]);
    let of_account = KeyFilter { account: Some(account_id(2)), ..newest };
    assert_eq!(listed(fresh, of_account).await, [2]);
    for (words, fits) in [("%", false), ("_", false), ("!", false), ("no such words", false)] {
        let found = listed(fresh, KeyFilter { words: Some(words.into()), ..all.clone() }).await;
        assert_eq!(!found.is_empty(), fits, "{words}");
    }
    let named = find_key(&fresh.db, key_id(1)).await.unwrap().unwrap().name;
    for words in [named.to_uppercase(), named.to_lowercase(), named.chars().skip(1).collect()] {
        let found = listed(fresh, KeyFilter { words: Some(words.clone()), ..all.clone() }).await;
        assert!(found.contains(&1), "{words}: {found:?}");
    }
    let two = KeyFilter { kind: Some("service".into()), issued_before: Some(at(12)), ..all };
    assert_eq!(listed(fresh, two).await, [6]);
}

async fn the_operators_keys_are_listed_only_when_asked_for(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    insert(fresh, &[key(1, 0), key(2, 1)]).await;
    let all = KeyFilter::all(100, at(100));
    assert_eq!(listed(fresh, all.clone()).await, [2]);
    assert_eq!(listed(fresh, KeyFilter { include_operator: true, ..all.clone() }).await, [1, 2]);
    assert_eq!(listed(fresh, KeyFilter { account: Some(AccountId::OPERATOR), ..all }).await, [1]);
}

async fn states_are_told_apart_at_the_time_asked(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut keys: Vec<_> = (1..=4).map(|number| key(number, 1)).collect();
    keys[1].enabled = false;
    keys[2].expires_at = Some(at(50));
    keys[3].revoked_at = Some(at(20));
    keys[3].expires_at = Some(at(50));
    insert(fresh, &keys).await;
    for now in [at(49), at(50), at(51)] {
        for status in Status::ALL {
            let expected: Vec<_> =
                keys.iter().filter(|key| key.status(now) == status).map(|key| key.id.bits()).collect();
            let filter = KeyFilter { status: Some(status), ..KeyFilter::all(100, now) };
            assert_eq!(listed(fresh, filter).await, expected, "{status} at {now}");
        }
    }
}

async fn pages_follow_each_other(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    insert(fresh, &(1..=7).map(|number| key(number, 1 + number % 2)).collect::<Vec<_>>()).await;
    for (account, expected) in [(None, vec![1, 2, 3, 4, 5, 6, 7]), (Some(account_id(1)), vec![2, 4, 6])] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = listed(fresh, KeyFilter { account, after, ..KeyFilter::all(2, at(0)) }).await;
            let Some(last) = page.last() else { break };
            after = Some(key_id(*last));
            seen.extend(page);
        }
        assert_eq!(seen, expected);
    }
}

async fn live_keys_are_counted_up_to_a_limit(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut keys: Vec<_> = (1..=6).map(|number| key(number, 1)).collect();
    keys[0].account = account_id(2);
    keys[1].kind = "trial".into();
    keys[2].revoked_at = Some(at(1));
    keys[3].expires_at = None;
    keys[4].enabled = false;
    insert(fresh, &keys).await;
    let count = async |now, up_to| count_live_keys(&fresh.db, account_id(1), "service", now, up_to).await.unwrap();
    assert_eq!(count(at(0), 100).await, 3, "a disabled key counts: it can be enabled again");
    assert_eq!(count(at(1_000), 100).await, 1, "a key that expires now is expired");
    assert_eq!(count(at(1_000).before(Span::from_millis(1)), 100).await, 3);
    assert_eq!(count(at(0), 2).await, 2);
}

async fn ended_keys_go_with_all_they_have(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut tx = fresh.db.begin().await.unwrap();
    // Another account's key has ended too; one of the account's own ends when it is asked for, one later, one never.
    let ends = [(1, Some(9)), (2, Some(8)), (1, Some(10)), (1, Some(11)), (1, None), (1, Some(7)), (1, Some(9))];
    for (number, (account, end)) in (1..).zip(ends) {
        let mut key = bare_key(number, account);
        key.expires_at = end.map(at);
        insert_key(&mut tx, &key).await.unwrap();
        insert_secret(&mut tx, &secret(u64::try_from(number).unwrap(), number)).await.unwrap();
        let row = UsageRow { key: key.id, hour: 1, outcome: "VALID".into(), tag: String::new(), count: 1 };
        add_usage(&mut tx, &[row]).await.unwrap();
        let used = PermissionUseRow { key: key.id, permission: "a:read".into(), day: 1 };
        set_permission_uses(&mut tx, &[used]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    let mut first = delete_ended_keys(&mut tx, account_id(1), at(10), 2).await.unwrap();
    first.sort_unstable();
    assert_eq!(first, [key_id(1), key_id(6)], "the oldest first, and no more than asked for");
    assert!(tx.touched.digests.contains(&digest(1)) && tx.touched.digests.contains(&digest(6)));
    assert_eq!(delete_ended_keys(&mut tx, account_id(1), at(10), 2).await.unwrap(), [key_id(7)]);
    assert_eq!(delete_ended_keys(&mut tx, account_id(1), at(10), 2).await.unwrap(), []);
    tx.commit().await.unwrap();
    for number in 1..=7 {
        let (id, stays) = (key_id(number), [2, 3, 4, 5].contains(&number));
        assert_eq!(find_key(&fresh.db, id).await.unwrap().is_some(), stays, "{number}");
        assert_eq!(list_secrets(&fresh.db, id).await.unwrap().len(), usize::from(stays));
        assert_eq!(list_usage(&fresh.db, id, 0, 9).await.unwrap().len(), usize::from(stays));
        assert_eq!(list_permission_uses(&fresh.db, id).await.unwrap().len(), usize::from(stays));
    }
}
