//! Accounts.

use keywright_core::account::{Account, Profile, Standing, Subscription};
use keywright_core::id::AccountId;
use keywright_store::StoreError;
use keywright_store::accounts::{AccountFilter, find_account, insert_account, list_accounts, update_account};
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::{account, account_id, at, metadata, with_accounts};

on_both_engines! {
    an_account_reads_back_as_written,
    the_operator_account_is_there_from_the_start,
    an_id_is_taken_once,
    a_change_names_its_version,
    pages_follow_each_other,
    accounts_are_found_by_what_is_known_of_them_and_by_how_they_stand,
    what_an_earlier_release_writes_reads_as_an_account_of_which_little_is_known,
}

async fn an_account_reads_back_as_written(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_account(&mut tx, &account(1)).await.unwrap();
    assert_eq!(find_account(&tx, account_id(1)).await.unwrap(), Some(account(1)), "inside its own transaction");
    assert_eq!(tx.touched.accounts, [account_id(1)]);
    tx.commit().await.unwrap();
    assert_eq!(find_account(&fresh.db, account_id(1)).await.unwrap(), Some(account(1)));
    assert_eq!(find_account(&fresh.db, account_id(2)).await.unwrap(), None);
}

async fn the_operator_account_is_there_from_the_start(fresh: &Fresh) {
    let operator = find_account(&fresh.db, AccountId::OPERATOR).await.unwrap().unwrap();
    assert_eq!((operator.name.as_str(), operator.standing), ("operator", Standing::Active));
}

async fn an_id_is_taken_once(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(insert_account(&mut tx, &account(1)).await, Err(StoreError::Conflict));
}

async fn a_change_names_its_version(fresh: &Fresh) {
    with_accounts(&fresh.db, 2).await;
    let mut changed = account(1);
    changed.name = "renamed".into();
    changed.standing = Standing::Suspended;
    changed.profile = Profile { first_name: "Ada".into(), ..Profile::default() };
    changed.subscription = Subscription::Canceled;
    changed.credits = 12;
    changed.metadata = metadata("{}");
    changed.updated_at = at(50);

    let mut tx = fresh.db.begin().await.unwrap();
    update_account(&mut tx, &changed).await.unwrap();
    assert_eq!(tx.touched.accounts, [account_id(1)]);
    tx.commit().await.unwrap();

    let stored = find_account(&fresh.db, account_id(1)).await.unwrap().unwrap();
    assert_eq!(stored, keywright_core::account::Account { version: 2, ..changed.clone() });
    assert_eq!(find_account(&fresh.db, account_id(2)).await.unwrap(), Some(account(2)), "the other is as it was");

    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(update_account(&mut tx, &changed).await, Err(StoreError::Conflict), "an old version");
    tx.rollback().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(update_account(&mut tx, &account(3)).await, Err(StoreError::Conflict), "no such account");
}

async fn pages_follow_each_other(fresh: &Fresh) {
    with_accounts(&fresh.db, 5).await;
    let mut seen = Vec::new();
    let mut after = Some(AccountId::OPERATOR);
    loop {
        let filter = AccountFilter { after, limit: 2, ..AccountFilter::default() };
        let page = list_accounts(&fresh.db, &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.into_iter().map(|account| account.id.bits()));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let first = AccountFilter { limit: 1, ..AccountFilter::default() };
    assert_eq!(list_accounts(&fresh.db, &first).await.unwrap()[0].id, AccountId::OPERATOR);
}

async fn accounts_are_found_by_what_is_known_of_them_and_by_how_they_stand(fresh: &Fresh) {
    with_accounts(&fresh.db, 3).await;
    let mut tx = fresh.db.begin().await.unwrap();
    let mut second = Account { name: "Nygaard & 100% AS".into(), standing: Standing::Suspended, ..account(2) };
    second.profile.company = "Norsk Regnesentral".into();
    update_account(&mut tx, &second).await.unwrap();
    tx.commit().await.unwrap();
    let find = async |words: &str, standing| {
        let words = Some(words.to_owned()).filter(|words| !words.is_empty());
        let filter = AccountFilter { words, standing, after: Some(AccountId::OPERATOR), limit: 10 };
        list_accounts(&fresh.db, &filter).await.unwrap().iter().map(|account| account.id.bits()).collect::<Vec<_>>()
    };
    for (words, found) in [
        ("nygaard &", vec![2]),
        ("100%", vec![2]),
        ("%", vec![2]),
        ("_", vec![1, 2, 3]),
        ("REGNESENTRAL", vec![2]),
        ("account3@", vec![3]),
        (&account_id(1).to_string(), vec![1]),
        ("nobody", vec![]),
    ] {
        assert_eq!(find(words, None).await, found, "{words}");
    }
    assert_eq!(find("", Some(Standing::Suspended)).await, [2]);
    assert_eq!(find("", Some(Standing::Active)).await, [1, 3]);
    assert_eq!(find("nygaard", Some(Standing::Active)).await, [0; 0]);
}

async fn what_an_earlier_release_writes_reads_as_an_account_of_which_little_is_known(fresh: &Fresh) {
    // The statement of the release before accounts had a profile.
    let insert = format!(
        "insert into accounts (id, name, standing, metadata, created_ms, updated_ms, version) \
         values ('{}', 'old', 'active', '{{}}', 1, 2, 1)",
        account_id(1)
    );
    fresh.db.run_raw(&insert).await.unwrap();
    let found = find_account(&fresh.db, account_id(1)).await.unwrap().unwrap();
    assert_eq!((found.profile, found.subscription, found.credits), (Profile::default(), Subscription::None, 0));
}
