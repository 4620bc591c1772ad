//! Credits in force: small leases taken out of the database and spent without it. The cap is the database's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use keywright_core::credits::Balance;
use keywright_core::id::KeyId;
use keywright_core::time::Time;
use keywright_store::Tx;

use crate::App;
use crate::error::Error;
use crate::sync::lock_std as lock;
use crate::write::in_time;

/// Units of one key this node may spend.
#[derive(Debug)]
pub struct Pool {
    leased: AtomicI64,
    /// Units left in the database, as last seen.
    stored: AtomicI64,
    /// Counts the balances there have been: a lease out of an earlier one is worth nothing.
    balance: Mutex<u64>,
    /// When a refill sets the balance, and ends the lease with it.
    refill_ms: AtomicI64,
    /// One lease at a time.
    gate: tokio::sync::Mutex<()>,
}

impl Pool {
    fn new(stored: i64) -> Self {
        Self {
            leased: AtomicI64::new(0),
            stored: AtomicI64::new(stored),
            balance: Mutex::default(),
            refill_ms: AtomicI64::new(i64::MAX),
            gate: tokio::sync::Mutex::default(),
        }
    }

    /// Spends, where the lease still holds and covers it.
    pub(crate) fn spend(&self, cost: u32, now: Time) -> bool {
        if cost > 0 && self.is_over(now) {
            return false;
        }
        let cost = i64::from(cost);
        self.leased
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| (left >= cost).then(|| left - cost))
            .is_ok()
    }

    /// Whether a refill has come due, so that what was leased before it is no longer the key's.
    fn is_over(&self, now: Time) -> bool {
        self.refill_ms.load(Ordering::Acquire) <= now.millis()
    }

    /// Takes note of what the database says now.
    fn note(&self, stored: i64, refill_at: Option<Time>) {
        self.stored.store(stored, Ordering::Release);
        self.refill_ms.store(refill_at.map_or(i64::MAX, Time::millis), Ordering::Release);
    }

    /// Units left in all, as far as this node knows.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        self.leased.load(Ordering::Acquire) + self.stored.load(Ordering::Acquire)
    }

    /// Units out of the database that nobody has spent yet.
    pub(crate) fn leased(&self) -> i64 {
        self.leased.load(Ordering::Acquire)
    }

    /// Takes the whole lease, so that nobody can spend it.
    pub(crate) fn drain(&self) -> i64 {
        self.leased.swap(0, Ordering::AcqRel)
    }

    /// Begins a new balance: what was leased out of the one before, or is just being leased, is worth nothing. Returns
    /// the units that go over into the new one, of which there are none.
    pub(crate) fn annul(&self) -> i64 {
        *lock(&self.balance) += 1;
        self.drain();
        0
    }

    /// Adds a lease, unless a new balance has begun since it was taken out.
    fn add(&self, units: i64, balance: u64) {
        let current = lock(&self.balance);
        if *current == balance {
            self.leased.fetch_add(units, Ordering::AcqRel);
        }
    }
}

/// Every limited key's pool.
#[derive(Default)]
pub(crate) struct PoolBook(Mutex<HashMap<KeyId, Arc<Pool>>>);

impl PoolBook {
    /// The pool of a key that has credits; what is stored is news only to a new pool.
    pub(crate) fn of(&self, key: KeyId, credits: Option<i64>) -> Option<Arc<Pool>> {
        let credits = credits?;
        let pool = || Arc::new(Pool::new(credits));
        Some(Arc::clone(lock(&self.0).entry(key).or_insert_with(pool)))
    }

    pub(crate) fn find(&self, key: KeyId) -> Option<Arc<Pool>> {
        lock(&self.0).get(&key).cloned()
    }

    /// Forgets pools nobody holds that have nothing leased.
    pub(crate) fn tidy(&self) {
        lock(&self.0).retain(|_, pool| Arc::strong_count(pool) > 1 || pool.leased.load(Ordering::Acquire) != 0);
    }

    /// Forgets the pools of keys there are no more.
    pub(crate) fn forget(&self, keys: &[KeyId]) {
        let mut pools = lock(&self.0);
        keys.iter().for_each(|key| drop(pools.remove(key)));
    }

    fn all(&self) -> Vec<(KeyId, Arc<Pool>)> {
        lock(&self.0).iter().map(|(key, pool)| (*key, Arc::clone(pool))).collect()
    }
}

/// Sets a key's balance inside a change to it. The lease is to be taken back first: what is spent after this commits
/// comes out of the new balance.
pub(crate) async fn set_balance(tx: &mut Tx, pool: Option<&Pool>, key: KeyId, balance: &Balance) -> Result<(), Error> {
    keywright_store::credits::set_balance(tx, key, balance).await?;
    if let Some(pool) = pool {
        pool.note(balance.credits.unwrap_or(0), balance.refill_at);
    }
    Ok(())
}

impl App {
    /// Spends `cost` units of a key, leasing more where needed. `false` where they do not cover it.
    pub(crate) async fn spend_credits(
        &self,
        key: KeyId,
        pool: &Arc<Pool>,
        cost: u32,
        now: Time,
    ) -> Result<bool, Error> {
        let _one_at_a_time = pool.gate.lock().await;
        while !pool.spend(cost, now) {
            if pool.is_over(now) {
                pool.drain();
            }
            let short = (i64::from(cost) - pool.leased.load(Ordering::Acquire)).max(1);
            let leased_in = Arc::clone(pool);
            // Units of a lease that is given up on are never spent.
            let leased = in_time(self.meter(move |tx| Box::pin(lease(tx, key, leased_in, short, now)))).await?;
            pool.note(leased.stored, leased.refill_at);
            match leased.units {
                Some(units) => pool.add(units, leased.balance),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Gives every unspent unit back to the database: the last thing a node does.
    pub(crate) async fn return_credits(&self) -> Result<(), Error> {
        let unspent: Vec<(KeyId, i64)> = self
            .pools
            .all()
            .into_iter()
            .map(|(key, pool)| (key, pool.drain()))
            .filter(|(_, units)| *units > 0)
            .collect();
        self.meter(move |tx| {
            Box::pin(async move {
                for (key, units) in unspent {
                    keywright_store::credits::add_credits(tx, key, units).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

struct Leased {
    units: Option<i64>,
    stored: i64,
    refill_at: Option<Time>,
    /// Which balance it came out of: changes run one after the other, so this is certain here and nowhere else.
    balance: u64,
}

async fn lease(tx: &mut Tx, key: KeyId, pool: Arc<Pool>, cost: i64, now: Time) -> Result<Leased, Error> {
    let balance = *lock(&pool.balance);
    let Some(before) = keywright_store::credits::find_balance(tx, key).await? else {
        return Ok(Leased { units: None, stored: 0, refill_at: None, balance });
    };
    let refilled = before.refilled(now);
    let leased = refilled.lease(cost);
    let after = leased.map_or(refilled, |(_, after)| after);
    if after != before {
        keywright_store::credits::update_balance(tx, key, &before, &after).await?;
    }
    let units = leased.map(|(units, _)| units);
    Ok(Leased { units, stored: after.credits.unwrap_or(0), refill_at: after.refill_at, balance })
}
