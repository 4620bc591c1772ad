//! On which day each of a key's permissions last let it do something.
//!
//! Written with the counts, in batches, once a day for each. What must stay true: a row only moves forward in time; since
//! when they are written at all is known, so that what was never noted is not taken for what was never used.

use std::collections::BTreeMap;

use keywright_core::id::KeyId;
use keywright_core::time::Time;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

/// What [`find_since`] is asked about.
const WHAT: &str = "permission_uses";

statements! {
    SET_PERMISSION_USES = "insert into permission_uses (key_id, permission, day) values ($1, $2, $3) \
        on conflict (key_id, permission) do update set day = excluded.day where excluded.day > permission_uses.day";
    LIST_PERMISSION_USES = "select permission, day from permission_uses where key_id = $1 order by permission";
    BEGIN_NOTING = "insert into noted_since (what, at_ms) values ($1, $2) on conflict (what) do nothing";
    FIND_NOTED_SINCE = "select at_ms from noted_since where what = $1";
}

/// A permission that let a key do something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PermissionUseRow {
    /// The key.
    pub key: KeyId,
    /// The permission or wildcard, as the key has it.
    pub permission: String,
    /// The day: whole days since the Unix epoch.
    pub day: i64,
}

/// Notes since when uses of permissions are noted, where that is not known yet.
///
/// # Errors
/// Unavailable.
pub async fn begin_noting(tx: &mut Tx, now: Time) -> Result<(), StoreError> {
    tx.write(BEGIN_NOTING, values![WHAT, now], Rows::AtMostOne).await.map(drop)
}

/// Notes which permissions were used. A later day that is already noted stays.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn set_permission_uses(tx: &mut Tx, uses: &[PermissionUseRow]) -> Result<(), StoreError> {
    // One statement may not write a row twice.
    let mut latest: BTreeMap<(KeyId, &str), i64> = BTreeMap::new();
    for used in uses {
        let day = latest.entry((used.key, &used.permission)).or_insert(used.day);
        *day = used.day.max(*day);
    }
    let rows = latest.into_iter().map(|((key, permission), day)| values![key, permission, day]).collect();
    tx.write_each(SET_PERMISSION_USES, rows).await
}

/// Which of its permissions a key was lately used with, in their order.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_permission_uses(on: &impl Read, key: KeyId) -> Result<Vec<PermissionUseRow>, StoreError> {
    list(on, LIST_PERMISSION_USES, values![key], |row| {
        Ok(PermissionUseRow { key, permission: row.text()?, day: row.int()? })
    })
    .await
}

/// Since when the use of permissions is noted; `None` where they are not yet.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_since(on: &impl Read) -> Result<Option<Time>, StoreError> {
    find(on, FIND_NOTED_SINCE, values![WHAT], Row::time).await
}
