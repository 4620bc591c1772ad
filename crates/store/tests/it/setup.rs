//! The link on which the first operator is made.

use keywright_core::setup::{LASTS, SetupLink};
use keywright_store::setup::{find_setup_link, put_setup_link, use_setup_link};
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::{at, digest};

on_both_engines! {
    a_link_is_used_once,
    a_newer_link_takes_the_place_of_the_one_before,
    a_link_that_is_over_is_not_used,
}

async fn a_link_is_used_once(fresh: &Fresh) {
    assert_eq!(find_setup_link(&fresh.db).await, Ok(None));
    let link = SetupLink::new(at(1));
    let mut tx = fresh.db.begin().await.unwrap();
    put_setup_link(&mut tx, &digest(1), &link).await.unwrap();
    assert_eq!(find_setup_link(&tx).await, Ok(Some((digest(1), link))));
    assert_eq!(use_setup_link(&mut tx, &digest(2), at(2)).await, Ok(false), "another");
    assert_eq!(use_setup_link(&mut tx, &digest(1), at(2)).await, Ok(true));
    assert_eq!(use_setup_link(&mut tx, &digest(1), at(3)).await, Ok(false));
    let used = SetupLink { used_at: Some(at(2)), ..link };
    assert_eq!(find_setup_link(&tx).await, Ok(Some((digest(1), used))));
}

async fn a_newer_link_takes_the_place_of_the_one_before(fresh: &Fresh) {
    let mut tx = fresh.db.begin().await.unwrap();
    put_setup_link(&mut tx, &digest(1), &SetupLink::new(at(1))).await.unwrap();
    use_setup_link(&mut tx, &digest(1), at(2)).await.unwrap();
    put_setup_link(&mut tx, &digest(2), &SetupLink::new(at(3))).await.unwrap();
    assert_eq!(find_setup_link(&tx).await, Ok(Some((digest(2), SetupLink::new(at(3))))));
    assert_eq!(use_setup_link(&mut tx, &digest(1), at(4)).await, Ok(false));
    assert_eq!(use_setup_link(&mut tx, &digest(2), at(4)).await, Ok(true));
}

async fn a_link_that_is_over_is_not_used(fresh: &Fresh) {
    let link = SetupLink::new(at(1));
    let mut tx = fresh.db.begin().await.unwrap();
    put_setup_link(&mut tx, &digest(1), &link).await.unwrap();
    assert_eq!(use_setup_link(&mut tx, &digest(1), at(1).after(LASTS)).await, Ok(false));
    assert_eq!(use_setup_link(&mut tx, &digest(1), at(0).after(LASTS)).await, Ok(true));
}
