//! Use cases on accounts.

use keywright_core::account::{Account, AccountChange};
use keywright_core::audit::AuditEvent;
use keywright_core::id::AccountId;
use keywright_store::accounts::{self, AccountFilter};
use keywright_store::keys;
use serde_json::json;

use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::replay::Replay;
use crate::{App, clock};

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
        fields: AccountChange,
        replay: Option<Replay>,
    ) -> Result<CreatedAccount, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "accounts:write")?;
        let now = self.clock.now();
        let mut account = Account::new(AccountId::new(now, &mut clock::rng()), String::new(), now);
        account.change(fields, now).map_err(Error::Invalid)?;
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

    /// The account the caller's credential belongs to.
    ///
    /// # Errors
    /// The caller lacks `profile:read`, or is an operator.
    pub async fn get_profile(&self, caller: &Caller) -> Result<Account, Error> {
        caller.must(&self.world().policy.catalog, "profile:read")?;
        let own = caller.own_account()?;
        accounts::find_account(&self.db, own).await?.ok_or(Error::NotFound("account"))
    }

    /// Accounts the caller may see, in order of their ids.
    ///
    /// # Errors
    /// The caller may not read accounts.
    pub async fn list_accounts(&self, caller: &Caller, filter: AccountFilter) -> Result<Vec<Account>, Error> {
        caller.must(&self.world().policy.catalog, "accounts:read")?;
        match caller.reach {
            Reach::Everything => {
                // The server's own accounts are the first, and no customers.
                let after = filter.after.unwrap_or(AccountId::TRIALS).max(AccountId::TRIALS);
                Ok(accounts::list_accounts(&self.db, &AccountFilter { after: Some(after), ..filter }).await?)
            }
            Reach::Account(own) if filter.after.is_none() => {
                Ok(accounts::find_account(&self.db, own).await?.into_iter().collect())
            }
            Reach::Account(_) => Ok(Vec::new()),
        }
    }

    /// How many keys of an account's are neither revoked nor expired; counted no further than `up_to`.
    ///
    /// # Errors
    /// The caller may not read keys, or there is no such account.
    pub async fn count_keys(&self, caller: &Caller, id: AccountId, up_to: u32) -> Result<i64, Error> {
        caller.must(&self.world().policy.catalog, "keys:read")?;
        if !caller.reaches(id) {
            return Err(Error::NotFound("account"));
        }
        Ok(keys::count_account_keys(&self.db, id, self.clock.now(), up_to.into()).await?)
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
                account.change(change, now).map_err(Error::Invalid)?;
                accounts::update_account(tx, &account).await?;
                account.version += 1;
                let event = event("account.update", &account);
                Ok((account, event))
            })
        })
        .await
    }
}

/// What of an account the audit log keeps: everything that was set.
pub(crate) fn event(action: &'static str, account: &Account) -> AuditEvent {
    let profile = &account.profile;
    let detail = json!({
        "name": account.name, "status": account.standing, "email": profile.email,
        "email_verified": profile.email_verified, "first_name": profile.first_name, "last_name": profile.last_name,
        "company": profile.company, "customer_type": profile.customer_type, "subscription": account.subscription,
        "credits": account.credits, "metadata": account.metadata,
    });
    AuditEvent { action, target: account.id.to_string(), account: Some(account.id), detail: detail.into() }
}
