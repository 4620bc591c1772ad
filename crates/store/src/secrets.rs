//! Secrets: what a presented key is looked up by.
//!
//! Every function here that writes touches the digests concerned, also those it adds: a cache may hold that a digest
//! is unknown.

use std::collections::HashSet;

use keywright_core::account::Standing;
use keywright_core::id::KeyId;
use keywright_core::key::{Key, Secret};
use keywright_core::secret::{Digest, Form, Making};
use keywright_core::time::Time;

use crate::error::StoreError;
use crate::keys::{self, key, key_columns};
use crate::read::{Read, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::{Value, values};

/// Digests [`find_secret`] takes at once: as many as there are makings in use.
pub const MAX_DIGESTS: usize = 8;

/// Digests [`existing_digests`] asks for at once.
const BATCH: usize = 64;

/// A secret's columns in the order [`secret`] reads them.
macro_rules! secret_columns {
    () => {
        "s.key_id, s.digest, s.pepper, s.form, s.prefix, s.last_four, s.created_ms, s.expires_ms"
    };
}

/// That a secret has one of these digests. SQLite's index is of their first halves, PostgreSQL's of the whole.
macro_rules! digest_in {
    ($first:literal $($other:literal)*) => {
        concat!(
            "s.digest in ($", $first, $(", $", $other,)*
            ") and substr(s.digest, 1, 16) in (substr($", $first, ", 1, 16)", $(", substr($", $other, ", 1, 16)",)* ")"
        )
    };
}

statements! {
    INSERT_SECRET = "insert into secrets (key_id, digest, pepper, form, prefix, last_four, created_ms, expires_ms) \
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// Everything a verification needs, in one statement.
    FIND_SECRET = concat!(
        "select a.standing, a.name, ", secret_columns!(), ", ", key_columns!(),
        " from secrets s join keys k on k.id = s.key_id join accounts a on a.id = k.account where ",
        digest_in!(1 2 3 4 5 6 7 8)
    );
    LIST_SECRETS = concat!(
        "select ", secret_columns!(), " from secrets s where s.key_id = $1 order by s.created_ms desc, s.digest"
    );
    LIST_DIGESTS = "select digest from secrets where key_id = $1";
    SET_PREDECESSORS_END = "update secrets set expires_ms = $3 where key_id = $1 and digest <> $2 \
        and (expires_ms is null or expires_ms > $3) returning digest";
    SET_GRACE_END = "update secrets set expires_ms = $2 where key_id = $1 and expires_ms > $3 returning digest";
    REPLACE_DIGEST = "update secrets set digest = $2, pepper = $3, form = $4 \
        where digest = $1 and substr(digest, 1, 16) = substr($1, 1, 16)";
    LIST_MAKINGS = "select distinct pepper, form from secrets order by pepper, form";
    EXISTING_DIGESTS = concat!("select s.digest from secrets s where ", digest_in!(
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64
    ));
}

/// A secret with all that decides whether it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The secret.
    pub secret: Secret,
    /// Its key.
    pub key: Key,
    /// Whether the key's account is in good standing.
    pub standing: Standing,
    /// What the key's account is called.
    pub account_name: String,
}

fn secret(row: &mut Row) -> Result<Secret, StoreError> {
    Ok(Secret {
        key: row.parsed()?,
        digest: row.digest()?,
        making: making(row)?,
        prefix: row.text()?,
        last_four: row.text()?,
        created_at: row.time()?,
        expires_at: row.maybe_time()?,
    })
}

fn making(row: &mut Row) -> Result<Making, StoreError> {
    Ok(Making { pepper: row.int()?, form: row.numbered(Form::from_number)? })
}

fn found(row: &mut Row) -> Result<Found, StoreError> {
    let (standing, account_name) = (row.named(Standing::from_name)?, row.text()?);
    Ok(Found { standing, account_name, secret: secret(row)?, key: key(row)? })
}

fn insert_values(secret: &Secret) -> Vec<Value> {
    values![
        secret.key,
        secret.digest,
        secret.making.pepper,
        secret.making.form.number(),
        &secret.prefix,
        &secret.last_four,
        secret.created_at,
        secret.expires_at,
    ]
}

/// Digests as parameters, `width` of them: the last is repeated, which finds nothing more.
fn padded(digests: &[Digest], width: usize) -> Vec<Value> {
    let last = digests.last().into_iter().cycle();
    digests.iter().chain(last).take(width).map(Value::from).collect()
}

/// Touches a key and every digest it has.
pub(crate) async fn touch_key(tx: &mut Tx, key: KeyId) -> Result<(), StoreError> {
    let digests = list(tx, LIST_DIGESTS, values![key], Row::digest).await?;
    tx.touched.keys.push(key);
    tx.touched.digests.extend(digests);
    Ok(())
}

/// Adds a secret to its key.
///
/// # Errors
/// Conflict: its digest is taken, or there is no such key.
pub async fn insert_secret(tx: &mut Tx, secret: &Secret) -> Result<(), StoreError> {
    insert_written_secret(tx, secret.digest, insert_values(secret)).await
}

async fn insert_written_secret(tx: &mut Tx, digest: Digest, values: Vec<Value>) -> Result<(), StoreError> {
    tx.write(INSERT_SECRET, values, Rows::One).await?;
    tx.touched.added.push(digest);
    Ok(())
}

/// A new key and its secret, written out for the statements that add them.
pub struct Ready {
    id: KeyId,
    digest: Digest,
    key: Vec<Value>,
    secret: Vec<Value>,
}

impl Ready {
    /// Writes them out, for whoever is to add them has other things to do.
    ///
    /// # Errors
    /// Corrupt: one of the key's lists cannot be written as JSON.
    pub fn of(key: &Key, secret: &Secret) -> Result<Self, StoreError> {
        Ok(Self { id: key.id, digest: secret.digest, key: keys::insert_values(key)?, secret: insert_values(secret) })
    }
}

/// Adds a key with its secret.
///
/// # Errors
/// Conflict: its id or digest is taken, or there is no such account.
pub async fn insert_ready(tx: &mut Tx, ready: Ready) -> Result<(), StoreError> {
    keys::insert_written_key(tx, ready.id, ready.key).await?;
    insert_written_secret(tx, ready.digest, ready.secret).await
}

/// Adds keys with a secret each, many at once.
///
/// # Errors
/// Conflict: one of the ids or digests is taken, or an account is missing.
pub async fn insert_imported(tx: &mut Tx, imported: &[(Key, Secret)]) -> Result<(), StoreError> {
    let keys: Vec<&Key> = imported.iter().map(|(key, _)| key).collect();
    keys::insert_keys(tx, &keys).await?;
    let rows = imported.iter().map(|(_, secret)| insert_values(secret)).collect();
    tx.write_each(INSERT_SECRET, rows).await?;
    tx.touched.added.extend(imported.iter().map(|(_, secret)| secret.digest));
    tx.touched.imported = true;
    Ok(())
}

/// Finds the secret with the first of these digests that is known: one digest per making in use, at most
/// [`MAX_DIGESTS`].
///
/// # Errors
/// Unavailable or corrupt; also where there are more digests than allowed, for then one would not be looked for.
pub async fn find_secret(on: &impl Read, digests: &[Digest]) -> Result<Option<Found>, StoreError> {
    if digests.is_empty() {
        return Ok(None);
    }
    if digests.len() > MAX_DIGESTS {
        return Err(StoreError::corrupt(format!("digests are made in more than {MAX_DIGESTS} ways: retire a pepper")));
    }
    let found = list(on, FIND_SECRET, padded(digests, MAX_DIGESTS), found).await?;
    let place = |found: &Found| digests.iter().position(|digest| *digest == found.secret.digest);
    Ok(found.into_iter().min_by_key(place))
}

/// Lists a key's secrets, newest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_secrets(on: &impl Read, key: KeyId) -> Result<Vec<Secret>, StoreError> {
    list(on, LIST_SECRETS, values![key], secret).await
}

/// Ends every secret of a key but `except` at `until`; one that ends before keeps its time. Says how many changed.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn set_predecessors_end(tx: &mut Tx, key: KeyId, except: &Digest, until: Time) -> Result<usize, StoreError> {
    let rows = tx.write_returning(SET_PREDECESSORS_END, values![key, except, until]).await?;
    touch_returned(tx, key, rows)
}

/// Moves the end of every secret of a key that is in its grace at `now`. Says how many there were.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn set_grace_end(tx: &mut Tx, key: KeyId, until: Time, now: Time) -> Result<usize, StoreError> {
    let rows = tx.write_returning(SET_GRACE_END, values![key, until, now]).await?;
    touch_returned(tx, key, rows)
}

fn touch_returned(tx: &mut Tx, key: KeyId, mut rows: Vec<Row>) -> Result<usize, StoreError> {
    if !rows.is_empty() {
        tx.touched.keys.push(key);
    }
    for row in &mut rows {
        tx.touched.digests.push(row.digest()?);
    }
    Ok(rows.len())
}

/// Gives a secret another digest, made in another way.
///
/// # Errors
/// Conflict: there is no such digest, or the new one is taken.
pub async fn replace_digest(tx: &mut Tx, old: &Digest, new: &Digest, making: Making) -> Result<(), StoreError> {
    let values = values![old, new, making.pepper, making.form.number()];
    tx.write(REPLACE_DIGEST, values, Rows::One).await?;
    tx.touched.digests.push(*old);
    tx.touched.added.push(*new);
    Ok(())
}

/// The ways in which the stored digests were made.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_makings(on: &impl Read) -> Result<Vec<Making>, StoreError> {
    list(on, LIST_MAKINGS, values![], making).await
}

/// Which of these digests are taken.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn existing_digests(on: &impl Read, digests: &[Digest]) -> Result<HashSet<Digest>, StoreError> {
    let mut existing = HashSet::new();
    for batch in digests.chunks(BATCH) {
        existing.extend(list(on, EXISTING_DIGESTS, padded(batch, BATCH), Row::digest).await?);
    }
    Ok(existing)
}
