//! The customer that owns keys.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, UserId};
use crate::time::Time;

/// Whether an account's keys work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// They do.
    Active,
    /// None of them does until the account is active again.
    Suspended,
}

impl Standing {
    /// Its name, as stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|standing| standing.name() == name)
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// Whether its keys work.
    pub standing: Standing,
    /// Whatever the operator keeps with it: a JSON object.
    pub metadata: crate::key::Metadata,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Counts its changes; a write names the version it read.
    pub version: i64,
}

/// A person who can belong to accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their address, normalised.
    pub email: String,
    /// When they were made.
    pub created_at: Time,
}
