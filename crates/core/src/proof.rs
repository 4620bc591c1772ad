//! Texts that prove themselves: an HMAC under the server's own key over what they say, so that nothing has to be stored
//! for them and nobody else can make one.
//!
//! What must stay true: what is proved for one purpose is worth nothing for another, and no two lists of parts share a
//! text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use constant_time_eq::constant_time_eq;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a text is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Going on with a session.
    Refresh,
    /// Going on with a login that lacks its second factor.
    Challenge,
    /// Saying that mail to an address arrives.
    VerifyEmail,
    /// Choosing another password.
    ResetPassword,
    /// Being the browser a session was begun in.
    Browser,
    /// Belonging to an account.
    Join,
    /// The public id of a secret key.
    KeyId,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh token",
            Self::Challenge => "login challenge",
            Self::VerifyEmail => "verify email",
            Self::ResetPassword => "reset password",
            Self::Browser => "browser",
            Self::Join => "join account",
            Self::KeyId => "key id",
        }
    }
}

/// The key that proofs are made with.
#[derive(Clone)]
pub struct ProofKey(Hmac<Sha256>);

impl ProofKey {
    /// From its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let mut block = zeroize::Zeroizing::new([0; 64]);
        block.iter_mut().zip(bytes).for_each(|(padded, byte)| *padded = *byte);
        Self(Hmac::new((&*block).into()))
    }

    /// The proof of these parts: 43 letters of base64url.
    #[must_use]
    pub fn prove(&self, purpose: Purpose, parts: &[&[u8]]) -> String {
        let mut mac = self.0.clone();
        for part in [purpose.name().as_bytes()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// Whether a text proves these parts.
    #[must_use]
    pub fn is_proved(&self, purpose: Purpose, parts: &[&[u8]], proof: &str) -> bool {
        constant_time_eq(self.prove(purpose, parts).as_bytes(), proof.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_purpose_its_parts_and_its_key_alone() {
        let key = ProofKey::new(&[7; 32]);
        let proof = key.prove(Purpose::Refresh, &[b"ab", b"c"]);
        assert_eq!(proof.len(), 43);
        assert!(key.is_proved(Purpose::Refresh, &[b"ab", b"c"], &proof));
        for parts in [[b"a".as_slice(), b"bc"], [b"ab", b"d"], [b"abc", b""]] {
            assert!(!key.is_proved(Purpose::Refresh, &parts, &proof));
        }
        assert!(!key.is_proved(Purpose::Challenge, &[b"ab", b"c"], &proof));
        assert!(!ProofKey::new(&[8; 32]).is_proved(Purpose::Refresh, &[b"ab", b"c"], &proof));
        assert!(!key.is_proved(Purpose::Refresh, &[b"ab", b"c"], &proof[..42]));
    }
}
