//! Programs for Node, over packages that share no line with ours: `tests/support/node`.
//!
//! `KEYWRIGHT_TEST_NODE` is a copy of that folder, installed. Without it their tests say nothing; with `KEYWRIGHT_CI=1` they
//! fail instead.

use std::path::PathBuf;

/// The folder, where there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("KEYWRIGHT_TEST_NODE").map(PathBuf::from);
    let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
    assert!(folder.is_some() || !ci, "KEYWRIGHT_TEST_NODE must name a copy of tests/support/node, installed, in CI");
    folder
}
