//! A name for every request, to find it by in logs, errors and the audit log.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;
use keywright_core::id::KeyId;

use crate::fields::Fields;

/// The header it travels in.
pub(crate) const HEADER: &str = "x-request-id";
static FIELD: HeaderName = HeaderName::from_static(HEADER);

/// A request's id.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// The client's, where it sent a usable one, or a new one.
    pub(crate) fn of(headers: &(impl Fields + ?Sized)) -> Self {
        let sent = headers.text(&FIELD);
        let usable = |id: &&str| {
            (8..=64).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        Self(sent.filter(usable).map_or_else(new, str::to_owned))
    }
}

/// A run of the server, then a count: unique without asking for randomness each time.
fn new() -> String {
    static RUN: LazyLock<String> = LazyLock::new(|| {
        let clock = keywright_app::clock::Clock::System;
        let id = KeyId::new(clock.now(), &mut keywright_app::clock::rng()).to_string();
        id.trim_start_matches(KeyId::PREFIX).to_owned()
    });
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("req_{}{:x}", *RUN, COUNT.fetch_add(1, Ordering::Relaxed))
}
