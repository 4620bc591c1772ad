//! Chores, each one command: `cargo xtask ci | tidy | docs | bench | screenshots`.
//!
//! Nothing here ships. It depends on none of the product's crates, so that it builds in seconds on
//! a fresh clone and can still judge a tree whose crates do not compile.
#![allow(
    clippy::disallowed_methods,
    reason = "chores time themselves; the rule about ambient clocks protects the product"
)]

mod bench;
mod child;
mod ci;
mod contract;
mod docs;
mod print;
mod security;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
cargo xtask ci [--list] [--only STEP]... [--allow-skips]   everything that must hold, as one command
cargo xtask tidy                                           the style rules a compiler cannot see
cargo xtask docs [--check]                                 write the generated docs, or only compare them
cargo xtask bench [ARGS]...                                the benchmarks, pinned and with their control
cargo xtask screenshots [FOLDER]                           a picture of every page of the dashboard, in every look";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        bail!("no command given\n\n{USAGE}");
    };
    let root = workspace_root()?;
    match command.as_str() {
        "ci" => ci::run(&root, rest),
        "tidy" => tidy::run(&root),
        "docs" => docs::run(&root, rest),
        "bench" => bench::run(&root, rest),
        "screenshots" => ci::screenshots(&root, rest),
        "help" | "--help" | "-h" => {
            print::line(USAGE);
            Ok(())
        }
        other => bail!("no command `{other}`\n\n{USAGE}"),
    }
}

/// The clone this run belongs to.
///
/// Cargo's variable at run time comes before the one compiled in: two clones may share a target
/// directory, and then the compiled one can name the other clone.
fn workspace_root() -> Result<PathBuf> {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = manifest.parent().context("the xtask crate has no parent directory")?;
    Ok(root.to_path_buf())
}

/// The cargo that started us, told to work in `root`.
///
/// It is not told what that one has told us of ourselves: build scripts look at it, and what they make would be made again
/// for whoever calls cargo by hand.
fn cargo(root: &Path) -> std::process::Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(program);
    command.current_dir(root);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_not_told_what_package_this_program_is_of() {
        let cargo = cargo(Path::new("."));
        let removed = |name: &str| cargo.get_envs().any(|(known, value)| known == name && value.is_none());
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            assert!(std::env::var_os(name).is_some() && removed(name), "{name}");
        }
    }
}
