//! Wrong guesses at keys and logins: whom they are held against, on whatever path they come.

use std::net::IpAddr;

use keywright_core::time::{Span, Time};

use keywright_store::sessions;

use crate::App;
use crate::error::Error;
use crate::lockouts::{Failed, Subject};
use crate::world::World;

impl App {
    /// How long a presented key or its address is still locked, if either is.
    #[inline]
    pub(crate) fn locked_for(&self, world: &World, key: &[u8], ip: Option<IpAddr>, now: Time) -> Option<Span> {
        if self.lockouts.any(now) { self.find_lock(world, key, ip, now) } else { None }
    }

    #[cold]
    fn find_lock(&self, world: &World, key: &[u8], ip: Option<IpAddr>, now: Time) -> Option<Span> {
        let (number, public) = self.subject_of(world, key);
        let by_key = public.and_then(|public| self.lockouts.locked(&Subject::Key(number, public), now));
        let by_address = ip.and_then(|ip| self.lockouts.locked(&Subject::Address(number, ip), now));
        by_key.max(by_address)
    }

    /// Counts a wrong guess against the key it was aimed at and the address it came from. Says how long either is locked,
    /// where an earlier guess has locked it.
    pub(crate) fn count_guess(&self, world: &World, key: &[u8], ip: Option<IpAddr>, now: Time) -> Option<Span> {
        let (number, public) = self.subject_of(world, key);
        let kind = world.policy.kind_at(number)?;
        let by_address = kind.ip_lockout.zip(ip).map(|(rule, ip)| (Subject::Address(number, ip), rule));
        let by_key = kind.key_lockout.zip(public).map(|(rule, public)| (Subject::Key(number, public), rule));
        let mut wait = None;
        for (subject, rule) in by_address.into_iter().chain(by_key) {
            match self.lockouts.fail(subject, rule, now) {
                Failed::Counted => {}
                Failed::Locks => tracing::warn!(kind = kind.name, "locked out after too many wrong keys"),
                Failed::Locked(left) => wait = wait.max(Some(left)),
            }
        }
        wait
    }

    /// How long logins of a person, or from an address, are still locked.
    ///
    /// A lock on a person does not hold where they have logged in from before: there they have one of their own, so that
    /// nobody is shut out for good by somebody else (security.md 31).
    pub(crate) async fn login_locked_for(
        &self,
        email: Option<&str>,
        ip: Option<IpAddr>,
        now: Time,
    ) -> Result<Option<Span>, Error> {
        if !self.lockouts.any(now) {
            return Ok(None);
        }
        let mut wait = ip.and_then(|ip| self.lockouts.locked(&Subject::Login(ip), now));
        let Some(email) = email else { return Ok(wait) };
        if let Some(ip) = ip {
            wait = wait.max(self.lockouts.locked(&Subject::PersonAt(email.into(), ip), now));
        }
        if let Some(left) = self.lockouts.locked(&Subject::Person(email.into()), now) {
            let is_known = match ip {
                Some(ip) => sessions::has_logged_in_from(&self.db, email, ip).await?,
                None => false,
            };
            wait = if is_known { wait } else { wait.max(Some(left)) };
        }
        Ok(wait)
    }

    /// Counts a login that failed: a wrong password, code or token. Says how long it is locked, where an earlier one has
    /// locked it: then it was no try.
    pub(crate) fn count_login(&self, email: Option<&str>, ip: Option<IpAddr>, now: Time) -> Option<Span> {
        let login = &self.world().policy.login;
        let by_address = ip.map(|ip| (Subject::Login(ip), login.ip_lockout, true));
        // Where they have an address, it is that which they have a lock of their own at.
        let by_person = email.map(|email| (Subject::Person(email.into()), login.person_lockout, ip.is_none()));
        let by_both =
            email.zip(ip).map(|(email, ip)| (Subject::PersonAt(email.into(), ip), login.person_lockout, true));
        let mut wait = None;
        for (subject, rule, decides) in by_address.into_iter().chain(by_person).chain(by_both) {
            match self.lockouts.fail(subject, rule, now) {
                Failed::Counted => {}
                Failed::Locks => tracing::warn!("logins are locked after too many wrong ones"),
                Failed::Locked(left) if decides => wait = wait.max(Some(left)),
                Failed::Locked(_) => {}
            }
        }
        wait
    }

    /// Forgets the failures of a person who has shown that it was them.
    pub(crate) fn forgive_logins(&self, email: &str, ip: Option<IpAddr>) {
        self.lockouts.forget(&Subject::Person(email.into()));
        if let Some(ip) = ip {
            self.lockouts.forget(&Subject::PersonAt(email.into(), ip));
        }
    }

    /// The kind a presented key seems to be of, and its public part where it is well-formed.
    fn subject_of(&self, world: &World, key: &[u8]) -> (u8, Option<Box<[u8]>>) {
        match world.policy.read(key, self.legacy.any_imported()) {
            Some((number, reading)) => (number, key.get(..reading.shown).map(Box::from)),
            None => (world.policy.seems(key), None),
        }
    }
}
