//! What keys were used for: counted in memory, written down in batches.
//!
//! At most the counts since the last batch, a second's worth, are lost to `kill -9`. Nothing is decided by them. A batch of few
//! rows is in the tables at once. One of many is put aside whole, which costs next to nothing, and those of some seconds are
//! then added together: most keys of a busy second are used in the next one, too.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use keywright_core::id::KeyId;
use keywright_core::key::{Key, Secret};
use keywright_core::time::Time;
use keywright_core::verify::Outcome;
use keywright_store::denials::DenialRow;
use keywright_store::usage::{HourSum, UsageRow};
use keywright_store::usage_batches::{Batch, Taken, add_batch, put_batch_aside, take_batches};
use keywright_store::uses::UseRow;
use keywright_store::{denials, secrets, uses};

use crate::App;
use crate::cache::{Use, mark};
use crate::caller::Caller;
use crate::clock::monotonic_ms;
use crate::error::Error;
use crate::sync::lock_std as lock;
use crate::verify::Ask;

/// The longest user agent kept, in bytes.
const LONGEST_AGENT: usize = 200;

/// As much of a user agent as is kept.
pub(crate) fn clean_agent(agent: &str) -> String {
    agent.chars().filter(|char| !char.is_control()).take(LONGEST_AGENT).collect()
}
/// Different counts held between two batches; beyond it only the totals go on.
const MOST: usize = 100_000;
/// Refusals kept of a key between two batches, and keys they are kept of.
const DENIALS: usize = 20;
const MOST_DENIED: usize = 1_000;

/// Where a use came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct From {
    ip: Option<IpAddr>,
    user_agent: Option<String>,
}

/// Rows of a batch that are added at once.
const FEW: usize = 200;
/// Rows put aside after which they are added however long it has been.
const MOST_ASIDE: usize = 200_000;
/// How long a batch may be put aside.
const ASIDE_MS: i64 = 10_000;

/// What is put aside.
#[derive(Clone, Copy)]
struct Aside {
    rows: usize,
    /// When the first of it was; before everything where it may be from an earlier run.
    since_ms: i64,
}

impl Default for Aside {
    fn default() -> Self {
        Self { rows: 0, since_ms: i64::MIN }
    }
}

impl Aside {
    /// Nothing.
    const NONE: Self = Self { rows: 0, since_ms: i64::MAX };

    fn is_due(self, now_ms: i64) -> bool {
        self.rows > MOST_ASIDE || self.since_ms.saturating_add(ASIDE_MS) <= now_ms
    }

    /// With so many rows more.
    fn with(self, rows: usize, now_ms: i64) -> Self {
        Self { rows: self.rows + rows, since_ms: self.since_ms.min(now_ms) }
    }
}

/// Where a key was lately used from, and when each of its secrets was.
#[derive(Clone, Debug)]
pub struct Uses {
    /// The secrets that work, newest first, each with its last use.
    pub secrets: Vec<(Secret, Option<UseRow>)>,
    /// The addresses, the latest first; not all there ever were.
    pub addresses: Vec<UseRow>,
}

/// What has been counted since the last batch.
#[derive(Default)]
pub(crate) struct Usage {
    /// Denials, and uses with tags: both rare.
    counts: Mutex<HashMap<(KeyId, Outcome, String), i64>>,
    /// Uses of keys that had just been loaded.
    loaded: Mutex<Vec<Use>>,
    /// Where the first use of each secret since the last batch came from.
    from: Mutex<HashMap<(KeyId, i64), From>>,
    /// Why keys were refused.
    denials: Mutex<HashMap<KeyId, Vec<DenialRow>>>,
    /// Held while a batch is written down: whoever asks for one after it has what came before.
    aside: tokio::sync::Mutex<Aside>,
    /// Batches that could not be written down.
    unwritten: Mutex<Batch>,
    /// Every verification since the start, by outcome.
    totals: [AtomicU64; Outcome::ALL.len()],
}

impl Usage {
    /// Counts a denial of a known key, or a use under a tag.
    pub(crate) fn count(&self, key: KeyId, outcome: Outcome, tag: &str) {
        let mut counts = lock(&self.counts);
        if counts.len() < MOST {
            *counts.entry((key, outcome, tag.to_owned())).or_default() += 1;
        }
    }

    /// Keeps why a known key was refused: so many times of each between two batches.
    pub(crate) fn refuse(&self, key: KeyId, outcome: Outcome, ask: &Ask<'_>, now: Time) {
        let mut denials = lock(&self.denials);
        if denials.len() >= MOST_DENIED && !denials.contains_key(&key) {
            return;
        }
        let of_key = denials.entry(key).or_default();
        if of_key.len() < DENIALS {
            of_key.push(DenialRow {
                key,
                at: now,
                outcome: outcome.code().into(),
                request_id: ask.request_id.unwrap_or_default().into(),
                ip: ask.ip.map(|ip| ip.to_string()),
                user_agent: ask.user_agent.map(clean_agent),
            });
        }
    }

    /// Counts a verification that was not a plain use: those are counted where the key is.
    pub(crate) fn count_total(&self, outcome: Outcome, count: u64) {
        if let Some(total) = self.totals.get(outcome as usize) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Counts a use of a key that has no known place in the cache.
    pub(crate) fn count_loaded(&self, key: KeyId, secret: i64, now: Time) {
        let mut loaded = lock(&self.loaded);
        if loaded.len() < MOST {
            loaded.push(Use { key, secret, count: 1, last: now });
        }
    }

    /// Keeps where a secret's first use since the last batch came from.
    #[cold]
    pub(crate) fn first_use(&self, key: KeyId, secret: i64, ip: Option<IpAddr>, user_agent: Option<&str>) {
        let user_agent = user_agent.map(clean_agent);
        let mut from = lock(&self.from);
        if from.len() < MOST {
            from.insert((key, secret), From { ip, user_agent });
        }
    }

    /// Takes back a batch that could not be written down.
    fn keep(&self, batch: Batch) {
        let mut unwritten = lock(&self.unwritten);
        if unwritten.counts.len() < MOST {
            unwritten.append(batch);
        }
    }

    /// Every verification since the start, by outcome; uses up to a second late.
    pub(crate) fn totals(&self) -> Vec<(Outcome, u64)> {
        Outcome::ALL
            .into_iter()
            .zip(&self.totals)
            .map(|(outcome, total)| (outcome, total.load(Ordering::Relaxed)))
            .collect()
    }

    fn batch(&self, uses: &[Use], now: Time) -> Batch {
        let counts = mem::take(&mut *lock(&self.counts));
        let mut from = mem::take(&mut *lock(&self.from));
        let row = |key, outcome: Outcome, tag, count| UsageRow {
            key,
            hour: now.hour(),
            outcome: outcome.code().into(),
            tag,
            count,
        };
        let denials = mem::take(&mut *lock(&self.denials));
        let mut batch = mem::take(&mut *lock(&self.unwritten));
        batch.denials.extend(denials.into_values().flatten());
        batch.counts.extend(counts.into_iter().map(|((key, outcome, tag), count)| row(key, outcome, tag, count)));
        batch.counts.reserve(uses.len());
        batch.uses.reserve(uses.len());
        for used in uses {
            let Use { key, secret, count, last } = *used;
            batch.counts.push(row(key, Outcome::Valid, String::new(), i64::from(count)));
            let From { ip, user_agent } = from.remove(&(key, secret)).unwrap_or_default();
            let ip = ip.map(|ip| ip.to_string()).unwrap_or_default();
            batch.uses.push(UseRow { key, secret, ip, user_agent, at: last });
        }
        batch
    }
}

impl App {
    /// Writes down what was counted since the last time, for all to read.
    ///
    /// # Errors
    /// The database is out of reach. The counts are then kept for the next batch, as far as there is room.
    pub async fn flush_usage(&self) -> Result<(), Error> {
        self.write_usage(true).await
    }

    /// Makes durable what was counted since the last time: for all to read at once where it is little, and within ten seconds
    /// where it is much.
    ///
    /// # Errors
    /// As [`App::flush_usage`].
    pub async fn keep_usage(&self) -> Result<(), Error> {
        self.write_usage(false).await
    }

    async fn write_usage(&self, is_read: bool) -> Result<(), Error> {
        let mut aside = self.usage.aside.lock().await;
        let batch = self.drain_usage();
        let (rows, now_ms) = (batch.rows(), monotonic_ms());
        if rows == 0 && aside.since_ms == Aside::NONE.since_ms {
            return Ok(());
        }
        let is_added = is_read || rows <= FEW || aside.is_due(now_ms);
        let batch = Arc::new(batch);
        let kept = Arc::clone(&batch);
        let written = self
            .meter(move |tx| {
                Box::pin(async move {
                    if !is_added {
                        return Ok(put_batch_aside(tx, &batch).await?);
                    }
                    let Taken { batch: mut all, unreadable } = take_batches(tx).await?;
                    if unreadable > 0 {
                        tracing::error!(
                            unreadable,
                            "counts that were put aside cannot be read: they stay in usage_batches, marked as unreadable"
                        );
                    }
                    all.append(Arc::unwrap_or_clone(batch));
                    Ok(add_batch(tx, &all).await?)
                })
            })
            .await;
        match &written {
            Ok(()) if is_added => *aside = Aside::NONE,
            Ok(()) => *aside = aside.with(rows, now_ms),
            Err(error) => {
                tracing::warn!(%error, "counts of uses could not be written down, and are kept for the next batch");
                self.usage.keep(Arc::unwrap_or_clone(kept));
            }
        }
        written
    }

    /// Takes out what was counted since the last time.
    fn drain_usage(&self) -> Batch {
        let mut used = self.cache.drain_uses();
        used.append(&mut lock(&self.usage.loaded));
        let valid = used.iter().map(|used| u64::from(used.count)).sum();
        self.usage.count_total(Outcome::Valid, valid);
        let mut batch = self.usage.batch(&used, self.clock.now());
        batch.permissions.append(&mut self.granted.drain(&self.accesses, &self.world().policy.catalog));
        batch
    }

    /// How often a key was used, by hour, outcome and tag. Hours count from the Unix epoch; both ends are included.
    ///
    /// # Errors
    /// The key is not the caller's to see.
    pub async fn list_usage(&self, caller: &Caller, key: KeyId, from: Time, to: Time) -> Result<Vec<UsageRow>, Error> {
        self.get_key(caller, key).await?;
        Ok(keywright_store::usage::list_usage(&self.db, key, from.hour(), to.hour() + 1).await?)
    }

    /// How often keys of the caller's were used in each hour: as [`App::list_usage`] tells of one of them, without tags.
    ///
    /// # Errors
    /// The caller may not read keys.
    pub async fn list_hours(&self, caller: &Caller, keys: &[Key], from: Time, to: Time) -> Result<Vec<HourSum>, Error> {
        caller.must(&self.world().policy.catalog, "keys:read")?;
        let seen: Vec<KeyId> = keys.iter().filter(|key| caller.reaches(key.account)).map(|key| key.id).collect();
        Ok(keywright_store::usage::sum_hours(&self.db, &seen, from.hour(), to.hour() + 1).await?)
    }

    /// Where a key was lately used from, and when each of its secrets that work was.
    ///
    /// # Errors
    /// The key is not the caller's to see.
    pub async fn list_uses(&self, caller: &Caller, id: KeyId) -> Result<Uses, Error> {
        self.get_key(caller, id).await?;
        let now = self.clock.now();
        let mut addresses = uses::list_uses(&self.db, id).await?;
        let mut held = secrets::list_secrets(&self.db, id).await?;
        held.retain(|secret| secret.is_live(now));
        let last = |secret: &Secret| addresses.iter().find(|row| row.secret == mark(&secret.digest)).cloned();
        let secrets = held.into_iter().map(|secret| (secret.clone(), last(&secret))).collect();
        let mut seen = HashSet::new();
        addresses.retain(|row| !row.ip.is_empty() && seen.insert(row.ip.clone()));
        Ok(Uses { secrets, addresses })
    }

    /// When and why a key was lately refused, the latest first.
    ///
    /// # Errors
    /// The key is not the caller's to see.
    pub async fn list_denials(&self, caller: &Caller, id: KeyId) -> Result<Vec<DenialRow>, Error> {
        self.get_key(caller, id).await?;
        Ok(denials::list_denials(&self.db, id).await?)
    }

    /// Every verification since the start, by outcome.
    #[must_use]
    pub fn verification_totals(&self) -> Vec<(Outcome, u64)> {
        self.usage.totals()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_aside_is_due_after_ten_seconds_or_when_there_is_too_much_of_it() {
        assert!(Aside::default().is_due(0), "an earlier run may have left something");
        assert!(!Aside::NONE.is_due(i64::MAX - 1));
        let aside = Aside::NONE.with(300, 5_000).with(300, 14_000);
        assert!(!aside.is_due(14_999) && aside.is_due(15_000));
        assert!(!aside.with(MOST_ASIDE - 600, 14_000).is_due(14_000));
        assert!(aside.with(MOST_ASIDE, 14_000).is_due(14_000));
    }
}
