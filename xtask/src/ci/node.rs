//! Programs for Node, each installed by its lock file into a folder of its own that is gone afterwards.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::Ci;
use super::packages::Package;
use super::python::run;

/// Runs them.
pub(super) const NODEJS: Package = Package { name: "nodejs", proof: "node" };

/// Installs what they stand on.
pub(super) const NPM: Package = Package { name: "npm", proof: "npm" };

/// A copy of a folder, with everything its lock file names.
pub(super) struct Installed(TempDir);

impl Installed {
    /// Installs exactly what the lock file in `folder` says, running nothing of it.
    pub(super) fn of(ci: &Ci, folder: &str) -> Result<Self> {
        let installed = Self(tempfile::tempdir()?);
        for entry in std::fs::read_dir(ci.root.join(folder)).with_context(|| format!("no folder {folder}"))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                std::fs::copy(entry.path(), installed.path().join(entry.file_name()))?;
            }
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        run(ci, npm.current_dir(installed.path()))?;
        Ok(installed)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}
