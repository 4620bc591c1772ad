//! What people may do in an account they belong to: a role each, and what the policy permits it.

use serde::{Deserialize, Serialize};

/// A person's role in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Everything, and the account itself.
    Owner,
    /// Everything but the account's end.
    Admin,
    /// Makes and manages keys.
    Developer,
    /// Sees, and changes nothing.
    Viewer,
}

impl MemberRole {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Developer, Self::Viewer];

    /// Its name, as stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What it is permitted where the policy has no `[member.NAME]` for it.
    #[must_use]
    pub const fn usual_permissions(self) -> &'static [&'static str] {
        match self {
            Self::Owner | Self::Admin => &["*"],
            Self::Developer => &["accounts:read", "audit:read", "keys:read", "keys:verify", "keys:write"],
            Self::Viewer => &["accounts:read", "audit:read", "keys:read"],
        }
    }
}
