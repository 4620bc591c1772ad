//! Usage: counts by key, hour, outcome and tag, and when a key was last used.
//!
//! Both are gathered in memory and written together, so a count is added to, never set, and a last use only moves
//! forward. Neither touches a cache.

use std::collections::BTreeMap;

use keywright_core::id::{AccountId, KeyId};
use keywright_core::key::LastUse;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::StoreError;
use crate::read::{Read, list};
use crate::sql::statements;
use crate::tx::Tx;
use crate::value::{Value, values};

statements! {
    ADD_USAGE = "insert into usage (key_id, hour, outcome, tag, count) values ($1, $2, $3, $4, $5) \
        on conflict (key_id, hour, outcome, tag) do update set count = usage.count + excluded.count";
    LIST_USAGE = "select key_id, hour, outcome, tag, count from usage \
        where key_id = $1 and hour >= $2 and hour < $3 order by hour, outcome, tag";
    /// Along each of the account's keys; PostgreSQL sums into another type than it counts in.
    SUM_USAGE = "select coalesce(k.environment, ''), u.outcome, cast(sum(u.count) as bigint) \
        from keys k join usage u on u.key_id = k.id where k.account = $1 and k.kind = $2 \
        and u.hour >= $3 and u.hour < $4 and u.tag = '' group by 1, u.outcome order by 1, u.outcome";
    /// Of so many keys as a page shows; fewer are asked for by naming the last again.
    SUM_HOURS = "select key_id, hour, outcome, cast(sum(count) as bigint) from usage where hour >= $1 and hour < $2 \
        and tag = '' and key_id in ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
        $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, \
        $43, $44, $45, $46, $47, $48, $49, $50, $51, $52) group by key_id, hour, outcome order by key_id, hour";
    /// The casts tell PostgreSQL what the values are, which it cannot see from the columns they are compared with.
    SET_LAST_USE = "with seen (id, at_ms, ip, agent) as (values \
        (cast($1 as text), cast($2 as bigint), cast($3 as text), cast($4 as text))) \
        update keys set last_used_ms = seen.at_ms, last_used_ip = seen.ip, last_used_agent = seen.agent from seen \
        where keys.id = seen.id and (keys.last_used_ms is null or keys.last_used_ms < seen.at_ms)";
}

/// How often a key was verified with an outcome in an hour. In a batch it is a list of its fields: it need not say of thousands
/// of rows what each is called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UsageRow {
    /// The key.
    pub key: KeyId,
    /// The hour: whole hours since the Unix epoch.
    pub hour: i64,
    /// How the verifications ended.
    pub outcome: String,
    /// What the caller said they were for; empty where it said nothing.
    pub tag: String,
    /// How many there were.
    pub count: i64,
}

impl Serialize for UsageRow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { key, hour, outcome, tag, count } = self;
        (key, hour, outcome, tag, count).serialize(to)
    }
}

/// How often an account's keys of one environment were verified with an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSum {
    /// The environment; empty for keys that have none.
    pub environment: String,
    /// How the verifications ended.
    pub outcome: String,
    /// How many there were.
    pub count: i64,
}

/// Keys [`sum_hours`] asks for at once.
const KEYS: usize = 50;

/// How often a key was verified with an outcome in an hour, whatever it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourSum {
    /// The key.
    pub key: KeyId,
    /// The hour: whole hours since the Unix epoch.
    pub hour: i64,
    /// How the verifications ended.
    pub outcome: String,
    /// How many there were.
    pub count: i64,
}

/// Adds to the counts.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn add_usage(tx: &mut Tx, rows: &[UsageRow]) -> Result<(), StoreError> {
    // One statement may not add to a row twice; and in the order of the index neighbours are written together.
    let mut sums: BTreeMap<_, i64> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry((row.key, row.hour, &row.outcome, &row.tag)).or_default();
        *sum = sum.saturating_add(row.count);
    }
    let rows = sums.into_iter().map(|((key, hour, outcome, tag), sum)| values![key, hour, outcome, tag, sum]).collect();
    tx.write_each(ADD_USAGE, rows).await
}

/// Notes when keys were last used. A later use that is already noted stays; a key that is not there is passed over.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn set_last_use(tx: &mut Tx, uses: &[(KeyId, LastUse)]) -> Result<(), StoreError> {
    // One statement may not write a row twice.
    let mut latest: BTreeMap<KeyId, &LastUse> = BTreeMap::new();
    for (key, last) in uses {
        let known = latest.entry(*key).or_insert(last);
        if known.at < last.at {
            *known = last;
        }
    }
    let rows = latest
        .into_iter()
        .map(|(key, last)| values![key, last.at, last.ip.as_ref(), last.user_agent.as_ref()])
        .collect();
    tx.write_each(SET_LAST_USE, rows).await
}

/// Lists a key's counts from one hour up to, and without, another.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_usage(on: &impl Read, key: KeyId, from_hour: i64, to_hour: i64) -> Result<Vec<UsageRow>, StoreError> {
    list(on, LIST_USAGE, values![key, from_hour, to_hour], |row| {
        Ok(UsageRow { key: row.parsed()?, hour: row.int()?, outcome: row.text()?, tag: row.text()?, count: row.int()? })
    })
    .await
}

/// Sums the counts of several keys by hour and outcome, from one hour up to, and without, another.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn sum_hours(
    on: &impl Read,
    keys: &[KeyId],
    from_hour: i64,
    to_hour: i64,
) -> Result<Vec<HourSum>, StoreError> {
    let mut sums = Vec::new();
    for batch in keys.chunks(KEYS) {
        let last = batch.last().into_iter().cycle();
        let mut values = values![from_hour, to_hour];
        values.extend(batch.iter().chain(last).take(KEYS).map(|key| Value::from(*key)));
        let read = list(on, SUM_HOURS, values, |row| {
            Ok(HourSum { key: row.parsed()?, hour: row.int()?, outcome: row.text()?, count: row.int()? })
        });
        sums.extend(read.await?);
    }
    Ok(sums)
}

/// Sums the counts of an account's keys of one kind by environment and outcome, from one hour up to, and without, another.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn sum_usage(
    on: &impl Read,
    account: AccountId,
    kind: &str,
    from_hour: i64,
    to_hour: i64,
) -> Result<Vec<UsageSum>, StoreError> {
    list(on, SUM_USAGE, values![account, kind, from_hour, to_hour], |row| {
        Ok(UsageSum { environment: row.text()?, outcome: row.text()?, count: row.int()? })
    })
    .await
}
