//! The right to trust what is in memory.
//!
//! A cache is only as good as the certainty that nobody else changes the database. On SQLite the data folder's lock
//! gives it for as long as the process lives. On PostgreSQL it is a claim, held by a connection and renewed all the time:
//! memory is trusted until a second after the last renewal was *sent*. Where the claim is lost nothing is answered any
//! more and nothing is committed, and the process is to end; a successor waits for that second before it begins.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use keywright_store::{Claim, Db};
use tokio::sync::watch;

use crate::App;
use crate::clock::monotonic_ms;
use crate::error::Error;

/// How long memory is trusted after a renewal was sent.
const LASTS_MS: i64 = 1_000;
/// How often the claim is renewed.
const EVERY: Duration = Duration::from_millis(250);
/// What a successor waits: a predecessor's trust, and as much again for what it was in the middle of.
const SUCCESSION: Duration = Duration::from_millis(2 * LASTS_MS as u64);

/// Until when memory is trusted.
pub(crate) struct Lease {
    until_ms: AtomicI64,
    lost: watch::Sender<bool>,
}

impl Lease {
    pub(crate) async fn take(db: &Db) -> Result<(Self, Claim), Error> {
        let mut claim = db.claim().await?;
        let until = if claim.needs_renewal() {
            tokio::time::sleep(SUCCESSION).await;
            let sent = monotonic_ms();
            claim.renew().await?;
            sent + LASTS_MS
        } else {
            i64::MAX
        };
        Ok((Self { until_ms: AtomicI64::new(until), lost: watch::channel(false).0 }, claim))
    }

    /// Whether memory may be trusted.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        let until = self.until_ms.load(Ordering::Acquire);
        until == i64::MAX || monotonic_ms() < until
    }

    /// The same, as an error for whoever needs it to.
    pub(crate) fn must_hold(&self) -> Result<(), Error> {
        if self.holds() { Ok(()) } else { Err(Error::Unavailable("the claim on the database is not certain".into())) }
    }

    /// Renews the claim until it is lost.
    pub(crate) async fn keep(&self, mut claim: Claim) {
        loop {
            let sent = monotonic_ms();
            if let Err(error) = claim.renew().await {
                tracing::error!(%error, "the claim on the database is lost: this process answers nothing any more");
                self.lost.send_replace(true);
                return;
            }
            if !claim.needs_renewal() {
                return std::future::pending().await;
            }
            self.until_ms.store(sent + LASTS_MS, Ordering::Release);
            tokio::time::sleep(EVERY).await;
        }
    }
}

impl App {
    /// Waits until the claim on the database is lost: then the process has to end.
    pub async fn claim_lost(&self) {
        let mut lost = self.lease.lost.subscribe();
        // The sender lives as long as the app does.
        drop(lost.wait_for(|lost| *lost).await);
    }
}
