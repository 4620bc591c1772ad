//! Every check of a verification and its result: of a key somebody presents, or of a key of theirs that is only named.
//!
//! What must stay true: it is the verification's own code that is run, and nothing is counted, spent or locked by it.

use keywright_core::id::KeyId;
use keywright_core::verify::{self, Outcome, Query};
use keywright_store::secrets;

use crate::App;
use crate::cache::Lookup;
use crate::caller::Caller;
use crate::error::Error;
use crate::verify::{Ask, Known};
use crate::world::World;

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
    /// Every check of a verification and its result. Nothing is counted, spent or locked by it.
    ///
    /// # Errors
    /// The caller is no operator, or may not see explanations.
    pub async fn explain_key(&self, caller: &Caller, key: &[u8], ask: &Ask<'_>) -> Result<Explanation, Error> {
        let world = self.world();
        caller.must_be_operator()?;
        caller.must(&world.policy.catalog, "keys:explain")?;
        let now = self.clock.now();
        let well_formed = world.policy.read(key, self.legacy.any_imported()).is_some();
        let free = self.locked_for(world, key, ask.ip, now).is_none();
        let mut checks = vec![
            Checked { refuses_with: Outcome::RateLimited, passed: free },
            Checked { refuses_with: Outcome::Malformed, passed: well_formed },
        ];
        let found = if well_formed { self.look_up(key).await? } else { None };
        if well_formed {
            checks.push(Checked { refuses_with: Outcome::NotFound, passed: found.is_some() });
        }
        if let Some(known) = &found {
            self.check_known(world, known, ask, &mut checks);
        }
        Ok(Explanation::of(checks, found.map(|(_, record)| record.id)))
    }

    /// What a verification of a key of the caller's would come to, with the newest of its secrets.
    ///
    /// # Errors
    /// The caller may not see the key.
    pub async fn simulate_key(&self, caller: &Caller, id: KeyId, ask: &Ask<'_>) -> Result<Explanation, Error> {
        let key = self.get_key(caller, id).await?;
        let world = self.world();
        let held = secrets::list_secrets(&self.db, id).await?;
        let newest = held.into_iter().max_by_key(|secret| secret.created_at);
        let found = match newest {
            Some(secret) => self.find_secret(&[secret.digest]).await?,
            None => None,
        };
        let mut checks = Vec::new();
        match found.and_then(|found| self.facts_of(world, &found)) {
            Some(known) => self.check_known(world, &known, ask, &mut checks),
            // None of its secrets is there any more: nobody can present it.
            None if key.revoked_at.is_some() => {
                checks.push(Checked { refuses_with: Outcome::Revoked, passed: false });
            }
            None => checks.push(Checked { refuses_with: Outcome::NotFound, passed: false }),
        }
        Ok(Explanation::of(checks, Some(id)))
    }

    /// The checks of a key that was found, in the order they are made.
    fn check_known(&self, world: &World, known: &Known, ask: &Ask<'_>, checks: &mut Vec<Checked>) {
        let (facts, record) = known;
        let now = self.clock.now();
        let need = ask.want.compile(&world.policy.catalog);
        let environment = ask.environment.map(|name| world.policy.environment(name).unwrap_or(u8::MAX));
        let query = Query { ip: ask.ip, need: Some(&need), environment };
        self.with_facts(world, *facts, Some(record), |facts| {
            let explained = verify::explain(facts, &query, now);
            checks.extend(explained.map(|(refuses_with, passed)| Checked { refuses_with, passed }));
        });
        let more = record.more.as_ref();
        let limits = more.and_then(|more| more.limits.as_ref());
        let short = limits.is_some_and(|limits| limits.remaining(now).iter().any(|(_, left)| left.units < ask.cost));
        checks.push(Checked { refuses_with: Outcome::RateLimited, passed: !short });
        let credits = more.and_then(|more| more.credits.as_ref());
        let covered = credits.is_none_or(|pool| pool.remaining() >= i64::from(ask.cost));
        checks.push(Checked { refuses_with: Outcome::CreditsExhausted, passed: covered });
    }

    async fn look_up(&self, key: &[u8]) -> Result<Option<Known>, Error> {
        let tag = self.cache.tag_of(key);
        match self.cache.find(tag) {
            Lookup::Known(hit) => Ok(self.cache.record(&hit).map(|record| (hit.facts(), record))),
            Lookup::Absent => Ok(None),
            Lookup::Unknown => self.load(key, tag).await,
        }
    }
}

impl Explanation {
    fn of(checks: Vec<Checked>, key: Option<KeyId>) -> Self {
        let refused = checks.iter().find(|checked| !checked.passed);
        Self { outcome: refused.map_or(Outcome::Valid, |checked| checked.refuses_with), checks, key }
    }
}
