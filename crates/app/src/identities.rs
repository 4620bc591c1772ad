//! Use cases on identities at providers: linking one to a person, beforehand or on their first request.

use keywright_core::account::{Account, LONGEST_NAME, Standing, User};
use keywright_core::audit::AuditEvent;
use keywright_core::external::{Identity, Issuer, LinkedIdentity, is_subject};
use keywright_core::id::{AccountId, IdentityId, UserId};
use keywright_core::time::Time;
use keywright_store::{Tx, accounts, identities, members, users};
use serde_json::json;

use crate::caller::Caller;
use crate::error::Error;
use crate::write::Author;
use crate::{App, clock};

impl App {
    /// Links an identity to a person: tokens of the issuer's for this subject are theirs from now on. The issuer is one of
    /// the policy's, by its name or its url.
    ///
    /// # Errors
    /// The caller is no operator, there is no such person or issuer, or the identity is somebody's already.
    pub async fn link_identity(
        &self,
        caller: &Caller,
        user: Option<UserId>,
        issuer: &str,
        subject: &str,
    ) -> Result<LinkedIdentity, Error> {
        caller.must_be_operator()?;
        let policy = &self.world().policy;
        caller.must(&policy.catalog, "users:write")?;
        let issuer = policy.issuers().iter().find(|known| known.name == issuer || known.url == issuer);
        let issuer =
            issuer.ok_or_else(|| Error::invalid("issuer", "is none of the policy's: add [issuer.NAME] first"))?;
        if !is_subject(subject) {
            return Err(Error::invalid("subject", "is what the issuer's tokens say in `sub`: 1 to 255 bytes"));
        }
        caller.must_be_proved()?;
        let user = self.user_to_change(caller, user).await?;
        let now = self.clock.now();
        let identity = Identity { subject: subject.into(), email: None, account: None };
        let linked = link(issuer, identity, user, now);
        self.write(caller, move |tx| {
            Box::pin(async move {
                if identities::find_identity(tx, &linked.issuer, &linked.subject).await?.is_some() {
                    return Err(Error::Conflict("this identity is somebody's already: unlink it there first".into()));
                }
                identities::insert_identity(tx, &linked).await?;
                let event = event("identity.link", &linked);
                Ok((linked, event))
            })
        })
        .await
    }

    /// A person's identities, oldest first.
    ///
    /// # Errors
    /// The caller is no operator, or there is no such person.
    pub async fn list_identities(
        &self,
        caller: &Caller,
        user: Option<UserId>,
        after: Option<IdentityId>,
        limit: u32,
    ) -> Result<Vec<LinkedIdentity>, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:read")?;
        let user = self.find_user(user).await?;
        Ok(identities::list_identities(&self.db, user, after, limit.into()).await?)
    }

    /// Unlinks an identity: its tokens are nobody's from the next request on.
    ///
    /// # Errors
    /// The caller is no operator, or the person has no such identity.
    pub async fn unlink_identity(
        &self,
        caller: &Caller,
        user: Option<UserId>,
        id: Option<IdentityId>,
    ) -> Result<(), Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        let (user, id) = user.zip(id).ok_or(Error::NotFound("identity"))?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                let held = identities::find_identity_of(tx, user, id).await?.ok_or(Error::NotFound("identity"))?;
                identities::delete_identity(tx, id).await?;
                Ok(((), event("identity.unlink", &held)))
            })
        })
        .await
    }

    /// Makes a person of somebody who is unknown, in the account their token names or in one of their own. Of several first
    /// requests at once, the first does.
    pub(crate) async fn provision(
        &self,
        issuer: &Issuer,
        identity: Identity,
        named: Option<AccountId>,
        request_id: Option<String>,
    ) -> Result<(), Error> {
        let (issuer, now) = (issuer.clone(), self.clock.now());
        self.write_all(Author::system_in(request_id), move |tx| {
            Box::pin(async move {
                if identities::find_identity(tx, &issuer.url, &identity.subject).await?.is_some() {
                    return Ok(((), Vec::new()));
                }
                let (account, made) = home(tx, &identity, named, now).await?;
                let user = newcomer(tx, &identity, now).await?;
                users::insert_user(tx, &user, "").await?;
                members::insert_member(tx, account, user.id, issuer.role, now).await?;
                let linked = link(&issuer, identity, user.id, now);
                identities::insert_identity(tx, &linked).await?;
                let detail = json!({ "email": user.email, "role": issuer.role, "issuer": issuer.url });
                let target = user.id.to_string();
                let created =
                    AuditEvent { action: "user.create", target, account: Some(account), detail: detail.into() };
                Ok(((), made.into_iter().chain([created, event("identity.link", &linked)]).collect()))
            })
        })
        .await
    }
}

/// The account a newcomer belongs to: the one that is named, else a new one.
async fn home(
    tx: &mut Tx,
    identity: &Identity,
    named: Option<AccountId>,
    now: Time,
) -> Result<(AccountId, Option<AuditEvent>), Error> {
    if let Some(named) = named {
        let is_customer = |account: &Account| ![AccountId::OPERATOR, AccountId::TRIALS].contains(&account.id);
        let found = accounts::find_account(tx, named).await?.filter(is_customer);
        let account = found.ok_or_else(|| Error::Forbidden("the token names an account there is not".into()))?;
        return match account.standing {
            Standing::Active => Ok((account.id, None)),
            Standing::Suspended => Err(Error::Unauthenticated),
        };
    }
    let name = identity.email.as_ref().unwrap_or(&identity.subject).chars().take(LONGEST_NAME).collect();
    let account = Account::new(AccountId::new(now, &mut clock::rng()), name, now);
    accounts::insert_account(tx, &account).await?;
    Ok((account.id, Some(crate::accounts::event("account.create", &account))))
}

/// A new person. An address that is somebody's stays theirs: it never says who this is (security.md 6).
async fn newcomer(tx: &mut Tx, identity: &Identity, now: Time) -> Result<User, Error> {
    let email = match &identity.email {
        Some(email) if users::find_credentials_by_email(tx, email).await?.is_none() => Some(email.clone()),
        Some(_) | None => None,
    };
    // The provider says that mail to it reaches them: an address it does not say so of is not read.
    let email_verified_at = email.is_some().then_some(now);
    Ok(User { email_verified_at, ..User::new(UserId::new(now, &mut clock::rng()), email, now) })
}

fn link(issuer: &Issuer, identity: Identity, user: UserId, now: Time) -> LinkedIdentity {
    let Identity { subject, email, account: _ } = identity;
    let id = IdentityId::new(now, &mut clock::rng());
    LinkedIdentity { id, issuer: issuer.url.clone(), subject, user, email, created_at: now }
}

fn event(action: &'static str, identity: &LinkedIdentity) -> AuditEvent {
    let detail = json!({ "user": identity.user, "issuer": identity.issuer, "subject": identity.subject });
    AuditEvent { action, target: identity.id.to_string(), account: None, detail: detail.into() }
}
