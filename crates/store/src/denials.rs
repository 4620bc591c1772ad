//! Why keys were refused, and in which request.
//!
//! Written with the counts, in batches. What must stay true: of each key the latest [`KEPT`] are kept and no more.

use std::collections::{BTreeMap, BTreeSet};

use keywright_core::id::KeyId;
use keywright_core::time::Time;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::read::{Read, list};
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

/// Refusals kept of each key.
pub const KEPT: i64 = 100;

statements! {
    ADD_DENIALS = "insert into denials (key_id, at_ms, request_id, outcome, ip, agent) values ($1, $2, $3, $4, $5, $6) \
        on conflict (key_id, at_ms, request_id) do nothing";
    FORGET_DENIALS = "delete from denials where key_id = $1 and at_ms < (select min(kept.at_ms) from \
        (select d.at_ms from denials d where d.key_id = $1 order by d.at_ms desc limit $2) as kept)";
    LIST_DENIALS = "select key_id, at_ms, request_id, outcome, ip, agent from denials where key_id = $1 \
        order by at_ms desc, request_id limit $2";
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialRow {
    /// The key.
    pub key: KeyId,
    /// When.
    pub at: Time,
    /// What the verification came to.
    pub outcome: String,
    /// The request it was asked for in; empty where it had no name.
    pub request_id: String,
    /// Where the key was used from.
    pub ip: Option<String>,
    /// By what.
    pub user_agent: Option<String>,
}

/// Notes refusals, and forgets those that too many came after.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn add_denials(tx: &mut Tx, denials: &[DenialRow]) -> Result<(), StoreError> {
    // One statement may not name a row twice; and in the order of the index neighbours are written together.
    let rows: BTreeMap<_, &DenialRow> = denials.iter().map(|one| ((one.key, one.at, &one.request_id), one)).collect();
    let keys: BTreeSet<KeyId> = denials.iter().map(|one| one.key).collect();
    let rows = rows
        .into_values()
        .map(|one| values![one.key, one.at, &one.request_id, &one.outcome, one.ip.as_ref(), one.user_agent.as_ref()])
        .collect();
    tx.write_each(ADD_DENIALS, rows).await?;
    for key in keys {
        tx.write(FORGET_DENIALS, values![key, KEPT], Rows::Any).await?;
    }
    Ok(())
}

/// When and why a key was lately refused, the latest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_denials(on: &impl Read, key: KeyId) -> Result<Vec<DenialRow>, StoreError> {
    list(on, LIST_DENIALS, values![key, KEPT], |row| {
        Ok(DenialRow {
            key: row.parsed()?,
            at: row.time()?,
            request_id: row.text()?,
            outcome: row.text()?,
            ip: row.maybe_text()?,
            user_agent: row.maybe_text()?,
        })
    })
    .await
}
