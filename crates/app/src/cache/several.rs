//! Looking for several keys at once, so that each one's memory comes while others' is looked at.

use std::sync::atomic::Ordering::Relaxed;

use super::{Cache, EMPTY, PAIR, TAG_HIGH, Tag, WINDOW};

/// What a look at a pair of slots tells of a key.
pub(crate) enum Looked {
    /// It was seen there.
    Seen(Tag),
    /// It is nowhere.
    Missing,
    /// It may lie in another pair.
    Beyond,
}

impl Cache {
    /// Pairs of slots a key may lie in.
    pub(crate) const PAIRS: usize = WINDOW.div_ceil(PAIR);

    /// Looks for a key in the pair of slots so many pairs from its spot, whose memory has been asked for. Where the key may lie
    /// beyond, the next pair's is on its way from now on.
    #[inline]
    pub(crate) fn look(&self, tag: Tag, pairs: usize) -> Looked {
        let steps = pairs * PAIR;
        let first = tag.spot.0 + steps;
        let [one, other] =
            [first, first + 1].map(|number| self.slot(number).map_or(EMPTY, |slot| slot[TAG_HIGH].load(Relaxed)));
        if (one == tag.high) | (other == tag.high) {
            // In which of the two it is cannot be guessed, so that is no branch.
            return Looked::Seen(Tag { seen: steps + usize::from(one != tag.high), ..tag });
        }
        if (one == EMPTY) | (other == EMPTY) {
            return Looked::Missing;
        }
        self.lines.fetch_slots(first + PAIR);
        Looked::Beyond
    }

    /// Has what is told of a key that was seen brought.
    #[inline]
    pub(crate) fn approach_line(&self, tag: Tag) {
        self.lines.fetch_told(tag.spot.0 + tag.seen);
    }
}
