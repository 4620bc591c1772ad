//! Who asks, and how far they reach: the first check of every use case, whatever the front door.

use std::sync::Arc;

use keywright_core::audit::Actor;
use keywright_core::id::{AccountId, KeyId, SessionId, UserId};
use keywright_core::permission::{Catalog, Grant, Need};
use keywright_core::policy::Policy;
use keywright_core::time::Time;

use crate::error::Error;
use crate::granted::{Asked, Granted, Mark};

/// Somebody who has proved who they are.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who is written down as having done it.
    pub actor: Actor,
    /// What they reach.
    pub reach: Reach,
    /// What they may do.
    pub grant: Arc<Grant>,
    /// The environment their credential is for, where it is for one.
    pub environment: Option<String>,
    /// The session they show, where they show one.
    pub session: Option<SessionId>,
    /// Whether it is an operator at a browser who is to prove again who they are before they change people.
    pub must_prove: bool,
    /// The request they make, for the audit log.
    pub request_id: Option<String>,
    /// Where it is noted what their key is used for, where they show one.
    pub(crate) noting: Option<Noting>,
}

/// Where it is noted what a caller's key is used for.
#[derive(Clone, Debug)]
pub(crate) struct Noting {
    pub(crate) granted: Arc<Granted>,
    pub(crate) key: KeyId,
    /// The number of what the key may do.
    pub(crate) access: u32,
    pub(crate) at: Time,
}

impl Noting {
    fn note(&self, permission: &str) {
        let Self { granted, key, access, at } = self;
        let mark = Mark::new(key.bits() as u64, *access, [permission], *at);
        let names = || vec![permission.to_owned()];
        granted.note(mark, || Some(Asked { key: *key, access: *access, names: names(), day: at.day() }));
    }
}

/// Which accounts a caller reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of them: an operator.
    Everything,
    /// Their own alone. Another's ids look missing.
    Account(AccountId),
}

impl Caller {
    /// Whoever sits at the machine itself: may do everything.
    #[must_use]
    pub fn local(catalog: &Catalog) -> Self {
        Self {
            actor: Actor::Local,
            reach: Reach::Everything,
            grant: Arc::new(catalog.grant(["*"])),
            environment: None,
            session: None,
            must_prove: false,
            request_id: None,
            noting: None,
        }
    }

    /// Requires a permission.
    ///
    /// # Errors
    /// Names the permission that is missing.
    pub fn must(&self, catalog: &Catalog, permission: &str) -> Result<(), Error> {
        self.must_meet(&catalog.all([permission]), permission)
    }

    /// Requires the permission to verify keys.
    ///
    /// # Errors
    /// Names it where it is missing.
    #[inline]
    pub fn must_verify(&self, policy: &Policy) -> Result<(), Error> {
        self.must_meet(&policy.verifying, Policy::VERIFYING)
    }

    fn must_meet(&self, need: &Need, permission: &str) -> Result<(), Error> {
        if self.grant.meets(need) {
            if let Some(noting) = &self.noting {
                noting.note(permission);
            }
            Ok(())
        } else {
            Err(Error::LacksPermission(permission.into()))
        }
    }

    /// Requires an operator.
    ///
    /// # Errors
    /// Says so.
    pub fn must_be_operator(&self) -> Result<(), Error> {
        match self.reach {
            Reach::Everything => Ok(()),
            Reach::Account(_) => Err(Error::Forbidden("this is for operators: use an operator key".into())),
        }
    }

    /// Requires that an operator at a browser has proved not long ago who they are: what changes people takes more than a
    /// browser that was left open.
    ///
    /// # Errors
    /// They have to prove it again.
    pub fn must_be_proved(&self) -> Result<(), Error> {
        if self.must_prove {
            Err(Error::Forbidden("this takes your password again: confirm who you are first".into()))
        } else {
            Ok(())
        }
    }

    /// Requires that the caller is permitted all that an operator with these permissions is. Nobody gives, takes or stands
    /// above more than they have.
    ///
    /// # Errors
    /// Says so.
    pub fn must_hold_all(&self, catalog: &Catalog, permissions: &[String]) -> Result<(), Error> {
        let other = catalog.grant(permissions.iter().map(String::as_str));
        if self.grant.contains(&other) {
            Ok(())
        } else {
            Err(Error::Forbidden(
                "this concerns an operator who may do more than you: it takes one who may do it all".into(),
            ))
        }
    }

    /// The person who asks.
    ///
    /// # Errors
    /// It is none: a key was shown.
    pub fn person(&self) -> Result<UserId, Error> {
        match self.actor {
            Actor::User(id) => Ok(id),
            Actor::Key(_) | Actor::Local | Actor::System => {
                Err(Error::Forbidden("this is for people: use a session's access token, not a key".into()))
            }
        }
    }

    /// Whether the caller reaches an account. What they do not reach looks missing.
    #[must_use]
    pub fn reaches(&self, account: AccountId) -> bool {
        match self.reach {
            Reach::Everything => true,
            Reach::Account(own) => own == account,
        }
    }

    /// The account the credential belongs to.
    ///
    /// # Errors
    /// An operator's belongs to none.
    pub fn own_account(&self) -> Result<AccountId, Error> {
        match self.reach {
            Reach::Account(own) => Ok(own),
            Reach::Everything => Err(Error::Conflict(
                "this is about the account a credential belongs to, and an operator's belongs to none: use one of the \
                 account's own"
                    .into(),
            )),
        }
    }

    /// The account meant by a request that names this one, or none.
    ///
    /// # Errors
    /// An operator has to name one; to anybody else, another's looks missing.
    pub fn account(&self, named: Option<AccountId>) -> Result<AccountId, Error> {
        match (self.reach, named) {
            (Reach::Everything, Some(account)) => Ok(account),
            (Reach::Everything, None) => {
                Err(Error::invalid("account_id", "is required: name the account the key is for, as in acc_…"))
            }
            (Reach::Account(own), None) => Ok(own),
            (Reach::Account(own), Some(account)) if own == account => Ok(own),
            (Reach::Account(_), Some(_)) => Err(Error::NotFound("account")),
        }
    }
}
