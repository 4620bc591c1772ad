//! What the tables say, and in which units.

use anyhow::{Context, Result};

use keywright_bench::measure::{Comparison, Goal};
use keywright_bench::table::Table;

/// How much is done.
pub(crate) struct Scale {
    /// Rounds of A B B A.
    pub(crate) rounds: usize,
    /// What stands for a million keys.
    pub(crate) million: usize,
    /// Random keys that nobody has.
    pub(crate) random: usize,
    /// HTTP requests a slice makes.
    pub(crate) requests: usize,
}

impl Scale {
    pub(crate) const FULL: Self = Self { rounds: 31, million: 1_000_000, random: 1_000_000, requests: 8_000 };
    pub(crate) const QUICK: Self = Self { rounds: 9, million: 100_000, random: 20_000, requests: 4_000 };
}

/// A table of ratios.
pub(crate) fn ratios() -> Table {
    Table::new(["B / A", "A", "B", "ratio: median (quartiles)", "A/A", "goal", ""])
}

/// Adds a comparison to a table of ratios.
pub(crate) fn ratio(
    table: &mut Table,
    what: &str,
    found: Option<Comparison>,
    goal: Goal,
    show: impl Fn(f64) -> String,
) -> Result<()> {
    let found = found.with_context(|| format!("`{what}` measured nothing, or not what it is about"))?;
    table.row(std::iter::once(what.to_owned()).chain(found.cells(goal, show)));
    Ok(())
}

/// A table of figures that stand alone.
pub(crate) struct Figures(pub(crate) Table);

impl Figures {
    pub(crate) fn new() -> Self {
        Self(Table::new(["what", "figure", "goal", ""]))
    }

    pub(crate) fn row(&mut self, what: &str, shown: String, goal: Goal, figure: f64) {
        self.0.row([what.to_owned(), shown, goal.to_string(), goal.verdict(figure).to_owned()]);
    }
}

/// Nanoseconds, in the unit that suits them.
pub(crate) fn nanoseconds(ns: f64) -> String {
    match ns {
        ns if ns < 10_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000_000.0 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}
