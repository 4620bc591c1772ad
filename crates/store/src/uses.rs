//! Where keys were last used from: by which of their secrets, from which address, by what program.
//!
//! Written with the counts, in batches. What must stay true: a secret has at most `PLACES` rows, however many addresses it
//! is used from; a row only moves forward in time.

use std::collections::BTreeMap;

use keywright_core::id::KeyId;
use keywright_core::time::Time;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::StoreError;
use crate::read::{Read, list};
use crate::sql::statements;
use crate::tx::Tx;
use crate::value::values;

/// Addresses kept of each secret. One that falls on another's place takes it.
const PLACES: u32 = 16;

statements! {
    SET_USES = "insert into uses (key_id, secret, place, ip, agent, at_ms) values ($1, $2, $3, $4, $5, $6) \
        on conflict (key_id, secret, place) do update set ip = excluded.ip, agent = excluded.agent, \
        at_ms = excluded.at_ms where excluded.at_ms > uses.at_ms";
    LIST_USES = "select key_id, secret, ip, agent, at_ms from uses where key_id = $1 order by at_ms desc, ip";
}

/// When a key's secret was last used from an address. In a batch it is a list of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UseRow {
    /// The key.
    pub key: KeyId,
    /// Which of its secrets: a part of the digest.
    pub secret: i64,
    /// The address; empty where none was said.
    pub ip: String,
    /// The program.
    pub user_agent: Option<String>,
    /// When.
    pub at: Time,
}

impl Serialize for UseRow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { key, secret, ip, user_agent, at } = self;
        (key, secret, ip, user_agent, at).serialize(to)
    }
}

/// The place of an address among those of its secret (FNV-1a, which is the same everywhere).
fn place(ip: &str) -> i64 {
    let mixed = ip.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i64::from((mixed ^ (mixed >> 16)) % PLACES)
}

/// Notes from where keys were used.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn set_uses(tx: &mut Tx, uses: &[UseRow]) -> Result<(), StoreError> {
    // One statement may not write a row twice; and in the order of the index neighbours are written together.
    let mut latest: BTreeMap<(KeyId, i64, i64), &UseRow> = BTreeMap::new();
    for used in uses {
        let known = latest.entry((used.key, used.secret, place(&used.ip))).or_insert(used);
        if known.at < used.at {
            *known = used;
        }
    }
    let rows = latest
        .into_iter()
        .map(|((key, secret, place), used)| values![key, secret, place, &used.ip, used.user_agent.as_ref(), used.at])
        .collect();
    tx.write_each(SET_USES, rows).await
}

/// From where a key was lately used, the latest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_uses(on: &impl Read, key: KeyId) -> Result<Vec<UseRow>, StoreError> {
    list(on, LIST_USES, values![key], |row| {
        Ok(UseRow {
            key: row.parsed()?,
            secret: row.int()?,
            ip: row.text()?,
            user_agent: row.maybe_text()?,
            at: row.time()?,
        })
    })
    .await
}
