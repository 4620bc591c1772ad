//! Rate limits: at most so many units in a window that begins with its first unit.
//!
//! A fixed window answers exactly what `RateLimit` (the IETF draft) has to say: how many are left and in how many
//! seconds there are more. All limits of a key are taken or none is, so a refusal costs nothing.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::time::{Span, Time};

/// Rate limits a key may have.
pub const MAX_PER_KEY: usize = 8;

/// A named rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Its name, unique within its key.
    pub name: String,
    /// Units a window holds.
    pub limit: u32,
    /// How long a window lasts.
    pub window: Span,
}

/// How often something may be done: `5 in 1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many times.
    pub most: u32,
    /// The span they must not be exceeded in, which begins with the first.
    pub within: Span,
}

impl Rate {
    /// As a limit that is counted.
    #[must_use]
    pub fn named(self, name: &str) -> RateLimit {
        RateLimit { name: name.into(), limit: self.most, window: self.within }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a rate: write it as \"5 in 1m\"", crate::clip(text));
        let words: Vec<&str> = text.split_whitespace().collect();
        let [most, "in", within] = words.as_slice() else { return Err(wrong()) };
        Ok(Self { most: most.parse().map_err(|_| wrong())?, within: within.parse()? })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// A window's use so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    began_ms: i64,
    used: u32,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Units left in the window.
    pub units: u32,
    /// Until the window is over and all units are back.
    pub reset: Span,
}

impl Window {
    /// What is left of `limit` in this window.
    #[must_use]
    pub fn remaining(&self, limit: &RateLimit, now: Time) -> Remaining {
        let current = self.at(limit, now);
        let ends = current.began_ms.saturating_add(limit.window.millis());
        let reset = if current.used == 0 { limit.window.millis() } else { ends.saturating_sub(now.millis()) };
        Remaining { units: limit.limit.saturating_sub(current.used), reset: Span::from_millis(reset) }
    }

    /// This window, or a fresh one where it is over. A clock set back prolongs a window by no more than its length.
    fn at(&self, limit: &RateLimit, now: Time) -> Self {
        if self.used > 0 && now.is_within(Time::from_millis(self.began_ms), limit.window) {
            *self
        } else {
            Self { began_ms: now.millis(), used: 0 }
        }
    }

    /// Whether the window is over, so that forgetting it changes nothing.
    #[must_use]
    pub fn is_over(&self, limit: &RateLimit, now: Time) -> bool {
        self.at(limit, now).used == 0
    }
}

/// Takes `cost` units from every limit, or from none.
///
/// # Errors
/// The limit that is short, and what is left of it; of several the one that takes longest to come back.
pub fn take<'a>(
    limits: &'a [RateLimit],
    windows: &mut [Window],
    cost: u32,
    now: Time,
) -> Result<(), (&'a RateLimit, Remaining)> {
    let short = limits
        .iter()
        .zip(windows.iter())
        .map(|(limit, window)| (limit, window.remaining(limit, now)))
        .filter(|(_, left)| left.units < cost)
        .max_by_key(|(_, left)| left.reset);
    if let Some(short) = short {
        return Err(short);
    }
    for (limit, window) in limits.iter().zip(windows) {
        let current = window.at(limit, now);
        *window = Window { used: current.used.saturating_add(cost), ..current };
    }
    Ok(())
}

/// Checks limits someone has asked for.
///
/// # Errors
/// What is wrong and what to write instead.
pub fn check(limits: &[RateLimit]) -> Result<(), String> {
    if limits.len() > MAX_PER_KEY {
        return Err(format!("has {} limits: at most {MAX_PER_KEY}", limits.len()));
    }
    for (place, limit) in limits.iter().enumerate() {
        let named = (1..=40).contains(&limit.name.len())
            && limit.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if !named {
            return Err(format!("`{}`: a name is 1 to 40 letters, digits, `_`, `-` or `.`", crate::clip(&limit.name)));
        }
        if limits.iter().take(place).any(|other| other.name == limit.name) {
            return Err(format!("`{}` is there twice: each limit has a name of its own", limit.name));
        }
        if limit.limit == 0 {
            return Err(format!("`{}`: a limit is 1 or more; to stop a key, disable it", limit.name));
        }
        if !(1_000..=Span::days(366).millis()).contains(&limit.window.millis()) {
            return Err(format!("`{}`: a window is from 1s to 366d", limit.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(name: &str, limit: u32, seconds: i64) -> RateLimit {
        RateLimit { name: name.into(), limit, window: Span::seconds(seconds) }
    }

    fn at(millis: i64) -> Time {
        Time::from_millis(1_000_000 + millis)
    }

    #[test]
    fn a_window_holds_its_limit_and_comes_back_whole() {
        let limits = [limit("requests", 2, 1)];
        let mut windows = [Window::default()];
        assert!(take(&limits, &mut windows, 1, at(0)).is_ok());
        assert!(take(&limits, &mut windows, 1, at(999)).is_ok());
        let (_, left) = take(&limits, &mut windows, 1, at(999)).unwrap_err();
        assert_eq!(left, Remaining { units: 0, reset: Span::from_millis(1) });
        assert!(take(&limits, &mut windows, 2, at(1_000)).is_ok());
    }

    #[test]
    fn a_refusal_takes_nothing_from_any_limit() {
        let limits = [limit("wide", 10, 60), limit("narrow", 1, 1)];
        let mut windows = [Window::default(); 2];
        assert!(take(&limits, &mut windows, 1, at(0)).is_ok());
        let (short, _) = take(&limits, &mut windows, 1, at(1)).unwrap_err();
        assert_eq!(short.name, "narrow");
        assert_eq!(windows[0].remaining(&limits[0], at(1)).units, 9);
    }

    #[test]
    fn a_clock_set_back_does_not_lock_a_key_for_ever() {
        let limits = [limit("requests", 1, 1)];
        let mut windows = [Window::default()];
        assert!(take(&limits, &mut windows, 1, at(1_000_000)).is_ok());
        assert!(take(&limits, &mut windows, 1, at(0)).is_ok());
    }

    #[test]
    fn a_call_that_read_the_clock_before_another_began_the_window_takes_from_it() {
        let limits = [limit("requests", 2, 1)];
        let mut windows = [Window::default()];
        assert!(take(&limits, &mut windows, 1, at(500)).is_ok());
        assert!(take(&limits, &mut windows, 1, at(499)).is_ok());
        assert!(take(&limits, &mut windows, 1, at(498)).is_err() && take(&limits, &mut windows, 1, at(1_499)).is_err());
        assert!(take(&limits, &mut windows, 2, at(1_500)).is_ok());
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_its_limit(
            steps in proptest::collection::vec((0i64..700, 0u32..4), 1..80),
        ) {
            let limits = [limit("requests", 5, 1)];
            let mut windows = [Window::default()];
            let (mut now, mut began, mut used) = (0, None, 0);
            for (wait, cost) in steps {
                now += wait;
                if began.is_none_or(|began| now - began >= 1_000) {
                    (began, used) = (None, 0);
                }
                let taken = take(&limits, &mut windows, cost, at(now)).is_ok();
                prop_assert_eq!(taken, used + cost <= 5);
                if taken && cost > 0 {
                    used += cost;
                    began = began.or(Some(now));
                }
            }
        }
    }

    #[test]
    fn rates_are_read_as_written() {
        let rate: Rate = "5 in 1m".parse().unwrap();
        assert_eq!(rate.named("requests"), limit("requests", 5, 60));
        for bad in ["", "5", "5 in", "5 per 1m", "x in 1m", "-1 in 1m", "5 in soon", "5 in 1m for 1m"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn limits_are_checked() {
        assert!(check(&[limit("a", 1, 1), limit("b", 1, 1)]).is_ok());
        for bad in [limit("", 1, 1), limit("a b", 1, 1), limit("a", 0, 1), limit("a", 1, 0)] {
            assert!(check(&[bad]).is_err());
        }
        assert!(check(&[limit("a", 1, 1), limit("a", 2, 1)]).unwrap_err().contains("twice"));
        assert!(check(&vec![limit("a", 1, 1); 9]).is_err());
    }
}
