//! What people may do in an account they belong to: a role each, and what the policy permits it; and who may change who
//! belongs.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, InvitationId, UserId};
use crate::time::{Span, Time};

/// How long an invitation is good.
pub const INVITED_FOR: Span = Span::days(7);

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
            Self::Developer => {
                &["accounts:read", "audit:read", "keys:read", "keys:verify", "keys:write", "members:read"]
            }
            Self::Viewer => &["accounts:read", "audit:read", "keys:read", "members:read"],
        }
    }
}

/// A person's belonging to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub account: AccountId,
    /// The person.
    pub user: UserId,
    /// Their address, where one is known.
    pub email: Option<String>,
    /// What they are in it.
    pub role: MemberRole,
    /// When their second factor was turned on.
    pub second_factor_at: Option<Time>,
    /// When they were shut out of everything.
    pub disabled_at: Option<Time>,
    /// Since when they belong.
    pub since: Time,
}

/// Somebody who was asked to belong to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The account.
    pub account: AccountId,
    /// Where it was mailed to.
    pub email: String,
    /// What they are to be.
    pub role: MemberRole,
    /// Who invited them: an actor's name.
    pub invited_by: String,
    /// When.
    pub created_at: Time,
    /// When it is over.
    pub expires_at: Time,
}

impl Invitation {
    /// What its ticket is bound to: with another role, address or account it is void.
    #[must_use]
    pub fn bound(&self) -> String {
        format!("{} {} {}", self.account, self.role.name(), self.email)
    }
}

/// Who changes who belongs to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changer {
    /// An operator.
    Operator,
    /// A member of this role.
    Member(MemberRole),
}

/// Why a change of who belongs is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Whoever changes it is less than what they would give or take.
    Outranked,
    /// The account would be left without an owner.
    LastOwner,
}

/// Whether somebody's role may become another: `None` where they do not belong. Nobody gives or takes more than they are,
/// and an account that has an owner keeps one; `other_owners` are those beside them who can log in.
///
/// # Errors
/// Why not.
pub fn check_change(
    by: Changer,
    from: Option<MemberRole>,
    to: Option<MemberRole>,
    other_owners: i64,
) -> Result<(), Unfit> {
    let outranks = |role: &MemberRole| match by {
        Changer::Operator => false,
        Changer::Member(own) => *role < own,
    };
    if from.iter().chain(&to).any(outranks) {
        return Err(Unfit::Outranked);
    }
    if from == Some(MemberRole::Owner) && to != Some(MemberRole::Owner) && other_owners == 0 {
        return Err(Unfit::LastOwner);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use MemberRole::{Admin, Developer, Owner, Viewer};

    #[test]
    fn nobody_gives_or_takes_more_than_they_are() {
        for own in MemberRole::ALL {
            for from in MemberRole::ALL.map(Some).into_iter().chain([None]) {
                for to in MemberRole::ALL.map(Some).into_iter().chain([None]) {
                    let is_within = [from, to].into_iter().flatten().all(|role| own <= role);
                    let checked = check_change(Changer::Member(own), from, to, 1);
                    assert_eq!(checked.is_ok(), is_within, "{own:?} makes {from:?} {to:?}");
                    assert_eq!(check_change(Changer::Operator, from, to, 1), Ok(()));
                }
            }
        }
    }

    #[test]
    fn the_last_owner_stays_one() {
        for by in [Changer::Operator, Changer::Member(Owner)] {
            for to in [None, Some(Admin), Some(Developer), Some(Viewer)] {
                assert_eq!(check_change(by, Some(Owner), to, 0), Err(Unfit::LastOwner), "{by:?} {to:?}");
                assert_eq!(check_change(by, Some(Owner), to, 1), Ok(()));
            }
            assert_eq!(check_change(by, Some(Owner), Some(Owner), 0), Ok(()));
        }
        assert_eq!(check_change(Changer::Member(Viewer), Some(Viewer), None, 0), Ok(()), "anybody else may leave");
    }
}
