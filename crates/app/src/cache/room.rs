//! How full the cache is, for whoever looks after the server.

use super::Cache;
use crate::sync::lock;

impl Cache {
    /// How many keys it holds, those that were evicted and have not made room yet among them.
    pub(crate) fn held(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).taken).sum()
    }

    /// How many keys it has room for, at most.
    pub(crate) const fn room(&self) -> usize {
        self.slots_each * self.shards.len()
    }
}
