//! The one limiter every path that checks a secret goes through (security.md 28).
//!
//! Failures count against the key that is guessed at, by its public part, and against the address the guess comes
//! from. Counting and locking are one step under one lock. The book is bounded: a flood of made-up keys pushes out
//! other counts, never locks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use keywright_core::lockout::{Failures, Rule};
use keywright_core::time::{Span, Time};

use crate::sync::lock_std as lock;

/// The most that is counted at once.
const MOST: usize = 65_536;

/// Whose failures are counted. A kind's rules concern its own keys alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// A key of this kind, by its public part.
    Key(u8, Box<[u8]>),
    /// An address that tries keys of this kind.
    Address(u8, IpAddr),
}

#[derive(Default)]
pub(crate) struct Lockouts {
    book: Mutex<HashMap<Subject, (Failures, Rule)>>,
    /// Until when anything at all is locked: the hot path looks no further once that is past.
    latest_ms: AtomicI64,
}

impl Lockouts {
    /// Whether anything at all is locked.
    #[inline]
    pub(crate) fn any(&self, now: Time) -> bool {
        self.latest_ms.load(Ordering::Acquire) > now.millis()
    }

    /// How long a subject is still locked, if it is.
    pub(crate) fn locked(&self, subject: &Subject, now: Time) -> Option<Span> {
        let until = lock(&self.book).get(subject)?.0.locked_until(now)?;
        Some(Span::from_millis(until.since(now)))
    }

    /// Counts a failure. `true` where this one locks.
    pub(crate) fn fail(&self, subject: Subject, rule: Rule, now: Time) -> bool {
        let mut book = lock(&self.book);
        if book.len() >= MOST && !book.contains_key(&subject) {
            make_room(&mut book, now);
        }
        let (failures, kept) = book.entry(subject).or_insert((Failures::default(), rule));
        *kept = rule;
        let locked = failures.add(&rule, now);
        if let Some(until) = failures.locked_until(now) {
            self.latest_ms.fetch_max(until.millis(), Ordering::Release);
        }
        locked
    }

    /// Forgets what is over.
    pub(crate) fn tidy(&self, now: Time) {
        lock(&self.book).retain(|_, (failures, rule)| !failures.is_over(rule, now));
    }
}

fn make_room(book: &mut HashMap<Subject, (Failures, Rule)>, now: Time) {
    book.retain(|_, (failures, rule)| !failures.is_over(rule, now));
    if book.len() >= MOST {
        book.retain(|_, (failures, _)| failures.locked_until(now).is_some());
    }
    if book.len() >= MOST {
        book.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_subjects_leaves_locks_standing_and_memory_bounded() {
        let lockouts = Lockouts::default();
        let rule: Rule = "2 in 5m for 15m".parse().unwrap();
        let now = Time::from_millis(1_000_000);
        let victim = Subject::Key(1, b"wvs_live_abcdef".as_slice().into());
        assert!(!lockouts.fail(victim.clone(), rule, now));
        assert!(lockouts.fail(victim.clone(), rule, now));
        for number in 0..200_000u32 {
            lockouts.fail(Subject::Address(1, IpAddr::from(number.to_be_bytes())), rule, now);
        }
        assert!(lock(&lockouts.book).len() <= MOST);
        assert_eq!(lockouts.locked(&victim, now), Some(Span::minutes(15)));
        assert!(lockouts.any(now) && !lockouts.any(now.after(Span::minutes(15))));
    }
}
