//! Use cases on accounts and the people in them.

use keywright_core::account::{Account, Standing, User};
use keywright_core::audit::AuditEvent;
use keywright_core::draft::FieldError;
use keywright_core::id::{AccountId, UserId};
use keywright_core::key::Metadata;
use keywright_store::{accounts, users};
use serde_json::json;

use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::replay::Replay;
use crate::{App, clock};

/// The longest name of an account, in characters.
const LONGEST_NAME: usize = 100;

/// A change to an account. What is left out stays.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountChange {
    /// What people call it.
    pub name: Option<String>,
    /// `active` or `suspended`.
    pub status: Option<Standing>,
    /// Whatever the operator keeps with it.
    pub metadata: Option<Metadata>,
}

/// An account that was just made, or one that an earlier call with the same `Idempotency-Key` had made.
#[derive(Clone, Debug)]
pub struct CreatedAccount {
    /// The account.
    pub account: Account,
    /// Whether this call made it.
    pub is_new: bool,
}

impl App {
    /// Makes an account.
    ///
    /// # Errors
    /// The caller is no operator, or a field is wrong.
    pub async fn create_account(
        &self,
        caller: &Caller,
        name: String,
        metadata: Metadata,
        replay: Option<Replay>,
    ) -> Result<CreatedAccount, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "accounts:write")?;
        let now = self.clock.now();
        let id = AccountId::new(now, &mut clock::rng());
        let account =
            Account { id, name, standing: Standing::Active, metadata, created_at: now, updated_at: now, version: 1 };
        check(&account)?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                if let Some(earlier) = Replay::find(tx, replay.as_ref()).await? {
                    let id = earlier.parse().map_err(|_| Error::Internal("a replay names no account".into()))?;
                    let account = accounts::find_account(tx, id).await?.ok_or(Error::NotFound("account"))?;
                    let event = event("account.create_replayed", &account);
                    return Ok((CreatedAccount { account, is_new: false }, event));
                }
                accounts::insert_account(tx, &account).await?;
                Replay::keep(tx, replay.as_ref(), &account.id.to_string(), now).await?;
                let event = event("account.create", &account);
                Ok((CreatedAccount { account, is_new: true }, event))
            })
        })
        .await
    }

    /// An account the caller may see.
    ///
    /// # Errors
    /// There is none, or it is another's.
    pub async fn get_account(&self, caller: &Caller, id: AccountId) -> Result<Account, Error> {
        caller.must(&self.world().policy.catalog, "accounts:read")?;
        let account = accounts::find_account(&self.db, id).await?;
        account.filter(|account| caller.reaches(account.id)).ok_or(Error::NotFound("account"))
    }

    /// Accounts the caller may see, in order of their ids.
    ///
    /// # Errors
    /// The caller may not read accounts.
    pub async fn list_accounts(
        &self,
        caller: &Caller,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, Error> {
        caller.must(&self.world().policy.catalog, "accounts:read")?;
        match caller.reach {
            Reach::Everything => {
                // The operators' own account is the first, and no customer.
                let after = after.unwrap_or(AccountId::OPERATOR);
                Ok(accounts::list_accounts(&self.db, Some(after), limit.into()).await?)
            }
            Reach::Account(own) if after.is_none() => {
                Ok(accounts::find_account(&self.db, own).await?.into_iter().collect())
            }
            Reach::Account(_) => Ok(Vec::new()),
        }
    }

    /// Changes an account. Once a suspension has returned, none of its keys is accepted.
    ///
    /// # Errors
    /// The caller is no operator, or a field is wrong.
    pub async fn update_account(
        &self,
        caller: &Caller,
        id: AccountId,
        change: AccountChange,
    ) -> Result<Account, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "accounts:write")?;
        if id == AccountId::OPERATOR {
            return Err(Error::Conflict("the operators' own account cannot be changed".into()));
        }
        let now = self.clock.now();
        self.write(caller, move |tx| {
            Box::pin(async move {
                let mut account = accounts::find_account(tx, id).await?.ok_or(Error::NotFound("account"))?;
                account.name = change.name.unwrap_or(account.name);
                account.standing = change.status.unwrap_or(account.standing);
                account.metadata = change.metadata.unwrap_or(account.metadata);
                account.updated_at = now;
                check(&account)?;
                accounts::update_account(tx, &account).await?;
                account.version += 1;
                let event = event("account.update", &account);
                Ok((account, event))
            })
        })
        .await
    }

    /// Makes a person who belongs to an account. They will log in once there is a login.
    ///
    /// # Errors
    /// The caller is no operator, or the address is taken.
    pub async fn create_user(
        &self,
        caller: &Caller,
        account: AccountId,
        email: String,
        password: &str,
        role: &'static str,
    ) -> Result<User, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "accounts:write")?;
        let now = self.clock.now();
        let user = User { id: UserId::new(now, &mut clock::rng()), email, created_at: now };
        let hash = crate::password::hash(password)?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                users::insert_user(tx, &user, &hash).await?;
                users::insert_member(tx, account, user.id, role, now).await?;
                let detail = json!({ "email": user.email, "role": role });
                let event =
                    AuditEvent { action: "user.create", target: user.id.to_string(), account: Some(account), detail };
                Ok((user, event))
            })
        })
        .await
    }
}

fn check(account: &Account) -> Result<(), Error> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, reason: String| errors.push(FieldError { field: field.into(), reason });
    let characters = account.name.chars().count();
    if !(1..=LONGEST_NAME).contains(&characters) || account.name.chars().any(char::is_control) {
        wrong("name", format!("is required: 1 to {LONGEST_NAME} characters, none of them control characters"));
    }
    if serde_json::to_string(&account.metadata).map_or(usize::MAX, |text| text.len()) > Metadata::MAX_BYTES {
        wrong("metadata", format!("takes at most {} bytes as JSON", Metadata::MAX_BYTES));
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors)) }
}

fn event(action: &'static str, account: &Account) -> AuditEvent {
    let detail = json!({ "name": account.name, "status": account.standing, "metadata": account.metadata });
    AuditEvent { action, target: account.id.to_string(), account: Some(account.id), detail }
}
