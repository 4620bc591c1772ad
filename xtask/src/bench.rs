//! `cargo xtask bench`: the benchmarks under the profile that the numbers in the docs come from.

use std::path::Path;

use anyhow::{Result, bail};

use crate::child::{self, Stop};

/// Runs the `keywright-bench` binary with `args`.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let mut cargo = crate::cargo(root);
    cargo.args(["run", "--quiet", "--profile", "bench", "-p", "keywright-bench", "--"]).args(args);
    if !child::run(&mut cargo, &Stop::listen()?)? {
        bail!("the benchmark failed");
    }
    Ok(())
}
