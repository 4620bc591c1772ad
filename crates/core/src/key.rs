//! A key, its secrets, and every change that may happen to them.
//!
//! The id is for ever; secrets come and go beneath it. Rotation therefore keeps limits, credits and history. Revoking
//! cannot be undone; disabling can.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{AccountId, KeyId};
use crate::ip::IpAllowlist;
use crate::limit::RateLimit;
use crate::secret::{Digest, Making};
use crate::time::{Span, Time};

/// Whatever a customer keeps with a key: a JSON object of at most [`Metadata::MAX_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(pub Map<String, Value>);

impl Metadata {
    /// The most its JSON text may take.
    pub const MAX_BYTES: usize = 4_096;
}

/// Everything about a key but its secrets. Names of kind, role, services and permissions are the policy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id, the same through every rotation.
    pub id: KeyId,
    /// The account it belongs to.
    pub account: AccountId,
    /// Its kind.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The environment it works in, where its kind has any.
    pub environment: Option<String>,
    /// The role it has, where its kind has any.
    pub role: Option<String>,
    /// The services it covers, sorted.
    pub services: Vec<String>,
    /// The permissions granted to it beside those of its role and services, sorted.
    pub permissions: Vec<String>,
    /// Where it may be used from.
    pub ip_allowlist: IpAllowlist,
    /// When it stops working, if ever.
    pub expires_at: Option<Time>,
    /// Operations left, where they are counted. Units a node has leased are not in this number.
    pub credits: Option<i64>,
    /// How credits come back, where they do.
    pub refill: Option<Refill>,
    /// When credits next come back.
    pub refill_at: Option<Time>,
    /// Its rate limits, each with a name of its own.
    pub ratelimits: Vec<RateLimit>,
    /// Whatever its owner keeps with it.
    pub metadata: Metadata,
    /// Whether it is switched on.
    pub enabled: bool,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// The part of its live secret that may be shown.
    pub prefix: String,
    /// The last four characters of its live secret; empty for an imported key.
    pub last_four: String,
    /// Who made it: an actor's id.
    pub created_by: String,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed, by anything but use.
    pub updated_at: Time,
    /// When it last got a new secret.
    pub rotated_at: Option<Time>,
    /// When, from where and by what it was last used.
    pub last_use: Option<LastUse>,
    /// Counts its changes; a write names the version it read.
    pub version: i64,
}

/// The last successful verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Time,
    /// From which address, where the caller said.
    pub ip: Option<String>,
    /// By which user agent, where the caller said.
    pub user_agent: Option<String>,
}

/// How credits come back: at every interval the balance is set to `amount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refill {
    /// The balance after a refill.
    pub amount: i64,
    /// How often.
    pub every: Span,
}

/// One secret of a key. A key has one live secret, and while a rotation's grace lasts the ones before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The key it belongs to.
    pub key: KeyId,
    /// What it is looked up by.
    pub digest: Digest,
    /// How the digest was made.
    pub making: Making,
    /// The part that may be shown.
    pub prefix: String,
    /// The last four characters; empty for an imported key.
    pub last_four: String,
    /// When it was issued.
    pub created_at: Time,
    /// When a successor's grace ends it; `None` for the live one.
    pub expires_at: Option<Time>,
}

/// What state a key is in, of all the reasons the first that stops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    Active,
    /// Switched off, for now.
    Disabled,
    /// Past its time.
    Expired,
    /// Revoked, for ever.
    Revoked,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Disabled, Self::Expired, Self::Revoked];

    /// Its name, as shown and filtered by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Why a change to a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key is revoked, which cannot be undone.
    #[error("the key is revoked, which cannot be undone: create a new key")]
    Revoked,
    /// The key has expired.
    #[error("the key has expired: give it a later expiry first, or create a new key")]
    Expired,
    /// No earlier secret is in its grace.
    #[error("no earlier secret is in its grace period: there is nothing to end or extend")]
    NoGrace,
}

impl Key {
    /// Its state at `now`.
    #[must_use]
    pub fn status(&self, now: Time) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            Status::Expired
        } else if self.enabled {
            Status::Active
        } else {
            Status::Disabled
        }
    }

    /// Gives the key a new live secret. Those before it end when `grace` is over, and none later than it would have.
    ///
    /// # Errors
    /// A revoked or expired key cannot rotate.
    pub fn rotate(&mut self, successor: &Secret, grace: Span, now: Time) -> Result<Time, Refusal> {
        match self.status(now) {
            Status::Revoked => return Err(Refusal::Revoked),
            Status::Expired => return Err(Refusal::Expired),
            Status::Active | Status::Disabled => {}
        }
        self.prefix.clone_from(&successor.prefix);
        self.last_four.clone_from(&successor.last_four);
        self.rotated_at = Some(now);
        self.updated_at = now;
        Ok(now.after(grace))
    }

    /// Ends the key for ever. A key already revoked keeps its first time.
    pub fn revoke(&mut self, now: Time) {
        if self.revoked_at.is_none() {
            self.revoked_at = Some(now);
            self.updated_at = now;
        }
    }

    /// Switches the key on or off.
    ///
    /// # Errors
    /// A revoked key stays as it is.
    pub fn set_enabled(&mut self, enabled: bool, now: Time) -> Result<(), Refusal> {
        if self.revoked_at.is_some() {
            return Err(Refusal::Revoked);
        }
        self.enabled = enabled;
        self.updated_at = now;
        Ok(())
    }

    /// Whether its live secret is older than `due`.
    #[must_use]
    pub fn rotation_due(&self, due: Option<Span>, now: Time) -> bool {
        let issued = self.rotated_at.unwrap_or(self.created_at);
        due.is_some_and(|due| issued.after(due) <= now) && self.status(now) == Status::Active
    }
}

impl Secret {
    /// Whether the secret is accepted at `now`, as far as it alone can say.
    #[must_use]
    pub fn is_live(&self, now: Time) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}
