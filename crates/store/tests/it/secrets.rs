//! Secrets.

use keywright_core::account::Standing;
use keywright_core::key::Secret;
use keywright_core::secret::{Form, Making};
use keywright_store::secrets::{
    Found, MAX_DIGESTS, existing_digests, find_secret, insert_imported, insert_secret, list_makings, list_secrets,
    replace_digest, set_grace_end, set_predecessors_end,
};
use keywright_store::testing::Fresh;
use keywright_store::{StoreError, Touched, accounts};

use crate::on_both_engines;
use crate::samples::{account, at, bare_key, digest, key, key_id, secret, with_accounts, with_key};

on_both_engines! {
    a_secret_is_found_with_all_that_decides,
    the_first_known_digest_is_found,
    more_digests_than_are_looked_for_are_refused,
    a_digest_is_taken_once_and_a_key_is_needed,
    rotation_ends_every_other_secret_and_prolongs_none,
    grace_is_moved_only_while_it_lasts,
    a_digest_is_replaced_with_its_making,
    makings_in_use_are_listed_once,
    an_import_reads_back_as_written,
    an_import_with_a_taken_digest_adds_nothing,
    existing_digests_are_told_from_new_ones,
}

async fn a_secret_is_found_with_all_that_decides(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let expected =
        Found { secret: secret(1, 1), key: key(1, 1), standing: Standing::Active, account_name: "account 1".into() };
    assert_eq!(find_secret(&fresh.db, &[digest(1)]).await.unwrap(), Some(expected.clone()));

    let mut tx = fresh.db.begin().await.unwrap();
    let suspended = keywright_core::account::Account { standing: Standing::Suspended, ..account(1) };
    accounts::update_account(&mut tx, &suspended).await.unwrap();
    let expected = Found { standing: Standing::Suspended, ..expected };
    assert_eq!(find_secret(&tx, &[digest(1)]).await.unwrap(), Some(expected));
}

async fn the_first_known_digest_is_found(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_secret(&mut tx, &secret(2, 1)).await.unwrap();
    tx.commit().await.unwrap();
    let found = async |numbers: &[u64]| {
        let digests: Vec<_> = numbers.iter().map(|number| digest(*number)).collect();
        find_secret(&fresh.db, &digests).await.unwrap().map(|found| found.secret.digest)
    };
    assert_eq!(found(&[9, 2, 1]).await, Some(digest(2)));
    assert_eq!(found(&[1, 2]).await, Some(digest(1)));
    assert_eq!(found(&[11, 12, 13, 14, 15, 16, 17, 1]).await, Some(digest(1)));
    assert_eq!(found(&[8, 9]).await, None);
    assert_eq!(found(&[]).await, None);
}

async fn more_digests_than_are_looked_for_are_refused(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let found = find_secret(&fresh.db, &vec![digest(1); MAX_DIGESTS + 1]).await;
    assert!(matches!(found, Err(StoreError::Corrupt(_))));
}

async fn a_digest_is_taken_once_and_a_key_is_needed(fresh: &Fresh) {
    with_key(&fresh.db).await;
    for taken in [secret(1, 1), secret(2, 9)] {
        let mut tx = fresh.db.begin().await.unwrap();
        assert_eq!(insert_secret(&mut tx, &taken).await, Err(StoreError::Conflict));
        tx.rollback().await.unwrap();
    }
}

async fn rotation_ends_every_other_secret_and_prolongs_none(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_secret(&mut tx, &Secret { expires_at: Some(at(50)), ..secret(2, 1) }).await.unwrap();
    insert_secret(&mut tx, &Secret { expires_at: Some(at(200)), ..secret(3, 1) }).await.unwrap();
    insert_secret(&mut tx, &secret(4, 1)).await.unwrap();
    accounts::insert_account(&mut tx, &account(2)).await.unwrap();
    keywright_store::keys::insert_key(&mut tx, &key(2, 2)).await.unwrap();
    insert_secret(&mut tx, &secret(5, 2)).await.unwrap();
    tx.touched = Touched::default();

    assert_eq!(set_predecessors_end(&mut tx, key_id(1), &digest(4), at(100)).await, Ok(2));
    tx.touched.digests.sort();
    let mut touched = vec![digest(1), digest(3)];
    touched.sort();
    assert_eq!((&tx.touched.digests, tx.touched.keys.as_slice()), (&touched, [key_id(1)].as_slice()));
    tx.commit().await.unwrap();

    let ends = list_secrets(&fresh.db, key_id(1)).await.unwrap();
    let ends: Vec<_> = ends.iter().map(|secret| (secret.digest, secret.expires_at)).collect();
    let expected =
        [(digest(4), None), (digest(3), Some(at(100))), (digest(2), Some(at(50))), (digest(1), Some(at(100)))];
    assert_eq!(ends, expected, "newest first");
    assert_eq!(list_secrets(&fresh.db, key_id(2)).await.unwrap(), [secret(5, 2)], "another key's are as they were");
}

async fn grace_is_moved_only_while_it_lasts(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    insert_secret(&mut tx, &Secret { expires_at: Some(at(50)), ..secret(2, 1) }).await.unwrap();
    insert_secret(&mut tx, &Secret { expires_at: Some(at(200)), ..secret(3, 1) }).await.unwrap();
    tx.touched = Touched::default();
    assert_eq!(set_grace_end(&mut tx, key_id(1), at(300), at(50)).await, Ok(1));
    assert_eq!(tx.touched.digests, [digest(3)]);
    let ends: Vec<_> = list_secrets(&tx, key_id(1)).await.unwrap().iter().map(|secret| secret.expires_at).collect();
    assert_eq!(ends, [Some(at(300)), Some(at(50)), None], "neither one over nor the live one");
    assert_eq!(set_grace_end(&mut tx, key_id(1), at(400), at(300)).await, Ok(0));
    assert_eq!(tx.touched.keys, [key_id(1)]);
}

async fn a_digest_is_replaced_with_its_making(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let making = Making { pepper: 2, form: Form::Sha256 };
    let mut tx = fresh.db.begin().await.unwrap();
    replace_digest(&mut tx, &digest(1), &digest(2), making).await.unwrap();
    assert_eq!(
        (&tx.touched.digests, &tx.touched.added),
        (&vec![digest(1)], &vec![digest(2)]),
        "a cache may know that the new one is unknown"
    );
    assert_eq!(find_secret(&tx, &[digest(1)]).await.unwrap(), None);
    let found = find_secret(&tx, &[digest(2)]).await.unwrap().unwrap();
    assert_eq!(found.secret, Secret { digest: digest(2), making, ..secret(1, 1) });
    assert_eq!(replace_digest(&mut tx, &digest(1), &digest(3), making).await, Err(StoreError::Conflict));
}

async fn makings_in_use_are_listed_once(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    for (number, pepper, form) in [(2, 2, Form::Sha256), (3, 2, Form::Plain), (4, 2, Form::Plain)] {
        insert_secret(&mut tx, &Secret { making: Making { pepper, form }, ..secret(number, 1) }).await.unwrap();
    }
    let expected = [(1, Form::Plain), (2, Form::Plain), (2, Form::Sha256)];
    assert_eq!(list_makings(&tx).await.unwrap(), expected.map(|(pepper, form)| Making { pepper, form }));
}

async fn an_import_reads_back_as_written(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    // More than two chunks, and a last one that is not full.
    let imported: Vec<_> = (1..=21)
        .map(|number| {
            let numbered = if number % 2 == 0 { bare_key(number.into(), 1) } else { key(number.into(), 1) };
            (numbered, secret(number, number.into()))
        })
        .collect();
    let mut tx = fresh.db.begin().await.unwrap();
    insert_imported(&mut tx, &imported).await.unwrap();
    assert_eq!((tx.touched.keys.len(), tx.touched.added.len()), (21, 21));
    tx.commit().await.unwrap();
    for (key, secret) in &imported {
        let found = find_secret(&fresh.db, &[secret.digest]).await.unwrap().unwrap();
        assert_eq!((&found.key, &found.secret), (key, secret));
    }
    let mut tx = fresh.db.begin().await.unwrap();
    insert_imported(&mut tx, &[]).await.unwrap();
}

async fn an_import_with_a_taken_digest_adds_nothing(fresh: &Fresh) {
    with_key(&fresh.db).await;
    let mut tx = fresh.db.begin().await.unwrap();
    tx.begin_job().unwrap();
    let imported = [(key(2, 1), secret(2, 2)), (key(3, 1), secret(1, 3))];
    assert_eq!(insert_imported(&mut tx, &imported).await, Err(StoreError::Conflict));
    tx.undo_job().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find_secret(&fresh.db, &[digest(2)]).await.unwrap(), None);
    assert_eq!(keywright_store::keys::find_key(&fresh.db, key_id(2)).await.unwrap(), None);
}

async fn existing_digests_are_told_from_new_ones(fresh: &Fresh) {
    with_accounts(&fresh.db, 1).await;
    let imported: Vec<_> = (1..=150).map(|number| (key(number.into(), 1), secret(number, number.into()))).collect();
    let mut tx = fresh.db.begin().await.unwrap();
    insert_imported(&mut tx, &imported).await.unwrap();
    tx.commit().await.unwrap();
    let asked: Vec<_> = (100..=250).map(digest).collect();
    let existing = existing_digests(&fresh.db, &asked).await.unwrap();
    assert_eq!(existing, (100..=150).map(digest).collect());
    assert!(existing_digests(&fresh.db, &[]).await.unwrap().is_empty());
}
