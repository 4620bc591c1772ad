//! Keys. A change names the version it read and loses to one that came before it.
//!
//! Credits and the last use change without a new version, for they change with every use; `credits.rs` and `usage.rs`
//! write them, [`update_key`] does not.

use keywright_core::id::{AccountId, KeyId};
use keywright_core::key::{Key, LastUse, Refill, Status};
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::secrets;
use crate::sql::{Sql, statements};
use crate::tx::{Rows, Tx};
use crate::value::{Value, containing, json, values};

/// A key's columns in the order [`key`] reads them.
macro_rules! key_columns {
    () => {
        "k.id, k.account, k.kind, k.name, k.description, k.environment, k.role, k.services, k.permissions, \
         k.ip_allowlist, k.expires_ms, k.credits, k.refill_amount, k.refill_every_ms, k.refill_ms, k.ratelimits, \
         k.metadata, k.enabled, k.revoked_ms, k.prefix, k.last_four, k.created_by, k.created_ms, k.updated_ms, \
         k.rotated_ms, k.last_used_ms, k.last_used_ip, k.last_used_agent, k.version"
    };
}
pub(crate) use key_columns;

/// What all lists end with. `$1` is the cursor, `$2` the account or, where all are listed, the one left out.
macro_rules! filters {
    ($order:literal) => {
        concat!(
            "and (cast($3 as text) is null or k.kind = $3) \
         and (cast($4 as text) is null or k.environment = $4) \
         and (cast($5 as text) is null or $5 = case \
            when k.revoked_ms is not null then 'revoked' \
            when k.expires_ms <= $6 then 'expired' \
            when k.enabled = 1 then 'active' else 'disabled' end) \
         and (cast($7 as bigint) is null or coalesce(k.last_used_ms, k.created_ms) < $7) \
         and (cast($8 as bigint) is null or k.expires_ms < $8) \
         and (cast($9 as bigint) is null or coalesce(k.rotated_ms, k.created_ms) < $9) \
         and (cast($10 as text) is null or substr(k.prefix, 1, length($10)) = $10) \
         and (cast($12 as text) is null or lower(k.name) like $12 escape '!' \
            or lower(k.description) like $12 escape '!') \
         order by ",
            $order,
            " limit $11"
        )
    };
}

/// Keys of account `$1` made before key `$2` that had ended by `$3`, the oldest `$4`.
macro_rules! ended {
    () => {
        "(select k.id from keys k where k.account = $1 and k.id < $2 and k.expires_ms < $3 order by k.id limit $4)"
    };
}

statements! {
    /// Used by imports too, so `values` stands on its own.
    INSERT_KEY = "insert into keys (id, account, kind, name, description, environment, role, services, permissions, \
        ip_allowlist, expires_ms, credits, refill_amount, refill_every_ms, refill_ms, ratelimits, metadata, enabled, \
        revoked_ms, prefix, last_four, created_by, created_ms, updated_ms, rotated_ms, last_used_ms, last_used_ip, \
        last_used_agent, version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
        $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)";
    UPDATE_KEY = "update keys set name = $3, description = $4, environment = $5, role = $6, services = $7, \
        permissions = $8, ip_allowlist = $9, expires_ms = $10, refill_amount = $11, refill_every_ms = $12, \
        ratelimits = $13, metadata = $14, enabled = $15, revoked_ms = $16, prefix = $17, last_four = $18, \
        updated_ms = $19, due_told_ms = case when rotated_ms is not distinct from $20 then due_told_ms end, \
        rotated_ms = $20, version = version + 1 where id = $1 and version = $2";
    /// Keys that work and whose secret is older than their kind allows, which nobody was told of yet.
    LIST_DUE_KEYS = concat!("select ", key_columns!(), " from keys k where k.kind = $1 \
        and coalesce(k.rotated_ms, k.created_ms) <= $2 and k.revoked_ms is null and k.due_told_ms is null \
        and k.enabled = 1 and (k.expires_ms is null or k.expires_ms > $3) \
        order by coalesce(k.rotated_ms, k.created_ms) limit $4");
    /// The bounds are those of the index, in the words its engine knows them by.
    COUNT_KEYS_BY_PERSON = "select count(*), min(created_ms) from keys where created_by = $1 and created_ms > $2 \
        and kind = $3 and created_by >= 'user:' and created_by < 'user;'";
    /// Of any account where `$3` names none.
    LIST_KEYS_BY_PERSON = concat!("select ", key_columns!(), " from keys k where k.created_by = $1 and k.kind = $2 \
        and k.revoked_ms is null and (cast($3 as text) is null or k.account = $3) \
        and k.created_by >= 'user:' and k.created_by < 'user;' order by k.created_ms, k.id");
    /// Not a change of the key: its version stays.
    SET_DUE_TOLD = "update keys set due_told_ms = $2 where id = $1 and due_told_ms is null and revoked_ms is null";
    FIND_KEY = concat!("select ", key_columns!(), " from keys k where k.id = $1");
    LIST_KEYS = concat!("select ", key_columns!(), " from keys k where k.id > $1 and k.account <> $2 ", filters!("k.id"));
    LIST_KEYS_OF_ACCOUNT =
        concat!("select ", key_columns!(), " from keys k where k.id > $1 and k.account = $2 ", filters!("k.id"));
    LIST_NEWEST_KEYS = concat!("select ", key_columns!(), " from keys k where k.id < $1 and k.account <> $2 ",
        filters!("k.id desc"));
    LIST_NEWEST_KEYS_OF_ACCOUNT = concat!("select ", key_columns!(), " from keys k where k.id < $1 and k.account = $2 ",
        filters!("k.id desc"));
    /// Newest first, so that a list that is cut off has what works.
    LIST_UNREVOKED_KEYS = concat!(
        "select ", key_columns!(), " from keys k where k.account = $1 and k.kind = $2 and k.revoked_ms is null \
         order by k.id desc limit $3"
    );
    /// Stops counting at `$4`, so that an account with a million keys costs no more than its limit.
    COUNT_LIVE_KEYS = "select count(*) from (select 1 from keys where account = $1 and kind = $2 \
        and revoked_ms is null and (expires_ms is null or expires_ms > $3) limit $4) as live";
    COUNT_WORKING_KEYS = "select count(*) from (select 1 from keys where account = $1 \
        and revoked_ms is null and (expires_ms is null or expires_ms > $2) limit $3) as live";
    DELETE_ENDED_SECRETS = concat!("delete from secrets where key_id in ", ended!(), " returning digest");
    DELETE_ENDED_USAGE = concat!("delete from usage where key_id in ", ended!());
    DELETE_ENDED_USES = concat!("delete from uses where key_id in ", ended!());
    DELETE_ENDED_DENIALS = concat!("delete from denials where key_id in ", ended!());
    DELETE_ENDED_PERMISSION_USES = concat!("delete from permission_uses where key_id in ", ended!());
    DELETE_ENDED_KEYS = concat!("delete from keys where id in ", ended!(), " returning id");
}

/// Which keys to list: those that fit everything given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFilter {
    /// Of this account; the operator's own keys are listed where it is the operator's.
    pub account: Option<AccountId>,
    /// Whether a list of all accounts' keys has the operator's own among them.
    pub include_operator: bool,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this environment.
    pub environment: Option<String>,
    /// In this state at `now`.
    pub status: Option<Status>,
    /// Last used before; a key never used counts from its creation.
    pub unused_since: Option<Time>,
    /// Expiring before, or expired.
    pub expiring_before: Option<Time>,
    /// With a live secret issued before.
    pub issued_before: Option<Time>,
    /// Whose shown part begins so.
    pub prefix: Option<String>,
    /// With this in their name or description, in small or large letters.
    pub words: Option<String>,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// After this key: the last one of the page before.
    pub after: Option<KeyId>,
    /// At most so many.
    pub limit: i64,
    /// When it is.
    pub now: Time,
}

impl KeyFilter {
    /// Every key but the operator's own, the first `limit` of them.
    #[must_use]
    pub const fn all(limit: i64, now: Time) -> Self {
        Self {
            account: None,
            include_operator: false,
            kind: None,
            environment: None,
            status: None,
            unused_since: None,
            expiring_before: None,
            issued_before: None,
            prefix: None,
            words: None,
            newest_first: false,
            after: None,
            limit,
            now,
        }
    }

    /// The statement and its parameters. One account's keys are found by its index, all keys by their own.
    fn query(&self) -> (Sql, Vec<Value>) {
        let (sql, account) = match (self.account, self.newest_first) {
            (Some(account), false) => (LIST_KEYS_OF_ACCOUNT, account.to_string()),
            (Some(account), true) => (LIST_NEWEST_KEYS_OF_ACCOUNT, account.to_string()),
            (None, newest_first) => {
                let left_out = if self.include_operator { String::new() } else { AccountId::OPERATOR.to_string() };
                (if newest_first { LIST_NEWEST_KEYS } else { LIST_KEYS }, left_out)
            }
        };
        // Every id sorts before the one, and after the other.
        let from = if self.newest_first { "key_~" } else { "" };
        let values = values![
            self.after.map_or_else(|| from.to_owned(), |id| id.to_string()),
            account,
            self.kind.as_ref(),
            self.environment.as_ref(),
            self.status.map(Status::name),
            self.now,
            self.unused_since,
            self.expiring_before,
            self.issued_before,
            self.prefix.as_ref(),
            self.limit,
            self.words.as_deref().map(containing),
        ];
        (sql, values)
    }
}

pub(crate) fn key(row: &mut Row) -> Result<Key, StoreError> {
    Ok(Key {
        id: row.parsed()?,
        account: row.parsed()?,
        kind: row.text()?,
        name: row.text()?,
        description: row.text()?,
        environment: row.maybe_text()?,
        role: row.maybe_text()?,
        services: row.json()?,
        permissions: row.json()?,
        ip_allowlist: row.parsed()?,
        expires_at: row.maybe_time()?,
        credits: row.maybe_int()?,
        refill: refill(row)?,
        refill_at: row.maybe_time()?,
        ratelimits: row.json()?,
        metadata: row.json()?,
        enabled: row.flag()?,
        revoked_at: row.maybe_time()?,
        prefix: row.text()?,
        last_four: row.text()?,
        created_by: row.text()?,
        created_at: row.time()?,
        updated_at: row.time()?,
        rotated_at: row.maybe_time()?,
        last_use: last_use(row)?,
        version: row.int()?,
    })
}

pub(crate) fn refill(row: &mut Row) -> Result<Option<Refill>, StoreError> {
    match (row.maybe_int()?, row.maybe_span()?) {
        (Some(amount), Some(every)) => Ok(Some(Refill { amount, every })),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(StoreError::corrupt("a refill has an amount or an interval alone")),
    }
}

fn last_use(row: &mut Row) -> Result<Option<LastUse>, StoreError> {
    let (at, ip, user_agent) = (row.maybe_time()?, row.maybe_text()?, row.maybe_text()?);
    Ok(at.map(|at| LastUse { at, ip, user_agent }))
}

pub(crate) fn insert_values(key: &Key) -> Result<Vec<Value>, StoreError> {
    let last_use = key.last_use.as_ref();
    Ok(values![
        key.id,
        key.account,
        &key.kind,
        &key.name,
        &key.description,
        key.environment.as_ref(),
        key.role.as_ref(),
        json(&key.services)?,
        json(&key.permissions)?,
        key.ip_allowlist.to_string(),
        key.expires_at,
        key.credits,
        key.refill.map(|refill| refill.amount),
        key.refill.map(|refill| refill.every.millis()),
        key.refill_at,
        json(&key.ratelimits)?,
        json(&key.metadata)?,
        key.enabled,
        key.revoked_at,
        &key.prefix,
        &key.last_four,
        &key.created_by,
        key.created_at,
        key.updated_at,
        key.rotated_at,
        last_use.map(|last| last.at),
        last_use.and_then(|last| last.ip.as_ref()),
        last_use.and_then(|last| last.user_agent.as_ref()),
        key.version,
    ])
}

/// Adds a key.
///
/// # Errors
/// Conflict: its id is taken, or there is no such account.
pub async fn insert_key(tx: &mut Tx, key: &Key) -> Result<(), StoreError> {
    insert_written_key(tx, key.id, insert_values(key)?).await
}

/// [`insert_key`] of what [`insert_values`] made of it.
pub(crate) async fn insert_written_key(tx: &mut Tx, id: KeyId, values: Vec<Value>) -> Result<(), StoreError> {
    tx.write(INSERT_KEY, values, Rows::One).await?;
    tx.touched.keys.push(id);
    Ok(())
}

/// Adds many keys.
pub(crate) async fn insert_keys(tx: &mut Tx, keys: &[&Key]) -> Result<(), StoreError> {
    let rows = keys.iter().map(|key| insert_values(key)).collect::<Result<_, _>>()?;
    tx.write_each(INSERT_KEY, rows).await?;
    tx.touched.keys.extend(keys.iter().map(|key| key.id));
    Ok(())
}

/// Writes a key's changes, all but credits, the next refill and the last use; its stored version grows by one.
///
/// # Errors
/// Conflict: it has changed since this version, or is not there.
pub async fn update_key(tx: &mut Tx, key: &Key) -> Result<(), StoreError> {
    let values = values![
        key.id,
        key.version,
        &key.name,
        &key.description,
        key.environment.as_ref(),
        key.role.as_ref(),
        json(&key.services)?,
        json(&key.permissions)?,
        key.ip_allowlist.to_string(),
        key.expires_at,
        key.refill.map(|refill| refill.amount),
        key.refill.map(|refill| refill.every.millis()),
        json(&key.ratelimits)?,
        json(&key.metadata)?,
        key.enabled,
        key.revoked_at,
        &key.prefix,
        &key.last_four,
        key.updated_at,
        key.rotated_at,
    ];
    tx.write(UPDATE_KEY, values, Rows::One).await?;
    secrets::touch_key(tx, key.id).await
}

/// Lists keys of a kind that have become due for rotation, the longest due first: those issued by `issued_by`.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_due_keys(
    on: &impl Read,
    kind: &str,
    issued_by: Time,
    now: Time,
    limit: i64,
) -> Result<Vec<Key>, StoreError> {
    list(on, LIST_DUE_KEYS, values![kind, issued_by, now, limit], key).await
}

/// Counts the keys of a kind that a person, by their actor's name, has made since, and says when the first of them was.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_keys_by_person(
    on: &impl Read,
    person: &str,
    since: Time,
    kind: &str,
) -> Result<(i64, Option<Time>), StoreError> {
    let counted =
        find(on, COUNT_KEYS_BY_PERSON, values![person, since, kind], |row| Ok((row.int()?, row.maybe_time()?)));
    Ok(counted.await?.unwrap_or_default())
}

/// A person's keys of a kind that are not revoked, oldest first: those a person, by their actor's name, has made.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_keys_by_person(
    on: &impl Read,
    person: &str,
    kind: &str,
    account: Option<AccountId>,
) -> Result<Vec<Key>, StoreError> {
    let account = account.map(|id| id.to_string());
    list(on, LIST_KEYS_BY_PERSON, values![person, kind, account], key).await
}

/// Notes that a key was said to be due. `false` where it has been said before, or the key is revoked.
///
/// # Errors
/// Unavailable.
pub async fn set_due_told(tx: &mut Tx, id: KeyId, now: Time) -> Result<bool, StoreError> {
    Ok(tx.write(SET_DUE_TOLD, values![id, now], Rows::AtMostOne).await? == 1)
}

/// Finds a key.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_key(on: &impl Read, id: KeyId) -> Result<Option<Key>, StoreError> {
    find(on, FIND_KEY, values![id], key).await
}

/// Lists keys by id, which is by age, oldest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_keys(on: &impl Read, filter: &KeyFilter) -> Result<Vec<Key>, StoreError> {
    let (sql, values) = filter.query();
    list(on, sql, values, key).await
}

/// An account's keys of a kind that are not revoked, newest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_unrevoked_keys(
    on: &impl Read,
    account: AccountId,
    kind: &str,
    limit: i64,
) -> Result<Vec<Key>, StoreError> {
    list(on, LIST_UNREVOKED_KEYS, values![account, kind, limit], key).await
}

/// How many keys of a kind an account has that are neither revoked nor expired; counting stops at `up_to`.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_live_keys(
    on: &impl Read,
    account: AccountId,
    kind: &str,
    now: Time,
    up_to: i64,
) -> Result<i64, StoreError> {
    let count = find(on, COUNT_LIVE_KEYS, values![account, kind, now, up_to], Row::int).await?;
    count.ok_or_else(|| StoreError::corrupt("counting answered with no row"))
}

/// How many keys of an account's are neither revoked nor expired, of all kinds; counted no further than `up_to`.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_account_keys(on: &impl Read, account: AccountId, now: Time, up_to: i64) -> Result<i64, StoreError> {
    let count = find(on, COUNT_WORKING_KEYS, values![account, now, up_to], Row::int).await?;
    count.ok_or_else(|| StoreError::corrupt("counting answered with no row"))
}

/// Deletes keys of an account that had ended by `before`, with all that is kept of them, the oldest `limit` of them. Says
/// which.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn delete_ended_keys(
    tx: &mut Tx,
    account: AccountId,
    before: Time,
    limit: i64,
) -> Result<Vec<KeyId>, StoreError> {
    // Ids sort by age and no key ends before it is made, so the younger ones need not be looked at.
    let youngest = KeyId::first_at(before);
    let values = || values![account, youngest, before, limit];
    for row in &mut tx.write_returning(DELETE_ENDED_SECRETS, values()).await? {
        tx.touched.digests.push(row.digest()?);
    }
    tx.write(DELETE_ENDED_USAGE, values(), Rows::Any).await?;
    tx.write(DELETE_ENDED_USES, values(), Rows::Any).await?;
    tx.write(DELETE_ENDED_DENIALS, values(), Rows::Any).await?;
    tx.write(DELETE_ENDED_PERMISSION_USES, values(), Rows::Any).await?;
    let mut deleted = tx.write_returning(DELETE_ENDED_KEYS, values()).await?;
    let deleted = deleted.iter_mut().map(Row::parsed).collect::<Result<Vec<KeyId>, _>>()?;
    tx.touched.keys.extend(&deleted);
    Ok(deleted)
}
