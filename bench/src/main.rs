//! `cargo xtask bench [NAME]... [--quick]`: prints tables of ratios, each with its control and its goal.

#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock; the rule protects the product")]

mod client;
mod create;
mod dashboard;
mod gateway;
mod house;
mod http;
mod logins;
mod report;
mod server;
mod start;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use keywright_bench::table::Table;

use report::{Figures, Scale};
use server::Yardstick;

/// What `keywright` allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Part = fn(&Scale, &mut Table, &mut Figures) -> Result<()>;

/// Everything that can be measured by name.
const PARTS: &[(&str, Part)] = &[
    ("verify", verify::run),
    ("http", http::run),
    ("create", create::run),
    ("start", start::run),
    ("logins", logins::run),
    ("gateway", gateway::run),
    ("dashboard", dashboard::run),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    if let Some(which) = Yardstick::ALL.into_iter().find(|which| args.first().is_some_and(|arg| arg == which.role())) {
        return server::serve_yardstick(which);
    }
    if args.first().is_some_and(|arg| arg == server::SERVICE) {
        return server::serve_service();
    }
    if let [flag, count] = args
        && flag == verify::MEMORY
    {
        return verify::print_memory(count);
    }
    let (flags, names): (Vec<&String>, Vec<&String>) = args.iter().partition(|arg| arg.starts_with('-'));
    let scale = match flags.as_slice() {
        [] => Scale::FULL,
        [flag] if *flag == "--quick" => Scale::QUICK,
        _ => bail!("the only flag is --quick"),
    };
    if let Some(wrong) = names.iter().find(|name| PARTS.iter().all(|(known, _)| known != *name)) {
        let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        bail!("there is no `{wrong}` to measure: choose from {}", known.join(", "));
    }
    for (name, part) in PARTS.iter().filter(|(known, _)| names.is_empty() || names.iter().any(|name| *name == known)) {
        let (mut ratios, mut figures) = (report::ratios(), Figures::new());
        // In a thread of its own: one that keeps to a core of its own keeps no other part there.
        let measured = std::thread::scope(|scope| scope.spawn(|| part(&scale, &mut ratios, &mut figures)).join());
        measured.map_err(|_| anyhow!("measuring {name} panicked"))??;
        let mut out = std::io::stdout().lock();
        writeln!(out, "## {name}\n\n{ratios}\n{}", figures.0)?;
    }
    Ok(())
}
