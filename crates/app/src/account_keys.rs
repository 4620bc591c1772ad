//! What an account does with its own keys through a provider's API: some kinds of them, under that API's own permissions.
//!
//! The keys of other kinds look missing there, as another account's do.

use keywright_core::audit::Actor;
use keywright_core::draft::Draft;
use keywright_core::id::KeyId;
use keywright_core::key::Key;
use keywright_core::policy::Kind;
use keywright_core::time::Span;
use keywright_store::keys;

use crate::App;
use crate::caller::Caller;
use crate::error::Error;
use crate::keys::{Bound, Created, New, Rotated};

/// The most keys of one kind a list has: more than can be live, so that only old ones are ever left out.
const MOST_LISTED: i64 = 1_000;
/// The longest an access token can be asked to live.
pub const LONGEST_TOKEN_DAYS: u32 = 3_650;

/// Which of an account's keys an API is about, and what it asks of those who use it.
#[derive(Clone, Copy, Debug)]
pub struct KeyApi {
    /// The kinds it knows.
    pub kinds: &'static [&'static str],
    /// The permission to see keys.
    pub reading: &'static str,
    /// The permission to make, rotate and revoke them.
    pub writing: &'static str,
}

/// What a new access token is asked to be.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenDraft {
    /// What it may do.
    pub scopes: Vec<String>,
    /// What it is for.
    pub description: String,
    /// How long it lives. Left out, as long as the one it is made with.
    pub expires_in_days: Option<u32>,
}

impl App {
    /// Keys of the caller's account that are not revoked, newest first.
    ///
    /// # Errors
    /// The caller may not see them, or is an operator.
    pub async fn list_account_keys(&self, caller: &Caller, api: KeyApi) -> Result<Vec<Key>, Error> {
        caller.must(&self.world().policy.catalog, api.reading)?;
        let own = caller.own_account()?;
        let mut listed = Vec::new();
        for kind in api.kinds {
            listed.extend(keys::list_unrevoked_keys(&self.db, own, kind, MOST_LISTED).await?);
        }
        listed.sort_unstable_by_key(|key| std::cmp::Reverse(key.id));
        Ok(listed)
    }

    /// Makes a key of the caller's account that may do no more than the caller.
    ///
    /// # Errors
    /// The request is wrong, wider than its caller, or not one the account can make.
    pub async fn create_account_key(
        &self,
        caller: &Caller,
        api: KeyApi,
        kind: &str,
        draft: Draft,
    ) -> Result<Created, Error> {
        self.create_bound(caller, api, kind, draft, Bound::Caller).await
    }

    /// Makes a key of the caller's account for a service. The caller need not be permitted what the service gives: the
    /// permission to manage the account's keys is the permission to make these.
    ///
    /// # Errors
    /// The request is wrong, or not one the account can make.
    pub async fn create_service_key(
        &self,
        caller: &Caller,
        api: KeyApi,
        kind: &str,
        draft: Draft,
    ) -> Result<Created, Error> {
        self.create_bound(caller, api, kind, draft, Bound::Kind).await
    }

    async fn create_bound(
        &self,
        caller: &Caller,
        api: KeyApi,
        kind: &str,
        draft: Draft,
        bound: Bound,
    ) -> Result<Created, Error> {
        caller.must(&self.world().policy.catalog, api.writing)?;
        let account = caller.own_account()?;
        let kind = self.known_kind(api, kind)?;
        self.create(caller, New { account, kind, draft, bound, now: self.clock.now() }, None).await
    }

    /// Makes an access token of the caller's account. It has no scope its caller lacks, outlives the caller's credential
    /// by nothing, and works from where that works.
    ///
    /// # Errors
    /// The request is wrong, wider than its caller, or not one the account can make.
    pub async fn create_access_token(
        &self,
        caller: &Caller,
        api: KeyApi,
        kind: &str,
        asked: TokenDraft,
    ) -> Result<Created, Error> {
        let world = self.world();
        caller.must(&world.policy.catalog, api.writing)?;
        let account = caller.own_account()?;
        let kind = self.known_kind(api, kind)?;
        if asked.scopes.is_empty() {
            let reason = format!("is required: name at least one of {}", kind.permissions.join(", "));
            return Err(Error::invalid("scopes", reason));
        }
        let asked_life = match asked.expires_in_days {
            None => None,
            Some(days @ 1..=LONGEST_TOKEN_DAYS) => Some(Span::days(days.into())),
            Some(_) => {
                return Err(Error::invalid("expires_in_days", format!("is from 1 to {LONGEST_TOKEN_DAYS}")));
            }
        };
        let now = self.clock.now();
        let mut draft = Draft { description: asked.description, permissions: asked.scopes, ..Draft::default() };
        draft.expires_in = asked_life;
        if let Actor::Key(id) = caller.actor {
            let own = keys::find_key(&self.db, id).await?.ok_or(Error::Unauthenticated)?;
            draft.ip_allowlist = own.ip_allowlist;
            draft.expires_in = asked_life.or_else(|| own.expires_at.map(|end| Span::from_millis(end.since(now))));
        }
        self.create(caller, New { account, kind, draft, bound: Bound::Caller, now }, None).await
    }

    /// Gives one of the account's keys a new secret.
    ///
    /// # Errors
    /// It is not one of them, or is revoked or expired.
    pub async fn rotate_account_key(
        &self,
        caller: &Caller,
        api: KeyApi,
        id: KeyId,
        grace: Option<Span>,
    ) -> Result<Rotated, Error> {
        caller.must(&self.world().policy.catalog, api.writing)?;
        self.must_know(caller, api, id).await?;
        self.rotate(caller, id, grace).await
    }

    /// Ends one of the account's keys for ever.
    ///
    /// # Errors
    /// It is not one of them.
    pub async fn revoke_account_key(&self, caller: &Caller, api: KeyApi, id: KeyId) -> Result<Key, Error> {
        caller.must(&self.world().policy.catalog, api.writing)?;
        self.must_know(caller, api, id).await?;
        self.revoke(caller, id).await
    }

    async fn must_know(&self, caller: &Caller, api: KeyApi, id: KeyId) -> Result<(), Error> {
        let key = self.see(caller, id).await?;
        if api.kinds.contains(&key.kind.as_str()) { Ok(()) } else { Err(Error::NotFound("key")) }
    }

    /// A kind the API knows. A policy without it has nothing such an API could be about.
    fn known_kind(&self, api: KeyApi, kind: &str) -> Result<&Kind, Error> {
        let known = api.kinds.contains(&kind).then(|| self.world().policy.kind(kind)).flatten();
        known.map(|(_, kind)| kind).ok_or(Error::NotFound("kind of key in the policy"))
    }
}
