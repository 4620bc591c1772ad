//! When people are told that a key is about to end: twice for each end, well before it and shortly before.
//!
//! A key that lives no longer than such a while is not told of by it: whoever makes a key for a week knows when it ends.

use crate::time::{Span, Time};

/// How many days before a key's end people are told, the fewest first.
pub const NOTICES: [i64; 2] = [3, 14];

/// The notice that is due, in days before the end; of two that are due, the later one. `None` where none is, or the key has
/// ended.
#[must_use]
pub fn due_notice(made_at: Time, ends_at: Time, now: Time) -> Option<i64> {
    let is_due = |days: &i64| {
        let begins = ends_at.before(Span::days(*days));
        made_at <= begins && begins <= now && now < ends_at
    };
    NOTICES.into_iter().find(is_due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_fourteen_and_three_days_before() {
        let day = |number: i64| Time::from_millis(number * 86_400_000);
        let due = |made, ends, now| due_notice(day(made), day(ends), day(now));
        let told: Vec<_> = [0, 85, 86, 96, 97, 99, 100, 101].into_iter().map(|now| due(0, 100, now)).collect();
        assert_eq!(told, [None, None, Some(14), Some(14), Some(3), Some(3), None, None]);
        assert_eq!((due(86, 100, 86), due(87, 100, 88), due(87, 100, 97)), (Some(14), None, Some(3)));
        assert_eq!((due(98, 100, 98), due(98, 100, 99)), (None, None), "it lives for two days");
    }
}
