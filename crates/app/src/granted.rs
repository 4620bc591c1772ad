//! Which of their permissions keys are used with: noted once a day for each key and what is asked of it, and written down
//! with the counts. Nothing is decided by it.
//!
//! What must stay true: memory is bounded; where there is no room, what was asked for is not taken for noted, and the next
//! one who asks for it is looked at again. A verification that asks for no permission costs nothing here, and one that asks
//! for the same as the one before it reads no more than its key's slot.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use keywright_core::id::KeyId;
use keywright_core::permission::{Catalog, is_unused};
use keywright_core::time::Time;
use keywright_store::permission_uses::{self as stored, PermissionUseRow};

use crate::App;
use crate::cache::Hit;
use crate::caller::Caller;
use crate::error::Error;
use crate::record::Accesses;
use crate::sync::lock_std as lock;

/// Parts, each with a lock of its own.
const PARTS: usize = 64;
/// Marks remembered in each part; then it begins anew, and some are noted twice.
const MOST_SEEN: usize = 4_096;
/// What each part keeps between two batches.
const MOST_PENDING: usize = 1_024;
/// Marks that are found without a lock.
const RECENT: usize = 4_096;
/// An odd number whose bits are mixed well: the golden ratio's.
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;

/// One asking: whose key, what it may do, what was asked, on which day. Two that differ have different marks but by a chance
/// of one in 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    /// `key` tells the key from others; `access` is the number of what it may do, for what decided may change with that.
    #[inline]
    pub(crate) fn new<'n>(key: u64, access: u32, names: impl IntoIterator<Item = &'n str>, now: Time) -> Self {
        let begun = fold(key ^ MIXER, u64::from(access) << 32 | now.day() as u64 & 0xffff_ffff);
        let mixed = names.into_iter().fold(begun, |mixed, name| {
            let words = name.as_bytes().chunks(8).map(word);
            words.fold(fold(mixed, name.len() as u64), fold)
        });
        // What was never marked is zero.
        Self(mixed.max(1))
    }

    /// As much of it as a slot has room for. Where two of a key's agree by chance they do not on the day after.
    #[inline]
    pub(crate) fn short(self) -> u16 {
        ((self.0 >> 48) as u16).max(1)
    }
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[inline]
fn fold(mixed: u64, word: u64) -> u64 {
    let product = u128::from(mixed.rotate_left(23) ^ word) * u128::from(MIXER);
    (product as u64 ^ (product >> 64) as u64).wrapping_add(MIXER)
}

/// What a key was used for, to be written down.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) key: KeyId,
    /// The number of what the key may do.
    pub(crate) access: u32,
    /// What was asked for: of several any of which would do, not all need be granted.
    pub(crate) names: Vec<String>,
    pub(crate) day: i64,
}

#[derive(Default)]
struct Part {
    seen: HashSet<u64>,
    pending: Vec<Asked>,
}

/// What has been asked for today, and what of it is not yet written down.
pub(crate) struct Granted {
    recent: Box<[AtomicU64]>,
    parts: Box<[Mutex<Part>]>,
}

impl Default for Granted {
    fn default() -> Self {
        Self {
            recent: (0..RECENT).map(|_| AtomicU64::new(0)).collect(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Granted")
    }
}

impl Granted {
    /// Notes what a key was used for, unless that was noted today. `false` where there was no room for it.
    pub(crate) fn note(&self, mark: Mark, asked: impl FnOnce() -> Option<Asked>) -> bool {
        let recent = self.recent.get(mark.0 as usize % RECENT);
        if recent.is_some_and(|recent| recent.load(Ordering::Relaxed) == mark.0) {
            return true;
        }
        let Some(part) = self.parts.get((mark.0 >> 32) as usize % PARTS) else { return false };
        let mut part = lock(part);
        if !part.seen.contains(&mark.0) {
            if part.pending.len() >= MOST_PENDING {
                return false;
            }
            let Some(asked) = asked() else { return false };
            if part.seen.len() >= MOST_SEEN {
                part.seen.clear();
            }
            part.pending.push(asked);
            part.seen.insert(mark.0);
        }
        if let Some(recent) = recent {
            recent.store(mark.0, Ordering::Relaxed);
        }
        true
    }

    /// Notes what a key was used for that has no known place in the cache.
    pub(crate) fn note_names(&self, key: KeyId, access: u32, names: &[String], now: Time) {
        if !names.is_empty() {
            let mark = Mark::new(key.bits() as u64, access, names.iter().map(String::as_str), now);
            self.note(mark, || Some(Asked { key, access, names: names.to_vec(), day: now.day() }));
        }
    }

    /// Takes out what is to be written down: of what was asked for, which of the key's permissions let it.
    pub(crate) fn drain(&self, accesses: &Accesses, catalog: &Catalog) -> Vec<PermissionUseRow> {
        let mut rows = Vec::new();
        for part in &self.parts {
            for Asked { key, access, names, day } in std::mem::take(&mut lock(part).pending) {
                let Some(access) = accesses.get(access) else { continue };
                let deciding = |name: &String| catalog.deciding(access.permissions.iter().map(String::as_str), name);
                let row = |permission: &str| PermissionUseRow { key, permission: permission.into(), day };
                rows.extend(names.iter().filter_map(deciding).map(row));
            }
        }
        rows
    }
}

/// One of a key's permissions, and when it was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionUse {
    /// The permission or wildcard, as the key has it.
    pub permission: String,
    /// The beginning of the day on which it last let the key do something.
    pub last: Option<Time>,
    /// Whether the key could do without it.
    pub is_unused: bool,
}

/// What a key does with its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionUses {
    /// Each that the key has by name.
    pub permissions: Vec<PermissionUse>,
    /// Since when their use is noted, where that began after the key was made; `None` where it was watched all its life.
    pub watched_since: Option<Time>,
}

impl App {
    /// Notes what a key was used for, unless `noted`, its slot's mark, says that it was.
    #[inline]
    pub(crate) fn note_granted(&self, hit: &Hit, noted: u16, names: &[String], now: Time) {
        if names.is_empty() {
            return;
        }
        let access = hit.facts().access;
        let mark = Mark::new(self.cache.sign(hit), access, names.iter().map(String::as_str), now);
        if mark.short() != noted {
            self.note_first(hit, mark, names, now);
        }
    }

    /// Another asking than the one before it, or the first of a day.
    #[cold]
    fn note_first(&self, hit: &Hit, mark: Mark, names: &[String], now: Time) {
        let asked = || {
            let key = self.cache.record(hit)?.id;
            Some(Asked { key, access: hit.facts().access, names: names.to_vec(), day: now.day() })
        };
        if self.granted.note(mark, asked) {
            self.cache.set_noted(hit, mark.short());
        }
    }

    /// Notes since when the use of permissions is noted, at the first start that does so.
    pub(crate) async fn begin_noting(&self) -> Result<(), Error> {
        if stored::find_since(&self.db).await?.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        self.meter(move |tx| Box::pin(async move { Ok(stored::begin_noting(tx, now).await?) })).await
    }

    /// When each of a key's own permissions last let it do something.
    ///
    /// # Errors
    /// The key is not the caller's to see.
    pub async fn list_permission_uses(&self, caller: &Caller, id: KeyId) -> Result<PermissionUses, Error> {
        let key = self.get_key(caller, id).await?;
        let now = self.clock.now();
        let since = stored::find_since(&self.db).await?.unwrap_or(now);
        let rows = stored::list_permission_uses(&self.db, id).await?;
        let watched_since = since.max(key.created_at);
        let permissions = key.permissions.into_iter().map(|permission| {
            let row = rows.iter().find(|row| row.permission == permission);
            let last = row.map(|row| Time::from_millis(row.day.saturating_mul(86_400_000)));
            PermissionUse { is_unused: is_unused(last, watched_since, now), permission, last }
        });
        Ok(PermissionUses {
            permissions: permissions.collect(),
            watched_since: (since > key.created_at).then_some(since),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: u128) -> Asked {
        Asked { key: KeyId::from_bits(number), access: 0, names: vec!["a:read".into()], day: 7 }
    }

    fn mark(key: u64) -> Mark {
        Mark::new(key, 0, ["a:read"], Time::from_millis(0))
    }

    #[test]
    fn what_differs_in_anything_has_another_mark() {
        let day = |day: i64| Time::from_millis(day * 86_400_000);
        let one = Mark::new(1, 1, ["documents:read"], day(1));
        assert_eq!(one, Mark::new(1, 1, ["documents:read"], Time::from_millis(86_400_000 + 5)));
        let others = [
            Mark::new(2, 1, ["documents:read"], day(1)),
            Mark::new(1, 2, ["documents:read"], day(1)),
            Mark::new(1, 1, ["documents:reae"], day(1)),
            Mark::new(1, 1, ["documents:read", "documents:read"], day(1)),
            Mark::new(1, 1, ["documents:", "read"], day(1)),
            Mark::new(1, 1, ["documents:read"], day(2)),
        ];
        for other in others {
            assert!(one != other && one.short() != other.short(), "{one:?} {other:?}");
        }
    }

    #[test]
    fn marks_are_spread_and_short_ones_too() {
        let marks: HashSet<u64> = (0..100_000).map(|key| mark(key).0).collect();
        assert_eq!(marks.len(), 100_000);
        let short: HashSet<u16> = (0..100_000).map(|key| mark(key).short()).collect();
        assert!(short.len() > 45_000, "{}", short.len());
    }

    #[test]
    fn what_was_noted_is_not_noted_again_and_what_found_no_room_is() {
        let granted = Granted::default();
        assert!(granted.note(mark(1), || Some(asked(1))));
        assert!(granted.note(mark(1), || panic!("it was noted")));
        // Another takes its place among the recent ones: then the part knows.
        granted.recent.iter().for_each(|recent| recent.store(9, Ordering::Relaxed));
        assert!(granted.note(mark(1), || panic!("it was noted")));
        let noted = (0..1_000_000).filter(|key| granted.note(mark(*key), || Some(asked((*key).into())))).count();
        let pending: usize = granted.parts.iter().map(|part| lock(part).pending.len()).sum();
        assert_eq!(pending, PARTS * MOST_PENDING);
        assert!((pending..1_000_000).contains(&noted), "{noted}");
        let refused = (0..1_000_000).find(|key| !granted.note(mark(*key), || Some(asked(0)))).unwrap();
        granted.parts.iter().for_each(|part| lock(part).pending.clear());
        assert!(granted.note(mark(refused), || Some(asked(0))), "there is room again");
        assert!(granted.parts.iter().all(|part| lock(part).seen.len() <= MOST_SEEN));
    }
}
