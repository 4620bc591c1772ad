//! Nobody hands out more than they have: not a customer to another key or to the one they use, not an operator to another
//! operator (security.md 36, 43).
//!
//! *More* is more permissions, another environment, a later expiry, more addresses, or units beyond those an operator has
//! given: a key that is metered cannot make or loosen keys' metering.

use keywright_core::audit::Actor;
use keywright_core::id::AccountId;
use keywright_core::key::Key;
use keywright_core::policy::Policy;
use keywright_store::{Tx, keys};

use crate::caller::{Caller, Reach};
use crate::error::Error;

/// Requires that `key`, as it is to be, is no wider than its caller. `before` is the key as it was, where there was one.
pub(crate) async fn must_not_widen(
    tx: &Tx,
    policy: &Policy,
    caller: &Caller,
    key: &Key,
    before: Option<&Key>,
) -> Result<(), Error> {
    let is_customer = caller.reach != Reach::Everything;
    let is_bound = is_customer || key.account == AccountId::OPERATOR;
    if is_bound && !caller.grant.contains(&policy.grant(key)) {
        return refuse("be permitted more than");
    }
    let Actor::Key(own) = &caller.actor else { return Ok(()) };
    if !is_customer {
        return Ok(());
    }
    let own = keys::find_key(tx, *own).await?.ok_or(Error::Unauthenticated)?;
    stay_in_environment(policy, caller, &own, key)?;
    let outlives = |end| key.expires_at.is_none_or(|at| at > end);
    if own.expires_at.is_some_and(outlives) {
        return refuse("outlive");
    }
    if !own.ip_allowlist.contains(&key.ip_allowlist) {
        return refuse("work from addresses that are closed to");
    }
    let is_metered = own.credits.is_some() || !own.ratelimits.is_empty();
    let keeps_meter = |before: &Key| {
        (before.credits, before.refill, &before.ratelimits) == (key.credits, key.refill, &key.ratelimits)
    };
    if is_metered && !before.is_some_and(keeps_meter) {
        return refuse("be metered otherwise than by an operator, as is");
    }
    Ok(())
}

/// Requires that `key` is for no other environment than its caller: what holds even of keys that may do more.
pub(crate) async fn must_stay_in_environment(
    tx: &Tx,
    policy: &Policy,
    caller: &Caller,
    key: &Key,
) -> Result<(), Error> {
    let Actor::Key(own) = &caller.actor else { return Ok(()) };
    if caller.reach == Reach::Everything {
        return Ok(());
    }
    let own = keys::find_key(tx, *own).await?.ok_or(Error::Unauthenticated)?;
    stay_in_environment(policy, caller, &own, key)
}

fn stay_in_environment(policy: &Policy, caller: &Caller, own: &Key, key: &Key) -> Result<(), Error> {
    // A kind without environments is for real use: a key for the first of its kind's environments may make one of those,
    // a key for tests may not.
    let first = policy.kind(&own.kind).and_then(|(_, kind)| kind.environments.first());
    let is_as_real = key.environment.is_none() && caller.environment.as_ref() == first;
    if caller.environment.is_some() && caller.environment != key.environment && !is_as_real {
        return refuse("be for another environment than");
    }
    Ok(())
}

fn refuse(would: &str) -> Result<(), Error> {
    Err(Error::Forbidden(format!("the key would {would} the credential that asks for it")))
}
