//! What a key may do with itself, and with what somebody presents: look, end.

use std::sync::Arc;

use keywright_core::id::{AccountId, KeyId};
use keywright_core::key::Key;
use keywright_core::time::Span;
use keywright_core::verify::Outcome;

use crate::App;
use crate::caller::{Caller, Noting, Reach};
use crate::error::Error;
use crate::keys::Rotated;
use crate::verify::{Ask, Verdict};

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
        self.authenticated(&verdict, request_id)
    }

    /// The same, where all that it takes is in memory. Where it is not, nothing has been counted.
    ///
    /// # Errors
    /// It does not work, or has been tried too often.
    #[inline]
    pub fn authenticate_at_once(&self, credential: &[u8], ask: &Ask<'_>) -> Result<Option<(Caller, KeyId)>, Error> {
        let verdict = self.verify_at_once(credential, &Ask { cost: 0, ..*ask });
        verdict.map(|verdict| self.authenticated(&verdict, None)).transpose()
    }

    #[inline]
    fn authenticated(&self, verdict: &Verdict, request_id: Option<String>) -> Result<(Caller, KeyId), Error> {
        if let (Outcome::RateLimited, Some(wait)) = (verdict.outcome, verdict.retry_after) {
            return Err(Error::Limited(wait));
        }
        self.caller_of(verdict, request_id).ok_or(Error::Unauthenticated)
    }

    #[inline]
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
        let noting = Noting { granted: Arc::clone(&self.granted), key: id, access: key.facts.access, at: key.at };
        let noting = Some(noting);
        Some((Caller { actor, reach, grant, environment, session: None, must_prove: false, request_id, noting }, id))
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
        Ok(self.find_secret(&self.digests(token)).await?.map(|found| found.key.id))
    }
}
