//! Filling the cache without a database, for measuring it: a miss with everything but its statement.

use keywright_core::account::Standing;
use keywright_core::key::{Key, Secret};
use keywright_store::secrets::Found;

use crate::App;
use crate::cache::Lookup;

impl App {
    /// Keeps a key in memory as if it had just been loaded. `false` where it was there already.
    #[doc(hidden)]
    #[must_use]
    pub fn preload(&self, plain: &[u8], key: &Key) -> bool {
        let world = self.world();
        let Some((digest, making)) = self.keyring.digest(plain, world.policy.date(plain)) else { return false };
        let tag = self.cache.tag_of(plain);
        let Lookup::Unknown = self.cache.find(tag) else { return false };
        let ticket = self.cache.ticket(&digest);
        let secret = Secret {
            key: key.id,
            digest,
            making,
            prefix: key.prefix.clone(),
            last_four: key.last_four.clone(),
            created_at: key.created_at,
            expires_at: None,
        };
        let found = Found { secret, key: key.clone(), standing: Standing::Active, account_name: String::new() };
        let Some((facts, record)) = self.facts_of(world, &found) else { return false };
        self.cache.insert(tag, ticket, facts, record);
        true
    }

    /// Forgets which keys were used and how often, as writing it down does.
    #[doc(hidden)]
    pub fn forget_uses(&self) {
        drop(self.cache.drain_uses());
    }
}
