//! Connections to upstreams that have no work, kept for the next request that the library is not needed for.
//!
//! What must stay true: a connection is taken up again only by a request that would have made it in the very same manner, and
//! only where nothing has come over it that nobody asked for.

use std::collections::BTreeMap;
use std::sync::Mutex;

use keywright_app::clock::monotonic_ms;
use keywright_core::route::{Address, Timeouts};

use super::connect::Stream;
use super::upstreams::{KEPT, MOST_KEPT, Place, lock};

/// Connections that are kept, by whom they are to.
#[derive(Default)]
pub(super) struct Kept(Mutex<BTreeMap<Address, Vec<Idle>>>);

struct Idle {
    stream: Stream,
    /// Who was to vouch for the other end.
    trusted: Option<String>,
    times: Timeouts,
    since_ms: i64,
}

impl Idle {
    fn is_old(&self, now_ms: i64) -> bool {
        u128::from((now_ms - self.since_ms).unsigned_abs()) >= KEPT.as_millis()
    }

    fn is_for(&self, place: &Place<'_>, times: Timeouts) -> bool {
        // How long an answer may take is not the connection's affair.
        (self.times.connect, self.times.idle) == (times.connect, times.idle) && self.trusted.as_deref() == place.trusted
    }
}

impl Kept {
    /// The one that has waited the least, where there is one.
    pub(super) fn take(&self, place: &Place<'_>, times: Timeouts) -> Option<Stream> {
        let now_ms = monotonic_ms();
        let mut all = lock(&self.0);
        let idle = all.get_mut(place.address)?;
        while let Some(at) = idle.iter().rposition(|idle| idle.is_for(place, times)) {
            let mut found = idle.swap_remove(at);
            if !found.is_old(now_ms) && found.stream.is_silent() {
                return Some(found.stream);
            }
        }
        None
    }

    /// Keeps one whose last answer has been read to its end, and no further.
    pub(super) fn put(&self, place: &Place<'_>, times: Timeouts, stream: Stream) {
        let trusted = place.trusted.map(str::to_owned);
        let new = Idle { stream, trusted, times, since_ms: monotonic_ms() };
        let mut all = lock(&self.0);
        match all.get_mut(place.address) {
            Some(idle) if idle.len() < MOST_KEPT => idle.push(new),
            Some(_) => {}
            None => drop(all.insert(place.address.clone(), vec![new])),
        }
    }

    /// Closes those that nobody has taken up again.
    pub(super) fn sweep(&self) {
        let now_ms = monotonic_ms();
        lock(&self.0).retain(|_, idle| {
            idle.retain(|idle| !idle.is_old(now_ms));
            !idle.is_empty()
        });
    }
}
