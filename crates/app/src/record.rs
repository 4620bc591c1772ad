//! What the cache keeps of a key beside its slot, and what many keys share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use keywright_core::id::{AccountId, KeyId};
use keywright_core::ip::IpAllowlist;
use keywright_core::key::{Key, Metadata};
use keywright_core::permission::Grant;
use keywright_core::policy::Policy;
use keywright_core::time::Time;

use crate::credits::Pool;
use crate::limits::Limits;
use crate::sync::lock_std as lock;

/// What a caller is told of a verified key. Kept small, for there is one for every verification.
#[derive(Clone, Debug)]
pub struct Record {
    /// The key's id.
    pub id: KeyId,
    /// By which of its secrets it was found: that one's mark.
    pub(crate) secret: i64,
    /// What people call it.
    pub name: Name,
    /// What few keys have.
    pub more: Option<Arc<More>>,
}

/// A key's name.
#[derive(Clone, Debug)]
pub enum Name {
    /// Its bytes, zeros after them, and how many there are. Most names are so short.
    Short([u64; 3], u8),
    /// A longer one.
    Long(Arc<str>),
}

/// What few keys have.
#[derive(Debug, Default)]
pub struct More {
    /// Where the key may be used from.
    pub allowlist: IpAllowlist,
    /// Its rate limits.
    pub limits: Option<Arc<Limits>>,
    /// Its credits.
    pub credits: Option<Arc<Pool>>,
    expires_at: Option<Time>,
    /// Whatever its owner keeps with it.
    pub metadata: Metadata,
}

impl Name {
    pub(crate) fn new(name: &str) -> Self {
        let mut words = [0; 3];
        let Some(room) = bytemuck::bytes_of_mut(&mut words).get_mut(..name.len()) else {
            return Self::Long(name.into());
        };
        room.copy_from_slice(name.as_bytes());
        // No more than there is room for.
        Self::Short(words, name.len() as u8)
    }

    /// As a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Short(words, length) => {
                let bytes = bytemuck::bytes_of(words).get(..usize::from(*length)).unwrap_or_default();
                // It was a text when it was put there.
                str::from_utf8(bytes).unwrap_or_default()
            }
            Self::Long(name) => name,
        }
    }
}

impl Record {
    pub(crate) fn new(key: &Key, secret: i64, limits: Option<Arc<Limits>>, credits: Option<Arc<Pool>>) -> Self {
        let more = More {
            allowlist: key.ip_allowlist.clone(),
            limits,
            credits,
            expires_at: key.expires_at,
            metadata: key.metadata.clone(),
        };
        let plain = more.limits.is_none()
            && more.expires_at.is_none()
            && more.credits.is_none()
            && more.allowlist.is_everywhere()
            && more.metadata.0.is_empty();
        Self { id: key.id, secret, name: Name::new(&key.name), more: (!plain).then(|| Arc::new(more)) }
    }

    /// A record of which only the id matters.
    #[cfg(test)]
    pub(crate) fn for_test(number: u128) -> Self {
        Self::named(number, "")
    }

    /// One with a name.
    #[cfg(test)]
    pub(crate) fn named(number: u128, name: &str) -> Self {
        Self { id: KeyId::from_bits(number), secret: number as i64 - 5, name: Name::new(name), more: None }
    }

    /// When the key expires, if ever.
    #[must_use]
    pub fn expires_at(&self) -> Option<Time> {
        self.more.as_ref()?.expires_at
    }

    /// Whether a decision needs more than the slot says.
    pub(crate) fn needs_more(&self) -> bool {
        self.more
            .as_ref()
            .is_some_and(|more| more.limits.is_some() || more.credits.is_some() || !more.allowlist.is_everywhere())
    }
}

/// What a key may do, shared by all keys that may do the same.
#[derive(Debug)]
pub struct Access {
    /// The policy's epoch it was compiled in.
    pub(crate) epoch: u64,
    /// The kind's name.
    pub kind: String,
    /// The role, where there is one.
    pub role: Option<String>,
    /// The services covered.
    pub services: Vec<String>,
    /// Every permission and wildcard granted.
    pub permissions: Vec<String>,
    /// The same, compiled.
    pub grant: Arc<Grant>,
    /// What is told of it.
    pub told: Told,
}

/// What is told of an [`Access`] again and again, written by whoever tells it first.
#[derive(Debug, Default)]
pub struct Told {
    /// To those who verify keys: an object of JSON.
    pub json: OnceLock<Box<[u8]>>,
    /// To upstreams: the fields of a head.
    pub fields: OnceLock<Box<[u8]>>,
}

type AccessKey = (u64, String, Option<String>, Vec<String>, Vec<String>);

/// Every [`Access`] there is, by number.
#[derive(Default)]
pub(crate) struct Accesses {
    numbers: Mutex<HashMap<AccessKey, u32>>,
    list: boxcar::Vec<Access>,
}

impl Accesses {
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Access> {
        self.list.get(number as usize)
    }

    /// The number of what `key` may do under the policy of this epoch.
    pub(crate) fn number(&self, epoch: u64, policy: &Policy, key: &Key) -> u32 {
        let named = (epoch, key.kind.clone(), key.role.clone(), key.services.clone(), key.permissions.clone());
        *lock(&self.numbers).entry(named).or_insert_with(|| {
            self.list.push(Access {
                epoch,
                kind: key.kind.clone(),
                role: key.role.clone(),
                services: key.services.clone(),
                permissions: policy.grants(key),
                grant: Arc::new(policy.grant(key)),
                told: Told::default(),
            }) as u32
        })
    }
}

/// What the hot path needs to know of an account.
#[derive(Debug)]
pub(crate) struct AccountState {
    pub(crate) id: AccountId,
    suspended: AtomicBool,
}

impl AccountState {
    #[inline]
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }
}

/// Every account met so far, by number.
#[derive(Default)]
pub(crate) struct AccountStates {
    numbers: Mutex<HashMap<AccountId, u32>>,
    list: boxcar::Vec<AccountState>,
}

impl AccountStates {
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&AccountState> {
        self.list.get(number as usize)
    }

    /// The number of an account. What a load read of it counts only where nothing was known before: a load may have
    /// read what has since been changed.
    pub(crate) fn number(&self, id: AccountId, suspended: bool) -> u32 {
        *lock(&self.numbers)
            .entry(id)
            .or_insert_with(|| self.list.push(AccountState { id, suspended: AtomicBool::new(suspended) }) as u32)
    }

    /// Whether an account is known to be there; one that is not known may be, too. Where the commit that was to make it failed
    /// it is not: the database's own reference has the last word.
    pub(crate) fn knows(&self, id: AccountId) -> bool {
        lock(&self.numbers).contains_key(&id)
    }

    /// Puts a committed change in force.
    pub(crate) fn set_suspended(&self, id: AccountId, suspended: bool) {
        let number = self.number(id, suspended);
        if let Some(state) = self.get(number) {
            state.suspended.store(suspended, Ordering::Release);
        }
    }
}
