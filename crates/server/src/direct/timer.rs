//! A timer that one connection's waits share.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use keywright_app::clock::monotonic_ms;
use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep};

/// Before it rings by so much, a task that will be woken by it need not ask again. Well above what the clock may be behind.
const NEAR_MS: i64 = 1_000;

/// Rings when what is waited for takes too long. It is set anew only where it would ring too late, or has rung: nearly no wait
/// lasts that long, and setting a timer for each would cost more than many of them. All waits are those of one task.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    rings_ms: i64,
    /// Whether the task is woken when it rings.
    is_heard: bool,
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
            poll_fn(|context| self.poll_ring(context)).await;
            let left_ms = due_ms - monotonic_ms();
            if left_ms <= 0 {
                self.sleep = None;
                return;
            }
            self.set(Duration::from_millis(left_ms.unsigned_abs()), due_ms);
        }
    }

    fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else { return Poll::Ready(()) };
        if self.is_heard && monotonic_ms() + NEAR_MS < self.rings_ms {
            return Poll::Pending;
        }
        self.is_heard = true;
        // What a task may do in one go is not for the timer: put off by that, it would not be heard.
        pin!(unconstrained(sleep.as_mut())).poll(context)
    }

    fn set(&mut self, longest: Duration, due_ms: i64) {
        self.is_heard = false;
        match &mut self.sleep {
            Some(timer) => timer.set(sleep(longest)),
            None => self.sleep = Some(Box::pin(sleep(longest))),
        }
        self.rings_ms = due_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_for_each_wait_in_its_time_and_for_those_before_it_not_at_all() {
        let mut timer = Timer::default();
        let begun_ms = monotonic_ms();
        // Far off at first: the ways of being asked that cost nothing.
        let far_ms = timer.begin(Duration::from_secs(60));
        for _ in 0..300 {
            tokio::select! {
                biased;
                () = timer.over(far_ms) => panic!("it rang"),
                () = tokio::task::yield_now() => {}
            }
        }
        for longest in [Duration::from_millis(1_300), Duration::from_millis(20)] {
            let due_ms = timer.begin(longest);
            timer.over(due_ms).await;
        }
        assert!(monotonic_ms() - begun_ms >= 1_320);
    }
}
