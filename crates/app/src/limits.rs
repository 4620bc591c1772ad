//! Rate limits in force: one set of windows a key, kept whatever the cache forgets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use keywright_core::id::KeyId;
use keywright_core::limit::{self, RateLimit, Remaining, Window};
use keywright_core::time::{Span, Time};

use crate::sync::lock_std as lock;

/// A key's limits and how far they are used.
#[derive(Debug)]
pub struct Limits {
    limits: Vec<RateLimit>,
    windows: Mutex<Vec<Window>>,
}

impl Limits {
    /// Takes `cost` units from every limit, or says how long until the one that is short comes back.
    pub(crate) fn take(&self, cost: u32, now: Time) -> Result<(), Span> {
        limit::take(&self.limits, &mut lock(&self.windows), cost, now).map_err(|(_, left)| left.reset)
    }

    /// What is left of each limit.
    pub fn remaining(&self, now: Time) -> Vec<(&RateLimit, Remaining)> {
        let windows = lock(&self.windows);
        self.limits.iter().zip(windows.iter()).map(|(limit, window)| (limit, window.remaining(limit, now))).collect()
    }
}

/// Every limited key's limits.
#[derive(Default)]
pub(crate) struct LimitBook(Mutex<HashMap<KeyId, Arc<Limits>>>);

impl LimitBook {
    /// The limits in force for a key. Where they have changed, windows of the same name go on.
    pub(crate) fn of(&self, key: KeyId, limits: &[RateLimit]) -> Option<Arc<Limits>> {
        if limits.is_empty() {
            return None;
        }
        let mut book = lock(&self.0);
        if let Some(kept) = book.get(&key).filter(|kept| kept.limits == limits) {
            return Some(Arc::clone(kept));
        }
        let before = book.get(&key);
        let window = |limit: &RateLimit| {
            let kept = before?;
            let place = kept.limits.iter().position(|old| old.name == limit.name && old.window == limit.window)?;
            lock(&kept.windows).get(place).copied()
        };
        let windows = limits.iter().map(|limit| window(limit).unwrap_or_default()).collect();
        let limits = Arc::new(Limits { limits: limits.to_vec(), windows: Mutex::new(windows) });
        book.insert(key, Arc::clone(&limits));
        Some(limits)
    }

    /// Forgets limits nobody holds and whose windows are all over.
    pub(crate) fn tidy(&self, now: Time) {
        lock(&self.0).retain(|_, kept| {
            let over =
                || kept.limits.iter().zip(lock(&kept.windows).iter()).all(|(limit, window)| window.is_over(limit, now));
            Arc::strong_count(kept) > 1 || !over()
        });
    }
}
