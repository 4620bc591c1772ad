//! Second factors.

use keywright_store::factors::{
    count_backup_codes, replace_backup_codes, set_up_totp, start_totp, stop_totp, take_backup_code, take_step,
};
use keywright_store::testing::Fresh;
use keywright_store::users::{find_credentials, insert_user};

use crate::on_both_engines;
use crate::samples::{at, digest, user};

on_both_engines! {
    a_secret_counts_once_a_code_of_it_was_shown,
    a_step_is_taken_once_and_never_an_earlier_one,
    a_code_on_paper_is_taken_once_by_whom_it_was_given_to,
}

async fn a_secret_counts_once_a_code_of_it_was_shown(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(1), "").await.unwrap();
    let id = user(1).id;
    assert_eq!(start_totp(&mut tx, id, 5, at(1)).await, Ok(false), "nothing is set up");
    assert_eq!(set_up_totp(&mut tx, id, b"first").await, Ok(true));
    assert_eq!(set_up_totp(&mut tx, id, b"second").await, Ok(true));
    assert_eq!(take_step(&mut tx, id, 4).await, Ok(false), "it is not on");
    assert_eq!(start_totp(&mut tx, id, 5, at(1)).await, Ok(true));
    assert_eq!(start_totp(&mut tx, id, 6, at(1)).await, Ok(false));
    assert_eq!(set_up_totp(&mut tx, id, b"third").await, Ok(false), "it counts already");
    let found = find_credentials(&tx, id).await.unwrap().unwrap();
    assert_eq!((found.totp_sealed.as_deref(), found.totp_step), (Some(b"second".as_slice()), 5));
    assert_eq!(found.user.second_factor_at, Some(at(1)));
    replace_backup_codes(&mut tx, id, &[digest(1)]).await.unwrap();
    assert_eq!(stop_totp(&mut tx, id).await, Ok(true));
    assert_eq!(stop_totp(&mut tx, id).await, Ok(false));
    let found = find_credentials(&tx, id).await.unwrap().unwrap();
    assert_eq!((found.totp_sealed, found.totp_step, found.user.second_factor_at), (None, 0, None));
    assert_eq!(count_backup_codes(&tx, id).await, Ok(0));
}

async fn a_step_is_taken_once_and_never_an_earlier_one(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    insert_user(&mut tx, &user(1), "").await.unwrap();
    set_up_totp(&mut tx, user(1).id, b"x").await.unwrap();
    start_totp(&mut tx, user(1).id, 5, at(1)).await.unwrap();
    for (step, taken) in [(5, false), (4, false), (6, true), (6, false), (5, false), (8, true), (7, false)] {
        assert_eq!(take_step(&mut tx, user(1).id, step).await, Ok(taken), "{step}");
    }
    assert_eq!(take_step(&mut tx, user(2).id, 9).await, Ok(false));
}

async fn a_code_on_paper_is_taken_once_by_whom_it_was_given_to(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    for number in 1..=2 {
        insert_user(&mut tx, &user(number), "").await.unwrap();
        let digests = [digest(1), digest(number as u64 + 1)];
        replace_backup_codes(&mut tx, user(number).id, &digests).await.unwrap();
    }
    assert_eq!(take_backup_code(&mut tx, user(1).id, &digest(3), at(1)).await, Ok(false));
    assert_eq!(take_backup_code(&mut tx, user(1).id, &digest(1), at(1)).await, Ok(true));
    assert_eq!(take_backup_code(&mut tx, user(1).id, &digest(1), at(1)).await, Ok(false));
    assert_eq!(count_backup_codes(&tx, user(1).id).await, Ok(1));
    assert_eq!(count_backup_codes(&tx, user(2).id).await, Ok(2));
    replace_backup_codes(&mut tx, user(1).id, &[digest(9)]).await.unwrap();
    assert_eq!(take_backup_code(&mut tx, user(1).id, &digest(2), at(1)).await, Ok(false), "it was replaced");
}
