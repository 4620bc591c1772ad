//! The records of a shard that have more to tell than fits a line, in pieces that stay where they are: what grows in one is
//! moved again and again, and the gaps it leaves are no smaller than what it holds.

use crate::record::Record;

/// Records in a piece: 32 KiB of them, a size that allocators keep and do not round up.
const PIECE: usize = 512;

/// Records by number.
#[derive(Default)]
pub(super) struct Records {
    pieces: Vec<Vec<Option<Record>>>,
    /// Numbers of those that were removed.
    free: Vec<u32>,
}

impl Records {
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Record> {
        let number = number as usize;
        self.pieces.get(number / PIECE)?.get(number % PIECE)?.as_ref()
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<Record>> {
        let number = number as usize;
        self.pieces.get_mut(number / PIECE)?.get_mut(number % PIECE)
    }

    /// Keeps one more; its number.
    pub(super) fn put(&mut self, record: Record) -> u32 {
        if let Some(number) = self.free.pop()
            && let Some(place) = self.place(number)
        {
            *place = Some(record);
            return number;
        }
        if self.pieces.last().is_none_or(|last| last.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let before = (self.pieces.len() - 1) * PIECE;
        self.pieces.last_mut().map_or(0, |last| {
            last.push(Some(record));
            (before + last.len() - 1) as u32
        })
    }

    /// Keeps one no longer.
    pub(super) fn remove(&mut self, number: u32) {
        if self.place(number).and_then(Option::take).is_some() {
            self.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_number_and_stays_where_it_is() {
        let mut records = Records::default();
        assert!(records.get(0).is_none());
        let count = 3 * PIECE as u32 + 1;
        let places: Vec<*const Record> = (0..count)
            .map(|number| {
                assert_eq!(records.put(Record::for_test(number.into())), number);
                std::ptr::from_ref(records.get(number).unwrap())
            })
            .collect();
        for (number, place) in (0..count).zip(places) {
            let record = records.get(number).unwrap();
            assert_eq!((record.id.bits(), std::ptr::from_ref(record)), (number.into(), place));
        }
        assert!(records.get(count).is_none());
    }

    #[test]
    fn what_is_removed_is_gone_and_its_number_another_ones() {
        let mut records = Records::default();
        (0..PIECE as u128 + 9).for_each(|id| _ = records.put(Record::for_test(id)));
        let gone = [3, PIECE as u32 + 1];
        gone.iter().chain(&gone).for_each(|number| records.remove(*number));
        assert!(gone.iter().all(|number| records.get(*number).is_none()));
        let again = [1_001, 1_002, 1_003].map(|id| records.put(Record::for_test(id)));
        assert_eq!(again, [gone[1], gone[0], PIECE as u32 + 9]);
        assert_eq!(again.map(|number| records.get(number).unwrap().id.bits()), [1_001, 1_002, 1_003]);
    }

    #[test]
    fn a_piece_has_the_size_that_is_kept() {
        assert_eq!(size_of::<Option<Record>>() * PIECE, 32 * 1_024);
    }
}
