//! Starting and stopping: the tasks that run beside the calls.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use keywright_core::secret::MasterKey;
use keywright_store::{Claim, Db};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cache::Cache;
use crate::clock::KeyIds;
use crate::error::Error;
use crate::keyring::Keyring;
use crate::lease::Lease;
use crate::legacy::{Legacy, Upgrades};
use crate::world::Worlds;
use crate::{App, Settings, write};

/// Parts of the cache, each with a lock of its own.
const SHARDS: usize = 256;
/// How often counts of uses are written down: at most these are lost to `kill -9`.
const FLUSH_EVERY: Duration = Duration::from_millis(900);
/// How often what is over is forgotten.
const TIDY_EVERY: u32 = 60;

/// Who issues tokens where no public address is configured.
const ISSUER: &str = "keywright";

/// What runs beside the calls.
pub struct Tasks {
    app: Arc<App>,
    writer: JoinHandle<()>,
    flusher: JoinHandle<()>,
    upgrader: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// Open to the tests of mail, which deliver by hand.
    pub(crate) postman: JoinHandle<()>,
    stopping: watch::Sender<bool>,
}

impl App {
    /// Starts on an open database.
    ///
    /// # Errors
    /// The master key is not the database's, or the database is out of reach.
    pub async fn start(db: Db, master: &MasterKey, settings: Settings) -> Result<(Arc<Self>, Tasks), Error> {
        let Settings { policy, clock, cached_keys, issuer, site, post } = settings;
        let (lease, claim) = Lease::take(&db).await?;
        let keyring = Keyring::open(&db, master, clock.now()).await?;
        let makings = keywright_store::secrets::list_makings(&db).await?;
        let (legacy, upgrades) = Legacy::new(makings, &keyring);
        let (writer, queue) = write::channel();
        let started_at = clock.now();
        let app = Arc::new(Self {
            db,
            clock,
            started_at,
            worlds: Worlds::new(policy, started_at),
            keyring,
            cache: Cache::new(cached_keys, SHARDS),
            accounts: crate::record::AccountStates::default(),
            accesses: crate::record::Accesses::default(),
            limits: crate::limits::LimitBook::default(),
            pools: crate::credits::PoolBook::default(),
            lockouts: crate::lockouts::Lockouts::default(),
            issued: crate::trials::Issued::default(),
            sources: crate::issuers::Sources::default(),
            usage: crate::usage::Usage::default(),
            key_ids: KeyIds::default(),
            granted: Arc::default(),
            legacy,
            lease,
            writer,
            changes: AtomicU64::new(0),
            hasher: crate::password::Hasher::start(),
            issuer: issuer.unwrap_or_else(|| ISSUER.into()),
            site,
            mail: crate::mail::Mail::new(post),
        });
        let writing = Arc::clone(&app);
        let (stopping, stop) = watch::channel(false);
        let tasks = Tasks {
            writer: tokio::spawn(writing.run_writer(queue)),
            flusher: tokio::spawn(flush(Arc::clone(&app), stop.clone())),
            postman: tokio::spawn(crate::mail::deliver(Arc::clone(&app), stop)),
            keeper: tokio::spawn(keep(Arc::clone(&app), claim)),
            upgrader: tokio::spawn(upgrade(Arc::clone(&app), upgrades)),
            stopping,
            app: Arc::clone(&app),
        };
        if let Err(error) = app.begin_noting().await {
            tracing::warn!(%error, "since when the use of permissions is noted could not be written down");
        }
        Ok((app, tasks))
    }
}

async fn flush(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(FLUSH_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 1u32.. {
        tokio::select! {
            _ = every.tick() => {}
            _ = stop.changed() => return,
        }
        // It has been logged where it failed, and the next batch may do better.
        drop(app.keep_usage().await);
        if tick % TIDY_EVERY == 0 {
            let now = app.now();
            app.limits.tidy(now);
            app.lockouts.tidy(now);
            app.pools.tidy();
            if let Err(error) = app.tell_due_keys().await {
                tracing::warn!(%error, "keys that are due for rotation could not be looked for");
            }
            if let Err(error) = app.tell_ending_keys().await {
                tracing::warn!(%error, "keys that are about to end could not be looked for");
            }
            app.issued.tidy(now);
            if let Err(error) = app.forget_trials().await {
                tracing::warn!(%error, "trial keys that are over could not be forgotten");
            }
            if let Err(error) = app.forget_sessions().await {
                tracing::warn!(%error, "sessions that are over could not be forgotten");
            }
            if let Err(error) = app.forget_invitations().await {
                tracing::warn!(%error, "invitations that are over could not be forgotten");
            }
            if let Err(error) = app.forget_replays().await {
                tracing::warn!(%error, "old Idempotency-Keys could not be forgotten");
            }
        }
    }
}

async fn keep(app: Arc<App>, claim: Claim) {
    app.lease.keep(claim).await;
}

async fn upgrade(app: Arc<App>, queue: Upgrades) {
    app.run_upgrades(queue).await;
}

impl Tasks {
    /// Stops after everything that was acknowledged, counted or leased is written down.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn stop(self) -> Result<(), Error> {
        // The flusher ends between two batches: one that was under way is written down whole.
        self.stopping.send_replace(true);
        let broken = |_| Error::Internal("a task was gone before its time".into());
        self.flusher.await.map_err(broken)?;
        // Before the writer: what a mail server has taken is to be struck off.
        self.postman.await.map_err(broken)?;
        self.upgrader.abort();
        self.app.flush_usage().await?;
        self.app.return_credits().await?;
        self.app.close_writer();
        self.writer.await.map_err(broken)?;
        self.keeper.abort();
        Ok(())
    }
}
