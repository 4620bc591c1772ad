//! Keys that are a person's own, of the kinds the policy calls personal: whose they are, and when they end.
//!
//! What must stay true: such a key does no more than its person may do in its account, at any time, and nobody else has it. So
//! it is revoked in the transaction that takes the person out, shuts them out, or gives them a role that permits less; none is
//! made for somebody who has just been taken out; and others may end it, but not renew or change it.

use keywright_core::audit::{Actor, AuditEvent};
use keywright_core::id::{AccountId, UserId};
use keywright_core::key::Key;
use keywright_core::permission::Grant;
use keywright_core::policy::{Kind, Policy};
use keywright_core::time::Time;
use keywright_store::{Tx, keys, members};
use serde_json::json;

use crate::App;
use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::keys::event;

impl App {
    /// The keys that are the caller's own in their account, newest first: those that are not revoked.
    ///
    /// # Errors
    /// The caller is no person, or may not read keys.
    pub async fn list_personal_keys(&self, caller: &Caller) -> Result<Vec<Key>, Error> {
        let world = self.world();
        caller.must(&world.policy.catalog, "keys:read")?;
        let (person, account) = (Actor::User(caller.person()?).name(), caller.own_account()?);
        let mut held = Vec::new();
        for kind in world.policy.kinds().iter().filter(|kind| kind.personal) {
            held.extend(keys::list_keys_by_person(&self.db, &person, &kind.name, Some(account)).await?);
        }
        held.sort_by_key(|key| std::cmp::Reverse(key.id));
        Ok(held)
    }
}

/// Makes a new key its person's: whoever asks, or the one whose own key asks.
pub(crate) async fn make_own(
    tx: &Tx,
    policy: &Policy,
    kind: &Kind,
    caller: &Caller,
    key: &mut Key,
) -> Result<(), Error> {
    if !kind.personal || caller.reach == Reach::Everything {
        return Ok(());
    }
    match &caller.actor {
        // They may have been taken out since they were recognised.
        Actor::User(user) => {
            let member = members::find_member(tx, key.account, *user).await?;
            member.filter(|member| member.disabled_at.is_none()).map(drop).ok_or(Error::Unauthenticated)
        }
        Actor::Key(id) => {
            let asking = keys::find_key(tx, *id).await?.filter(|asking| asking.revoked_at.is_none());
            let asking = asking.ok_or(Error::Unauthenticated)?;
            if policy.kind(&asking.kind).is_some_and(|(_, kind)| kind.personal) {
                key.created_by = asking.created_by;
            }
            Ok(())
        }
        Actor::Local | Actor::System => Ok(()),
    }
}

/// Requires that a key is nobody else's own.
pub(crate) async fn must_not_be_anothers(tx: &Tx, policy: &Policy, caller: &Caller, key: &Key) -> Result<(), Error> {
    let is_personal = |kind: &str| policy.kind(kind).is_some_and(|(_, kind)| kind.personal);
    if !is_personal(&key.kind) || !key.created_by.starts_with("user:") || caller.reach == Reach::Everything {
        return Ok(());
    }
    let is_theirs = match &caller.actor {
        Actor::User(_) => caller.actor.name() == key.created_by,
        Actor::Key(id) if *id == key.id => true,
        Actor::Key(id) => {
            let asking = keys::find_key(tx, *id).await?;
            asking.is_some_and(|asking| is_personal(&asking.kind) && asking.created_by == key.created_by)
        }
        Actor::Local | Actor::System => false,
    };
    if is_theirs { Ok(()) } else { Err(Error::Forbidden("this key is somebody's own: others may only end it".into())) }
}

/// Revokes a person's own keys: in one account or in all; where a grant is given, those that may do more.
pub(crate) async fn end_personal_keys(
    tx: &mut Tx,
    policy: &Policy,
    account: Option<AccountId>,
    user: UserId,
    beyond: Option<&Grant>,
    now: Time,
) -> Result<Vec<AuditEvent>, Error> {
    let person = Actor::User(user).name();
    let mut events = Vec::new();
    for kind in policy.kinds().iter().filter(|kind| kind.personal) {
        let held = keys::list_keys_by_person(tx, &person, &kind.name, account).await?;
        let ends = |key: &Key| beyond.is_none_or(|grant| !grant.contains(&policy.grant(key)));
        for mut key in held.into_iter().filter(ends) {
            key.revoke(now);
            keys::update_key(tx, &key).await?;
            events.push(event("key.revoke", &key, json!({ "status": key.status(now), "because_of": person })));
        }
    }
    Ok(events)
}
