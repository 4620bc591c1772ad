//! Logging in: what the policy says of it, and the text that goes on with a login that lacks its second factor.

use crate::id::UserId;
use crate::lockout::Rule;
use crate::proof::{ProofKey, Purpose};
use crate::secret::PlainKey;
use crate::time::{Span, Time};

/// What the policy says of logins, under `[login]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What the service is called, in authenticators and mails.
    pub name: String,
    /// How long a session lasts at most.
    pub session: Span,
    /// How long a session lasts that is not used.
    pub idle: Span,
    /// When guessing at one person's password or codes locks their logins.
    pub person_lockout: Rule,
    /// When guessing from one address locks it.
    pub ip_lockout: Rule,
}

impl Default for Login {
    fn default() -> Self {
        let rule = |failures| Rule { failures, within: Span::minutes(5), lasts: Span::minutes(15) };
        Self {
            name: "Keywright".into(),
            session: Span::days(30),
            idle: Span::days(7),
            person_lockout: rule(10),
            ip_lockout: rule(50),
        }
    }
}

/// What every challenge begins with.
const PREFIX: &str = "kwc_";
/// How long a login may take between its two calls.
pub const CHALLENGE_LASTS: Span = Span::minutes(5);

/// A challenge as somebody shows it: they have proved their password before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Whose login it is.
    pub user: UserId,
    /// When it ends.
    pub expires_at: Time,
    proof: &'a str,
}

impl<'a> Challenge<'a> {
    /// Reads a challenge. `None` where it cannot be one.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let (user, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let (seconds, proof) = rest.split_once('_')?;
        let user = format!("{}{user}", UserId::PREFIX).parse().ok()?;
        let seconds: u32 = seconds.parse().ok()?;
        let shown = Self { user, expires_at: Time::from_millis(i64::from(seconds) * 1_000), proof };
        (text == spelled(user, seconds.into(), proof)).then_some(shown)
    }

    /// Whether it was made here, for a login with the password that has this hash, and its time is not over.
    #[must_use]
    pub fn holds(&self, key: &ProofKey, password_hash: &str, now: Time) -> bool {
        let (user, ends) = (self.user.bits().to_be_bytes(), self.expires_at.millis().to_be_bytes());
        let parts = [user.as_slice(), &ends, password_hash.as_bytes()];
        now < self.expires_at && key.is_proved(Purpose::Challenge, &parts, self.proof)
    }
}

/// The challenge of a login that lacks its second factor. With another password it is void.
#[must_use]
pub fn challenge(key: &ProofKey, user: UserId, password_hash: &str, now: Time) -> (PlainKey, Time) {
    let seconds = now.after(CHALLENGE_LASTS).millis().div_euclid(1_000);
    let expires_at = Time::from_millis(seconds * 1_000);
    let ends = expires_at.millis().to_be_bytes();
    let proof = key.prove(Purpose::Challenge, &[&user.bits().to_be_bytes(), &ends, password_hash.as_bytes()]);
    (PlainKey::new(spelled(user, seconds, &proof)), expires_at)
}

fn spelled(user: UserId, seconds: i64, proof: &str) -> String {
    let user = user.to_string();
    format!("{PREFIX}{}_{seconds}_{proof}", user.strip_prefix(UserId::PREFIX).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_for_one_person_one_password_and_five_minutes() {
        let (key, now, user) = (ProofKey::new(&[1; 32]), Time::from_millis(1_795_000_000_000), UserId::from_bits(9));
        let (text, ends) = challenge(&key, user, "hash", now);
        assert_eq!(ends, now.after(CHALLENGE_LASTS));
        let shown = Challenge::read(text.reveal()).unwrap();
        assert_eq!(shown.user, user);
        assert!(shown.holds(&key, "hash", now));
        assert!(!shown.holds(&key, "another", now), "a changed password voids it");
        assert!(!shown.holds(&key, "hash", ends));
        assert!(!Challenge { user: UserId::from_bits(8), ..shown }.holds(&key, "hash", now));
        assert!(!Challenge { expires_at: ends.after(Span::days(1)), ..shown }.holds(&key, "hash", now));
        for wrong in ["", "kwc_", "kwc_a_1_b", &text.reveal().replace("kwc_", "kwr_"), &format!("{} ", text.reveal())] {
            assert!(Challenge::read(wrong).is_none_or(|shown| !shown.holds(&key, "hash", now)), "{wrong}");
        }
    }
}
