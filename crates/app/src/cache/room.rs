//! How full the cache is, for whoever looks after the server.

use super::{Cache, Shard};
use crate::sync::{Mutex, lock};

impl Cache {
    /// How many keys it holds.
    pub(crate) fn held(&self) -> usize {
        let of = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.records.len().saturating_sub(shard.free.len())
        };
        self.shards.iter().map(of).sum()
    }

    /// How many keys it has room for, at most.
    pub(crate) const fn room(&self) -> usize {
        self.slots_each * self.shards.len()
    }
}
