//! The table at the end of a CI run.

use std::time::Duration;

use super::steps::Step;
use crate::print;

/// What happened to each step that was to run.
pub(super) struct Report {
    rows: Vec<(&'static str, &'static str, Duration)>,
    pending: Vec<&'static str>,
    unchosen: Vec<&'static str>,
    skipped: Vec<String>,
}

impl Report {
    /// A report on `chosen`, which names the rest of `all` as not asked for.
    pub(super) fn of(chosen: &[&Step], all: &[Step]) -> Self {
        let pending: Vec<_> = chosen.iter().map(|step| step.name).collect();
        let unchosen = all.iter().map(|step| step.name).filter(|name| !pending.contains(name)).collect();
        Self { rows: Vec::new(), pending, unchosen, skipped: Vec::new() }
    }

    /// Records one step and returns the line that says so.
    pub(super) fn ended(&mut self, name: &'static str, ok: bool, took: Duration) -> String {
        let word = if ok { "ok" } else { "FAILED" };
        self.pending.retain(|pending| *pending != name);
        self.rows.push((name, word, took));
        format!("    {name}: {word} in {:.1} s", took.as_secs_f64())
    }

    pub(super) fn skipped(&mut self, skipped: Vec<String>) {
        self.skipped.extend(skipped);
    }

    pub(super) fn print(&self) {
        print::heading("==> summary");
        print::line(&self.table());
    }

    fn table(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (name, word, took) in &self.rows {
            lines.push(format!("{name:<8}  {word:<11}  {:>7.1} s", took.as_secs_f64()));
        }
        lines.extend(self.pending.iter().map(|name| format!("{name:<8}  not reached")));
        let total: Duration = self.rows.iter().map(|(_, _, took)| *took).sum();
        lines.push(format!("total                  {:>7.1} s", total.as_secs_f64()));
        if !self.unchosen.is_empty() {
            lines.push(format!("not asked for: {}", self.unchosen.join(", ")));
        }
        match self.skipped.as_slice() {
            [] => lines.push("skipped: nothing".to_owned()),
            some => lines.extend(some.iter().map(|what| format!("SKIPPED: {what}"))),
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::STEPS;
    use super::*;

    #[test]
    fn a_failure_leaves_the_rest_not_reached() {
        let chosen: Vec<&Step> = STEPS.iter().take(2).collect();
        let mut report = Report::of(&chosen, &STEPS[..3]);
        report.ended("fmt", false, Duration::from_millis(1500));
        let table = report.table();
        assert!(table.contains("fmt       FAILED           1.5 s"), "{table}");
        assert!(table.contains("tidy      not reached"), "{table}");
        assert!(table.contains("not asked for: deny"), "{table}");
        assert!(table.ends_with("skipped: nothing"), "{table}");
    }

    #[test]
    fn a_skip_has_its_own_plain_line() {
        let mut report = Report::of(&[], &[]);
        report.skipped(vec!["tests on Postgres: no apt-get".to_owned()]);
        assert!(report.table().ends_with("SKIPPED: tests on Postgres: no apt-get"));
    }
}
