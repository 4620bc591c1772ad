//! What a browser shows a session by, in a cookie. It proves itself, as a refresh token does, and unlike one it stays the same:
//! a browser sends several requests at once, and what it is worth is decided by the session's row on each.

use crate::id::SessionId;
use crate::proof::{ProofKey, Purpose};
use crate::secret::PlainKey;
use crate::session::Session;
use crate::time::{Span, Time};

/// What every one begins with.
pub const PREFIX: &str = "kwb_";
/// How often a session's last use is written down.
const NOTED_EVERY: Span = Span::minutes(5);

/// What a browser shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The session it is for.
    pub session: SessionId,
    proof: &'a str,
}

impl<'a> Shown<'a> {
    /// Reads what a browser sent. `None` where it cannot be one.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let (session, proof) = text.strip_prefix(PREFIX)?.split_once('_')?;
        Some(Self { session: format!("{}{session}", SessionId::PREFIX).parse().ok()?, proof })
    }

    /// Whether it was made here, for this session.
    #[must_use]
    pub fn is_proved(&self, key: &ProofKey, session: &Session) -> bool {
        let id = session.id.bits().to_be_bytes();
        self.session == session.id && key.is_proved(Purpose::Browser, &[&session.salt, &id], self.proof)
    }
}

/// What the browser is given that a session was begun in.
#[must_use]
pub fn cookie(key: &ProofKey, session: &Session) -> PlainKey {
    let proof = key.prove(Purpose::Browser, &[&session.salt, &session.id.bits().to_be_bytes()]);
    let id = session.id.to_string();
    PlainKey::new(format!("{PREFIX}{}_{proof}", id.strip_prefix(SessionId::PREFIX).unwrap_or_default()))
}

impl Session {
    /// Until when the session holds that is used now, where that is to be written down.
    #[must_use]
    pub fn prolonged(&self, idle: Span, now: Time) -> Option<Time> {
        let last = self.refreshed_at.unwrap_or(self.created_at);
        (now.since(last) >= NOTED_EVERY.millis()).then(|| now.after(idle).min(self.ends_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{NOW, session};

    #[test]
    fn a_cookie_is_one_sessions_under_one_key() {
        let (key, session) = (ProofKey::new(&[1; 32]), session());
        let text = cookie(&key, &session);
        let shown = Shown::read(text.reveal()).unwrap();
        assert_eq!(shown.session, session.id);
        assert!(shown.is_proved(&key, &session));
        assert!(!shown.is_proved(&ProofKey::new(&[2; 32]), &session));
        assert!(!shown.is_proved(&key, &Session { id: SessionId::from_bits(7), ..session.clone() }));
        assert!(!shown.is_proved(&key, &Session { salt: [9; 16], ..session.clone() }));
        let refresh = crate::refresh::token(&key, session.id, &session.salt, 0);
        assert!(Shown::read(refresh.reveal()).is_none());
        for wrong in ["", "kwb_", "kwb_x_y", &text.reveal().to_uppercase()] {
            assert!(Shown::read(wrong).is_none_or(|shown| !shown.is_proved(&key, &session)), "{wrong}");
        }
    }

    #[test]
    fn use_prolongs_a_session_now_and_then_and_never_beyond_its_end() {
        let (idle, session) = (Span::days(1), session());
        assert_eq!(session.prolonged(idle, NOW.after(Span::minutes(4))), None);
        let later = NOW.after(Span::minutes(5));
        assert_eq!(session.prolonged(idle, later), Some(later.after(idle)));
        let last = session.ends_at.before(Span::minutes(1));
        assert_eq!(session.prolonged(idle, last), Some(session.ends_at));
    }
}
