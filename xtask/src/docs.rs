//! `cargo xtask docs`: reference pages that the binary, and the contract's tests, write about themselves.
//!
//! A page is generated or it is written by hand, never both: CI compares each with what the binary
//! says today, so a flag or a metric cannot change without its page.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::print;

/// A committed file, and where its text comes from.
struct Page {
    path: &'static str,
    from: Source,
}

enum Source {
    /// `keywright` with these arguments.
    Binary(&'static [&'static str]),
    /// The names of the contract's tests.
    Contract,
    /// What tests say they show.
    Security,
}

/// Every generated file.
const PAGES: &[Page] = &[
    Page { path: "docs/reference/cli.md", from: Source::Binary(&["docs", "cli"]) },
    Page { path: "docs/reference/config.md", from: Source::Binary(&["docs", "config"]) },
    Page { path: "docs/reference/errors.md", from: Source::Binary(&["docs", "errors"]) },
    Page { path: "docs/reference/contract.md", from: Source::Contract },
    Page { path: "docs/reference/security.md", from: Source::Security },
    Page { path: "docs/reference/openapi.json", from: Source::Binary(&["openapi"]) },
];

/// Writes every page, or with `--check` only compares.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    match args {
        [] => write(root),
        [flag] if flag == "--check" => check(root),
        _ => bail!("docs takes nothing or --check"),
    }
}

fn write(root: &Path) -> Result<()> {
    for page in PAGES {
        let path = root.join(page.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, generate(root, page)?).with_context(|| format!("writing {}", page.path))?;
        print::line(&format!("wrote {}", page.path));
    }
    Ok(())
}

/// Fails with the list of pages that no longer say what the binary says.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut stale = Vec::new();
    for page in PAGES {
        let committed = std::fs::read(root.join(page.path)).unwrap_or_default();
        if committed != generate(root, page)? {
            stale.push(page.path);
        }
    }
    if !stale.is_empty() {
        bail!("out of date: {}; run `cargo xtask docs` and commit", stale.join(", "));
    }
    print::line(&format!("{} generated pages up to date", PAGES.len()));
    Ok(())
}

fn generate(root: &Path, page: &Page) -> Result<Vec<u8>> {
    let args = match page.from {
        Source::Binary(args) => args,
        Source::Contract => return crate::contract::page(root).map(String::into_bytes),
        Source::Security => return crate::security::page(root).map(String::into_bytes),
    };
    let output = crate::cargo(root)
        .args(["run", "--quiet", "-p", "keywright", "--"])
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("`keywright {}` failed, so {} cannot be generated", args.join(" "), page.path);
    }
    Ok(output.stdout)
}
