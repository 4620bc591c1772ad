//! Verifying a key: the one path every front door takes.
//!
//! Form, cache or database, `decide`, limits, credits, one exit that records the use. A hit takes no I/O, and no lock
//! unless the key has more to it than fits a line of memory (`cache/told.rs`): limits, credits, an allow-list.

use std::net::IpAddr;

use keywright_core::id::AccountId;
use keywright_core::key::Secret;
use keywright_core::permission::{Catalog, Need};
use keywright_core::secret::Digest;
use keywright_core::time::{Span, Time};
use keywright_core::verify::{self, Outcome, Query};

use crate::App;
use crate::cache::{Facts, Hit, Lookup, Spot, Tag, Ticket, flag, mark};
use crate::error::Error;
use crate::record::Record;
use crate::spend::spend_at_once;
pub use crate::verdict::{Verdict, Verified};
use crate::world::World;

/// Times a verification starts anew because the key it found had to make room meanwhile.
const RETRIES: usize = 8;

/// What is asked of a presented key.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Where it is used from.
    pub ip: Option<IpAddr>,
    /// By what.
    pub user_agent: Option<&'a str>,
    /// What it is to be allowed.
    pub want: Want<'a>,
    /// The environment it is used in.
    pub environment: Option<&'a str>,
    /// Units it costs.
    pub cost: u32,
    /// The request it is asked for in, for whoever is refused to name it.
    pub request_id: Option<&'a str>,
    /// Labels the use is counted under.
    pub tags: &'a [String],
    /// The account the key must belong to; another's looks missing.
    pub within: Option<AccountId>,
    /// The number of the kind that the policy reads the key as, where it has been read already.
    pub kind: Option<u8>,
}

/// Permissions asked for.
#[derive(Clone, Copy, Debug)]
pub enum Want<'a> {
    /// None: the key only has to work.
    Nothing,
    /// Every one of these.
    All(&'a [String]),
    /// At least one of these.
    Any(&'a [String]),
}

impl<'a> Want<'a> {
    /// What is asked for by name.
    #[inline]
    pub(crate) fn names(self) -> &'a [String] {
        match self {
            Want::Nothing => &[],
            Want::All(names) | Want::Any(names) => names,
        }
    }

    #[inline]
    pub(crate) fn compile(self, catalog: &Catalog) -> Need {
        match self {
            Want::Nothing => Need::Nothing,
            Want::All(names) => catalog.all(names.iter().map(String::as_str)),
            Want::Any(names) => catalog.any(names.iter().map(String::as_str)),
        }
    }
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            ip: None,
            user_agent: None,
            want: Want::Nothing,
            environment: None,
            cost: 1,
            request_id: None,
            tags: &[],
            within: None,
            kind: None,
        }
    }
}

/// What the cache knows of a key.
pub(crate) type Known = (Facts, Record);

/// What a known key was told: its outcome, and how long to wait.
pub(crate) type Told = (Outcome, Option<Span>);

/// What happens before the database has to be asked.
enum Step {
    Refused(Outcome, Option<Span>),
    Found(Hit),
    Load(Tag),
}

impl App {
    /// Verifies a key.
    ///
    /// # Errors
    /// The database has to be asked and is out of reach. A denial is no error.
    pub async fn verify(&self, key: &[u8], ask: &Ask<'_>) -> Result<Verdict, Error> {
        self.lease.must_hold()?;
        match self.verify_at_once(key, ask) {
            Some(verdict) => Ok(verdict),
            // Apart from the call, which is otherwise made without it and need not be as large.
            None => Box::pin(self.verify_in_time(key, ask)).await,
        }
    }

    /// Verifies a key as [`App::verify`] does, where all that it takes is in memory. Where it is not, nothing has been
    /// counted or spent.
    pub fn verify_at_once(&self, key: &[u8], ask: &Ask<'_>) -> Option<Verdict> {
        if !self.lease.holds() {
            return None;
        }
        let world = self.world();
        match self.recognise_told(world, key, ask.kind) {
            Some(tag) => self.verify_in_memory(world, key, tag, ask, self.clock.now()),
            None => Some(Verdict::refused(self.refuse_malformed(world, key, ask))),
        }
    }

    /// The same, of a well-formed key. It is apart so that a malformed one is refused without what this sets up.
    #[inline(never)]
    pub(crate) fn verify_in_memory(
        &self,
        world: &World,
        key: &[u8],
        tag: Tag,
        ask: &Ask<'_>,
        now: Time,
    ) -> Option<Verdict> {
        let hit = match self.step(world, key, tag, ask, now) {
            Step::Refused(outcome, retry_after) => {
                return Some(self.refused(world, key, ask, (outcome, retry_after), now));
            }
            Step::Found(hit) => hit,
            Step::Load(..) => return None,
        };
        let (facts, record) = (hit.facts(), self.cache.record(&hit)?);
        if self.is_foreign(facts, ask) {
            return Some(self.refused(world, key, ask, (Outcome::NotFound, None), now));
        }
        let outcome = self.decide(world, facts, Some(&record), ask, now)?;
        let (outcome, retry_after) = spend_at_once(outcome, &record, ask, now)?;
        self.record_use(Some(&hit), (facts, &record), outcome, ask, now);
        Some(Verdict { outcome, retry_after, key: Some(Verified { record, facts, at: now }) })
    }

    /// The same with all that may have to be waited for.
    async fn verify_in_time(&self, key: &[u8], ask: &Ask<'_>) -> Result<Verdict, Error> {
        let now = self.clock.now();
        for _ in 0..RETRIES {
            let world = self.world();
            let Some(tag) = self.recognise_told(world, key, ask.kind) else {
                return Ok(Verdict::refused(self.refuse_malformed(world, key, ask)));
            };
            let (facts, record, hit) = match self.step(world, key, tag, ask, now) {
                Step::Refused(outcome, retry_after) => {
                    return Ok(self.refused(world, key, ask, (outcome, retry_after), now));
                }
                Step::Found(hit) => match self.cache.record(&hit) {
                    Some(record) => (hit.facts(), record, Some(hit)),
                    None => continue,
                },
                Step::Load(tag) => {
                    let loaded = self.load(key, tag).await?;
                    // Guesses looked up beside this one may have locked: nobody gets more tries by making them at once.
                    if let Some(wait) = self.locked_for(world, key, ask.ip, now) {
                        return Ok(self.refused(world, key, ask, (Outcome::RateLimited, Some(wait)), now));
                    }
                    match loaded {
                        Some((facts, record)) => (facts, record, None),
                        None => return Ok(self.refused(world, key, ask, (Outcome::NotFound, None), now)),
                    }
                }
            };
            if self.is_foreign(facts, ask) {
                return Ok(self.refused(world, key, ask, (Outcome::NotFound, None), now));
            }
            let Some(outcome) = self.decide(world, facts, Some(&record), ask, now) else { continue };
            let (outcome, retry_after) = self.spend(outcome, &record, ask, now).await?;
            self.record_use(hit.as_ref(), (facts, &record), outcome, ask, now);
            return Ok(Verdict { outcome, retry_after, key: Some(Verified { record, facts, at: now }) });
        }
        Err(Error::Unavailable("the cache is too small for what is asked of it: give it more keys".into()))
    }

    /// Whether the key belongs to another account than it must: it is then as good as missing.
    fn is_foreign(&self, facts: Facts, ask: &Ask<'_>) -> bool {
        ask.within.is_some_and(|within| self.accounts.get(facts.account).is_none_or(|account| account.id != within))
    }

    /// What a well-formed key is looked for by in memory, from its spot on; what kind it is of may be known. One that is
    /// malformed is read and no more: nothing is hashed, and no memory asked for.
    #[inline]
    pub(crate) fn recognise(
        &self,
        world: &World,
        key: &[u8],
        kind: Option<u8>,
        spot: impl FnOnce() -> Spot,
    ) -> Option<Tag> {
        let imported = self.legacy.any_imported();
        match kind {
            Some(kind) => world.policy.takes(kind, imported).then_some(())?,
            None => drop(world.policy.read(key, imported)?),
        }
        Some(self.cache.tag(spot(), key))
    }

    /// The same, with what is told of the key on its way as well. That is asked for last: by then it is known where its page lies.
    #[inline]
    fn recognise_told(&self, world: &World, key: &[u8], kind: Option<u8>) -> Option<Tag> {
        let tag = self.recognise(world, key, kind, || self.cache.approach(key))?;
        self.cache.approach_told(tag);
        Some(tag)
    }

    /// How a malformed key is refused. Aimed at no key, and from no address, it is held against nobody, and nobody is
    /// locked: it is counted, no more.
    #[inline]
    pub(crate) fn refuse_malformed(&self, world: &World, key: &[u8], ask: &Ask<'_>) -> Told {
        if ask.ip.is_none() {
            self.usage.count_total(Outcome::Malformed, 1);
            return (Outcome::Malformed, None);
        }
        let now = self.clock.now();
        let wait = self.locked_for(world, key, ask.ip, now);
        let told = wait.map_or((Outcome::Malformed, None), |wait| (Outcome::RateLimited, Some(wait)));
        self.refuse(world, key, ask, told, now)
    }

    /// Everything from a well-formed key up to the database: lockouts, cache. Inlined always: a hit that is handed back
    /// through memory is waited for there.
    #[inline(always)]
    fn step(&self, world: &World, key: &[u8], tag: Tag, ask: &Ask<'_>, now: Time) -> Step {
        if let Some(wait) = self.locked_for(world, key, ask.ip, now) {
            return Step::Refused(Outcome::RateLimited, Some(wait));
        }
        match self.cache.find(tag) {
            Lookup::Known(hit) => Step::Found(hit),
            Lookup::Absent => Step::Refused(Outcome::NotFound, None),
            Lookup::Unknown => Step::Load(tag),
        }
    }

    /// The exit of every key that was not found: counts the outcome and, where it was a guess, the guess. One that comes
    /// when the lock is on already is told so, and nothing of the key.
    #[cold]
    fn refuse(&self, world: &World, key: &[u8], ask: &Ask<'_>, told: Told, now: Time) -> Told {
        let (outcome, _) = told;
        let is_guess = matches!(outcome, Outcome::NotFound | Outcome::Malformed);
        let locked = if is_guess { self.count_guess(world, key, ask.ip, now) } else { None };
        let told = locked.map_or(told, |wait| (Outcome::RateLimited, Some(wait)));
        self.usage.count_total(told.0, 1);
        told
    }

    fn refused(&self, world: &World, key: &[u8], ask: &Ask<'_>, told: Told, now: Time) -> Verdict {
        Verdict::refused(self.refuse(world, key, ask, told, now))
    }

    /// Decides; `None` where the key was cached under another policy than this one.
    #[inline]
    pub(crate) fn decide(
        &self,
        world: &World,
        facts: Facts,
        record: Option<&Record>,
        ask: &Ask<'_>,
        now: Time,
    ) -> Option<Outcome> {
        let need = match ask.want {
            Want::Nothing => None,
            want @ (Want::All(_) | Want::Any(_)) => Some(want.compile(&world.policy.catalog)),
        };
        // An environment the policy does not name is nobody's.
        let environment = ask.environment.map(|name| world.policy.environment(name).unwrap_or(u8::MAX));
        self.with_facts(world, facts, record, |facts| {
            verify::decide(facts, &Query { ip: ask.ip, need: need.as_ref(), environment }, now)
        })
    }

    /// Hands what is known of a key to the pure rules.
    #[inline]
    pub(crate) fn with_facts<T>(
        &self,
        world: &World,
        facts: Facts,
        record: Option<&Record>,
        with: impl FnOnce(&verify::Facts<'_>) -> T,
    ) -> Option<T> {
        let access = self.accesses.get(facts.access).filter(|access| access.epoch == world.epoch)?;
        let allowlist = record.and_then(|record| record.more.as_ref()).map(|more| &more.allowlist);
        Some(with(&verify::Facts {
            revoked: facts.flags & flag::REVOKED != 0,
            enabled: facts.flags & flag::DISABLED == 0,
            suspended: self.accounts.get(facts.account)?.is_suspended(),
            deadline: Time::from_millis(facts.deadline_ms),
            environment: (facts.environment != u8::MAX).then_some(facts.environment),
            allowlist: allowlist.filter(|list| !list.is_everywhere()),
            grant: &access.grant,
        }))
    }

    /// The exit of every key that was found: counts what it came to.
    fn record_use(&self, hit: Option<&Hit>, known: (Facts, &Record), outcome: Outcome, ask: &Ask<'_>, now: Time) {
        let (facts, record) = known;
        if outcome == Outcome::Valid {
            let is_first = match hit {
                Some(hit) => {
                    let counted = self.cache.count_use(hit, now);
                    self.note_granted(hit, counted.noted, ask.want.names(), now);
                    counted.is_first
                }
                // Just loaded, and its slot not known: it is counted as an odd one is, by name.
                None => {
                    self.usage.count_loaded(record.id, record.secret, now);
                    self.granted.note_names(record.id, facts.access, ask.want.names(), now);
                    true
                }
            };
            if is_first && (ask.ip.is_some() || ask.user_agent.is_some()) {
                self.usage.first_use(record.id, record.secret, ask.ip, ask.user_agent);
            }
        } else {
            self.usage.count_total(outcome, 1);
            self.usage.count(record.id, outcome, "");
            self.usage.refuse(record.id, outcome, ask, now);
        }
        for tag in ask.tags {
            self.usage.count(record.id, outcome, tag);
        }
    }

    /// Every digest a key may be stored under, the current pepper's first. One that seems to say when it was issued may be stored
    /// by that or not: it may be from before such keys were, or its kind's keys may not say so.
    pub(crate) fn digests(&self, key: &[u8]) -> Vec<Digest> {
        let date = self.world().policy.date(key);
        let dates = date.map(Some).into_iter().chain([None]);
        let current = dates.filter_map(|date| Some(self.keyring.digest(key, date)?.0));
        current.chain(self.legacy.digests(&self.keyring, key, date)).collect()
    }

    /// Loads a key from the database and keeps it, or keeps that there is none.
    pub(crate) async fn load(&self, key: &[u8], tag: Tag) -> Result<Option<Known>, Error> {
        let Some((known, secret)) = self.load_stored(tag, &self.digests(key)).await? else { return Ok(None) };
        if let Some(making) = self.keyring.renewed(secret.making)
            && let Some(renewed) = self.keyring.digest_as(making, key, self.world().policy.date(key))
        {
            self.legacy.upgrade_later(secret.digest, renewed, making);
        }
        Ok(Some(known))
    }

    /// The same of a key whose text is not at hand.
    pub(crate) async fn load_stored(&self, tag: Tag, digests: &[Digest]) -> Result<Option<(Known, Secret)>, Error> {
        let tickets: Vec<Ticket> = digests.iter().map(|digest| self.cache.ticket(digest)).collect();
        // A reload of the policy that comes after this comes after the tickets, too, and spoils them.
        let world = self.world();
        let Some(found) = self.find_secret(digests).await? else {
            if let Some(ticket) = tickets.first() {
                self.cache.insert_absent(tag, *ticket);
            }
            return Ok(None);
        };
        let Some((facts, record)) = self.facts_of(world, &found) else { return Ok(None) };
        if let Some((_, ticket)) = digests.iter().zip(tickets).find(|(digest, _)| **digest == found.secret.digest) {
            self.cache.insert(tag, ticket, facts, record.clone());
        }
        Ok(Some(((facts, record), found.secret)))
    }

    /// What the hot path needs of a stored key; `None` where the policy no longer has its kind.
    pub(crate) fn facts_of(&self, world: &World, found: &keywright_store::secrets::Found) -> Option<Known> {
        let key = &found.key;
        world.policy.kind(&key.kind)?;
        let limits = self.limits.of(key.id, &key.ratelimits);
        let credits = self.pools.of(key.id, key.credits);
        let record = Record::new(key, mark(&found.secret.digest), limits, credits);
        let deadline = key.expires_at.unwrap_or(Time::MAX).min(found.secret.expires_at.unwrap_or(Time::MAX));
        let flags = [
            (key.revoked_at.is_some(), flag::REVOKED),
            (!key.enabled, flag::DISABLED),
            (record.needs_more(), flag::MORE),
        ];
        let environment = key.environment.as_deref().and_then(|name| world.policy.environment(name));
        let suspended = found.standing == keywright_core::account::Standing::Suspended;
        let facts = Facts {
            deadline_ms: deadline.millis(),
            access: self.accesses.number(world.epoch, &world.policy, key),
            account: self.accounts.number(key.account, suspended),
            environment: environment.unwrap_or(u8::MAX),
            flags: flags.into_iter().filter(|(is, _)| *is).fold(0, |all, (_, flag)| all | flag),
        };
        Some((facts, record))
    }
}
