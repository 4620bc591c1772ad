//! Secrets stored in another way than new ones are: under an older pepper, or known by their SHA-256 alone.
//!
//! They are looked up under every such way that is in use, in one statement, and cached under the digest they are
//! stored with. The first use brings the plaintext, and with it the chance to store them under the current pepper.

use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use keywright_core::audit::AuditEvent;
use keywright_core::secret::{Date, Digest, Form, Making};
use keywright_store::secrets::{Found, MAX_DIGESTS, find_secret};
use serde_json::json;
use tokio::sync::mpsc;

use crate::App;
use crate::error::Error;
use crate::keyring::Keyring;
use crate::write::Author;

/// Secrets waiting to be stored anew; more wait for their next use.
const QUEUE: usize = 1_024;

pub(crate) struct Legacy {
    makings: ArcSwap<Vec<Making>>,
    imported: AtomicBool,
    upgrades: mpsc::Sender<Upgrade>,
}

/// A secret to be stored anew: the digest it is stored under, the one it is to have, and how that was made.
type Upgrade = (Digest, Digest, Making);

/// The other end of the upgrades: to be run as one task.
pub(crate) struct Upgrades(mpsc::Receiver<Upgrade>);

impl Legacy {
    pub(crate) fn new(makings: Vec<Making>, keyring: &Keyring) -> (Self, Upgrades) {
        let (upgrades, queue) = mpsc::channel(QUEUE);
        let older: Vec<Making> = makings.into_iter().filter(|making| !keyring.makes(*making)).collect();
        let legacy = Self { imported: AtomicBool::new(false), makings: ArcSwap::default(), upgrades };
        older.into_iter().for_each(|making| legacy.add(making));
        (legacy, Upgrades(queue))
    }

    /// Takes note of a way secrets are stored in from now on.
    pub(crate) fn add(&self, making: Making) {
        self.makings.rcu(|known| {
            let mut all = known.to_vec();
            if !all.contains(&making) {
                all.push(making);
            }
            all
        });
        if making.form == Form::Sha256 {
            self.imported.store(true, Ordering::Release);
        }
    }

    /// Whether there are, or were since the start, keys known by their SHA-256 alone.
    #[inline]
    pub(crate) fn any_imported(&self) -> bool {
        self.imported.load(Ordering::Acquire)
    }

    /// Every other digest a presented key may be stored under. There is seldom any.
    pub(crate) fn digests(&self, keyring: &Keyring, key: &[u8], date: Option<Date>) -> Vec<Digest> {
        self.makings.load().iter().filter_map(|making| keyring.digest_as(*making, key, date)).collect()
    }

    pub(crate) fn upgrade_later(&self, stored: Digest, renewed: Digest, making: Making) {
        // A full queue is no loss: the key's next use asks again.
        let _ = self.upgrades.try_send((stored, renewed, making));
    }
}

impl App {
    /// The secret stored under one of these digests: one statement, unless there are very many ways of storing in use.
    pub(crate) async fn find_secret(&self, digests: &[Digest]) -> Result<Option<Found>, Error> {
        for some in digests.chunks(MAX_DIGESTS) {
            if let Some(found) = find_secret(&self.db, some).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Stores used secrets anew under the current pepper, until the app is gone.
    pub(crate) async fn run_upgrades(&self, mut queue: Upgrades) {
        while let Some(upgrade) = queue.0.recv().await {
            match self.upgrade_secret(upgrade).await {
                // It was revoked, or upgraded already, since it was asked for.
                Ok(()) | Err(Error::Conflict(_) | Error::NotFound(_)) => {}
                Err(error) => tracing::warn!(%error, "a secret could not be stored anew"),
            }
        }
    }

    async fn upgrade_secret(&self, (stored, renewed, making): Upgrade) -> Result<(), Error> {
        if !self.keyring.makes(making) {
            // Known before it is stored so, that it is never looked for in vain.
            self.legacy.add(making);
        }
        self.write(Author::system(), move |tx| {
            Box::pin(async move {
                let found = find_secret(tx, &[stored]).await?.ok_or(Error::NotFound("secret"))?;
                keywright_store::secrets::replace_digest(tx, &stored, &renewed, making).await?;
                let detail = json!({ "from_pepper": found.secret.making.pepper, "to_pepper": making.pepper });
                let account = Some(found.key.account);
                Ok((
                    (),
                    AuditEvent {
                        action: "key.upgrade_secret",
                        target: found.key.id.to_string(),
                        account,
                        detail: detail.into(),
                    },
                ))
            })
        })
        .await
    }
}
