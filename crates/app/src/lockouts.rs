//! The one limiter every path that checks a secret goes through (security.md 28).
//!
//! Failures count against the key that is guessed at, by its public part, and against the address the guess comes
//! from. Counting and locking are one step under one lock. The book is bounded: a flood of made-up keys pushes out
//! other counts, never locks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, KeyId, LockoutId};
use keywright_core::lockout::{Failures, Rule};
use keywright_core::time::{Span, Time};
use keywright_store::secrets;
use serde_json::json;

use crate::caller::Caller;
use crate::error::Error;
use crate::sync::lock_std as lock;
use crate::{App, clock};

/// What a lock of logins is told as, where a key's is told by its kind.
pub const LOGIN: &str = "login";
/// The most that is counted at once.
const MOST: usize = 65_536;

/// A lock that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Its id.
    pub id: LockoutId,
    /// The kind whose rule it is; [`LOGIN`] for logins.
    pub kind: String,
    /// The public part of the key that was guessed at, where it is a key's.
    pub key_prefix: Option<String>,
    /// The address of the person whose logins they are, where they are.
    pub email: Option<String>,
    /// The address the guesses came from, where it is an address's.
    pub ip: Option<IpAddr>,
    /// The rule.
    pub rule: Rule,
    /// When it began.
    pub since: Time,
    /// When it ends by itself.
    pub until: Time,
}

/// Whose failures are counted. A kind's rules concern its own keys alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// A key of this kind, by its public part.
    Key(u8, Box<[u8]>),
    /// An address that tries keys of this kind.
    Address(u8, IpAddr),
    /// A person's logins, by their normalised address, whether or not there is such a person.
    Person(Box<str>),
    /// A person's logins from one address.
    PersonAt(Box<str>, IpAddr),
    /// An address that tries to log in.
    Login(IpAddr),
}

/// What a failure comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It counts.
    Counted,
    /// It counts, and is the one that locks.
    Locks,
    /// It is locked already, for so long.
    Locked(Span),
}

#[derive(Default)]
pub(crate) struct Lockouts {
    book: Mutex<HashMap<Subject, Entry>>,
    /// Until when anything at all is locked: the hot path looks no further once that is past.
    latest_ms: AtomicI64,
}

/// What is known of a subject.
struct Entry {
    failures: Failures,
    rule: Rule,
    /// Of the lock, while it holds.
    id: LockoutId,
}

impl Lockouts {
    /// Whether anything at all is locked.
    #[inline]
    pub(crate) fn any(&self, now: Time) -> bool {
        self.latest_ms.load(Ordering::Acquire) > now.millis()
    }

    /// How long a subject is still locked, if it is.
    pub(crate) fn locked(&self, subject: &Subject, now: Time) -> Option<Span> {
        let until = lock(&self.book).get(subject)?.failures.locked_until(now)?;
        Some(Span::from_millis(until.since(now)))
    }

    /// Counts a failure, unless it is locked: counting and deciding are one step.
    pub(crate) fn fail(&self, subject: Subject, rule: Rule, now: Time) -> Failed {
        let mut book = lock(&self.book);
        if book.len() >= MOST && !book.contains_key(&subject) {
            make_room(&mut book, now);
        }
        let entry = book.entry(subject).or_insert_with(|| Entry {
            failures: Failures::default(),
            rule,
            id: LockoutId::from_bits(0),
        });
        entry.rule = rule;
        if let Some(until) = entry.failures.locked_until(now) {
            return Failed::Locked(Span::from_millis(until.since(now)));
        }
        if !entry.failures.add(&rule, now) {
            return Failed::Counted;
        }
        entry.id = LockoutId::new(now, &mut clock::rng());
        if let Some(until) = entry.failures.locked_until(now) {
            self.latest_ms.fetch_max(until.millis(), Ordering::Release);
        }
        Failed::Locks
    }

    /// Forgets what led nowhere.
    pub(crate) fn forget(&self, subject: &Subject) {
        lock(&self.book).remove(subject);
    }

    /// The lock on a subject, while it holds.
    fn find(&self, subject: &Subject, now: Time) -> Option<(LockoutId, Rule, Time)> {
        let book = lock(&self.book);
        let entry = book.get(subject)?;
        Some((entry.id, entry.rule, entry.failures.locked_until(now)?))
    }

    /// Every lock that holds, with whose it is.
    fn list(&self, now: Time) -> Vec<(Subject, LockoutId, Rule, Time)> {
        let book = lock(&self.book);
        let held = book.iter().filter_map(|(subject, entry)| {
            Some((subject.clone(), entry.id, entry.rule, entry.failures.locked_until(now)?))
        });
        held.collect()
    }

    /// How many locks hold.
    pub(crate) fn count(&self, now: Time) -> usize {
        lock(&self.book).values().filter(|entry| entry.failures.locked_until(now).is_some()).count()
    }

    /// Ends a lock, and forgets what led to it. `false` where it was over.
    fn lift(&self, id: LockoutId, now: Time) -> bool {
        let mut book = lock(&self.book);
        let before = book.len();
        book.retain(|_, entry| entry.id != id || entry.failures.locked_until(now).is_none());
        book.len() < before
    }

    /// Forgets what is over.
    pub(crate) fn tidy(&self, now: Time) {
        lock(&self.book).retain(|_, entry| !entry.failures.is_over(&entry.rule, now));
    }
}

impl App {
    /// Locks that hold, the newest first: at most `limit` of those older than `before`.
    ///
    /// # Errors
    /// The caller is no operator, or may not read lockouts.
    pub fn list_lockouts(
        &self,
        caller: &Caller,
        before: Option<LockoutId>,
        limit: usize,
    ) -> Result<Vec<Lockout>, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "lockouts:read")?;
        let mut held = self.lockouts.list(self.clock.now());
        held.retain(|(_, id, ..)| before.is_none_or(|before| *id < before));
        held.sort_unstable_by_key(|(_, id, ..)| std::cmp::Reverse(*id));
        held.truncate(limit);
        Ok(held.into_iter().map(|(subject, id, rule, until)| self.told(subject, id, rule, until)).collect())
    }

    /// Ends a lock before its time. Whoever was locked out may try again at once, with nothing counted against them.
    ///
    /// # Errors
    /// The caller is no operator, or there is no such lock any more.
    pub async fn lift_lockout(&self, caller: &Caller, id: Option<LockoutId>) -> Result<(), Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "lockouts:write")?;
        let held = self.lockouts.list(self.clock.now()).into_iter().find(|(_, held, ..)| Some(*held) == id);
        let (subject, id, rule, until) = held.ok_or(Error::NotFound("lockout"))?;
        self.lift(caller, None, self.told(subject, id, rule, until)).await
    }

    /// The locks that hold on a key after wrong guesses at one of its secrets.
    ///
    /// # Errors
    /// The key is not the caller's to see.
    pub async fn list_key_lockouts(&self, caller: &Caller, id: KeyId) -> Result<Vec<Lockout>, Error> {
        let (key, now) = (self.get_key(caller, id).await?, self.clock.now());
        let Some((number, _)) = self.world().policy.kind(&key.kind) else { return Ok(Vec::new()) };
        if !self.lockouts.any(now) {
            return Ok(Vec::new());
        }
        let held = secrets::list_secrets(&self.db, id).await?;
        let locks = held.into_iter().filter_map(|secret| {
            let subject = Subject::Key(number, secret.prefix.into_bytes().into());
            let (id, rule, until) = self.lockouts.find(&subject, now)?;
            Some(self.told(subject, id, rule, until))
        });
        Ok(locks.collect())
    }

    /// Ends the locks on a key of the caller's before their time.
    ///
    /// # Errors
    /// The caller may not change the key.
    pub async fn lift_key_lockouts(&self, caller: &Caller, id: KeyId) -> Result<(), Error> {
        caller.must(&self.world().policy.catalog, "keys:write")?;
        let account = self.get_key(caller, id).await?.account;
        for held in self.list_key_lockouts(caller, id).await? {
            self.lift(caller, Some(account), held).await?;
        }
        Ok(())
    }

    async fn lift(&self, caller: &Caller, account: Option<AccountId>, held: Lockout) -> Result<(), Error> {
        let Lockout { id, kind, key_prefix, email, ip, until, .. } = held;
        let detail = json!({ "kind": kind, "key_prefix": key_prefix, "email": email, "ip": ip, "until": until });
        // Written down first: a lock that is lifted is never missing from the log.
        self.write(caller, move |_| {
            let event = AuditEvent { action: "lockout.lift", target: id.to_string(), account, detail: detail.into() };
            Box::pin(async move { Ok(((), event)) })
        })
        .await?;
        self.lockouts.lift(id, self.clock.now());
        Ok(())
    }

    fn told(&self, subject: Subject, id: LockoutId, rule: Rule, until: Time) -> Lockout {
        let since = Time::from_millis(until.millis().saturating_sub(rule.lasts.millis()));
        let none = Lockout { id, kind: LOGIN.into(), key_prefix: None, email: None, ip: None, rule, since, until };
        let kind = |number| self.world().policy.kind_at(number).map(|kind| kind.name.clone()).unwrap_or_default();
        match subject {
            Subject::Key(number, public) => {
                let key_prefix = Some(String::from_utf8_lossy(&public).into_owned());
                Lockout { kind: kind(number), key_prefix, ..none }
            }
            Subject::Address(number, ip) => Lockout { kind: kind(number), ip: Some(ip), ..none },
            Subject::Person(email) => Lockout { email: Some(email.into()), ..none },
            Subject::PersonAt(email, ip) => Lockout { email: Some(email.into()), ip: Some(ip), ..none },
            Subject::Login(ip) => Lockout { ip: Some(ip), ..none },
        }
    }
}

fn make_room(book: &mut HashMap<Subject, Entry>, now: Time) {
    book.retain(|_, entry| !entry.failures.is_over(&entry.rule, now));
    if book.len() >= MOST {
        book.retain(|_, entry| entry.failures.locked_until(now).is_some());
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
        assert_eq!(lockouts.fail(victim.clone(), rule, now), Failed::Counted);
        assert_eq!(lockouts.fail(victim.clone(), rule, now), Failed::Locks);
        assert_eq!(lockouts.fail(victim.clone(), rule, now), Failed::Locked(Span::minutes(15)));
        for number in 0..200_000u32 {
            lockouts.fail(Subject::Address(1, IpAddr::from(number.to_be_bytes())), rule, now);
        }
        assert!(lock(&lockouts.book).len() <= MOST);
        assert_eq!(lockouts.locked(&victim, now), Some(Span::minutes(15)));
        assert!(lockouts.any(now) && !lockouts.any(now.after(Span::minutes(15))));
    }
}
