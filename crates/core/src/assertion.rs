//! Assertions: the gate's signed word to an upstream on one request, for one that does not trust the network between them.
//!
//! What must stay true: an assertion is about one request to one audience, for a minute at most; it is signed with a key
//! whose public part is published, never with a shared secret; and it is no access token: its `typ` is its own, and nothing
//! of ours reads it.

use serde::Serialize;

use crate::signing::Algorithm;
use crate::time::{Span, Time};

/// What an assertion says it is (RFC 8725, 3.11).
pub const TYPE: &str = "keywright-assertion+jwt";
/// How long it holds.
pub const LIFE: Span = Span::seconds(60);

/// What an assertion says. Whatever is not known is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assertion<'a> {
    /// Who says it.
    pub iss: &'a str,
    /// To whom: the route's name, or what the route says.
    pub aud: &'a str,
    /// The account that asks; a key of no account's own id.
    pub sub: &'a str,
    /// The key that was shown.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub key_id: &'a str,
    /// The person whose token was shown.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub user_id: &'a str,
    /// The session it belongs to.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub session_id: &'a str,
    /// What the key may do.
    pub permissions: Vec<&'a str>,
    /// The request's method, by the name DPoP gives it (RFC 9449, 4.2).
    pub htm: &'a str,
    /// Its path with its query, as the upstream reads them in its first line.
    pub htp: &'a str,
    /// When it was signed, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
    /// The request's id and a number: no two assertions have the same, whatever id a client sends.
    pub jti: String,
}

/// `iat` and `exp` of an assertion that is signed now.
#[must_use]
pub fn times(now: Time) -> (i64, i64) {
    let seconds = |time: Time| time.millis().div_euclid(1_000);
    (seconds(now), seconds(now.after(LIFE)))
}

/// How assertions are signed where tokens are signed so: whoever can check a shared secret's could make one.
#[must_use]
pub const fn algorithm(of_tokens: Algorithm) -> Algorithm {
    match of_tokens {
        Algorithm::EdDSA | Algorithm::Hs256 => Algorithm::EdDSA,
        Algorithm::Es256 => Algorithm::Es256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_secret_never_signs_one() {
        for of_tokens in Algorithm::ALL {
            assert_ne!(algorithm(of_tokens), Algorithm::Hs256);
        }
        assert_eq!(algorithm(Algorithm::Es256), Algorithm::Es256);
    }

    #[test]
    fn one_holds_for_a_minute_and_not_a_second_more() {
        for millis in [0, 1, 999, 1_795_000_000_999] {
            let (iat, exp) = times(Time::from_millis(millis));
            assert_eq!((iat, exp - iat), (millis / 1_000, 60));
        }
    }
}
