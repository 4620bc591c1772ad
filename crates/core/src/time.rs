//! Points in time and spans of time, both in milliseconds.
//!
//! Nothing in this crate reads a clock: a [`Time`] is always an argument.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: milliseconds since the Unix epoch, UTC.
///
/// Written as RFC 3339 with milliseconds, `2026-11-21T09:30:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// A point later than any real one; stands for "never" where a number is needed.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole hours since the Unix epoch: the bucket usage is counted in.
    #[must_use]
    pub const fn hour(self) -> i64 {
        self.0.div_euclid(3_600_000)
    }

    /// The day it falls into: whole days since the Unix epoch.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }

    /// This point moved into the future; stays at [`Time::MAX`] where it would overflow.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.millis()))
    }

    /// This point moved into the past.
    #[must_use]
    pub const fn before(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.millis()))
    }

    /// Milliseconds from `earlier` to this point; zero where `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        let millis = self.0.saturating_sub(earlier.0);
        if millis > 0 { millis } else { 0 }
    }

    /// Whether this point belongs to a span that began at `began`. One a little before it does, too: of calls made at the same
    /// moment one may have read the clock before another began the span, and be counted after it. A clock set back by
    /// more than the span's length is out of it.
    #[must_use]
    pub const fn is_within(self, began: Self, span: Span) -> bool {
        self.0.saturating_sub(began.0).unsigned_abs() < span.millis().unsigned_abs()
    }

    /// RFC 3339 in whole seconds, `2026-11-21T09:30:00Z`, for APIs that write it so. What is over is cut off, so that
    /// nothing is said to last longer than it does.
    #[must_use]
    pub fn in_seconds(self) -> String {
        let seconds = self.0.div_euclid(1_000);
        jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds}s"), |at| at.to_string())
    }

    /// The beginning of its month, UTC.
    #[must_use]
    pub fn month(self) -> Self {
        let begins = jiff::Timestamp::from_millisecond(self.0)
            .and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC).first_of_month())
            .and_then(|day| day.start_of_day());
        begins.map_or(self, |begins| Self(begins.timestamp().as_millisecond()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(out, "{at:.3}"),
            Err(_) => write!(out, "{}ms", self.0),
        }
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>()
            .map(|at| Self(at.as_millisecond()))
            .map_err(|_| format!("`{text}` is not a time: write it as 2026-11-21T09:30:00Z (RFC 3339)"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// A length of time in milliseconds, at most a hundred years.
///
/// Written as a number and a unit: `500ms 30s 15m 24h 7d 2w 1y`; a year is 365 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Span {
    /// The longest span that can be written: a hundred years.
    pub const LONGEST: Self = Self::days(36_500);

    /// From milliseconds; negative numbers count as zero.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(if millis < 0 { 0 } else { millis })
    }

    /// So many seconds.
    #[must_use]
    pub const fn seconds(count: i64) -> Self {
        Self::from_millis(count.saturating_mul(1_000))
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(count: i64) -> Self {
        Self::from_millis(count.saturating_mul(60_000))
    }

    /// So many days of 24 hours.
    #[must_use]
    pub const fn days(count: i64) -> Self {
        Self::from_millis(count.saturating_mul(86_400_000))
    }

    /// The length in milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The length in whole seconds, rounded up: what `Retry-After` takes.
    #[must_use]
    pub const fn seconds_up(self) -> i64 {
        (self.0 + 999) / 1_000
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, millis) =
            UNITS.iter().find(|(_, millis)| self.0 != 0 && self.0 % millis == 0).unwrap_or(&("s", 1_000));
        write!(out, "{}{unit}", self.0 / millis)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a length of time: write a number and one of ms s m h d w y, as in 30d or 24h");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
        let number: i64 = number.parse().map_err(|_| wrong())?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let millis = number.checked_mul(*millis).filter(|all| *all <= Self::LONGEST.0);
        millis.map(Self).ok_or_else(|| format!("`{text}` is longer than 100y, the longest allowed"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        let time = Time::from_millis(1_795_253_400_000);
        assert_eq!(time.to_string(), "2026-11-21T09:30:00.000Z");
        assert_eq!("2026-11-21T10:30:00+01:00".parse::<Time>(), Ok(time));
        assert!("yesterday".parse::<Time>().is_err());
    }

    #[test]
    fn whole_seconds_never_say_later_than_it_is() {
        for (millis, seconds) in
            [(0, "2026-11-21T09:30:00Z"), (999, "2026-11-21T09:30:00Z"), (1_000, "2026-11-21T09:30:01Z")]
        {
            assert_eq!(Time::from_millis(1_795_253_400_000 + millis).in_seconds(), seconds);
        }
    }

    #[test]
    fn a_month_begins_with_its_first_day_in_utc() {
        let month = |text: &str| text.parse::<Time>().map(|time| time.month().in_seconds());
        assert_eq!(month("2026-11-21T09:30:00Z").as_deref(), Ok("2026-11-01T00:00:00Z"));
        assert_eq!(month("2027-01-01T00:00:00Z").as_deref(), Ok("2027-01-01T00:00:00Z"));
        assert_eq!(month("2028-03-01T00:30:00+01:00").as_deref(), Ok("2028-02-01T00:00:00Z"));
        assert_eq!(Time::MAX.month(), Time::MAX, "there is no such day");
    }

    #[test]
    fn spans_take_the_documented_units_and_print_the_largest_that_fits() {
        for (text, millis, printed) in [
            ("365d", 31_536_000_000, "1y"),
            ("24h", 86_400_000, "1d"),
            ("90m", 5_400_000, "90m"),
            ("500ms", 500, "500ms"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.millis(), span.to_string().as_str()), (millis, printed));
        }
    }

    #[test]
    fn spans_refuse_signs_spaces_fractions_and_overflow() {
        for text in ["", "d", "-1d", "1.5h", "1 d", "30", "1month", "101y", "99999999999999999999d", "é1d"] {
            assert!(text.parse::<Span>().is_err(), "{text} was taken");
        }
    }
}
