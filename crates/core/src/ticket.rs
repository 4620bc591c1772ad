//! Tickets: texts a person is given that let them do one thing, for a while. Nothing is stored for one; it proves itself,
//! and is bound to what it is about, so that it is void as soon as that has changed: a ticket for another password with the
//! password it replaces, one for an address with the address.

use crate::id::{InvitationId, UserId};
use crate::member::INVITED_FOR;
use crate::proof::{ProofKey, Purpose};
use crate::secret::PlainKey;
use crate::time::{Span, Time};

/// What a ticket is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Good {
    /// Going on with a login that lacks its second factor. Bound to the password's hash.
    LogIn,
    /// Saying that mail to an address reaches its person. Bound to the address.
    VerifyEmail,
    /// Choosing another password. Bound to the present one's hash.
    ResetPassword,
    /// Belonging to an account. Bound to what its invitation says.
    Join,
}

impl Good {
    /// What its tickets begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::LogIn => "kwc_",
            Self::VerifyEmail => "kwv_",
            Self::ResetPassword => "kwp_",
            Self::Join => "kwi_",
        }
    }

    /// How long its tickets are good.
    #[must_use]
    pub const fn lasts(self) -> Span {
        match self {
            Self::LogIn => Span::minutes(5),
            Self::VerifyEmail => Span::days(3),
            Self::ResetPassword => Span::minutes(60),
            Self::Join => INVITED_FOR,
        }
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::LogIn => Purpose::Challenge,
            Self::VerifyEmail => Purpose::VerifyEmail,
            Self::ResetPassword => Purpose::ResetPassword,
            Self::Join => Purpose::Join,
        }
    }
}

/// A ticket as somebody shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket<'a> {
    /// What it is good for.
    pub good: Good,
    about: u128,
    /// When it ends.
    pub expires_at: Time,
    proof: &'a str,
}

impl<'a> Ticket<'a> {
    /// Reads a ticket. `None` where it cannot be one of this sort.
    #[must_use]
    pub fn read(good: Good, text: &'a str) -> Option<Self> {
        let (about, rest) = text.strip_prefix(good.prefix())?.split_once('_')?;
        let (seconds, proof) = rest.split_once('_')?;
        let about = format!("{}{about}", UserId::PREFIX).parse::<UserId>().ok()?.bits();
        let seconds: u32 = seconds.parse().ok()?;
        let expires_at = Time::from_millis(i64::from(seconds) * 1_000);
        (text == spelled(good, about, seconds.into(), proof)).then_some(Self { good, expires_at, about, proof })
    }

    /// Whose it is.
    #[must_use]
    pub const fn user(&self) -> UserId {
        UserId::from_bits(self.about)
    }

    /// The invitation it is for, where it is for one.
    #[must_use]
    pub const fn invitation(&self) -> InvitationId {
        InvitationId::from_bits(self.about)
    }

    /// Whether it was made here, for what it is bound to, and its time is not over.
    #[must_use]
    pub fn holds(&self, key: &ProofKey, bound: &str, now: Time) -> bool {
        let (about, ends) = (self.about.to_be_bytes(), self.expires_at.millis().to_be_bytes());
        let parts = [about.as_slice(), &ends, bound.as_bytes()];
        now < self.expires_at && key.is_proved(self.good.purpose(), &parts, self.proof)
    }
}

/// A ticket for a person, or for an invitation, by the bits of its id; bound to what it is about. And when it ends.
#[must_use]
pub fn ticket(key: &ProofKey, good: Good, about: u128, bound: &str, now: Time) -> (PlainKey, Time) {
    let seconds = now.after(good.lasts()).millis().div_euclid(1_000);
    let expires_at = Time::from_millis(seconds * 1_000);
    let ends = expires_at.millis().to_be_bytes();
    let proof = key.prove(good.purpose(), &[&about.to_be_bytes(), &ends, bound.as_bytes()]);
    (PlainKey::new(spelled(good, about, seconds, &proof)), expires_at)
}

/// What it is about is spelled as in an id, without the word before it.
fn spelled(good: Good, about: u128, seconds: i64, proof: &str) -> String {
    let id = UserId::from_bits(about).to_string();
    format!("{}{}_{seconds}_{proof}", good.prefix(), id.strip_prefix(UserId::PREFIX).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Good; 4] = [Good::LogIn, Good::VerifyEmail, Good::ResetPassword, Good::Join];

    #[test]
    fn a_ticket_is_for_one_thing_one_person_and_what_it_is_bound_to() {
        let (key, now, about) = (ProofKey::new(&[1; 32]), Time::from_millis(1_795_000_000_000), 9);
        for good in ALL {
            let (text, ends) = ticket(&key, good, about, "bound", now);
            let text = text.reveal();
            assert_eq!(ends, now.after(good.lasts()));
            let shown = Ticket::read(good, text).unwrap();
            assert_eq!((shown.user(), shown.invitation()), (UserId::from_bits(9), InvitationId::from_bits(9)));
            assert!(shown.holds(&key, "bound", now));
            assert!(!shown.holds(&key, "another", now));
            assert!(!shown.holds(&key, "bound", ends));
            assert!(!Ticket { about: 8, ..shown }.holds(&key, "bound", now));
            assert!(!Ticket { expires_at: ends.after(Span::days(1)), ..shown }.holds(&key, "bound", now));
            for other in ALL.into_iter().filter(|other| *other != good) {
                assert!(Ticket::read(other, text).is_none());
                let disguised = text.replace(good.prefix(), other.prefix());
                assert!(!Ticket::read(other, &disguised).unwrap().holds(&key, "bound", now));
            }
            for wrong in ["", good.prefix(), "kwc_a_1_b", &format!("{text} ")] {
                assert!(Ticket::read(good, wrong).is_none_or(|shown| !shown.holds(&key, "bound", now)), "{wrong}");
            }
        }
    }
}
