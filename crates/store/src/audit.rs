//! The audit log: rows that are only ever added, and one row that says where the log ends.
//!
//! The head moves only from the row the addition follows, so two writers cannot both continue the same chain.

use keywright_core::audit::AuditRow;
use keywright_core::id::AccountId;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

/// What every list of audit rows begins with.
macro_rules! select {
    ($($rest:expr),+) => {
        concat!("select seq, at_ms, actor, action, target, account, request_id, detail, link from audit ", $($rest),+)
    };
}

/// The filters that no index is kept for.
macro_rules! filters {
    () => {
        "and (cast($3 as text) is null or actor = $3) and (cast($4 as text) is null or action = $4) \
         and (cast($5 as text) is null or account = $5) order by seq desc limit $2"
    };
}

statements! {
    INSERT_AUDIT = "insert into audit (seq, at_ms, actor, action, target, account, request_id, detail, link) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    MOVE_HEAD = "update audit_head set seq = $1, link = $2 where id = 1 and seq = $3";
    FIND_HEAD = "select seq, link from audit_head where id = 1";
    LIST_AUDIT = select!("where seq < $1 ", filters!());
    LIST_AUDIT_OF_ACCOUNT = select!("where seq < $1 and account = $6 ", filters!());
    LIST_AUDIT_OF_TARGET = select!("where seq < $1 and target = $6 ", filters!());
    LIST_AUDIT_FROM = select!("where seq >= $1 order by seq limit $2");
}

/// Which rows to list: those that fit everything given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFilter {
    /// Concerning this account.
    pub account: Option<AccountId>,
    /// Done to this.
    pub target: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// Who did it, as it is written down.
    pub actor: Option<String>,
    /// Before this row: the last one of the page before.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

fn audit_row(row: &mut Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        seq: row.int()?,
        at: row.time()?,
        actor: row.text()?,
        action: row.text()?,
        target: row.text()?,
        account: row.maybe_parsed()?,
        request_id: row.maybe_text()?,
        detail: row.text()?,
        link: row.bytes32()?,
    })
}

/// Adds rows, which follow each other and the log's end, and moves the end to `head`.
///
/// # Errors
/// Conflict: the log has grown since its end was read. Corrupt: the rows do not follow each other up to `head`.
pub async fn append_audit(tx: &mut Tx, rows: &[AuditRow], head: (i64, [u8; 32])) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
    let in_order = (first.seq..).zip(rows).all(|(seq, row)| row.seq == seq);
    if !in_order || head != (last.seq, last.link) {
        return Err(StoreError::corrupt("audit rows to be added do not follow each other"));
    }
    tx.write(MOVE_HEAD, values![head.0, &head.1, first.seq - 1], Rows::One).await?;
    let row = |row: &AuditRow| {
        values![
            row.seq,
            row.at,
            &row.actor,
            &row.action,
            &row.target,
            row.account,
            row.request_id.as_ref(),
            &row.detail,
            &row.link,
        ]
    };
    tx.write_each(INSERT_AUDIT, rows.iter().map(row).collect()).await
}

/// The last row's place and link; zeros before the first row.
///
/// # Errors
/// Unavailable, or corrupt where the head is gone.
pub async fn audit_head(on: &impl Read) -> Result<(i64, [u8; 32]), StoreError> {
    let head = find(on, FIND_HEAD, values![], |row| Ok((row.int()?, row.bytes32()?))).await?;
    head.ok_or_else(|| StoreError::corrupt("the audit log's head is gone"))
}

/// Lists rows, newest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_audit(on: &impl Read, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
    // Of several filters the one that leaves the fewest rows picks the index.
    let (sql, picked) = match (&filter.target, filter.account) {
        (Some(target), _) => (LIST_AUDIT_OF_TARGET, Some(target.clone())),
        (None, Some(account)) => (LIST_AUDIT_OF_ACCOUNT, Some(account.to_string())),
        (None, None) => (LIST_AUDIT, None),
    };
    let mut values = values![
        filter.before.unwrap_or(i64::MAX),
        filter.limit,
        filter.actor.as_ref(),
        filter.action.as_ref(),
        filter.account,
    ];
    values.extend(picked.map(|picked| picked.into()));
    list(on, sql, values, audit_row).await
}

/// Lists rows from `seq` on, oldest first, for following the chain.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_audit_from(on: &impl Read, seq: i64, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
    list(on, LIST_AUDIT_FROM, values![seq, limit], audit_row).await
}
