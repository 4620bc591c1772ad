//! Use cases on keys: create, read, change, rotate, revoke. All doors come through here.

use std::sync::Arc;

use keywright_core::audit::{Actor, AuditEvent};
use keywright_core::credits::Balance;
use keywright_core::draft::{Change, Draft};
use keywright_core::format::Issued;
use keywright_core::id::{AccountId, KeyId};
use keywright_core::key::{Key, Refusal, Secret, Status};
use keywright_core::policy::{DEFAULT_KIND, Kind, OPERATOR_KIND, Policy};
use keywright_core::secret::PlainKey;
use keywright_core::time::{Span, Time};
use keywright_store::keys::KeyFilter;
use keywright_store::secrets::Ready;
use keywright_store::{Tx, accounts, keys, secrets};
use serde_json::{Value, json};

use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::personal::{make_own, must_not_be_anothers};
use crate::replay::Replay;
use crate::widen::{must_not_widen, must_stay_in_environment};
use crate::{App, clock, credits};

/// The longest grace a rotation may have.
pub const LONGEST_GRACE: Span = Span::days(90);

/// A key that was just made, or one that an earlier call with the same `Idempotency-Key` had made.
pub struct Created {
    /// The key.
    pub key: Key,
    /// Its plaintext, this once; `None` where the call was a replay.
    pub plain: Option<PlainKey>,
}

/// A key that has just got a new secret.
pub struct Rotated {
    /// The key.
    pub key: Key,
    /// The new secret's plaintext, this once.
    pub plain: PlainKey,
    /// The part of the secret before it that may be shown.
    pub old_prefix: String,
    /// When the secret before it stops working.
    pub old_expires_at: Time,
}

/// What a new key may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// What its maker may do.
    Caller,
    /// What its kind allows: its maker has a permission that stands for making keys of the kind.
    Kind,
}

/// What a new key is to be, and whose.
pub(crate) struct New<'a> {
    pub(crate) account: AccountId,
    pub(crate) kind: &'a Kind,
    pub(crate) draft: Draft,
    pub(crate) bound: Bound,
    pub(crate) now: Time,
}

impl App {
    /// Makes a key.
    ///
    /// # Errors
    /// The request is wrong, wider than its caller, or over the account's limit.
    pub async fn create_key(
        &self,
        caller: &Caller,
        account: Option<AccountId>,
        kind: Option<&str>,
        draft: Draft,
        replay: Option<Replay>,
    ) -> Result<Created, Error> {
        let world = self.world();
        caller.must(&world.policy.catalog, "keys:write")?;
        let kind = find_kind(&world.policy, kind)?;
        let account = account_for(caller, kind, account)?;
        self.create(caller, New { account, kind, draft, bound: Bound::Caller, now: self.clock.now() }, replay).await
    }

    /// A new key as asked for, before the policy has said what becomes of it.
    pub(crate) fn new_key(&self, kind: &Kind, account: AccountId, draft: Draft, caller: &Caller, now: Time) -> Key {
        let own_credits = draft.credits.is_some();
        let refill = if own_credits { draft.refill } else { draft.refill.or(kind.refill) };
        Key {
            id: self.key_ids.next(now),
            account,
            kind: kind.name.clone(),
            name: draft.name,
            description: draft.description,
            environment: draft.environment.or_else(|| kind.environments.first().cloned()),
            role: draft.role.or_else(|| kind.roles.first().cloned()),
            services: draft.services,
            permissions: draft.permissions,
            ip_allowlist: draft.ip_allowlist,
            expires_at: draft.expires_in.or(kind.expires_in).map(|span| now.after(span)),
            credits: draft.credits.or(kind.credits),
            refill,
            refill_at: refill.map(|refill| now.after(refill.every)),
            ratelimits: draft.ratelimits.unwrap_or_else(|| kind.ratelimits.clone()),
            metadata: draft.metadata,
            enabled: true,
            revoked_at: None,
            prefix: String::new(),
            last_four: String::new(),
            created_by: caller.actor.name(),
            created_at: now,
            updated_at: now,
            rotated_at: None,
            last_use: None,
            version: 1,
        }
    }

    /// [`App::create_key`] for every front door, once it is settled whose key it is to be.
    pub(crate) async fn create(&self, caller: &Caller, new: New<'_>, replay: Option<Replay>) -> Result<Created, Error> {
        let New { account, kind, draft, bound, now } = new;
        let world = self.world();
        if kind.format.is_open() {
            return Err(Error::invalid(
                "kind",
                format!("keys of kind `{}` are imported, never issued: see POST /v1/keys/import", kind.name),
            ));
        }
        let mut key = self.new_key(kind, account, draft, caller, now);
        world.policy.admit(kind, &mut key, now).map_err(Error::Invalid)?;
        let (plain, secret) = self.issue(kind, &mut key, now)?;
        let (author, world) = (caller.clone(), Arc::clone(world));
        // As much as can be is done before the one writer is asked for its time. An account is never deleted.
        let is_suited = kind.requires.is_empty() && self.accounts.knows(account);
        let (ready, created) = (Ready::of(&key, &secret)?, event("key.create", &key, settings(&key)));
        let made = self
            .write(caller, move |tx| {
                Box::pin(async move {
                    if let Some(earlier) = Replay::find(tx, replay.as_ref()).await? {
                        let id = earlier.parse().map_err(|_| Error::Internal("a replay names no key".into()))?;
                        let key = keys::find_key(tx, id).await?.ok_or(Error::NotFound("key"))?;
                        let event = event("key.create_replayed", &key, json!({}));
                        return Ok(((key, false), event));
                    }
                    let kind = find_kind(&world.policy, Some(&key.kind))?;
                    match bound {
                        Bound::Caller => must_not_widen(tx, &world.policy, &author, &key, None).await?,
                        Bound::Kind => must_stay_in_environment(tx, &world.policy, &author, &key).await?,
                    }
                    make_own(tx, &world.policy, kind, &author, &mut key).await?;
                    if is_suited {
                        must_not_be_full(tx, kind, account, now).await?;
                    } else {
                        must_have_room(tx, kind, account, now).await?;
                    }
                    must_not_hurry(tx, &author, kind, now).await?;
                    let ready = if kind.personal { Ready::of(&key, &secret)? } else { ready };
                    secrets::insert_ready(tx, ready).await?;
                    Replay::keep(tx, replay.as_ref(), &key.id.to_string(), now).await?;
                    Ok(((key, true), created))
                })
            })
            .await?;
        let (key, is_new) = made;
        Ok(Created { key: self.with_leased(key), plain: is_new.then_some(plain) })
    }

    /// A key the caller may see.
    ///
    /// # Errors
    /// There is none, or it is another account's.
    pub async fn get_key(&self, caller: &Caller, id: KeyId) -> Result<Key, Error> {
        caller.must(&self.world().policy.catalog, "keys:read")?;
        self.see(caller, id).await
    }

    /// A key's secrets that still work, newest first.
    ///
    /// # Errors
    /// The key is not the caller's to see.
    pub async fn list_secrets(&self, caller: &Caller, id: KeyId) -> Result<Vec<Secret>, Error> {
        self.get_key(caller, id).await?;
        let now = self.clock.now();
        let mut listed = secrets::list_secrets(&self.db, id).await?;
        listed.retain(|secret| secret.is_live(now));
        Ok(listed)
    }

    /// Keys the caller may see.
    ///
    /// # Errors
    /// The caller may not read keys.
    pub async fn list_keys(&self, caller: &Caller, mut filter: KeyFilter) -> Result<Vec<Key>, Error> {
        caller.must(&self.world().policy.catalog, "keys:read")?;
        if let Reach::Account(own) = caller.reach {
            if filter.account.is_some_and(|asked| asked != own) {
                return Ok(Vec::new());
            }
            filter.account = Some(own);
        }
        filter.now = self.clock.now();
        let listed = keys::list_keys(&self.db, &filter).await?;
        Ok(listed.into_iter().map(|key| self.with_leased(key)).collect())
    }

    /// Changes what a key is, but not its secret.
    ///
    /// # Errors
    /// The change is wrong, wider than its caller, or the key is revoked.
    pub async fn update_key(&self, caller: &Caller, id: KeyId, change: Change) -> Result<Key, Error> {
        let world = Arc::clone(self.world());
        caller.must(&world.policy.catalog, "keys:write")?;
        let pool = self.pools.find(id);
        let now = self.clock.now();
        let author = caller.clone();
        self.write(caller, move |tx| {
            Box::pin(async move {
                let mut key = load(tx, &author, id).await?;
                if key.revoked_at.is_some() {
                    return Err(Refusal::Revoked.into());
                }
                must_not_be_anothers(tx, &world.policy, &author, &key).await?;
                let before = key.clone();
                let sets_balance = change.credits.is_some() || change.refill.is_some();
                let keeps_credits = change.credits.is_none();
                change.lay_over(&mut key, now);
                let kind = find_kind(&world.policy, Some(&key.kind))?;
                world.policy.admit(kind, &mut key, now).map_err(Error::Invalid)?;
                must_not_widen(tx, &world.policy, &author, &key, Some(&before)).await?;
                // A key that lives again counts again.
                if before.status(now) == Status::Expired && key.status(now) != Status::Expired {
                    must_have_room(tx, kind, key.account, now).await?;
                }
                keys::update_key(tx, &key).await?;
                key.version += 1;
                if sets_balance {
                    let held = pool.as_ref().map_or(0, |pool| if keeps_credits { pool.drain() } else { pool.annul() });
                    key.credits = key.credits.map(|credits| credits + held);
                    let balance = Balance { credits: key.credits, refill: key.refill, refill_at: key.refill_at };
                    credits::set_balance(tx, pool.as_deref(), key.id, &balance).await?;
                }
                let event = event("key.update", &key, json!({ "before": settings(&before), "after": settings(&key) }));
                Ok((key, event))
            })
        })
        .await
        .map(|key| self.with_leased(key))
    }

    /// Gives a key a new secret; the one before it works until the grace is over.
    ///
    /// # Errors
    /// The key is revoked or expired, or may do more than its caller.
    pub async fn rotate_key(&self, caller: &Caller, id: KeyId, grace: Option<Span>) -> Result<Rotated, Error> {
        let world = self.world();
        caller.must(&world.policy.catalog, "keys:write")?;
        self.rotate(caller, id, grace).await
    }

    /// [`App::rotate_key`] for the key itself, which needs no permission to renew itself.
    ///
    /// # Errors
    /// The key is revoked or expired.
    pub(crate) async fn rotate(&self, caller: &Caller, id: KeyId, grace: Option<Span>) -> Result<Rotated, Error> {
        let world = self.world();
        if grace.is_some_and(|grace| grace > LONGEST_GRACE) {
            return Err(Error::invalid("grace", format!("is at most {LONGEST_GRACE}")));
        }
        let seen = self.see(caller, id).await?;
        let kind = find_kind(&world.policy, Some(&seen.kind))?;
        let kind = if kind.format.is_open() { find_kind(&world.policy, None)? } else { kind };
        let grace = grace.unwrap_or(kind.grace);
        let now = self.clock.now();
        let mut successor_key = seen.clone();
        let (plain, successor) = self.issue(kind, &mut successor_key, now)?;
        let author = caller.clone();
        let world_in = Arc::clone(world);
        let (key, old_prefix, old_expires_at) = self
            .write(caller, move |tx| {
                Box::pin(async move {
                    let mut key = load(tx, &author, id).await?;
                    must_not_be_anothers(tx, &world_in.policy, &author, &key).await?;
                    must_not_widen(tx, &world_in.policy, &author, &key, Some(&key)).await?;
                    let old_prefix = key.prefix.clone();
                    let ends = key.rotate(&successor, grace, now)?;
                    secrets::insert_secret(tx, &successor).await?;
                    secrets::set_predecessors_end(tx, id, &successor.digest, ends).await?;
                    keys::update_key(tx, &key).await?;
                    key.version += 1;
                    let detail = json!({ "old_prefix": old_prefix, "prefix": key.prefix, "grace": grace, "old_expires_at": ends });
                    let event = event("key.rotate", &key, detail);
                    Ok(((key, old_prefix, ends), event))
                })
            })
            .await?;
        Ok(Rotated { key: self.with_leased(key), plain, old_prefix, old_expires_at })
    }

    /// Ends the grace of a key's earlier secrets now, or moves its end to so long from now.
    ///
    /// # Errors
    /// No earlier secret is in its grace.
    pub async fn set_grace(&self, caller: &Caller, id: KeyId, grace: Span) -> Result<Key, Error> {
        caller.must(&self.world().policy.catalog, "keys:write")?;
        if grace > LONGEST_GRACE {
            return Err(Error::invalid("grace", format!("is at most {LONGEST_GRACE}")));
        }
        let now = self.clock.now();
        let author = caller.clone();
        self.write(caller, move |tx| {
            Box::pin(async move {
                let key = load(tx, &author, id).await?;
                let ends = now.after(grace);
                if secrets::set_grace_end(tx, id, ends, now).await? == 0 {
                    return Err(Refusal::NoGrace.into());
                }
                let event = event("key.set_grace", &key, json!({ "old_expires_at": ends }));
                Ok((key, event))
            })
        })
        .await
        .map(|key| self.with_leased(key))
    }

    /// Ends a key for ever. Once this has returned, nobody accepts it. Revoking a revoked key changes nothing.
    ///
    /// # Errors
    /// There is no such key, or it is another account's.
    pub async fn revoke_key(&self, caller: &Caller, id: KeyId) -> Result<Key, Error> {
        caller.must(&self.world().policy.catalog, "keys:write")?;
        self.revoke(caller, id).await
    }

    /// [`App::revoke_key`] for the key itself, which needs no permission to end itself.
    pub(crate) async fn revoke(&self, caller: &Caller, id: KeyId) -> Result<Key, Error> {
        let now = self.clock.now();
        self.transition(caller, id, "key.revoke", move |key| {
            key.revoke(now);
            Ok(())
        })
        .await
    }

    /// Switches a key on or off.
    ///
    /// # Errors
    /// The key is revoked.
    pub async fn set_key_enabled(&self, caller: &Caller, id: KeyId, enabled: bool) -> Result<Key, Error> {
        caller.must(&self.world().policy.catalog, "keys:write")?;
        let now = self.clock.now();
        let action = if enabled { "key.enable" } else { "key.disable" };
        self.transition(caller, id, action, move |key| Ok(key.set_enabled(enabled, now)?)).await
    }

    async fn transition(
        &self,
        caller: &Caller,
        id: KeyId,
        action: &'static str,
        change: impl FnOnce(&mut Key) -> Result<(), Error> + Send + 'static,
    ) -> Result<Key, Error> {
        let author = caller.clone();
        let now = self.clock.now();
        self.write(caller, move |tx| {
            Box::pin(async move {
                let mut key = load(tx, &author, id).await?;
                change(&mut key)?;
                keys::update_key(tx, &key).await?;
                key.version += 1;
                let event = event(action, &key, json!({ "status": key.status(now) }));
                Ok((key, event))
            })
        })
        .await
        .map(|key| self.with_leased(key))
    }

    /// A key within the caller's reach, whatever they may do with it.
    pub(crate) async fn see(&self, caller: &Caller, id: KeyId) -> Result<Key, Error> {
        let key = keys::find_key(&self.db, id).await?;
        let key = key.filter(|key| caller.reaches(key.account)).ok_or(Error::NotFound("key"))?;
        Ok(self.with_leased(key))
    }

    /// A key as it is shown: units this node has leased are still the key's.
    fn with_leased(&self, mut key: Key) -> Key {
        if let (Some(credits), Some(pool)) = (&mut key.credits, self.pools.find(key.id)) {
            *credits += pool.leased();
        }
        key
    }

    /// A new secret for `key`, whose shown parts become the key's.
    pub(crate) fn issue(&self, kind: &Kind, key: &mut Key, now: Time) -> Result<(PlainKey, Secret), Error> {
        let environment = key.environment.as_deref().or(kind.environments.first().map(String::as_str));
        let Issued { key: plain, prefix, last_four, date } =
            kind.format.issue(environment, kind.service_part(&key.services), now, &mut clock::rng());
        let unusable = || Error::Internal("there is no pepper".into());
        let (digest, making) = self.keyring.digest(plain.reveal().as_bytes(), date).ok_or_else(unusable)?;
        key.prefix.clone_from(&prefix);
        key.last_four.clone_from(&last_four);
        Ok((plain, Secret { key: key.id, digest, making, prefix, last_four, created_at: now, expires_at: None }))
    }
}

async fn load(tx: &mut Tx, caller: &Caller, id: KeyId) -> Result<Key, Error> {
    keys::find_key(tx, id).await?.filter(|key| caller.reaches(key.account)).ok_or(Error::NotFound("key"))
}

/// Requires that a person has not made too many keys of a kind lately. Counted in the change itself, so that no two at
/// once slip through.
async fn must_not_hurry(tx: &mut Tx, caller: &Caller, kind: &Kind, now: Time) -> Result<(), Error> {
    let (Some(rate), Actor::User(_)) = (kind.made_per_person, &caller.actor) else { return Ok(()) };
    let since = now.before(rate.within);
    let (made, first) = keys::count_keys_by_person(tx, &caller.actor.name(), since, &kind.name).await?;
    if made < i64::from(rate.most) {
        return Ok(());
    }
    let wait = first.unwrap_or(now).after(rate.within).since(now);
    Err(Error::Limited(Span::from_millis(wait)))
}

/// Requires that there is the account, that it is what the kind asks for, and may have one more key that lives.
pub(crate) async fn must_have_room(tx: &Tx, kind: &Kind, account: AccountId, now: Time) -> Result<(), Error> {
    if kind.requires.is_empty() {
        // Most kinds ask for no more of an account than that there is one.
        accounts::has_account(tx, account).await?.then_some(()).ok_or(Error::NotFound("account"))?;
    } else {
        let account = accounts::find_account(tx, account).await?.ok_or(Error::NotFound("account"))?;
        let lacking: Vec<String> = account.lacks(&kind.requires).map(|requirement| requirement.to_string()).collect();
        if !lacking.is_empty() {
            return Err(Error::Conflict(lacking.join("; ")));
        }
    }
    must_not_be_full(tx, kind, account, now).await
}

/// Requires that the account may have one more key that lives.
async fn must_not_be_full(tx: &Tx, kind: &Kind, account: AccountId, now: Time) -> Result<(), Error> {
    let Some(most) = kind.live_keys_per_account.map(i64::from) else { return Ok(()) };
    let mut live = 0;
    for counted in &kind.counted_kinds {
        live += keys::count_live_keys(tx, account, counted, now, most - live).await?;
        if live >= most {
            let of = if kind.counted_kinds.len() > 1 { kind.counted_kinds.join(", ") } else { "this kind".into() };
            return Err(Error::Conflict(format!(
                "the account has {most} live keys of {of}, the most it may have: revoke one first"
            )));
        }
    }
    Ok(())
}

pub(crate) fn find_kind<'a>(policy: &'a Policy, name: Option<&str>) -> Result<&'a Kind, Error> {
    let name = name.unwrap_or(DEFAULT_KIND);
    policy.kind(name).map(|(_, kind)| kind).ok_or_else(|| {
        let names: Vec<&str> = policy.kinds().iter().map(|kind| kind.name.as_str()).collect();
        Error::invalid("kind", format!("there is no such kind: use one of {}", names.join(", ")))
    })
}

/// Operators' keys belong to the operators' account, and nothing else does.
pub(crate) fn account_for(caller: &Caller, kind: &Kind, named: Option<AccountId>) -> Result<AccountId, Error> {
    if kind.name == OPERATOR_KIND {
        caller.must_be_operator()?;
        return match named {
            None | Some(AccountId::OPERATOR) => Ok(AccountId::OPERATOR),
            Some(_) => Err(Error::invalid("account_id", "leave it out: operators' keys belong to no customer")),
        };
    }
    match caller.account(named)? {
        AccountId::OPERATOR => {
            Err(Error::invalid("kind", format!("the operators' account holds keys of kind `{OPERATOR_KIND}` alone")))
        }
        AccountId::TRIALS => Err(Error::invalid("account_id", "holds trial keys alone: name a customer's account")),
        account => Ok(account),
    }
}

pub(crate) fn event(action: &'static str, key: &Key, detail: Value) -> AuditEvent {
    AuditEvent { action, target: key.id.to_string(), account: Some(key.account), detail: detail.into() }
}

/// What of a key the audit log keeps: everything that was set, nothing that is secret.
pub(crate) fn settings(key: &Key) -> Value {
    json!({
        "kind": key.kind, "name": key.name, "description": key.description, "environment": key.environment,
        "role": key.role, "services": key.services, "permissions": key.permissions, "ip_allowlist": key.ip_allowlist,
        "expires_at": key.expires_at, "credits": key.credits, "refill": key.refill, "ratelimits": key.ratelimits,
        "metadata": key.metadata, "enabled": key.enabled, "prefix": key.prefix,
    })
}
