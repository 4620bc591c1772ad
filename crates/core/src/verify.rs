//! The decision: given what a key is and what it is asked for, allow it or say the one reason why not.
//!
//! Pure and total. A denial is a value, never an error. [`decide`] stops at the first check that fails; [`explain`] runs
//! them all, in the same order, from the same table.

use std::net::IpAddr;

use crate::ip::IpAllowlist;
use crate::permission::{Grant, Need};
use crate::time::Time;

/// The outcome of a verification. The list is closed: callers may match on all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The key works for what was asked.
    Valid,
    /// It cannot be a key of any kind: wrong prefix, length, letters or checksum.
    Malformed,
    /// No such key.
    NotFound,
    /// Revoked, for ever.
    Revoked,
    /// Past its expiry, or an old secret past its grace.
    Expired,
    /// Switched off, for now.
    Disabled,
    /// Used from an address its allow-list leaves out.
    IpNotAllowed,
    /// Not permitted what was asked.
    InsufficientPermissions,
    /// Of another environment than was asked.
    WrongEnvironment,
    /// Its account is suspended.
    AccountSuspended,
    /// Over a rate limit, or locked after too many failures.
    RateLimited,
    /// Its credits do not cover the cost.
    CreditsExhausted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 12] = [
        Self::Valid,
        Self::Malformed,
        Self::NotFound,
        Self::Revoked,
        Self::Expired,
        Self::Disabled,
        Self::IpNotAllowed,
        Self::InsufficientPermissions,
        Self::WrongEnvironment,
        Self::AccountSuspended,
        Self::RateLimited,
        Self::CreditsExhausted,
    ];

    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Malformed => "MALFORMED",
            Self::NotFound => "NOT_FOUND",
            Self::Revoked => "REVOKED",
            Self::Expired => "EXPIRED",
            Self::Disabled => "DISABLED",
            Self::IpNotAllowed => "IP_NOT_ALLOWED",
            Self::InsufficientPermissions => "INSUFFICIENT_PERMISSIONS",
            Self::WrongEnvironment => "WRONG_ENVIRONMENT",
            Self::AccountSuspended => "ACCOUNT_SUSPENDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::CreditsExhausted => "CREDITS_EXHAUSTED",
        }
    }
}

/// What the decision needs to know of a key.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Revoked, for ever.
    pub revoked: bool,
    /// Switched on.
    pub enabled: bool,
    /// Its account is suspended.
    pub suspended: bool,
    /// When the key expires or this secret's grace ends, whichever is first; [`Time::MAX`] for never.
    pub deadline: Time,
    /// Its environment, numbered by the policy.
    pub environment: Option<u8>,
    /// Where it may be used from; `None` for everywhere.
    pub allowlist: Option<&'a IpAllowlist>,
    /// What it may do.
    pub grant: &'a Grant,
}

/// What is asked of a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// Where it is used from.
    pub ip: Option<IpAddr>,
    /// What it is to be allowed.
    pub need: Option<&'a Need>,
    /// The environment it is used in.
    pub environment: Option<u8>,
}

type Check = (Outcome, fn(&Facts<'_>, &Query<'_>, Time) -> bool);

/// Every check in order: the outcome it refuses with, and whether it passes.
const CHECKS: [Check; 7] = [
    (Outcome::Revoked, |facts, _, _| !facts.revoked),
    (Outcome::Expired, |facts, _, now| now < facts.deadline),
    (Outcome::Disabled, |facts, _, _| facts.enabled),
    (Outcome::IpNotAllowed, |facts, query, _| facts.allowlist.is_none_or(|list| list.allows(query.ip))),
    (Outcome::InsufficientPermissions, |facts, query, _| query.need.is_none_or(|need| facts.grant.meets(need))),
    (Outcome::WrongEnvironment, |facts, query, _| {
        query.environment.is_none() || query.environment == facts.environment
    }),
    (Outcome::AccountSuspended, |facts, _, _| !facts.suspended),
];

/// Decides: [`Outcome::Valid`], or the first check's outcome that fails. Limits and credits come after it.
#[must_use]
#[inline]
pub fn decide(facts: &Facts<'_>, query: &Query<'_>, now: Time) -> Outcome {
    // Written out, so that every check is inlined; a loop would call each through its pointer.
    macro_rules! first_to_fail {
        ($($place:literal)*) => {
            $(if !(CHECKS[$place].1)(facts, query, now) {
                return CHECKS[$place].0;
            })*
        };
    }
    first_to_fail!(0 1 2 3 4 5 6);
    const { assert!(CHECKS.len() == 7, "decide leaves out a check") };
    Outcome::Valid
}

/// Runs every check: the outcome each would refuse with, and whether it passes.
pub fn explain(facts: &Facts<'_>, query: &Query<'_>, now: Time) -> impl Iterator<Item = (Outcome, bool)> {
    CHECKS.map(|(outcome, passes)| (outcome, passes(facts, query, now))).into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permission::Catalog;

    /// The rules once more, in plain words over plain data, to compare the fast ones with.
    #[derive(Clone, Debug)]
    struct Plain {
        revoked: bool,
        enabled: bool,
        suspended: bool,
        expires_ms: Option<i64>,
        environment: Option<u8>,
        only_from: Vec<u8>,
        may: Vec<&'static str>,
    }

    #[derive(Clone, Debug)]
    struct Asked {
        from: Option<u8>,
        wants: Vec<&'static str>,
        any: bool,
        environment: Option<u8>,
        now_ms: i64,
    }

    fn plainly(key: &Plain, asked: &Asked) -> &'static str {
        let may = |want: &&str| key.may.iter().any(|have| have == want || (*have == "a:write" && *want == "a:read"));
        let permitted = if asked.any { asked.wants.iter().any(may) } else { asked.wants.iter().all(may) };
        if key.revoked {
            "REVOKED"
        } else if key.expires_ms.is_some_and(|at| asked.now_ms >= at) {
            "EXPIRED"
        } else if !key.enabled {
            "DISABLED"
        } else if !key.only_from.is_empty() && !asked.from.is_some_and(|from| key.only_from.contains(&from)) {
            "IP_NOT_ALLOWED"
        } else if !permitted {
            "INSUFFICIENT_PERMISSIONS"
        } else if asked.environment.is_some() && asked.environment != key.environment {
            "WRONG_ENVIRONMENT"
        } else if key.suspended {
            "ACCOUNT_SUSPENDED"
        } else {
            "VALID"
        }
    }

    const NAMES: [&str; 4] = ["a:read", "a:write", "b:read", "c:other"];

    fn plain() -> impl Strategy<Value = Plain> {
        (
            proptest::bool::weighted(0.1),
            proptest::bool::weighted(0.9),
            proptest::bool::weighted(0.1),
            proptest::option::of(0i64..100),
            proptest::option::of(0u8..3),
            proptest::collection::vec(1u8..4, 0..3),
            proptest::sample::subsequence(NAMES.to_vec(), 0..4),
        )
            .prop_map(|(revoked, enabled, suspended, expires_ms, environment, only_from, may)| Plain {
                revoked,
                enabled,
                suspended,
                expires_ms,
                environment,
                only_from,
                may,
            })
    }

    fn asked() -> impl Strategy<Value = Asked> {
        (
            proptest::option::of(1u8..4),
            proptest::sample::subsequence(NAMES.to_vec(), 0..3),
            any::<bool>(),
            proptest::option::of(0u8..3),
            0i64..100,
        )
            .prop_map(|(from, wants, any, environment, now_ms)| Asked {
                from,
                wants,
                any,
                environment,
                now_ms,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_decision_agrees_with_the_plain_rules(key in plain(), asked in asked()) {
            let catalog = Catalog::new(&[("a:read", vec![]), ("a:write", vec!["a:read"]), ("b:read", vec![])]).unwrap();
            let address = |last: u8| IpAddr::from([10, 0, 0, last]);
            let listed: Vec<String> = key.only_from.iter().map(|last| address(*last).to_string()).collect();
            let allowlist = IpAllowlist::from_entries(listed.iter().map(String::as_str)).unwrap();
            let grant = catalog.grant(key.may.iter().copied());
            let facts = Facts {
                revoked: key.revoked,
                enabled: key.enabled,
                suspended: key.suspended,
                deadline: key.expires_ms.map_or(Time::MAX, Time::from_millis),
                environment: key.environment,
                allowlist: (!allowlist.is_everywhere()).then_some(&allowlist),
                grant: &grant,
            };
            let wants = asked.wants.iter().copied();
            let need = if asked.any { catalog.any(wants) } else { catalog.all(wants) };
            let query = Query { ip: asked.from.map(address), need: Some(&need), environment: asked.environment };
            let now = Time::from_millis(asked.now_ms);
            let outcome = decide(&facts, &query, now);
            prop_assert_eq!(outcome.code(), plainly(&key, &asked));
            let first = explain(&facts, &query, now).find(|(_, passes)| !passes).map_or(Outcome::Valid, |(failed, _)| failed);
            prop_assert_eq!(first, outcome);
        }
    }

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::BTreeSet<_> = Outcome::ALL.map(Outcome::code).into();
        assert_eq!(codes.len(), Outcome::ALL.len());
    }
}
