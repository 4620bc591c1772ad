//! Threads that wait for SQLite, for those that may not.
//!
//! They are the lane's own. Shared with everything else that waits, they would stand behind it (a name service that does
//! not answer must hold up no reading), and grow in number: a thread that has just answered is not free at once, so another
//! is begun for who comes next, and each has a heap of its own.

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::StoreError;

/// The runtime has no thread but those. There is none only while it ends.
#[derive(Debug)]
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// As many at most, begun when there is something to do.
    pub(super) fn new(most: u32) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().thread_name("sqlite").max_blocking_threads(most as usize).build();
        let refused = |error| StoreError::unavailable(format!("no threads for the database: {error}"));
        runtime.map(|runtime| Self(Some(runtime))).map_err(refused)
    }

    pub(super) fn run<T, F>(&self, work: F) -> Result<JoinHandle<T>, StoreError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let runtime = self.0.as_ref().ok_or_else(|| StoreError::unavailable("the database is closed"))?;
        Ok(runtime.spawn_blocking(work))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Whoever drops it may be one of them.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
