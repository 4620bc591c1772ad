//! `cargo xtask bench`: the benchmarks, beside the very binary that ships.

use std::path::Path;

use anyhow::{Result, bail};

use crate::child::{self, Stop};

/// Runs the `keywright-bench` binary with `args`.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let stop = Stop::listen()?;
    // By itself, so that nothing the benchmarks need is built into it.
    let mut build = crate::cargo(root);
    build.args(["build", "--quiet", "--release", "-p", "keywright"]);
    let mut measure = crate::cargo(root);
    measure.args(["run", "--quiet", "--release", "-p", "keywright-bench", "--"]).args(args);
    for cargo in [&mut build, &mut measure] {
        if !child::run(cargo, &stop)? {
            bail!("the benchmark failed");
        }
    }
    Ok(())
}
