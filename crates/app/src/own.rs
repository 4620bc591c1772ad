//! What a key may do with itself, and with what somebody presents: look, explain, end.

use keywright_core::id::{AccountId, KeyId};
use keywright_core::key::Key;
use keywright_core::time::Span;
use keywright_core::verify::{self, Outcome, Query};

use crate::App;
use crate::cache::Lookup;
use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::keys::Rotated;
use crate::verify::{Ask, Verdict};

/// One check of a verification and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The outcome it refuses with.
    pub refuses_with: Outcome,
    /// Whether it passed.
    pub passed: bool,
}

/// Every check of a verification.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What the verification would come to.
    pub outcome: Outcome,
    /// The checks, in the order they are made. Those after a key that was not found could not be made.
    pub checks: Vec<Checked>,
    /// The key, where there is one.
    pub key: Option<KeyId>,
}

impl App {
    /// Who a presented credential is, for a call to Keywright itself. Costs neither credits nor rate limits.
    ///
    /// # Errors
    /// It does not work, or has been tried too often.
    pub async fn authenticate(
        &self,
        credential: &[u8],
        ask: &Ask<'_>,
        request_id: Option<String>,
    ) -> Result<(Caller, KeyId), Error> {
        let verdict = self.verify(credential, &Ask { cost: 0, ..*ask }).await?;
        if let (Outcome::RateLimited, Some(wait)) = (verdict.outcome, verdict.retry_after) {
            return Err(Error::Limited(wait));
        }
        self.caller_of(&verdict, request_id).ok_or(Error::Unauthenticated)
    }

    fn caller_of(&self, verdict: &Verdict, request_id: Option<String>) -> Option<(Caller, KeyId)> {
        let key = verdict.key.as_ref().filter(|_| verdict.is_valid())?;
        let id = key.record().id;
        let reach = match key.account(self)? {
            AccountId::OPERATOR => Reach::Everything,
            account => Reach::Account(account),
        };
        let world = self.world();
        let environment = key.environment().and_then(|number| world.policy.environment_at(number)).map(str::to_owned);
        let grant = key.access(self)?.grant.clone();
        let actor = keywright_core::audit::Actor::Key(id);
        Some((Caller { actor, reach, grant, environment, session: None, request_id }, id))
    }

    /// The key somebody has presented as their credential.
    ///
    /// # Errors
    /// It has just been deleted.
    pub async fn get_own_key(&self, caller: &Caller, own: KeyId) -> Result<Key, Error> {
        self.see(caller, own).await
    }

    /// Ends the key somebody has presented as their credential.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn revoke_own_key(&self, caller: &Caller, own: KeyId) -> Result<Key, Error> {
        self.revoke(caller, own).await
    }

    /// Renews the key somebody has presented as their credential.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn rotate_own_key(&self, caller: &Caller, own: KeyId, grace: Option<Span>) -> Result<Rotated, Error> {
        self.rotate(caller, own, grace).await
    }

    /// Ends whatever key this is the plaintext of. Nothing tells whether there was one (RFC 7009, 2.2).
    ///
    /// # Errors
    /// The caller may not revoke keys.
    pub async fn revoke_presented(&self, caller: &Caller, token: &[u8]) -> Result<(), Error> {
        caller.must(&self.world().policy.catalog, "keys:write")?;
        match self.find_presented(token).await? {
            Some(id) => match self.revoke(caller, id).await {
                Ok(_) | Err(Error::NotFound(_)) => Ok(()),
                Err(error) => Err(error),
            },
            None => {
                // It counts as a guess; nothing is locked out here, lest a leaked key could not be revoked.
                self.count_guess(self.world(), token, None, self.clock.now());
                Ok(())
            }
        }
    }

    /// Which key this is the plaintext of, whatever state it is in.
    async fn find_presented(&self, token: &[u8]) -> Result<Option<KeyId>, Error> {
        let world = self.world();
        if world.policy.read(token, self.legacy.any_imported()).is_none() {
            return Ok(None);
        }
        let current = self.keyring.current().map(|pepper| pepper.digest(token));
        let digests: Vec<_> = current.into_iter().chain(self.legacy.digests(&self.keyring, token)).collect();
        Ok(self.find_secret(&digests).await?.map(|found| found.key.id))
    }

    /// Every check of a verification and its result. Nothing is counted, spent or locked by it.
    ///
    /// # Errors
    /// The caller is no operator, or may not see explanations.
    pub async fn explain_key(&self, caller: &Caller, key: &[u8], ask: &Ask<'_>) -> Result<Explanation, Error> {
        let world = self.world();
        caller.must_be_operator()?;
        caller.must(&world.policy.catalog, "keys:explain")?;
        let now = self.clock.now();
        let mut checks = Vec::new();
        let mut check = |refuses_with, passed| {
            checks.push(Checked { refuses_with, passed });
            passed
        };
        let well_formed = world.policy.read(key, self.legacy.any_imported()).is_some();
        let free = self.locked_for(world, key, ask.ip, now).is_none();
        check(Outcome::RateLimited, free);
        let found = if check(Outcome::Malformed, well_formed) { self.look_up(world, key).await? } else { None };
        if well_formed {
            check(Outcome::NotFound, found.is_some());
        }
        if let Some((facts, record)) = &found {
            let need = ask.want.compile(&world.policy.catalog);
            let environment = ask.environment.map(|name| world.policy.environment(name).unwrap_or(u8::MAX));
            let query = Query { ip: ask.ip, need: Some(&need), environment };
            self.with_facts(world, *facts, Some(record), |facts| {
                for (outcome, passed) in verify::explain(facts, &query, now) {
                    check(outcome, passed);
                }
            });
            let more = record.more.as_ref();
            let limits = more.and_then(|more| more.limits.as_ref());
            let short =
                limits.is_some_and(|limits| limits.remaining(now).iter().any(|(_, left)| left.units < ask.cost));
            check(Outcome::RateLimited, !short);
            let credits = more.and_then(|more| more.credits.as_ref());
            check(Outcome::CreditsExhausted, credits.is_none_or(|pool| pool.remaining() >= i64::from(ask.cost)));
        }
        let outcome =
            checks.iter().find(|checked| !checked.passed).map_or(Outcome::Valid, |checked| checked.refuses_with);
        Ok(Explanation { outcome, checks, key: found.map(|(_, record)| record.id) })
    }

    async fn look_up(&self, world: &crate::world::World, key: &[u8]) -> Result<Option<crate::verify::Known>, Error> {
        let Some(pepper) = self.keyring.current() else { return Ok(None) };
        let digest = pepper.digest(key);
        let ticket = match self.cache.find(&digest) {
            Lookup::Known(hit) => {
                if let Some(record) = self.cache.record(&hit) {
                    return Ok(Some((hit.facts, record)));
                }
                return Ok(None);
            }
            Lookup::Absent => return Ok(None),
            Lookup::Unknown(ticket) => ticket,
        };
        self.load(world, key, &digest, ticket).await
    }
}
