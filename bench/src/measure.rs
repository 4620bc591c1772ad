//! Comparing two ways of doing one thing.
//!
//! Slices alternate A B B A within a round, so a drift of the machine (heat, a neighbour) weighs on
//! both sides alike. The unit is a ratio, B/A, per round: machines differ, ratios much less.

use std::fmt;

/// Which of the two a slice runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The yardstick.
    A,
    /// What is measured against it.
    B,
}

/// What a figure ought to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// Told for its own sake.
    Open,
}

impl Goal {
    /// `met`, `missed`, or nothing where there is no goal.
    #[must_use]
    pub fn verdict(self, figure: f64) -> &'static str {
        match self {
            Self::AtMost(most) if figure > most => "missed",
            Self::AtLeast(least) if figure < least => "missed",
            Self::AtMost(_) | Self::AtLeast(_) => "met",
            Self::Open => "",
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::Open => Ok(()),
        }
    }
}

/// A control whose median lies outside this range voids its row.
pub const CONTROL: std::ops::RangeInclusive<f64> = 0.95..=1.05;

/// A median with its quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// The first quartile.
    pub q1: f64,
    /// The second: half of the values lie below.
    pub median: f64,
    /// The third quartile.
    pub q3: f64,
}

impl Quartiles {
    /// Of `values`, interpolating linearly between neighbours (Hyndman and Fan's type 7, the
    /// default of R and NumPy); `None` of no values, or if one is not a number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| value.is_nan()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |quarters: usize| {
            let scaled = (sorted.len() - 1) * quarters;
            let low = sorted.get(scaled / 4)?;
            let high = sorted.get(scaled.div_ceil(4))?;
            let between = [0.0, 0.25, 0.5, 0.75].get(scaled % 4)?;
            Some(low + (high - low) * between)
        };
        Some(Self { q1: at(1)?, median: at(2)?, q3: at(3)? })
    }
}

impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.median, self.q1, self.q3)
    }
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// B/A of each round.
    pub ratio: Quartiles,
    /// A/A of each round, in the same places of the same round.
    pub control: Quartiles,
    /// What a slice of A came to: the median of all.
    pub a: f64,
    /// What a slice of B came to.
    pub b: f64,
}

impl Comparison {
    /// Whether the machine was too restless for the ratio to mean anything.
    #[must_use]
    pub fn is_void(&self) -> bool {
        !CONTROL.contains(&self.control.median)
    }

    /// The cells of a table row: both sides in the unit that `show` gives them, ratio, control, goal and verdict.
    #[must_use]
    pub fn cells(&self, goal: Goal, show: impl Fn(f64) -> String) -> [String; 6] {
        let verdict = if self.is_void() { "void" } else { goal.verdict(self.ratio.median) };
        let [ratio, control] = [self.ratio, self.control].map(|found| found.to_string());
        [show(self.a), show(self.b), ratio, control, goal.to_string(), verdict.to_owned()]
    }
}

/// Runs `rounds` rounds of A B B A, each followed by its control A A A A.
///
/// `slice` does a fixed amount of work for the side it is given and returns what that cost, or what
/// it yielded: any positive figure, as long as both sides use the same one. Both sides run once
/// before the first round, unmeasured. `None` when `rounds` is 0 or a slice measured nothing.
pub fn compare(rounds: usize, mut slice: impl FnMut(Side) -> f64) -> Option<Comparison> {
    compare_all(rounds, |side| [slice(side)])?.into_iter().next()
}

/// [`compare`] where one slice yields several figures.
pub fn compare_all<const N: usize>(rounds: usize, mut slice: impl FnMut(Side) -> [f64; N]) -> Option<Vec<Comparison>> {
    let (rounds_of_b, controls) = take_rounds(rounds, |side, _| slice(side));
    (0..N).map(|figure| summed_up(figure, &rounds_of_b, &controls)).collect()
}

/// What the slices of every round yield, and those of its control. A slice is told its place in its round, from 0.
pub(crate) fn take_rounds<T>(rounds: usize, mut slice: impl FnMut(Side, usize) -> T) -> (Vec<[T; 4]>, Vec<[T; 4]>) {
    slice(Side::A, 0);
    slice(Side::B, 1);
    let mut round = |inner: Side| {
        let mut place = 0;
        [Side::A, inner, inner, Side::A].map(|side| {
            place += 1;
            slice(side, place - 1)
        })
    };
    (0..rounds).map(|_| (round(Side::B), round(Side::A))).unzip()
}

fn summed_up<const N: usize>(
    figure: usize,
    rounds: &[[[f64; N]; 4]],
    controls: &[[[f64; N]; 4]],
) -> Option<Comparison> {
    let of = |round: &[[f64; N]; 4]| round.map(|slice| slice.get(figure).copied().unwrap_or_default());
    // The ratio of one round: both inner slices over both outer ones.
    let ratio = |[first, second, third, fourth]: [f64; 4]| (second + third) / (first + fourth);
    let ratios =
        |rounds: &[[[f64; N]; 4]]| Quartiles::of(&rounds.iter().map(|round| ratio(of(round))).collect::<Vec<_>>());
    let (found, control) = (ratios(rounds)?, ratios(controls)?);
    let outer: Vec<f64> = rounds.iter().map(of).flat_map(|[first, _, _, fourth]| [first, fourth]).collect();
    let inner: Vec<f64> = rounds.iter().map(of).flat_map(|[_, second, third, _]| [second, third]).collect();
    let comparison =
        Comparison { ratio: found, control, a: Quartiles::of(&outer)?.median, b: Quartiles::of(&inner)?.median };
    (found.q3.is_finite() && control.q3.is_finite()).then_some(comparison)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quartiles(values: &[f64]) -> (f64, f64, f64) {
        let found = Quartiles::of(values).unwrap();
        (found.q1, found.median, found.q3)
    }

    #[test]
    fn quartiles_agree_with_numpy() {
        assert_eq!(quartiles(&[1.0]), (1.0, 1.0, 1.0));
        assert_eq!(quartiles(&[2.0, 1.0]), (1.25, 1.5, 1.75));
        assert_eq!(quartiles(&[4.0, 1.0, 3.0, 2.0]), (1.75, 2.5, 3.25));
        assert_eq!(quartiles(&[5.0, 1.0, 4.0, 2.0, 3.0]), (2.0, 3.0, 4.0));
        assert_eq!(quartiles(&[7.0, 15.0, 36.0, 39.0, 40.0, 41.0]), (20.25, 37.5, 39.75));
    }

    #[test]
    fn quartiles_of_nothing_or_of_no_numbers_are_none() {
        assert_eq!(Quartiles::of(&[]), None);
        assert_eq!(Quartiles::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn slices_alternate_and_the_control_follows_its_round() {
        let mut order = String::new();
        compare(2, |side| {
            order.push(if side == Side::A { 'A' } else { 'B' });
            1.0
        });
        assert_eq!(order, "ABABBAAAAAABBAAAAA");
    }

    #[test]
    fn a_steady_drift_cancels_out() {
        let mut cost = 100.0;
        let found = compare(20, |side| {
            cost += 1.0;
            if side == Side::A { cost } else { cost * 2.0 }
        })
        .unwrap();
        assert!((found.ratio.median - 2.0).abs() < 1e-9, "{found:?}");
        assert!((found.control.median - 1.0).abs() < 1e-9, "{found:?}");
        assert!(!found.is_void());
    }

    #[test]
    fn a_restless_machine_voids_the_row() {
        let mut slices = 0_u32;
        // A neighbour that happens to wake for the inner slices of every round.
        let found = compare(8, |_| {
            slices += 1;
            if matches!(slices % 4, 0 | 1) { 9.0 } else { 8.0 }
        })
        .unwrap();
        assert!(found.is_void(), "{found:?}");
        assert_eq!(found.cells(Goal::Open, |_| String::new())[5], "void");
    }

    #[test]
    fn figures_of_one_slice_are_compared_each_with_its_own() {
        let found = compare_all(3, |side| if side == Side::A { [1.0, 10.0] } else { [2.0, 5.0] }).unwrap();
        assert_eq!(
            found.iter().map(|one| (one.a, one.b, one.ratio.median)).collect::<Vec<_>>(),
            [(1.0, 2.0, 2.0), (10.0, 5.0, 0.5)]
        );
    }

    #[test]
    fn a_goal_is_met_at_its_very_figure() {
        assert_eq!([1.3, 1.31].map(|figure| Goal::AtMost(1.3).verdict(figure)), ["met", "missed"]);
        assert_eq!([0.93, 0.92].map(|figure| Goal::AtLeast(0.93).verdict(figure)), ["met", "missed"]);
        assert_eq!(Goal::Open.verdict(7.0), "");
    }

    #[test]
    fn a_slice_that_measures_nothing_gives_no_figure() {
        assert_eq!(compare(3, |_| 0.0), None);
        assert_eq!(compare(0, |_| 1.0), None);
        assert_eq!(compare(3, |side| if side == Side::A { 0.0 } else { 1.0 }), None);
    }
}
