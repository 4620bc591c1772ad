//! The API's description, checked by somebody else's reading of OpenAPI 3.1.

use std::process::Command;

use anyhow::{Result, bail};

use super::Ci;
use super::packages::{self, Package};
use crate::child;

/// Debian keeps what makes a Python environment apart from Python.
const VENV: Package = Package { name: "python3-venv", proof: "/usr/lib/*/ensurepip/__init__.py" };
/// From PyPI.
const VALIDATOR: &str = "openapi-spec-validator==0.9.0";
/// What `cargo xtask docs` keeps up to date.
const DOCUMENT: &str = "docs/reference/openapi.json";

/// Checks the committed description; the step before has made sure that it is what the binary says.
pub(super) fn check(ci: &Ci) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let environment = folder.path().join("environment");
    let make = || {
        let mut python = Command::new("python3");
        python.args(["-m", "venv"]).arg(&environment);
        python
    };
    if !matches!(child::run(&mut make(), &ci.stop), Ok(true)) {
        packages::debian(VENV)?;
        run(ci, &mut make())?;
    }
    run(
        ci,
        Command::new(environment.join("bin/pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            VALIDATOR,
        ]),
    )?;
    run(ci, Command::new(environment.join("bin/openapi-spec-validator")).arg(ci.root.join(DOCUMENT)))
}

fn run(ci: &Ci, command: &mut Command) -> Result<()> {
    if !child::run(command, &ci.stop)? {
        bail!("{command:?} failed");
    }
    Ok(())
}
