//! The link on which the first operator is made: printed once where the server begins, and good for one use.
//!
//! What must stay true: what is stored of it is a digest; a newer one takes the place of the one before; it makes nobody
//! once there is an operator who can log in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::secret::PlainKey;
use crate::time::{Span, Time};

/// What every token begins with.
pub const PREFIX: &str = "kws_";
/// How long a link is good.
pub const LASTS: Span = Span::days(1);

/// A link that was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupLink {
    /// When it was made.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Time,
    /// When somebody was made on it.
    pub used_at: Option<Time>,
}

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupState {
    /// An operator can be made on it.
    Open,
    /// One was.
    Used,
    /// Its time is over.
    Over,
}

impl SetupLink {
    /// A link that is made now.
    #[must_use]
    pub const fn new(now: Time) -> Self {
        Self { created_at: now, expires_at: now.after(LASTS), used_at: None }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self, now: Time) -> SetupState {
        match self.used_at {
            Some(_) => SetupState::Used,
            None if now < self.expires_at => SetupState::Open,
            None => SetupState::Over,
        }
    }
}

/// What the holder of a link shows: 256 random bits.
#[must_use]
pub fn token(rng: &mut impl CryptoRng) -> PlainKey {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.fill_bytes(bytes.as_mut());
    PlainKey::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_ref())))
}

/// Whether a text can be a token at all: anything else costs no digest.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == 43 && rest.bytes().all(is_letter))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_link_is_open_until_it_is_used_or_over() {
        let now = Time::from_millis(1_795_000_000_000);
        let link = SetupLink::new(now);
        let last = link.expires_at.before(Span::from_millis(1));
        assert_eq!((link.state(now), link.state(last)), (SetupState::Open, SetupState::Open));
        assert_eq!(link.state(link.expires_at), SetupState::Over);
        let used = SetupLink { used_at: Some(now), ..link };
        assert_eq!((used.state(now), used.state(link.expires_at)), (SetupState::Used, SetupState::Used));
    }

    #[test]
    fn every_token_is_another_and_looks_like_one() {
        let mut rng = StdRng::seed_from_u64(1);
        let (one, other) = (token(&mut rng), token(&mut rng));
        assert!(one.reveal() != other.reveal() && is_token(one.reveal()));
        for wrong in ["", PREFIX, "kws_short", &one.reveal().to_uppercase(), &format!("{}=", one.reveal())] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }
}
