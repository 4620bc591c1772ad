//! Use cases on an account's SSH keys: see, add, delete. The account is the credential's own.

use keywright_core::audit::AuditEvent;
use keywright_core::draft::FieldError;
use keywright_core::id::SshKeyId;
use keywright_core::ssh::{MOST_SSH_KEYS, PublicKey, SshKey};
use keywright_store::ssh_keys;
use serde_json::json;

use crate::caller::Caller;
use crate::error::Error;
use crate::{App, clock};

const LONGEST_NAME: usize = 100;

/// What a new SSH key is asked to be.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SshKeyDraft {
    /// What people call it.
    pub name: String,
    /// The line of the `.pub` file.
    pub public_key: String,
}

impl App {
    /// The account's SSH keys, oldest first, each with how many machines it is on.
    ///
    /// # Errors
    /// The caller lacks `ssh_keys:read`, or is an operator.
    pub async fn list_ssh_keys(&self, caller: &Caller) -> Result<Vec<(SshKey, i64)>, Error> {
        caller.must(&self.world().policy.catalog, "ssh_keys:read")?;
        let own = caller.own_account()?;
        Ok(ssh_keys::list_ssh_keys(&self.db, own, MOST_SSH_KEYS).await?)
    }

    /// Adds an SSH key to the account. It is on no machine yet.
    ///
    /// # Errors
    /// The key is not taken, the account has it already, or has too many.
    pub async fn create_ssh_key(&self, caller: &Caller, draft: SshKeyDraft) -> Result<SshKey, Error> {
        caller.must(&self.world().policy.catalog, "ssh_keys:write")?;
        let account = caller.own_account()?;
        let public = check(&draft)?;
        let now = self.clock.now();
        let key = SshKey {
            id: SshKeyId::new(now, &mut clock::rng()),
            account,
            name: draft.name,
            key_type: public.key_type().into(),
            fingerprint: public.fingerprint(),
            public_key: public.line(),
            created_at: now,
        };
        self.write(caller, move |tx| {
            Box::pin(async move {
                if let Some(same) = ssh_keys::find_ssh_key_by_fingerprint(tx, account, &key.fingerprint).await? {
                    return Err(Error::Conflict(format!("the account has this key already, as `{}`", same.name)));
                }
                if ssh_keys::count_ssh_keys(tx, account).await? >= MOST_SSH_KEYS {
                    return Err(Error::Conflict(format!(
                        "the account has {MOST_SSH_KEYS} SSH keys, the most it may have: delete one first"
                    )));
                }
                ssh_keys::insert_ssh_key(tx, &key).await?;
                let event = event("ssh_key.create", &key);
                Ok((key, event))
            })
        })
        .await
    }

    /// Deletes an SSH key of the account. Machines that have it keep it.
    ///
    /// # Errors
    /// There is none, or it is another account's.
    pub async fn delete_ssh_key(&self, caller: &Caller, id: SshKeyId) -> Result<(), Error> {
        caller.must(&self.world().policy.catalog, "ssh_keys:write")?;
        let account = caller.own_account()?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                let key = ssh_keys::find_ssh_key(tx, id, account).await?.ok_or(Error::NotFound("SSH key"))?;
                ssh_keys::delete_ssh_key(tx, id).await?;
                Ok(((), event("ssh_key.delete", &key)))
            })
        })
        .await
    }
}

fn check(draft: &SshKeyDraft) -> Result<PublicKey, Error> {
    let mut errors = Vec::new();
    if !(1..=LONGEST_NAME).contains(&draft.name.chars().count()) || draft.name.chars().any(char::is_control) {
        let reason = format!("is required: 1 to {LONGEST_NAME} characters, none of them control characters");
        errors.push(FieldError { field: "name".into(), reason });
    }
    let public = PublicKey::parse(&draft.public_key);
    errors.extend(
        public.as_ref().err().map(|not_taken| FieldError { field: "public_key".into(), reason: not_taken.to_string() }),
    );
    public.ok().filter(|_| errors.is_empty()).ok_or(Error::Invalid(errors))
}

fn event(action: &'static str, key: &SshKey) -> AuditEvent {
    let detail = json!({ "name": key.name, "key_type": key.key_type, "fingerprint": key.fingerprint });
    AuditEvent { action, target: key.id.to_string(), account: Some(key.account), detail: detail.into() }
}
