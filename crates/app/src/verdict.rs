//! What a verification came to, and what its caller may be told of the key.

use keywright_core::id::AccountId;
use keywright_core::key::Metadata;
use keywright_core::limit::{RateLimit, Remaining};
use keywright_core::time::{Span, Time};
use keywright_core::verify::Outcome;

use crate::App;
use crate::cache::Facts;
use crate::record::{Access, Record};
use crate::verify::Told;

/// What a verification came to.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// How long to wait, where it is too soon.
    pub retry_after: Option<Span>,
    /// The key, where there is one.
    pub key: Option<Verified>,
}

/// A key that was found.
#[derive(Clone, Debug)]
pub struct Verified {
    pub(crate) record: Record,
    pub(crate) facts: Facts,
    pub(crate) at: Time,
}

impl Verdict {
    /// Of a key that was not found: whoever asks is told this, and nothing of the key.
    pub(crate) fn refused((outcome, retry_after): Told) -> Self {
        Self { outcome, retry_after, key: None }
    }

    /// Whether the key works for what was asked.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.outcome == Outcome::Valid
    }
}

impl Verified {
    /// What the cache keeps of the key.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The account it belongs to.
    #[must_use]
    pub fn account(&self, app: &App) -> Option<AccountId> {
        app.accounts.get(self.facts.account).map(|state| state.id)
    }

    /// What it may do.
    #[must_use]
    pub fn access<'a>(&self, app: &'a App) -> Option<&'a Access> {
        app.accesses.get(self.facts.access)
    }

    /// Its environment's number in the policy.
    #[must_use]
    pub fn environment(&self) -> Option<u8> {
        (self.facts.environment != u8::MAX).then_some(self.facts.environment)
    }

    /// Credits left, where they are counted.
    #[must_use]
    pub fn credits(&self) -> Option<i64> {
        Some(self.record.more.as_ref()?.credits.as_ref()?.remaining())
    }

    /// What is left of its rate limits.
    #[must_use]
    pub fn limits(&self) -> Vec<(&RateLimit, Remaining)> {
        let limits = self.record.more.as_ref().and_then(|more| more.limits.as_ref());
        limits.map(|limits| limits.remaining(self.at)).unwrap_or_default()
    }

    /// Whatever its owner keeps with it.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.record.more.as_ref().map(|more| &more.metadata).filter(|metadata| !metadata.0.is_empty())
    }
}
