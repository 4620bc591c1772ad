//! TLS: the certificate this server shows, the files it comes from, and putting others in its place while the server runs.
//!
//! What must stay true: once a pair that works is in force, whatever is in the files later, there is one in force. Keys are
//! read here alone, and said nowhere.

mod accept;
mod pair;

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use keywright_app::App;
use keywright_core::time::Time;

pub(crate) use accept::Begun;
pub use pair::{Files, Pair, Standing, Unfit};

use accept::Handshakes;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What a server speaks TLS with.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: Files,
    /// What the next connection is shown.
    pair: ArcSwap<Pair>,
    /// What the files were when they were last read.
    seen: Mutex<[Stamp; 2]>,
    handshakes: Handshakes,
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Tls({})", self.0.files.certificate.display())
    }
}

impl Tls {
    /// From a pair of files that fit.
    ///
    /// # Errors
    /// They do not.
    pub fn open(files: Files) -> Result<Self, Unfit> {
        // Looked at before they are read: what changes in between is seen the next time.
        let seen = Mutex::new(stamps(&files));
        let pair = ArcSwap::from_pointee(files.read()?);
        Ok(Self(Arc::new(Inner { files, pair, seen, handshakes: Handshakes::default() })))
    }

    /// Reads the files anew, and has the next connection shown what is in them. Where they do not fit, all stays as it was.
    pub fn reload(&self, now: Time) {
        *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamps(&self.0.files);
        self.take_up(now);
    }

    /// When the certificate ends that is in force.
    pub(crate) fn ends(&self) -> Time {
        self.0.pair.load().ends()
    }

    /// Reads the files anew whenever they have changed, for as long as it is asked.
    pub(crate) async fn watch(self, app: Arc<App>) {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            let (tls, now) = (self.clone(), app.now());
            // A file can be slow to come, as from a network.
            drop(tokio::task::spawn_blocking(move || tls.look(now)).await);
        }
    }

    fn look(&self, now: Time) {
        let found = stamps(&self.0.files);
        let before = std::mem::replace(&mut *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner), found);
        if before != found {
            self.take_up(now);
        }
    }

    fn take_up(&self, now: Time) {
        let pair = match self.0.files.read() {
            Ok(pair) => pair,
            Err(unfit) => {
                tracing::error!(%unfit, "the certificate stays as it was: mend the files");
                return;
            }
        };
        // One that is over is better than none, and worse than one that holds.
        if pair.ends() <= now && self.ends() > now {
            let file = self.0.files.certificate.display();
            tracing::error!(%file, ended = %pair.ends(), "the certificate stays as it was: the one in the file is over");
            return;
        }
        tracing::info!(ends = %pair.ends(), "the certificate was reloaded");
        pair.warn(now);
        self.0.pair.store(Arc::new(pair));
    }

    /// Says in the log what should be known of the certificate at start.
    pub(crate) fn warn(&self, now: Time) {
        self.0.pair.load().warn(now);
    }
}

/// What tells a file that was changed from the one it was; none where there is no file.
type Stamp = Option<(u64, i64, i64, u64)>;

fn stamps(files: &Files) -> [Stamp; 2] {
    let stamp = |path: &Path| {
        // Links are followed: some who renew certificates swap the link.
        let file = std::fs::metadata(path).ok()?;
        Some((file.ino(), file.mtime(), file.mtime_nsec(), file.size()))
    };
    [stamp(&files.certificate), stamp(&files.key)]
}
