//! The one place where the clock is read and randomness is made. Everything else takes both as arguments.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use keywright_core::id::KeyId;
use keywright_core::time::{Span, Time};
use rand::CryptoRng;
use rustix::time::{ClockId, clock_gettime};

use crate::sync::lock_std as lock;

/// A clock.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's, as of its last tick: at most some milliseconds behind, and a fifth of the cost.
    #[default]
    System,
    /// One that stands still until it is moved.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `time`.
    #[must_use]
    pub fn standing_at(time: Time) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(time.millis())))
    }

    /// Moves a standing clock forward; does nothing to the machine's.
    pub fn advance(&self, span: Span) {
        if let Self::Manual(millis) = self {
            millis.fetch_add(span.millis(), Ordering::SeqCst);
        }
    }

    /// The time now.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Time {
        match self {
            Self::System => {
                let now = clock_gettime(ClockId::RealtimeCoarse);
                Time::from_millis(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000)
            }
            Self::Manual(millis) => Time::from_millis(millis.load(Ordering::SeqCst)),
        }
    }
}

/// Milliseconds on a clock that is never set, as of its last tick.
#[must_use]
pub fn monotonic_ms() -> i64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
}

/// A cryptographically secure generator, seeded by the operating system.
pub fn rng() -> impl CryptoRng {
    rand::rng()
}

/// Makes keys' ids, each after the one before: keys are listed in the order they were made, however fast, and an index of their
/// ids grows at its end.
#[derive(Debug, Default)]
pub(crate) struct KeyIds(Mutex<Option<KeyId>>);

impl KeyIds {
    pub(crate) fn next(&self, now: Time) -> KeyId {
        let mut last = lock(&self.0);
        let id = KeyId::after(*last, now, &mut rng());
        *last = Some(id);
        id
    }
}
