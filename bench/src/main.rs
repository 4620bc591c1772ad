//! `cargo xtask bench`: prints one Markdown table of all comparisons.
//!
//! The first row measures the harness itself, twice the work against once: where it is not 2, no
//! other row is to be believed.

use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;

use keywright_bench::cpu::thread_ns_of;
use keywright_bench::measure::{Side, compare};
use keywright_bench::table::Table;

const ROUNDS: usize = 25;

fn main() -> ExitCode {
    let mut table = Table::new(["B against A", "B/A, CPU time", "A/A", ""]);
    let Some(harness) = compare(ROUNDS, |side| {
        let steps = if side == Side::A { 1_000_000 } else { 2_000_000 };
        ns(thread_ns_of(|| spin(steps)).1)
    }) else {
        return ExitCode::FAILURE;
    };
    table.row(std::iter::once("the harness: twice the work".to_owned()).chain(harness.cells()));
    match write!(std::io::stdout().lock(), "{table}") {
        Ok(()) if !harness.is_void() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Work of a known length that no optimiser removes.
fn spin(steps: u64) -> u64 {
    (0..steps).fold(0, |sum, step| black_box(sum ^ step))
}

#[allow(clippy::cast_precision_loss, reason = "a slice is far shorter than the 104 days a f64 counts exactly")]
fn ns(ns: u64) -> f64 {
    ns as f64
}
