//! Lockout: so many failures within a span, and nothing is tried for another.
//!
//! Counting and deciding are one step on one value, so that nobody gets a try between them. Failures while locked do
//! not prolong the lock: a third party can delay, never lock out for good (security.md 31).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::time::{Span, Time};

/// When to lock, and for how long: `10 in 5m for 15m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Failures that lock.
    pub failures: u32,
    /// The span they must fall into, which begins with the first.
    pub within: Span,
    /// How long the lock lasts.
    pub lasts: Span,
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a lockout: write it as \"10 in 5m for 15m\"");
        let words: Vec<&str> = text.split_whitespace().collect();
        let [failures, "in", within, "for", lasts] = words.as_slice() else { return Err(wrong()) };
        let rule =
            Self { failures: failures.parse().map_err(|_| wrong())?, within: within.parse()?, lasts: lasts.parse()? };
        if rule.failures == 0 || rule.within.millis() == 0 || rule.lasts.millis() == 0 {
            Err(wrong())
        } else {
            Ok(rule)
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} in {} for {}", self.failures, self.within, self.lasts)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// Failures so far, of one key or one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    count: u32,
    began_ms: i64,
    locked_until_ms: i64,
}

impl Failures {
    /// Counts one failure. `true` where this one locks.
    pub fn add(&mut self, rule: &Rule, now: Time) -> bool {
        if self.locked_until(now).is_some() {
            return false;
        }
        if self.is_fresh(rule, now) {
            *self = Self { count: 0, began_ms: now.millis(), locked_until_ms: 0 };
        }
        self.count = self.count.saturating_add(1);
        if self.count < rule.failures {
            return false;
        }
        *self = Self { count: 0, began_ms: 0, locked_until_ms: now.after(rule.lasts).millis() };
        true
    }

    /// Until when nothing is tried, where it is locked.
    #[must_use]
    pub fn locked_until(&self, now: Time) -> Option<Time> {
        (self.locked_until_ms > now.millis()).then(|| Time::from_millis(self.locked_until_ms))
    }

    /// Whether forgetting it changes nothing.
    #[must_use]
    pub fn is_over(&self, rule: &Rule, now: Time) -> bool {
        self.locked_until(now).is_none() && self.is_fresh(rule, now)
    }

    /// Whether no failure counts any more.
    fn is_fresh(&self, rule: &Rule, now: Time) -> bool {
        self.count == 0 || !now.is_within(Time::from_millis(self.began_ms), rule.within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        "3 in 5m for 15m".parse().unwrap()
    }

    fn minute(minutes: i64) -> Time {
        Time::from_millis(1_000_000_000 + minutes * 60_000)
    }

    #[test]
    fn the_last_allowed_failure_locks_and_the_lock_ends_by_itself() {
        let mut failures = Failures::default();
        assert!(!failures.add(&rule(), minute(0)));
        assert!(!failures.add(&rule(), minute(1)));
        assert!(failures.add(&rule(), minute(2)));
        assert_eq!(failures.locked_until(minute(2)), Some(minute(17)));
        assert_eq!(failures.locked_until(minute(17)), None);
    }

    #[test]
    fn failures_while_locked_do_not_prolong_the_lock() {
        let mut failures = Failures::default();
        assert_eq!((0..3).filter(|_| failures.add(&rule(), minute(0))).count(), 1);
        (1..15).for_each(|at| assert!(!failures.add(&rule(), minute(at))));
        assert_eq!(failures.locked_until(minute(14)), Some(minute(15)));
        assert!(!failures.add(&rule(), minute(16)), "counting begins anew");
    }

    #[test]
    fn failures_spread_thin_never_lock() {
        let mut failures = Failures::default();
        assert!((0..20).all(|step| !failures.add(&rule(), minute(step * 3))));
    }

    #[test]
    fn guesses_made_at_once_count_in_whatever_order_they_end() {
        let mut failures = Failures::default();
        assert_eq!(
            (0..3).rev().filter(|millis| failures.add(&rule(), Time::from_millis(1_000_000 + millis))).count(),
            1
        );
    }

    #[test]
    fn rules_are_read_as_written() {
        assert_eq!(rule().to_string(), "3 in 5m for 15m");
        for bad in ["", "10", "10 in 5m", "0 in 5m for 15m", "10 in 0s for 1m", "x in 5m for 1m", "10 per 5m for 1m"] {
            assert!(bad.parse::<Rule>().is_err(), "{bad} was taken");
        }
    }
}
