//! `cargo xtask ci`: the README's test command, from a bare Debian with Rust and a C compiler.
//!
//! It installs what is missing, starts its own servers on free loopback ports, walks the table in
//! [`steps`] and stops at the first failure. What must stay true: every server it started is gone
//! when it returns, however it returns; and nothing is skipped unless `--allow-skips` says so,
//! which is refused where `CI=true` or `KEYWRIGHT_CI=1` is set.

mod node;
mod openapi;
mod packages;
mod postgres;
mod python;
mod report;
mod server;
mod steps;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::child::{self, Stop};
use crate::print;
use report::Report;
use server::{Running, Server};
use steps::{STEPS, Step};

/// What a step may use.
pub(crate) struct Ci {
    pub(crate) root: PathBuf,
    stop: Stop,
    running: Vec<Running>,
    may_skip: bool,
    /// Where pictures of pages are kept, if they are.
    pictures: Option<PathBuf>,
}

impl Ci {
    /// Runs cargo in the workspace with the servers' addresses in its environment.
    pub(crate) fn cargo(&self, args: &[&str]) -> Result<()> {
        self.cargo_with(args, &[])
    }

    /// As [`Ci::cargo`], with further environment.
    pub(crate) fn cargo_with(&self, args: &[&str], env: &[(&str, &str)]) -> Result<()> {
        let mut cargo = crate::cargo(&self.root);
        cargo.args(args).envs(env.iter().copied());
        self.equip(&mut cargo);
        if !child::run(&mut cargo, &self.stop)? {
            bail!("`cargo {}` failed", args.join(" "));
        }
        Ok(())
    }

    /// Tests read their servers' addresses from here, and with `KEYWRIGHT_CI` a test that would
    /// skip itself must fail instead.
    fn equip(&self, command: &mut Command) {
        for server in &self.running {
            command.env(server.variable, &server.url);
        }
        if !print::is_terminal() {
            // Cargo looks for itself; rustfmt asks TERM alone and would colour a log file.
            command.env("TERM", "dumb").env("CARGO_TERM_COLOR", "never");
        }
        if let Some(folder) = &self.pictures {
            command.env("KEYWRIGHT_SCREENSHOTS", folder);
        }
        if !self.may_skip {
            command.env("KEYWRIGHT_CI", "1");
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    list: bool,
    only: Vec<String>,
    allow_skips: bool,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => options.list = true,
                "--allow-skips" => options.allow_skips = true,
                "--only" => options.only.push(args.next().context("--only wants a step's name")?.clone()),
                other => bail!("ci does not know `{other}`"),
            }
        }
        if let Some(name) = options.only.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
            bail!("no step `{name}`; see `cargo xtask ci --list`");
        }
        Ok(options)
    }

    fn chosen(&self) -> Vec<&'static Step> {
        STEPS.iter().filter(|step| self.only.is_empty() || self.only.iter().any(|name| name == step.name)).collect()
    }
}

/// Runs the steps that `args` choose: all of them unless told otherwise.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    if options.list {
        for step in STEPS {
            print::line(&format!("{:<8} {}", step.name, step.says));
        }
        return Ok(());
    }
    if options.allow_skips && must_not_skip() {
        bail!("nothing may be skipped where CI=true or KEYWRIGHT_CI=1 is set");
    }
    let chosen = options.chosen();
    let mut ci = Ci {
        root: root.to_path_buf(),
        stop: Stop::listen()?,
        running: Vec::new(),
        may_skip: options.allow_skips,
        pictures: None,
    };
    let mut report = Report::of(&chosen, STEPS);
    let outcome = walk(&mut ci, &chosen, &mut report);
    // The servers end before the table is printed: what it says is then the whole story.
    ci.running.clear();
    report.print();
    outcome
}

/// A picture of every page of the dashboard, in a folder that is made.
pub(crate) fn screenshots(root: &Path, args: &[String]) -> Result<()> {
    let folder = match args {
        [] => root.join("target/screenshots"),
        [folder] => std::env::current_dir()?.join(folder),
        _ => bail!("name one folder"),
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut ci = Ci {
        root: root.to_path_buf(),
        stop: Stop::listen()?,
        running: Vec::new(),
        may_skip: false,
        pictures: Some(folder.clone()),
    };
    prepare(&mut ci, &[&steps::SCREENSHOTS])?;
    (steps::SCREENSHOTS.run)(&ci)?;
    print::line(&format!("{} pictures are in {}", std::fs::read_dir(&folder)?.count(), folder.display()));
    Ok(())
}

fn must_not_skip() -> bool {
    let is = |name, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    is("CI", "true") || is("KEYWRIGHT_CI", "1")
}

fn walk(ci: &mut Ci, chosen: &[&'static Step], report: &mut Report) -> Result<()> {
    timed(report, "prepare", || prepare(ci, chosen)).map(|skipped| report.skipped(skipped))?;
    for step in chosen {
        ci.stop.check()?;
        timed(report, step.name, || (step.run)(ci))?;
    }
    Ok(())
}

/// Installs and starts what the chosen steps need. Returns what had to be left out.
fn prepare(ci: &mut Ci, chosen: &[&Step]) -> Result<Vec<String>> {
    let mut needed: Vec<Server> = chosen.iter().flat_map(|step| step.servers).copied().collect();
    needed.sort_unstable();
    needed.dedup();
    for component in chosen.iter().flat_map(|step| step.components) {
        packages::component(&ci.root, component)?;
    }
    for tool in chosen.iter().flat_map(|step| step.tools) {
        packages::tool(&ci.root, tool, &ci.stop)?;
    }
    for package in chosen.iter().flat_map(|step| step.packages) {
        packages::debian(*package)?;
    }
    let mut skipped = Vec::new();
    for server in needed {
        ci.stop.check()?;
        match packages::debian(server.package()).and_then(|()| server.start()) {
            Ok(running) => {
                print::line(&format!("{}={} (pid {})", running.variable, running.url, running.pid()));
                ci.running.push(running);
            }
            Err(error) if ci.may_skip => skipped.push(format!("tests on {server:?}: {error:#}")),
            Err(error) => {
                return Err(error.context(format!("{server:?} is needed and did not start")));
            }
        }
    }
    Ok(skipped)
}

fn timed<T>(report: &mut Report, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    print::heading(&format!("==> {name}"));
    let begun = Instant::now();
    let outcome = work();
    print::line(&report.ended(name, outcome.is_ok(), begun.elapsed()));
    outcome.with_context(|| format!("step `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn every_step_runs_unless_told_otherwise() {
        assert_eq!(parse(&[]).unwrap().chosen().len(), STEPS.len());
    }

    #[test]
    fn only_chooses_by_name_and_keeps_the_order_of_the_table() {
        let chosen = parse(&["--only", "test", "--only", "fmt"]).unwrap().chosen();
        assert_eq!(chosen.iter().map(|step| step.name).collect::<Vec<_>>(), ["fmt", "test"]);
    }

    #[test]
    fn an_unknown_step_or_flag_is_refused() {
        assert!(parse(&["--only", "tset"]).is_err());
        assert!(parse(&["--only"]).is_err());
        assert!(parse(&["--fast"]).is_err());
    }
}
