//! When a key was issued, told by its own public part: so secrets can be stored in the order they come, and each is found
//! where its key says.

use super::checksum::digits;
use super::{Format, Part};
use crate::secret::Date;
use crate::time::Time;

/// Letters and digits an id begins with that are the time, in milliseconds since 1970 (until 2081), in base 62.
const TIME: usize = 7;
/// How long an id is that has room for that: as many random letters and digits as tell apart what a millisecond brings.
const DATED: usize = 12;

impl Format {
    /// What a presented key says of when it was issued: something, too, where it was issued before its kind's keys said so.
    #[must_use]
    pub fn date(&self, key: &[u8]) -> Option<Date> {
        let begin = self.read_public(key)?.checked_sub(self.id?)?;
        key.get(begin..)?.first_chunk().copied()
    }
}

/// How long the one id of a format is that may begin with a date: nothing else varies in its public part.
pub(super) fn dated_id(parts: &[Part]) -> Option<usize> {
    let mut ids = parts.iter().filter(|part| matches!(part, Part::Id(_) | Part::Hex(_) | Part::Token { .. }));
    match (ids.next(), ids.next()) {
        (Some(Part::Id(length)), None) => Some(*length).filter(|length| *length >= DATED),
        _ => None,
    }
}

/// A time as digits of base 62, which sort as it does.
pub(super) fn spell_time(now: Time) -> [u8; TIME] {
    let mut digits = digits(u64::try_from(now.millis()).unwrap_or(0));
    digits.reverse();
    digits
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn format(template: &str, shown: Option<usize>) -> Format {
        Format::compile(template, &["live"], &[], shown).unwrap()
    }

    #[test]
    fn a_key_says_when_it_was_issued_where_there_is_room() {
        let mut rng = StdRng::seed_from_u64(1);
        let native = format("kw_{environment}_{id:12}_{secret:26}{checksum}", None);
        let mut last = [0; 8];
        for millis in [0, 61, 62, 1_764_442_000_000, 1_764_442_000_001, 3_521_614_606_207] {
            let issued = native.issue(Some("live"), None, Time::from_millis(millis), &mut rng);
            let date = issued.date.unwrap();
            assert_eq!(native.date(issued.key.reveal().as_bytes()), Some(date));
            assert_eq!(issued.prefix.as_bytes()[8..16], date);
            assert!(date[..7] > last[..7], "{millis} ms sorts after what came before");
            last = date;
        }
        assert_eq!(&last[..7], b"zzzzzzz", "it lasts as long as is said");
    }

    #[test]
    fn an_id_that_has_to_tell_keys_apart_by_its_beginning_says_nothing() {
        let mut rng = StdRng::seed_from_u64(2);
        let (long, short) = ("w_{id:15}_{secret:30}{checksum}", "w_{id:11}_{secret:34}{checksum}");
        for (format, read) in [(format(long, Some(9)), true), (format(short, None), false)] {
            let [one, other] = [(); 2].map(|()| format.issue(None, None, Time::from_millis(5), &mut rng));
            assert_eq!((one.date, other.date), (None, None));
            assert_ne!(one.prefix, other.prefix);
            assert_eq!(format.date(one.key.reveal().as_bytes()).is_some(), read, "whatever its kind has it show");
        }
        assert_eq!(format(long, None).date(b"w_"), None);
    }
}
