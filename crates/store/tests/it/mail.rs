//! Letters that wait.

use keywright_core::id::MailId;
use keywright_store::StoreError;
use keywright_store::mail::{
    Queued, Waiting, count_letters, delete_letter, insert_letter, list_due_letters, put_off_letter, take_letter,
};
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::at;

on_both_engines! {
    letters_are_listed_once_they_are_due_the_longest_waiting_first,
    of_two_that_want_a_letter_one_has_it,
    a_letter_that_was_taken_is_put_off_by_whoever_has_it,
    a_letter_is_deleted_once,
    a_letter_of_a_change_that_did_not_commit_is_not_there,
}

fn letter(number: u128, due: i64) -> Queued {
    Queued {
        id: MailId::from_bits(number),
        recipient: format!("person{number}@example.com"),
        sealed: vec![0, 1, 255],
        created_at: at(1),
        attempts: 0,
        next_at: at(due),
        last_error: String::new(),
    }
}

async fn insert(fresh: &Fresh, letters: &[Queued]) {
    let mut tx = fresh.db.begin().await.unwrap();
    assert!(!tx.touched.mail);
    for letter in letters {
        insert_letter(&mut tx, letter).await.unwrap();
    }
    assert!(tx.touched.mail, "whoever delivers is to be woken");
    tx.commit().await.unwrap();
}

async fn letters_are_listed_once_they_are_due_the_longest_waiting_first(fresh: &Fresh) {
    assert_eq!(
        count_letters(&fresh.db).await,
        Ok(Waiting { letters: 0, oldest_at: keywright_core::time::Time::from_millis(0) })
    );
    insert(fresh, &[letter(1, 30), letter(2, 10), letter(3, 20), letter(4, 10)]).await;
    assert_eq!(list_due_letters(&fresh.db, at(9), 10).await, Ok(vec![]));
    assert_eq!(list_due_letters(&fresh.db, at(20), 10).await, Ok(vec![letter(2, 10), letter(4, 10), letter(3, 20)]));
    assert_eq!(list_due_letters(&fresh.db, at(30), 1).await, Ok(vec![letter(2, 10)]));
    assert_eq!(count_letters(&fresh.db).await, Ok(Waiting { letters: 4, oldest_at: at(1) }));
}

async fn of_two_that_want_a_letter_one_has_it(fresh: &Fresh) {
    insert(fresh, &[letter(1, 10)]).await;
    let id = MailId::from_bits(1);
    // Both have read the same row.
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(take_letter(&mut tx, id, at(10), at(70)).await, Ok(true));
    tx.commit().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(take_letter(&mut tx, id, at(10), at(71)).await, Ok(false));
    tx.commit().await.unwrap();
    assert_eq!(list_due_letters(&fresh.db, at(69), 10).await, Ok(vec![]));
    let taken = Queued { attempts: 1, next_at: at(70), ..letter(1, 10) };
    assert_eq!(list_due_letters(&fresh.db, at(70), 10).await, Ok(vec![taken]), "whoever had it may have died");
}

async fn a_letter_that_was_taken_is_put_off_by_whoever_has_it(fresh: &Fresh) {
    insert(fresh, &[letter(1, 10)]).await;
    let id = MailId::from_bits(1);
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(take_letter(&mut tx, id, at(10), at(70)).await, Ok(true));
    assert_eq!(put_off_letter(&mut tx, id, at(70), at(100), "refused").await, Ok(true));
    assert_eq!(put_off_letter(&mut tx, id, at(70), at(200), "too late").await, Ok(false));
    let put_off = Queued { attempts: 1, next_at: at(100), last_error: "refused".into(), ..letter(1, 10) };
    assert_eq!(list_due_letters(&tx, at(100), 10).await, Ok(vec![put_off]));
}

async fn a_letter_is_deleted_once(fresh: &Fresh) {
    insert(fresh, &[letter(1, 10), letter(2, 10)]).await;
    let mut tx = fresh.db.begin().await.unwrap();
    assert_eq!(delete_letter(&mut tx, MailId::from_bits(1)).await, Ok(true));
    assert_eq!(delete_letter(&mut tx, MailId::from_bits(1)).await, Ok(false));
    assert_eq!(list_due_letters(&tx, at(10), 10).await, Ok(vec![letter(2, 10)]));
    assert_eq!(insert_letter(&mut tx, &letter(2, 20)).await, Err(StoreError::Conflict));
}

async fn a_letter_of_a_change_that_did_not_commit_is_not_there(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    tx.begin_job().unwrap();
    insert_letter(&mut tx, &letter(1, 10)).await.unwrap();
    tx.undo_job().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(list_due_letters(&fresh.db, at(10), 10).await, Ok(vec![]));
}
