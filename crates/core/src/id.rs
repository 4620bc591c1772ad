//! Ids of what Keywright keeps: a short prefix that says what it is, and a ULID, which sorts by creation time.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use ulid::Ulid;

use crate::time::Time;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What every id of this sort begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id: 48 bits of time, 80 bits of randomness.
            pub fn new(now: Time, rng: &mut impl Rng) -> Self {
                let random = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
                Self(Ulid::from_parts(u64::try_from(now.millis()).unwrap_or(0), random).0)
            }

            /// A new id that sorts after `last`, too, where both are of one millisecond (ULID: "Monotonicity").
            pub fn after(last: Option<Self>, now: Time, rng: &mut impl Rng) -> Self {
                let id = Self::new(now, rng);
                match last {
                    Some(last) if last > id && last.0 >> 80 == id.0 >> 80 => {
                        Self(last.0.saturating_add(1 + u128::from(rng.next_u32())))
                    }
                    _ => id,
                }
            }

            /// The least id of those made from `at` on.
            #[must_use]
            pub fn first_at(at: Time) -> Self {
                Self(Ulid::from_parts(u64::try_from(at.millis()).unwrap_or(0), 0).0)
            }

            /// From its 128 bits.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// Its 128 bits.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// Its text, letter by letter.
            #[must_use]
            pub fn letters(self) -> [u8; $prefix.len() + ulid::ULID_LEN] {
                spell($prefix, self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                // In one piece: ids are written more often than anything else.
                let text = self.letters();
                out.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let id = text
                    .strip_prefix($prefix)
                    .and_then(|rest| Ulid::from_string(rest).ok())
                    .map(|ulid| Self(ulid.0));
                // A ULID has several spellings (case, I for 1); an id has one.
                id.filter(|id| id.to_string() == text).ok_or(NotAnId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let text = self.letters();
                to.serialize_str(str::from_utf8(&text).map_err(ser::Error::custom)?)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// An id's letters: what its sort begins with, and its ULID.
fn spell<const LENGTH: usize>(prefix: &str, bits: u128) -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    let (begin, rest) = text.split_at_mut(prefix.len());
    begin.copy_from_slice(prefix.as_bytes());
    let mut buffer = [0; ulid::ULID_LEN];
    let ulid = Ulid(bits).array_to_str(&mut buffer);
    ulid.make_ascii_lowercase();
    rest.copy_from_slice(ulid.as_bytes());
    text
}

/// The text is not an id of the sort asked for. No such thing can exist, so callers answer "not found".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct NotAnId;

id! {
    /// A key's id, `key_…`: stable through every rotation.
    KeyId, "key_"
}
id! {
    /// An account's id, `acc_…`.
    AccountId, "acc_"
}
id! {
    /// A user's id, `usr_…`.
    UserId, "usr_"
}
id! {
    /// The id of an identity of a person's at a provider, `idn_…`.
    IdentityId, "idn_"
}
id! {
    /// An invitation's id, `inv_…`.
    InvitationId, "inv_"
}
id! {
    /// A session's id, `ses_…`.
    SessionId, "ses_"
}
id! {
    /// A lockout's id, `lock_…`.
    LockoutId, "lock_"
}
id! {
    /// The id of an SSH key of an account's, `ssh_…`.
    SshKeyId, "ssh_"
}
id! {
    /// The id of a service an account has, `svc_…`.
    ServiceId, "svc_"
}
id! {
    /// The id of a letter that waits to be delivered, `mail_…`.
    MailId, "mail_"
}

impl AccountId {
    /// The account that owns the operators' keys. It exists from the first migration on and cannot be changed.
    pub const OPERATOR: Self = Self(0);
    /// The account that owns the keys anybody can have. It exists from the first of them on, and is no customer.
    pub const TRIALS: Self = Self(1);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn ids_read_back_and_sort_by_time() {
        let mut rng = StdRng::seed_from_u64(1);
        let early = KeyId::new(Time::from_millis(1_000), &mut rng);
        let late = KeyId::new(Time::from_millis(2_000), &mut rng);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
        let first = KeyId::first_at(Time::from_millis(2_000));
        assert!(early < first && first <= late);
    }

    #[test]
    fn ids_of_one_millisecond_sort_in_the_order_they_were_made() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut last = KeyId::new(Time::from_millis(1_000), &mut rng);
        for _ in 0..10_000 {
            let next = KeyId::after(Some(last), Time::from_millis(1_000), &mut rng);
            assert!(next > last && next.to_string() > last.to_string());
            last = next;
        }
        assert!(last < KeyId::first_at(Time::from_millis(1_001)));
        let earlier = KeyId::after(Some(last), Time::from_millis(900), &mut rng);
        assert!(earlier < KeyId::first_at(Time::from_millis(1_000)), "a clock that was set back is believed");
    }

    #[test]
    fn an_id_has_one_spelling() {
        let text = KeyId::from_bits(7 << 64).to_string();
        assert_eq!(text.to_uppercase().parse::<KeyId>(), Err(NotAnId));
        assert_eq!(text.replace("key_", "acc_").parse::<KeyId>(), Err(NotAnId));
        assert_eq!("key_".parse::<KeyId>(), Err(NotAnId));
    }
}
