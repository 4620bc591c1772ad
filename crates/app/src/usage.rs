//! What keys were used for: counted in memory, written down in batches.
//!
//! At most the counts since the last batch, a second's worth, are lost to `kill -9`. Nothing is decided by them.

use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use keywright_core::id::KeyId;
use keywright_core::key::LastUse;
use keywright_core::time::Time;
use keywright_core::verify::Outcome;
use keywright_store::usage::UsageRow;

use crate::App;
use crate::cache::Use;
use crate::caller::Caller;
use crate::error::Error;
use crate::sync::lock_std as lock;

/// The longest user agent kept, in bytes.
const LONGEST_AGENT: usize = 200;

/// As much of a user agent as is kept.
pub(crate) fn clean_agent(agent: &str) -> String {
    agent.chars().filter(|char| !char.is_control()).take(LONGEST_AGENT).collect()
}
/// Different counts held between two batches; beyond it only the totals go on.
const MOST: usize = 100_000;

/// Where a use came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct From {
    ip: Option<IpAddr>,
    user_agent: Option<String>,
}

/// What is written down at once.
type Batch = (Vec<UsageRow>, Vec<(KeyId, LastUse)>);

/// What has been counted since the last batch.
#[derive(Default)]
pub(crate) struct Usage {
    /// Denials, and uses with tags: both rare.
    counts: Mutex<HashMap<(KeyId, Outcome, String), i64>>,
    /// Uses of keys that had just been loaded.
    loaded: Mutex<Vec<Use>>,
    /// Where the first use since the last batch came from.
    from: Mutex<HashMap<KeyId, From>>,
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

    /// Counts a verification that was not a plain use: those are counted where the key is.
    pub(crate) fn count_total(&self, outcome: Outcome, count: u64) {
        if let Some(total) = self.totals.get(outcome as usize) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Counts a use of a key that has no known place in the cache.
    pub(crate) fn count_loaded(&self, key: KeyId, now: Time) {
        let mut loaded = lock(&self.loaded);
        if loaded.len() < MOST {
            loaded.push(Use { key, count: 1, last: now });
        }
    }

    /// Keeps where a key's first use since the last batch came from.
    #[cold]
    pub(crate) fn first_use(&self, key: KeyId, ip: Option<IpAddr>, user_agent: Option<&str>) {
        let user_agent = user_agent.map(clean_agent);
        let mut from = lock(&self.from);
        if from.len() < MOST {
            from.insert(key, From { ip, user_agent });
        }
    }

    /// Takes back a batch that could not be written down.
    fn keep(&self, batch: Batch) {
        let mut unwritten = lock(&self.unwritten);
        if unwritten.0.len() < MOST {
            unwritten.0.extend(batch.0);
            unwritten.1.extend(batch.1);
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
        let (mut rows, mut last) = mem::take(&mut *lock(&self.unwritten));
        rows.extend(counts.into_iter().map(|((key, outcome, tag), count)| row(key, outcome, tag, count)));
        for used in uses {
            rows.push(row(used.key, Outcome::Valid, String::new(), i64::from(used.count)));
            let from = from.remove(&used.key).unwrap_or_default();
            last.push((
                used.key,
                LastUse { at: used.last, ip: from.ip.map(|ip| ip.to_string()), user_agent: from.user_agent },
            ));
        }
        (rows, last)
    }
}

impl App {
    /// Writes down what was counted since the last time.
    ///
    /// # Errors
    /// The database is out of reach. The counts are then kept for the next batch, as far as there is room.
    pub async fn flush_usage(&self) -> Result<(), Error> {
        let mut uses = self.cache.drain_uses();
        uses.append(&mut lock(&self.usage.loaded));
        let valid = uses.iter().map(|used| u64::from(used.count)).sum();
        self.usage.count_total(Outcome::Valid, valid);
        let (rows, last) = self.usage.batch(&uses, self.clock.now());
        if rows.is_empty() {
            return Ok(());
        }
        let kept = (rows.clone(), last.clone());
        let written = self
            .meter(move |tx| {
                Box::pin(async move {
                    keywright_store::usage::add_usage(tx, &rows).await?;
                    keywright_store::usage::set_last_use(tx, &last).await?;
                    Ok(())
                })
            })
            .await;
        if let Err(error) = &written {
            tracing::warn!(%error, "counts of uses could not be written down, and are kept for the next batch");
            self.usage.keep(kept);
        }
        written
    }

    /// How often a key was used, by hour, outcome and tag. Hours count from the Unix epoch; both ends are included.
    ///
    /// # Errors
    /// The key is not the caller's to see.
    pub async fn list_usage(&self, caller: &Caller, key: KeyId, from: Time, to: Time) -> Result<Vec<UsageRow>, Error> {
        self.get_key(caller, key).await?;
        Ok(keywright_store::usage::list_usage(&self.db, key, from.hour(), to.hour() + 1).await?)
    }

    /// Every verification since the start, by outcome.
    #[must_use]
    pub fn verification_totals(&self) -> Vec<(Outcome, u64)> {
        self.usage.totals()
    }
}
