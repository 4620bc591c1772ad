//! Python programs from PyPI, each run in an environment of its own that is gone afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use tempfile::TempDir;

use super::Ci;
use super::packages::{self, Package};
use crate::child;

/// Debian keeps what makes a Python environment apart from Python.
const VENV: Package = Package { name: "python3-venv", proof: "/usr/lib/*/ensurepip/__init__.py" };

/// An environment with some packages in it.
pub(super) struct Environment(TempDir);

impl Environment {
    /// Makes one with these packages, each with its version.
    pub(super) fn with(ci: &Ci, packages: &[&str]) -> Result<Self> {
        let environment = Self(tempfile::tempdir()?);
        let make = || {
            let mut python = Command::new("python3");
            python.args(["-m", "venv"]).arg(environment.path());
            python
        };
        if !matches!(child::run(&mut make(), &ci.stop), Ok(true)) {
            packages::debian(VENV)?;
            run(ci, &mut make())?;
        }
        let mut pip = Command::new(environment.program("pip"));
        run(ci, pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
        Ok(environment)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A program in it.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.path().join("bin").join(name)
    }
}

/// Runs a command that must succeed.
pub(super) fn run(ci: &Ci, command: &mut Command) -> Result<()> {
    if !child::run(command, &ci.stop)? {
        bail!("{command:?} failed");
    }
    Ok(())
}
