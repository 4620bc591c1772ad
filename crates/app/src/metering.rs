//! What an account sees of itself through a provider's API: the key it calls with, what its keys were used for, and what
//! is known of its bills.

use keywright_core::account::Account;
use keywright_core::id::KeyId;
use keywright_core::key::Key;
use keywright_core::time::Time;
use keywright_core::verify::Outcome;
use keywright_store::accounts;
use keywright_store::usage::{UsageSum, sum_usage};

use crate::App;
use crate::account_keys::KeyApi;
use crate::caller::Caller;
use crate::error::Error;
use crate::keys::Rotated;

/// The permission to see how oneself and the service stand.
const STATUS: &str = "status:read";

/// What the keys of one environment were used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    /// The environment.
    pub environment: String,
    /// Verifications that said yes.
    pub allowed: i64,
    /// Verifications that knew the key and said no.
    pub denied: i64,
}

/// What is known of an account's bills.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The account.
    pub account: Account,
    /// What each environment's keys were used for since `since`.
    pub metered: Vec<Metered>,
    /// The beginning of the month, UTC.
    pub since: Time,
}

impl App {
    /// The key a request was made with, as long as its kind is one of the API's.
    ///
    /// # Errors
    /// The caller lacks `status:read`.
    pub async fn get_status(&self, caller: &Caller, own: KeyId) -> Result<Key, Error> {
        self.must_see_status(caller)?;
        self.get_own_key(caller, own).await
    }

    /// Requires that the caller may ask whether the service is well.
    ///
    /// # Errors
    /// The caller lacks `status:read`.
    pub fn must_see_status(&self, caller: &Caller) -> Result<(), Error> {
        caller.must(&self.world().policy.catalog, STATUS)
    }

    /// Renews the key a request was made with, through an API that asks for a permission to do so.
    ///
    /// # Errors
    /// The caller lacks it, or the key is none of the API's.
    pub async fn rotate_presented_key(&self, caller: &Caller, api: KeyApi, own: KeyId) -> Result<Rotated, Error> {
        caller.must(&self.world().policy.catalog, api.writing)?;
        let key = self.get_own_key(caller, own).await?;
        if !api.kinds.contains(&key.kind.as_str()) {
            let reason = "this renews keys of another kind: renew this one at POST /v1/keys/self/rotate";
            return Err(Error::Conflict(reason.into()));
        }
        self.rotate(caller, own, None).await
    }

    /// What the account's keys of a kind were used for since then, environment by environment: every one the kind has.
    ///
    /// # Errors
    /// The caller lacks the permission, or is an operator.
    pub async fn meter_account(
        &self,
        caller: &Caller,
        reading: &str,
        kind: &str,
        since: Time,
    ) -> Result<Vec<Metered>, Error> {
        let world = self.world();
        caller.must(&world.policy.catalog, reading)?;
        let own = caller.own_account()?;
        let sums = sum_usage(&self.db, own, kind, since.hour(), self.clock.now().hour() + 1).await?;
        let environments = world.policy.kind(kind).map(|(_, kind)| kind.environments.clone()).unwrap_or_default();
        Ok(environments.into_iter().map(|environment| metered(environment, &sums)).collect())
    }

    /// What is known of the account's bills this month.
    ///
    /// # Errors
    /// The caller lacks the permission, or is an operator.
    pub async fn get_billing(&self, caller: &Caller, reading: &str, kind: &str) -> Result<Standing, Error> {
        let since = self.clock.now().month();
        let metered = self.meter_account(caller, reading, kind, since).await?;
        let account = accounts::find_account(&self.db, caller.own_account()?).await?;
        Ok(Standing { account: account.ok_or(Error::NotFound("account"))?, metered, since })
    }

    /// Requires that the caller may see the account's invoices. There is nothing here that makes any.
    ///
    /// # Errors
    /// The caller lacks the permission, or is an operator.
    pub fn must_see_invoices(&self, caller: &Caller, reading: &str) -> Result<(), Error> {
        caller.must(&self.world().policy.catalog, reading)?;
        caller.own_account().map(drop)
    }
}

fn metered(environment: String, sums: &[UsageSum]) -> Metered {
    let (mut allowed, mut denied) = (0, 0);
    for sum in sums.iter().filter(|sum| sum.environment == environment) {
        *(if sum.outcome == Outcome::Valid.code() { &mut allowed } else { &mut denied }) += sum.count;
    }
    Metered { environment, allowed, denied }
}
