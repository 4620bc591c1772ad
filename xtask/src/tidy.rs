//! `cargo xtask tidy`: the rules of the house that a compiler cannot see, as a test.
//!
//! Every rule is a pure function over a path and its text, so it is tested without a tree. A rule
//! that has to be bent is changed here, in review; there is no comment that silences one.

mod arrows;
mod rust;
mod scan;
mod text;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::print;

/// Where a rule is broken, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// From 1.
    line: usize,
    advice: String,
}

impl Finding {
    fn new(line: usize, advice: impl Into<String>) -> Self {
        Self { line, advice: advice.into() }
    }
}

/// Folders whose text somebody else wrote.
const VENDORED: &[&str] = &["vendor", "node_modules"];

/// Prints `file:line: advice` for every finding, and fails if there is one.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = files(root)?;
    let mut count = 0_usize;
    for path in &files {
        let full = root.join(path);
        // Binary files have no lines to point at. A link is judged as the file it names.
        let Ok(text) = String::from_utf8(std::fs::read(&full).with_context(|| path.clone())?) else {
            continue;
        };
        for finding in check(path, &text, &|target| exists(root, target)) {
            print::line(&format!("{path}:{}: {}", finding.line, finding.advice));
            count += 1;
        }
    }
    if count > 0 {
        bail!("tidy has {count} findings in {} files", files.len());
    }
    print::line(&format!("{} files are tidy", files.len()));
    Ok(())
}

/// Every rule on one file. `exists` answers for paths from the root.
fn check(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = text::check(path, text);
    if path.ends_with(".rs") {
        findings.extend(rust::check(path, text));
    }
    if path.ends_with(".md") {
        findings.extend(text::links(path, text, exists));
    }
    if path == "Cargo.toml" || path.ends_with("/Cargo.toml") {
        findings.extend(arrows::check(path, text));
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn exists(root: &Path, target: &str) -> bool {
    root.join(target).exists()
}

/// The files that are committed or about to be, as paths from the root.
fn files(root: &Path) -> Result<Vec<String>> {
    let mut files = match tracked(root) {
        Some(files) => files,
        // A source archive has no repository, and git may refuse another user's clone.
        None => walked(root)?,
    };
    files.retain(|path| !path.split('/').any(|part| VENDORED.contains(&part)) && root.join(path).is_file());
    files.sort();
    Ok(files)
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let listed = String::from_utf8(output.stdout).ok()?;
    let files: Vec<String> = listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    // A folder inside somebody else's repository, ignored there, lists as empty.
    (output.status.success() && !files.is_empty()).then_some(files)
}

fn walked(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if !is_scratch(&path) {
                    folders.push(path);
                }
            } else {
                files.push(path.to_string_lossy().into_owned());
            }
        }
    }
    Ok(files)
}

fn is_scratch(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    [".git", ".keywright", "target", "__pycache__"].contains(&name.as_ref())
        || [Path::new("fuzz/corpus"), Path::new("fuzz/artifacts")].contains(&folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_tree_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        run(root).unwrap();
    }

    #[test]
    fn a_tree_without_a_repository_is_walked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("target/debug")).unwrap();
        std::fs::create_dir_all(folder.path().join("docs")).unwrap();
        std::fs::write(folder.path().join("target/debug/x.rs"), "").unwrap();
        std::fs::write(folder.path().join("docs/x.md"), "").unwrap();
        assert_eq!(walked(folder.path()).unwrap(), ["docs/x.md"]);
    }

    #[test]
    fn findings_come_in_the_order_of_lines() {
        let findings = check("crates/app/src/keys.rs", "fn f() {} \nfn g() {} ", &|_| true);
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [1, 1, 2, 2]);
    }
}
