//! Sessions: a person's access to one account, for a while; and the tokens that show it.
//!
//! An access token is a JWT (RFC 9068). It says who and until when; what it is worth is decided by the session's row on
//! every request, so that an ended session is refused at once. How it is signed and read is in `signing.rs`.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, SessionId, UserId};
use crate::refresh::SALT_BYTES;
use crate::signing::{self, Refused, SigningKey, Timed};
use crate::time::{Span, Time};

/// How long an access token lives (security.md 5).
pub const TOKEN_LIFE: Span = Span::minutes(60);
/// How long a proof of who somebody is lasts, for what takes a recent one.
pub const PROOF_LIFE: Span = Span::minutes(15);

/// A person's access to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The account they act in.
    pub account: AccountId,
    /// Who began it: an actor's name.
    pub created_by: String,
    /// When it began.
    pub created_at: Time,
    /// When it ends by itself, unless it is used before.
    pub expires_at: Time,
    /// When it ends however much it is used.
    pub ends_at: Time,
    /// When it was ended.
    pub ended_at: Option<Time>,
    /// How its person proved who they are.
    pub method: Method,
    /// Where it was last begun or gone on with.
    pub ip: Option<IpAddr>,
    /// What it was last begun or gone on with.
    pub user_agent: Option<String>,
    /// What its refresh tokens are salted with.
    pub salt: [u8; SALT_BYTES],
    /// How often it was gone on with.
    pub turn: i64,
    /// When it was last gone on with.
    pub refreshed_at: Option<Time>,
    /// When its person last proved in it who they are, by password and second factor.
    pub proved_at: Option<Time>,
}

/// How a person proved who they are when a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// An operator began it.
    Operator,
    /// By their password.
    Password,
    /// By their password and a code from their authenticator.
    Totp,
    /// By their password and a code on paper.
    BackupCode,
}

impl Method {
    /// Its name, as stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Password => "password",
            Self::Totp => "totp",
            Self::BackupCode => "backup_code",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Operator, Self::Password, Self::Totp, Self::BackupCode].into_iter().find(|method| method.name() == name)
    }
}

impl Session {
    /// Whether its person proved who they are not long ago.
    #[must_use]
    pub fn is_proved(&self, now: Time) -> bool {
        self.proved_at.is_some_and(|at| at <= now && now.since(at) < PROOF_LIFE.millis())
    }

    /// Whether it still holds.
    #[must_use]
    pub fn is_live(&self, now: Time) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// Whose it is.
    pub sub: UserId,
    /// The session it belongs to.
    pub sid: SessionId,
    /// The account they act in.
    pub account_id: AccountId,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
}

impl Claims {
    /// What a token for this session says, from now on: never longer than the session.
    #[must_use]
    pub fn of(session: &Session, issuer: &str, now: Time) -> Self {
        let ends = now.after(TOKEN_LIFE).min(session.expires_at);
        Self {
            iss: issuer.into(),
            aud: issuer.into(),
            sub: session.user,
            sid: session.id,
            account_id: session.account,
            iat: now.millis().div_euclid(1_000),
            exp: ends.millis().div_euclid(1_000),
        }
    }
}

impl Timed for Claims {
    const LONGEST: Span = TOKEN_LIFE;

    fn times(&self) -> (i64, i64) {
        (self.iat, self.exp)
    }
}

/// Checks a session's token against the keys there are.
///
/// # Errors
/// Why it is not taken.
pub fn verify(token: &[u8], keys: &[Arc<SigningKey>], issuer: &str, now: Time) -> Result<Claims, Refused> {
    signing::read(token, keys, issuer, Some(issuer), now)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const NOW: Time = Time::from_millis(1_795_000_000_000);
    pub(crate) const ISSUER: &str = "https://keys.example";

    pub(crate) fn session() -> Session {
        Session {
            id: SessionId::from_bits(1),
            user: UserId::from_bits(2),
            account: AccountId::from_bits(3),
            created_by: "local".into(),
            created_at: NOW,
            expires_at: NOW.after(Span::days(1)),
            ends_at: NOW.after(Span::days(30)),
            ended_at: None,
            method: Method::Password,
            ip: None,
            user_agent: None,
            salt: [0; SALT_BYTES],
            turn: 0,
            refreshed_at: None,
            proved_at: None,
        }
    }

    #[test]
    fn a_proof_lasts_for_a_while_and_none_is_of_the_future() {
        let at = |proved_at| Session { proved_at: Some(proved_at), ..session() };
        assert!(at(NOW).is_proved(NOW) && at(NOW.before(Span::minutes(14))).is_proved(NOW));
        for other in [NOW.before(PROOF_LIFE), NOW.after(Span::minutes(1))] {
            assert!(!at(other).is_proved(NOW), "{other}");
        }
        assert!(!session().is_proved(NOW));
    }

    #[test]
    fn a_token_never_outlives_its_session() {
        let short = Session { expires_at: NOW.after(Span::minutes(5)), ..session() };
        assert_eq!(Claims::of(&short, ISSUER, NOW).exp, NOW.after(Span::minutes(5)).millis() / 1_000);
    }
}
