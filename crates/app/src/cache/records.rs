//! The records of a shard, in pieces that stay where they are: what grows in one is moved again and again, and the gaps it
//! leaves are no smaller than what it holds.

use crate::record::Record;

/// Records in a piece. With what aligns it a piece takes just under 32 KiB, a size that allocators keep: one of 512 would be rounded
/// up by a quarter. And pieces are so few that where each begins is near in memory: only the record itself is waited for.
const PIECE: usize = 504;

/// Records by number.
#[derive(Default)]
pub(super) struct Records(Vec<Vec<Record>>);

impl Records {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * PIECE + last.len())
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Record> {
        let number = number as usize;
        self.0.get(number / PIECE)?.get(number % PIECE)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Record> {
        let number = number as usize;
        self.0.get_mut(number / PIECE)?.get_mut(number % PIECE)
    }

    /// Keeps one more; its number.
    pub(super) fn push(&mut self, record: Record) -> u32 {
        let number = self.len() as u32;
        match self.0.last_mut() {
            Some(last) if last.len() < PIECE => last.push(record),
            Some(_) | None => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(record);
                self.0.push(piece);
            }
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_number_and_stays_where_it_is() {
        let mut records = Records::default();
        assert_eq!(records.len(), 0);
        assert!(records.get(0).is_none());
        let count = 3 * PIECE as u32 + 1;
        let places: Vec<*const Record> = (0..count)
            .map(|number| {
                assert_eq!(records.push(Record::for_test(number.into())), number);
                std::ptr::from_ref(records.get(number).unwrap())
            })
            .collect();
        assert_eq!(records.len(), count as usize);
        for (number, place) in (0..count).zip(places) {
            let record = records.get(number).unwrap();
            assert_eq!((record.id.bits(), std::ptr::from_ref(record)), (number.into(), place));
        }
        *records.get_mut(PIECE as u32 + 1).unwrap() = Record::for_test(7);
        assert_eq!(records.get(PIECE as u32 + 1).map(|record| record.id.bits()), Some(7));
        assert!(records.get(count).is_none() && records.get_mut(count).is_none());
    }
}
