//! The audit log.

use keywright_core::audit::AuditRow;
use keywright_store::StoreError;
use keywright_store::audit::{AuditFilter, append_audit, audit_head, list_audit, list_audit_from};
use keywright_store::testing::Fresh;

use crate::on_both_engines;
use crate::samples::{account_id, audit_row};

on_both_engines! {
    rows_are_added_and_the_head_moves,
    a_second_writer_cannot_fork_the_chain,
    rows_that_do_not_follow_each_other_are_refused,
    filters_leave_out_what_does_not_fit,
    pages_go_back_in_time,
}

async fn add(fresh: &Fresh, rows: &[AuditRow]) {
    let last = rows.last().unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    append_audit(&mut tx, rows, (last.seq, last.link)).await.unwrap();
    tx.commit().await.unwrap();
}

fn filter() -> AuditFilter {
    AuditFilter { account: None, target: None, action: None, actor: None, before: None, limit: 100 }
}

async fn listed(fresh: &Fresh, filter: AuditFilter) -> Vec<i64> {
    list_audit(&fresh.db, &filter).await.unwrap().iter().map(|row| row.seq).collect()
}

async fn rows_are_added_and_the_head_moves(fresh: &Fresh) {
    assert_eq!(audit_head(&fresh.db).await, Ok((0, [0; 32])));
    let mut rows: Vec<_> = (1..=20).map(audit_row).collect();
    (rows[1].account, rows[1].request_id) = (None, None);
    add(fresh, &rows[..1]).await;
    add(fresh, &rows[1..]).await;
    assert_eq!(audit_head(&fresh.db).await, Ok((20, [20; 32])));
    assert_eq!(list_audit_from(&fresh.db, 1, 100).await.unwrap(), rows);
    assert_eq!(list_audit_from(&fresh.db, 3, 2).await.unwrap(), rows[2..4]);
    let mut tx = fresh.db.begin().await.unwrap();
    append_audit(&mut tx, &[], (0, [0; 32])).await.unwrap();
}

async fn a_second_writer_cannot_fork_the_chain(fresh: &Fresh) {
    add(fresh, &[audit_row(1)]).await;
    let mut tx = fresh.db.begin().await.unwrap();
    let fork = append_audit(&mut tx, &[audit_row(1)], (1, [1; 32])).await;
    assert_eq!(fork, Err(StoreError::Conflict), "the place is taken");
    tx.rollback().await.unwrap();
    let mut tx = fresh.db.begin().await.unwrap();
    let gap = append_audit(&mut tx, &[audit_row(3)], (3, [3; 32])).await;
    assert_eq!(gap, Err(StoreError::Conflict), "the place before is not there");
    tx.rollback().await.unwrap();
    assert_eq!(audit_head(&fresh.db).await, Ok((1, [1; 32])));
}

async fn rows_that_do_not_follow_each_other_are_refused(fresh: &Fresh) {
    for (rows, head) in [
        (vec![audit_row(1), audit_row(3)], (3, [3; 32])),
        (vec![audit_row(1)], (2, [1; 32])),
        (vec![audit_row(1)], (1, [2; 32])),
    ] {
        let mut tx = fresh.db.begin().await.unwrap();
        assert!(matches!(append_audit(&mut tx, &rows, head).await, Err(StoreError::Corrupt(_))));
        tx.rollback().await.unwrap();
    }
}

async fn filters_leave_out_what_does_not_fit(fresh: &Fresh) {
    let mut rows: Vec<_> = (1..=4).map(audit_row).collect();
    rows[1].action = "key.revoke".into();
    rows[2].actor = "local".into();
    rows[3].account = Some(account_id(8));
    rows[3].target = rows[0].target.clone();
    add(fresh, &rows).await;
    assert_eq!(listed(fresh, filter()).await, [4, 3, 2, 1]);
    assert_eq!(listed(fresh, AuditFilter { action: Some("key.revoke".into()), ..filter() }).await, [2]);
    assert_eq!(listed(fresh, AuditFilter { actor: Some("local".into()), ..filter() }).await, [3]);
    let of_account = AuditFilter { account: Some(account_id(7)), ..filter() };
    assert_eq!(listed(fresh, of_account.clone()).await, [3, 2, 1]);
    let of_target = AuditFilter { target: Some(rows[0].target.clone()), ..filter() };
    assert_eq!(listed(fresh, of_target.clone()).await, [4, 1]);
    assert_eq!(listed(fresh, AuditFilter { account: of_account.account, ..of_target }).await, [1]);
}

async fn pages_go_back_in_time(fresh: &Fresh) {
    add(fresh, &(1..=5).map(audit_row).collect::<Vec<_>>()).await;
    let page = |before| AuditFilter { before, limit: 2, account: Some(account_id(7)), ..filter() };
    assert_eq!(listed(fresh, page(None)).await, [5, 4]);
    assert_eq!(listed(fresh, page(Some(4))).await, [3, 2]);
    assert_eq!(listed(fresh, page(Some(2))).await, [1]);
    assert!(listed(fresh, page(Some(1))).await.is_empty());
}
