//! Refresh tokens: how a session goes on when its access token ends (security.md 9 to 12).
//!
//! A session counts its turns, and a token is good for one of them. Which turn it is for stands in the token and is
//! proved by it, so that nothing of a token is stored, an old one is told from a guessed one, and the answer to a lost
//! answer is the very same token: a family cannot fork.

use crate::id::SessionId;
use crate::proof::{ProofKey, Purpose};
use crate::secret::PlainKey;
use crate::session::Session;
use crate::time::{Span, Time};

/// What every refresh token begins with.
pub const PREFIX: &str = "kwr_";
/// How long the last token is answered once more, as it was: its answer may have been lost.
pub const RETRY: Span = Span::seconds(30);
/// Bytes a session's tokens are salted with.
pub const SALT_BYTES: usize = 16;

/// A token as somebody shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The session it is for.
    pub session: SessionId,
    /// The turn it is for.
    pub turn: i64,
    proof: &'a str,
}

impl<'a> Shown<'a> {
    /// Reads a token. `None` where it cannot be one.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.split('_');
        let (session, turn, proof) = (parts.next()?, parts.next()?, text.get(text.len().checked_sub(43)?..)?);
        let shown = Self {
            session: format!("{}{session}", SessionId::PREFIX).parse().ok()?,
            turn: turn.parse().ok().filter(|turn| *turn >= 0)?,
            proof,
        };
        // A token has one spelling.
        (text == spelled(shown.session, shown.turn, proof)).then_some(shown)
    }

    /// Whether it was made here, for this session's turn.
    #[must_use]
    pub fn is_proved(&self, key: &ProofKey, salt: &[u8]) -> bool {
        let (id, turn) = (self.session.bits().to_be_bytes(), self.turn.to_be_bytes());
        key.is_proved(Purpose::Refresh, &[salt, &id, &turn], self.proof)
    }
}

/// The token for a session's turn.
#[must_use]
pub fn token(key: &ProofKey, session: SessionId, salt: &[u8], turn: i64) -> PlainKey {
    let proof = key.prove(Purpose::Refresh, &[salt, &session.bits().to_be_bytes(), &turn.to_be_bytes()]);
    PlainKey::new(spelled(session, turn, &proof))
}

fn spelled(session: SessionId, turn: i64, proof: &str) -> String {
    let session = session.to_string();
    format!("{PREFIX}{}_{turn}_{proof}", session.strip_prefix(SessionId::PREFIX).unwrap_or_default())
}

/// What showing a token of some turn comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is the present one: the session takes its next turn.
    Next,
    /// It was the last one a moment ago: it is answered as before.
    Again,
    /// It was spent before: somebody has a copy. The session ends.
    Reused,
    /// The session is over.
    Over,
}

impl Session {
    /// What showing the token of a turn comes to.
    #[must_use]
    pub fn turn(&self, turn: i64, now: Time) -> Turn {
        let retried = self.refreshed_at.is_some_and(|at| now.since(at) <= RETRY.millis());
        match self.turn.checked_sub(turn) {
            _ if !self.is_live(now) => Turn::Over,
            Some(0) => Turn::Next,
            Some(1) if retried => Turn::Again,
            // A turn that has not come cannot be proved; it is no better than a spent one.
            Some(_) | None => Turn::Reused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::session;

    const SALT: &[u8] = &[3; SALT_BYTES];

    #[test]
    fn a_token_is_read_in_one_spelling_and_proves_its_turn() {
        let key = ProofKey::new(&[1; 32]);
        let id = SessionId::from_bits(77);
        for turn in [0, 1, 12_345] {
            let text = token(&key, id, SALT, turn);
            let shown = Shown::read(text.reveal()).unwrap();
            assert_eq!((shown.session, shown.turn), (id, turn));
            assert!(shown.is_proved(&key, SALT));
            assert!(!shown.is_proved(&key, &[4; SALT_BYTES]));
            assert!(!Shown { turn: turn + 1, ..shown }.is_proved(&key, SALT));
            assert!(!Shown { session: SessionId::from_bits(78), ..shown }.is_proved(&key, SALT));
        }
        let text = token(&key, id, SALT, 1);
        let text = text.reveal();
        for wrong in [
            String::new(),
            "kwr_".into(),
            "kwr_a_1_b".into(),
            text.replace("_1_", "_01_"),
            text.replace("_1_", "_+1_"),
            text.replace("_1_", "_-1_"),
            text.to_uppercase(),
            format!("{text}_"),
            format!(" {text}"),
            text.replace("kwr_", "kwx_"),
        ] {
            assert_eq!(Shown::read(&wrong), None, "{wrong}");
        }
        // What follows a proof with an underscore in it is still that proof.
        assert!((0..400).all(|turn| Shown::read(token(&key, id, SALT, turn).reveal()).is_some()));
    }

    #[test]
    fn a_turn_is_taken_once_and_answered_again_for_half_a_minute() {
        let mut session = session();
        let now = session.created_at;
        assert_eq!(session.turn(0, now), Turn::Next);
        (session.turn, session.refreshed_at) = (1, Some(now));
        assert_eq!(session.turn(1, now), Turn::Next);
        assert_eq!(session.turn(0, now), Turn::Again);
        assert_eq!(session.turn(0, now.after(RETRY)), Turn::Again);
        assert_eq!(session.turn(0, now.after(Span::from_millis(RETRY.millis() + 1))), Turn::Reused);
        assert_eq!(session.turn(2, now), Turn::Reused);
        (session.turn, session.refreshed_at) = (2, Some(now));
        assert_eq!(session.turn(0, now), Turn::Reused, "its successor was used, so its answer was not lost");
        session.ended_at = Some(now);
        assert_eq!(session.turn(2, now), Turn::Over);
    }
}
