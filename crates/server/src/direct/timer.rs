//! A timer that one connection's waits share.

use std::pin::Pin;
use std::time::Duration;

use keywright_app::clock::monotonic_ms;
use tokio::time::{Sleep, sleep};

/// Rings when what is waited for takes too long. It is set anew only where it would ring too late, or has rung: nearly no wait
/// lasts that long, and setting a timer for each would cost more than many of them.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    rings_ms: i64,
}

impl Timer {
    /// A wait begins that may last so long. Says when it is over.
    pub(crate) fn begin(&mut self, longest: Duration) -> i64 {
        let longest_ms = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        let due_ms = monotonic_ms().saturating_add(longest_ms);
        if self.sleep.is_none() || self.rings_ms > due_ms {
            self.set(longest, due_ms);
        }
        due_ms
    }

    /// Waits until then.
    pub(crate) async fn over(&mut self, due_ms: i64) {
        loop {
            if let Some(sleep) = &mut self.sleep {
                sleep.as_mut().await;
            }
            let left_ms = due_ms - monotonic_ms();
            if left_ms <= 0 {
                self.sleep = None;
                return;
            }
            self.set(Duration::from_millis(left_ms.unsigned_abs()), due_ms);
        }
    }

    fn set(&mut self, longest: Duration, due_ms: i64) {
        match &mut self.sleep {
            Some(timer) => timer.set(sleep(longest)),
            None => self.sleep = Some(Box::pin(sleep(longest))),
        }
        self.rings_ms = due_ms;
    }
}
