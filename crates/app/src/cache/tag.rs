//! What a key's text is known by in memory.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use rand::Rng as _;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::clock;

/// Where a key is looked for: the number of the first slot it may lie in, which its text's end leads to. It is told before a
/// key's tag is made, so that its slot is on its way meanwhile. Keys may share it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot(pub(super) usize);

/// What a key is looked for by: 128 bits of SipHash-2-4 of its text, under a key that this process has made for itself.
/// Whoever does not know that one finds no text for a tag, and no tag leaves the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(super) spot: Spot,
    /// Never zero.
    pub(super) high: u64,
    pub(super) low: u64,
    /// How many slots from its spot it was seen, where that was looked at. If it is elsewhere by then, it is loaded again.
    pub(super) seen: usize,
}

/// What makes tags and spots.
pub(super) struct Tagger {
    tags: SipHasher24,
    spots: SeedableRandomState,
}

impl Tagger {
    pub(super) fn new() -> Self {
        let (mut rng, mut key) = (clock::rng(), [0; 16]);
        rng.fill_bytes(&mut key);
        let spots = SeedableRandomState::with_seed(rng.next_u64(), SharedSeed::global_random());
        Self { tags: SipHasher24::new_with_key(&key), spots }
    }

    /// The shard a key belongs to, and its place there.
    #[inline]
    pub(super) fn place(&self, key: &[u8], shards: usize, homes: usize) -> (usize, usize) {
        let mut hasher = self.spots.build_hasher();
        // Nearly all keys end with 32 random letters or more; to hash all of a key would take longer than to read its form.
        if let Some(end) = key.last_chunk::<32>() {
            for half in end.as_chunks::<16>().0 {
                hasher.write_u128(u128::from_le_bytes(*half));
            }
        } else {
            hasher.write(key);
        }
        let (shard, rest) = scale(hasher.finish(), shards);
        (shard, scale(rest, homes).0)
    }

    /// Kept in one place, so that all of SipHash is inlined there: in two calls, its state is handed on through memory.
    #[inline(never)]
    pub(super) fn tag(&self, spot: Spot, key: &[u8]) -> Tag {
        let mut hasher = self.tags;
        hasher.write(key);
        let tag = hasher.finish128();
        Tag { spot, high: tag.h1 | 1, low: tag.h2, seen: 0 }
    }
}

/// `word` scaled down to less than `count`, and what of it that has not used up.
#[inline]
pub(super) fn scale(word: u64, count: usize) -> (usize, u64) {
    let scaled = u128::from(word) * count as u128;
    ((scaled >> 64) as usize, scaled as u64)
}
