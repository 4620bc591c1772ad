//! How far an import has come, kept beside the file it reads: an import that was cut off goes on where it was.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::folder::write_private;

/// How far an import has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// What is imported, and where to.
    pub(super) job: Job,
    /// The byte and the line reached.
    pub(super) at: u64,
    pub(super) line: u64,
    /// How long the report was.
    pub(super) report_bytes: u64,
    pub(super) created: u64,
    pub(super) present: u64,
    pub(super) refused: u64,
}

/// What makes two runs one import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) to: String,
    pub(super) account: String,
    pub(super) kind: Option<String>,
    pub(super) report: Option<PathBuf>,
    bytes: u64,
    modified_ms: u64,
}

impl Job {
    pub(super) fn new(to: &str, account: &str, kind: Option<&str>, report: Option<&Path>, file: &Metadata) -> Self {
        let modified = file.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified_ms = modified.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
        Self {
            to: to.into(),
            account: account.into(),
            kind: kind.map(Into::into),
            report: report.map(Into::into),
            bytes: file.len(),
            modified_ms,
        }
    }
}

/// Where the checkpoint of a file is.
pub(super) fn path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".keywright-import");
    path.into()
}

/// The checkpoint of this very import, if it was cut off.
pub(super) fn find(file: &Path, job: &Job) -> Option<Checkpoint> {
    let kept: Checkpoint = serde_json::from_slice(&std::fs::read(path(file)).ok()?).ok()?;
    (kept.job == *job).then_some(kept)
}

impl Checkpoint {
    /// Keeps it.
    pub(super) fn keep(&self, file: &Path) -> Result<()> {
        write_private(&path(file), &serde_json::to_vec(self)?)
    }
}
