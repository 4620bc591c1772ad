//! Bringing in keys another system issued, known only by their SHA-256.
//!
//! Each row stands alone: a bad one is refused with its reason and the rest go in. A row that is already there is no
//! mistake, so an import that was cut off is simply run again.

use std::collections::HashSet;

use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, KeyId};
use keywright_core::import::ImportRow;
use keywright_core::key::{Key, Secret};
use keywright_core::policy::Kind;
use keywright_core::secret::{Digest, Making};
use keywright_store::secrets;
use serde_json::json;

use crate::App;
use crate::caller::Caller;
use crate::error::Error;
use crate::keys::account_for;

/// The most rows one call may bring.
pub const MOST_ROWS: usize = 1_000;
/// The kind imported keys are of where nothing else is said.
pub const IMPORTED_KIND: &str = "imported";

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is a key now.
    Created(KeyId),
    /// It was one already.
    Present,
    /// It was refused.
    Refused(String),
}

/// A row that is to become a key unless one of its digests is stored already.
struct New {
    key: Key,
    secret: Secret,
    digests: Vec<Digest>,
}

impl App {
    /// Brings in keys for an account, and says what became of each.
    ///
    /// # Errors
    /// The caller is no operator, the account or kind is missing, or there are too many rows.
    pub async fn import_keys(
        &self,
        caller: &Caller,
        account: Option<AccountId>,
        kind: Option<&str>,
        rows: Vec<Result<ImportRow, String>>,
    ) -> Result<Vec<Imported>, Error> {
        let world = self.world();
        caller.must_be_operator()?;
        caller.must(&world.policy.catalog, "keys:import")?;
        if rows.len() > MOST_ROWS {
            return Err(Error::invalid("keys", format!("has {} rows: at most {MOST_ROWS} a call", rows.len())));
        }
        let kind = crate::keys::find_kind(&world.policy, Some(kind.unwrap_or(IMPORTED_KIND)))?;
        let account = account_for(caller, kind, account)?;
        if keywright_store::accounts::find_account(&self.db, account).await?.is_none() {
            return Err(Error::NotFound("account"));
        }
        let unusable = || Error::Internal("there is no pepper".into());
        let making = self.keyring.making_of_hashes().ok_or_else(unusable)?;
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut new = Vec::new();
        let mut seen = HashSet::new();
        for row in rows {
            let made = row.and_then(|row| {
                let digests = self.keyring.digests_of_hash(&row.sha256);
                let (key, secret) = self.admit_row(kind, account, caller, row, digests.first().copied(), making)?;
                Ok(New { key, secret, digests })
            });
            match made {
                Err(reason) => outcomes.push(Imported::Refused(reason)),
                Ok(new) if !seen.insert(new.secret.digest) => outcomes.push(Imported::Present),
                Ok(row) => {
                    outcomes.push(Imported::Created(row.key.id));
                    new.push(row);
                }
            }
        }
        // Known before the first of them can be committed, so that none is ever refused as malformed.
        self.legacy.add(making);
        let present = self.insert_imported(caller, account, new).await?;
        for outcome in &mut outcomes {
            if matches!(outcome, Imported::Created(id) if present.contains(id)) {
                *outcome = Imported::Present;
            }
        }
        Ok(outcomes)
    }

    fn admit_row(
        &self,
        kind: &Kind,
        account: AccountId,
        caller: &Caller,
        row: ImportRow,
        digest: Option<Digest>,
        making: Making,
    ) -> Result<(Key, Secret), String> {
        let digest = digest.ok_or("there is no pepper")?;
        let world = self.world();
        let now = self.clock.now();
        let mut key = self.new_key(kind, account, row.draft, caller, now);
        world.policy.admit(kind, &mut key, now).map_err(|errors| Error::Invalid(errors).to_string())?;
        key.prefix.clone_from(&row.prefix);
        let secret = Secret {
            key: key.id,
            digest,
            making,
            prefix: row.prefix,
            last_four: String::new(),
            created_at: now,
            expires_at: None,
        };
        Ok((key, secret))
    }

    /// Inserts those that are not there yet, and returns the others.
    async fn insert_imported(
        &self,
        caller: &Caller,
        account: AccountId,
        new: Vec<New>,
    ) -> Result<HashSet<KeyId>, Error> {
        self.write(caller, move |tx| {
            Box::pin(async move {
                let digests: Vec<Digest> = new.iter().flat_map(|row| row.digests.iter().copied()).collect();
                let known = secrets::existing_digests(tx, &digests).await?;
                let is_known = |row: &New| row.digests.iter().any(|digest| known.contains(digest));
                let (present, absent): (Vec<_>, Vec<_>) = new.into_iter().partition(is_known);
                let absent: Vec<(Key, Secret)> = absent.into_iter().map(|row| (row.key, row.secret)).collect();
                secrets::insert_imported(tx, &absent).await?;
                let detail = json!({ "created": absent.len(), "present": present.len() });
                let event = AuditEvent {
                    action: "key.import",
                    target: account.to_string(),
                    account: Some(account),
                    detail: detail.into(),
                };
                Ok((present.into_iter().map(|row| row.key.id).collect(), event))
            })
        })
        .await
    }
}
