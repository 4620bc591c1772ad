//! Whether two distributions can be told apart, by every value and not by their means.

use std::fmt;

/// How far two samples lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apart {
    /// How often a value of the second is greater than one of the first (Mann and Whitney's U over the number of pairs;
    /// ties count half): 0.5 where nothing tells them apart, which is what somebody has who guesses.
    pub greater: f64,
    /// How many standard deviations that is from 0.5, were there one distribution.
    pub z: f64,
    /// The greatest distance of their distribution functions (Kolmogorov and Smirnov's D).
    pub distance: f64,
}

impl Apart {
    /// Of two samples; `None` where either is empty.
    #[must_use]
    pub fn of(first: &[f64], second: &[f64]) -> Option<Self> {
        let (n, m) = (count(first.len()), count(second.len()));
        if first.is_empty() || second.is_empty() {
            return None;
        }
        let (mut first, mut second) = (first.to_vec(), second.to_vec());
        first.sort_by(f64::total_cmp);
        second.sort_by(f64::total_cmp);
        let at_most = |of: &[f64], value: f64| count(of.partition_point(|one| *one <= value));
        let below = |of: &[f64], value: f64| count(of.partition_point(|one| *one < value));
        let wins: f64 = second.iter().map(|value| f64::midpoint(below(&first, *value), at_most(&first, *value))).sum();
        let distance = |value: &f64| (at_most(&first, *value) / n - at_most(&second, *value) / m).abs();
        let distance = first.iter().chain(&second).map(distance).fold(0.0, f64::max);
        let greater = wins / (n * m);
        Some(Self { greater, z: (greater - 0.5) / ((n + m + 1.0) / (12.0 * n * m)).sqrt(), distance })
    }

    /// Whether one distribution would seldom give what these samples do.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.z.abs() > 3.0
    }
}

impl fmt::Display for Apart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.3} (z {:+.1}), D {:.3}", self.greater, self.z, self.distance)
    }
}

#[allow(clippy::cast_precision_loss, reason = "no count here comes near the 53 bits a f64 counts exactly")]
fn count(of: usize) -> f64 {
    of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_agree_with_scipy() {
        // mannwhitneyu([1.1, 2, 3, 4.5], [2, 3.5, 5, 6, 7]).statistic is 3.5 of 20, ks_2samp 0.6.
        let found = Apart::of(&[1.1, 2.0, 3.0, 4.5], &[2.0, 3.5, 5.0, 6.0, 7.0]).unwrap();
        assert!((found.greater - 16.5 / 20.0).abs() < 1e-12 && (found.distance - 0.6).abs() < 1e-12, "{found:?}");
        assert!((found.z - 1.592_168).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn one_distribution_is_not_told_and_a_shifted_one_is() {
        let values: Vec<f64> = (0..200).map(|number| f64::from(number * 37 % 200)).collect();
        let shifted: Vec<f64> = values.iter().map(|value| value + 40.0).collect();
        assert!(!Apart::of(&values, &values).unwrap().is_told());
        assert!(Apart::of(&values, &shifted).unwrap().is_told());
        assert_eq!(Apart::of(&values, &[]), None);
    }
}
