//! Credits: a hard cap on operations, never exceeded, whatever the concurrency and whatever crashes.
//!
//! A node takes units out of the database in small leases and spends those. A crash counts the units it held as spent,
//! so a cap can be undershot by one lease and is never overshot.

use crate::key::Refill;
use crate::time::Time;

/// The most units a node takes out at once.
const LARGEST_LEASE: i64 = 1_000;

/// A key's stored balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Units left in the database; `None` where the key is not limited.
    pub credits: Option<i64>,
    /// How they come back.
    pub refill: Option<Refill>,
    /// When they next do.
    pub refill_at: Option<Time>,
}

impl Balance {
    /// The balance with every refill that has fallen due by `now`. A refill sets the balance; missed ones do not add up.
    #[must_use]
    pub fn refilled(self, now: Time) -> Self {
        let (Some(_), Some(refill), Some(at)) = (self.credits, self.refill, self.refill_at) else { return self };
        if now < at {
            return self;
        }
        let every = refill.every.millis().max(1);
        let next = at.millis().saturating_add((now.since(at) / every + 1).saturating_mul(every));
        Self { credits: Some(refill.amount), refill_at: Some(Time::from_millis(next)), ..self }
    }

    /// Takes a lease of at least `cost` units out of the balance: a tenth of what is there, within bounds.
    #[must_use]
    pub fn lease(self, cost: i64) -> Option<(i64, Self)> {
        let credits = self.credits?;
        if credits < cost {
            return None;
        }
        let units = (credits / 10).min(LARGEST_LEASE).max(cost);
        Some((units, Self { credits: Some(credits - units), ..self }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Span;

    fn balance(credits: i64) -> Balance {
        Balance { credits: Some(credits), refill: None, refill_at: None }
    }

    proptest! {
        #[test]
        fn leases_never_make_units(credits in 0i64..10_000, costs in proptest::collection::vec(0i64..50, 0..300)) {
            let (mut left, mut leased) = (balance(credits), 0);
            for cost in costs {
                match left.lease(cost) {
                    Some((units, rest)) => {
                        prop_assert!(units >= cost);
                        leased += units;
                        left = rest;
                    }
                    None => prop_assert!(left.credits.unwrap() < cost),
                }
            }
            prop_assert_eq!(leased + left.credits.unwrap(), credits);
        }
    }

    #[test]
    fn a_refill_sets_the_balance_and_keeps_its_rhythm() {
        let refill = Refill { amount: 100, every: Span::seconds(10) };
        let start = Balance { credits: Some(3), refill: Some(refill), refill_at: Some(Time::from_millis(10_000)) };
        assert_eq!(start.refilled(Time::from_millis(9_999)), start);
        let after = start.refilled(Time::from_millis(47_000));
        assert_eq!((after.credits, after.refill_at), (Some(100), Some(Time::from_millis(50_000))));
    }

    #[test]
    fn an_unlimited_key_leases_nothing() {
        assert_eq!(Balance { credits: None, refill: None, refill_at: None }.lease(1), None);
    }
}
