//! A name for every request, to find it by in logs, errors and the audit log.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayString;
use http::HeaderName;
use keywright_core::id::KeyId;

use crate::fields::Fields;

/// The header it travels in.
pub(crate) const HEADER: &str = "x-request-id";
/// What those begin with that we give.
const BEGIN: &str = "req_";
static FIELD: HeaderName = HeaderName::from_static(HEADER);

/// The longest that is taken of those that clients send. Ours are shorter.
const LONGEST: usize = 64;

/// A request's id.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) ArrayString<LONGEST>);

impl RequestId {
    /// The client's, where it sent a usable one, or a new one.
    pub(crate) fn of(headers: &(impl Fields + ?Sized)) -> Self {
        let sent = headers.text(&FIELD);
        let usable = |id: &&str| {
            (8..=LONGEST).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        let sent = sent.filter(usable).and_then(|id| ArrayString::from(id).ok());
        Self(sent.unwrap_or_else(another))
    }
}

/// A run of the server, then a count: unique without asking for randomness each time.
fn another() -> ArrayString<LONGEST> {
    static RUN: LazyLock<String> = LazyLock::new(|| {
        let clock = keywright_app::clock::Clock::System;
        let id = KeyId::new(clock.now(), &mut keywright_app::clock::rng()).to_string();
        id.trim_start_matches(KeyId::PREFIX).to_owned()
    });
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut id = ArrayString::new();
    // In hexadecimal, by hand: this is done for every request.
    let digits = (64 - count.leading_zeros()).div_ceil(4);
    let digits = (0..digits).rev().filter_map(|place| char::from_digit((count >> (4 * place)) as u32 & 0xf, 16));
    // All of it fits: 4 letters, 26 and 16.
    let _ = id.try_push_str(BEGIN).and_then(|()| id.try_push_str(&RUN));
    for digit in digits {
        let _ = id.try_push(digit);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_have_one_name() {
        let (first, second) = (another(), another());
        let number = |id: &str| u64::from_str_radix(id.strip_prefix(BEGIN).unwrap().get(26..).unwrap(), 16).unwrap();
        assert!(number(&first) < number(&second), "{first} {second}");
        assert!(first.len() <= 46 && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{first}");
    }
}
