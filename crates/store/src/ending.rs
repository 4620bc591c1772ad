//! Keys that are about to end, and of which end of each people were told.
//!
//! What must stay true: of one end and one notice people are told once, whoever tells them; of another end, anew.

use keywright_core::id::KeyId;
use keywright_core::key::Key;
use keywright_core::time::{Span, Time};

use crate::error::StoreError;
use crate::keys::{key, key_columns};
use crate::read::{Read, list};
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::values;

statements! {
    LIST_ENDING_KEYS = concat!("select ", key_columns!(), " from keys k where k.revoked_ms is null and k.enabled = 1 \
        and k.expires_ms > $1 and k.expires_ms <= $2 and k.created_ms <= k.expires_ms - $3 and not exists \
        (select 1 from ending_told t where t.key_id = k.id and t.ends_ms = k.expires_ms and t.days <= $4) \
        order by k.expires_ms, k.id limit $5");
    SET_ENDING_TOLD = "insert into ending_told (key_id, ends_ms, days) values ($1, $2, $3) \
        on conflict (key_id) do update set ends_ms = excluded.ends_ms, days = excluded.days \
        where ending_told.ends_ms <> excluded.ends_ms or ending_told.days > excluded.days";
}

/// Lists keys that end within so many days, lived longer than that, and were not told of, the first to end first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_ending_keys(on: &impl Read, days: i64, now: Time, limit: i64) -> Result<Vec<Key>, StoreError> {
    let while_before = Span::days(days);
    list(on, LIST_ENDING_KEYS, values![now, now.after(while_before), while_before.millis(), days, limit], key).await
}

/// Notes that people are told of a key's end so many days before. `false` where they were already.
///
/// # Errors
/// Unavailable.
pub async fn set_ending_told(tx: &mut Tx, id: KeyId, ends_at: Time, days: i64) -> Result<bool, StoreError> {
    Ok(tx.write(SET_ENDING_TOLD, values![id, ends_at, days], Rows::AtMostOne).await? == 1)
}
