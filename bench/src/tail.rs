//! Comparing how long the slowest requests take.
//!
//! What makes a request slow comes in spells, of which one slice may have many and its neighbour none: on a machine that does
//! nothing else the slowest hundredth of a slice of seconds strays by a third from one to the next. So slices are a fraction
//! of a second, near each other in time, and the rounds many; a round's ratio is of percentiles of both its slices of a side
//! together.

use crate::measure::{Comparison, Quartiles, Side, take_rounds};

/// How long each request took, of the slices of a round.
type Round = [Vec<u64>; 4];

/// Runs `rounds` rounds of A B B A, each followed by its control A A A A, as [`crate::measure::compare`] does, of slices
/// that yield how long each request took. One comparison for each of the percentiles, whose A and B are of all rounds
/// together. A slice is told its side and its place in its round, from 0.
///
/// Both sides run once before the first round, unmeasured. `None` when `rounds` is 0 or a slice measured nothing.
pub fn compare_percentiles(
    rounds: usize,
    hundredths: &[usize],
    slice: impl FnMut(Side, usize) -> Vec<u64>,
) -> Option<Vec<Comparison>> {
    let (found, controls) = take_rounds(rounds, slice);
    let compare = |percentile: &usize| {
        let ratio = |round: &Round| {
            let [outer, inner] = sides(std::slice::from_ref(round), *percentile)?;
            Some(inner / outer)
        };
        let ratios = |rounds: &[Round]| Quartiles::of(&rounds.iter().map(ratio).collect::<Option<Vec<f64>>>()?);
        let [a, b] = sides(&found, *percentile)?;
        Some(Comparison { ratio: ratios(&found)?, control: ratios(&controls)?, a, b })
    };
    hundredths.iter().map(compare).collect()
}

/// A percentile of the outer slices of these rounds, together, and of the inner ones. `None` where there is none, or one is 0.
fn sides(rounds: &[Round], hundredths: usize) -> Option<[f64; 2]> {
    let (mut outer, mut inner) = (Vec::new(), Vec::new());
    for [first, second, third, fourth] in rounds {
        outer.extend(first.iter().chain(fourth));
        inner.extend(second.iter().chain(third));
    }
    let at = |all: &mut Vec<u64>| {
        let place = all.len().checked_sub(1)? * hundredths / 100;
        let (_, found, _) = all.select_nth_unstable(place);
        Some(float(*found)).filter(|found| *found > 0.0)
    };
    Some([at(&mut outer)?, at(&mut inner)?])
}

#[allow(clippy::cast_precision_loss, reason = "no time here comes near the 53 bits a f64 counts exactly")]
fn float(ns: u64) -> f64 {
    ns as f64
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    /// Times as a restless machine has them, the same in every run: most near a thousand, and bursts of slow ones, of which
    /// some spells have many.
    fn slices() -> impl FnMut() -> Vec<u64> {
        let mut rng = StdRng::seed_from_u64(7);
        let (mut burst, mut spell, mut often) = (0_u32, 0, 0);
        move || {
            if spell == 0 {
                (spell, often) = (rng.random_range(4..40), rng.random_range(20..400));
            }
            spell -= 1;
            let mut one = || {
                burst = if rng.random_range(0..often) == 0 { rng.random_range(1..9) } else { burst.saturating_sub(1) };
                rng.random_range(1_000..1_100) + if burst > 0 { rng.random_range(1_000..9_000) } else { 0 }
            };
            (0..350).map(|_| one()).collect()
        }
    }

    #[test]
    fn what_takes_twice_as_long_is_found_and_the_control_is_one() {
        let mut of_a = slices();
        let found = compare_percentiles(108, &[50, 99], |side, _| match side {
            Side::A => of_a(),
            Side::B => of_a().into_iter().map(|one| 2 * one).collect(),
        })
        .unwrap();
        for one in &found {
            assert!((one.ratio.median - 2.0).abs() < 0.1 && !one.is_void(), "{one:?}");
        }
        assert!(found[0].a < 1_100.0 && found[1].a > 2_000.0 && found[1].b > 2.0 * 2_000.0, "{found:?}");
    }

    #[test]
    fn a_round_is_of_both_its_slices_and_the_columns_of_all() {
        // One slow slice in ten: a tenth of all requests is slow, and of most rounds none.
        let mut number = 0;
        let found = compare_percentiles(10, &[50, 99], |_, _| {
            number += 1;
            vec![if number % 10 == 0 { 900 } else { 100 }; 50]
        })
        .unwrap();
        let shown = found.iter().map(|one| (one.a, one.b, one.ratio.median)).collect::<Vec<_>>();
        assert_eq!(shown, [(100.0, 100.0, 1.0), (900.0, 900.0, 1.0)]);
    }

    #[test]
    fn a_slice_knows_its_place() {
        let mut places = String::new();
        compare_percentiles(1, &[50], |side, place| {
            places.push_str(&format!("{side:?}{place} "));
            vec![1]
        });
        assert_eq!(places, "A0 B1 A0 B1 B2 A3 A0 A1 A2 A3 ");
    }

    #[test]
    fn a_slice_that_measures_nothing_gives_no_figure() {
        assert!(compare_percentiles(0, &[99], |_, _| vec![1]).is_none());
        assert!(compare_percentiles(3, &[99], |_, _| vec![0]).is_none());
        assert!(compare_percentiles(3, &[99], |side, _| if side == Side::A { Vec::new() } else { vec![1] }).is_none());
    }
}
