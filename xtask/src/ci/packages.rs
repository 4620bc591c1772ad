//! Installing what a bare machine lacks, by package name, and only that.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::child::{self, Stop};
use crate::print;

/// A Debian package, and the program that proves it is there: a name looked up in `PATH`, or a path
/// in which one component may be `*`.
#[derive(Clone, Copy)]
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) proof: &'static str,
}

/// Debian keeps the server's programs out of `PATH`, one folder per major version.
pub(super) const POSTGRESQL: Package = Package { name: "postgresql", proof: "/usr/lib/postgresql/*/bin/postgres" };

/// `ssh-keygen`, which tests compare fingerprints with.
pub(super) const OPENSSH: Package = Package { name: "openssh-client", proof: "ssh-keygen" };

/// Runs the commands a provider prints.
pub(super) const CURL: Package = Package { name: "curl", proof: "curl" };

/// Runs the PHP a provider prints.
pub(super) const PHP: Package = Package { name: "php-cli", proof: "php" };

/// The library that program calls.
pub(super) const PHP_CURL: Package = Package { name: "php-curl", proof: "/usr/lib/php/*/curl.so" };

/// Runs the Go a provider prints.
pub(super) const GO: Package = Package { name: "golang-go", proof: "go" };

/// The browser that tests open the dashboard in.
pub(super) const CHROMIUM: Package = Package { name: "chromium", proof: "chromium" };

/// nginx, which runs the configuration we print for it.
pub(super) const NGINX: Package = Package { name: "nginx-light", proof: "nginx" };

/// Caddy, for the same.
pub(super) const CADDY: Package = Package { name: "caddy", proof: "caddy" };

/// `HAProxy`, for the same, with Lua.
pub(super) const HAPROXY: Package = Package { name: "haproxy", proof: "haproxy" };

/// A cargo subcommand, and the requirement on its version that our configuration was written for.
#[derive(Clone, Copy)]
pub(super) struct Tool {
    crate_name: &'static str,
    subcommand: &'static str,
    version: &'static str,
}

/// Reads `deny.toml`.
pub(super) const CARGO_DENY: Tool = Tool { crate_name: "cargo-deny", subcommand: "deny", version: "^0.20" };

/// Installs the package unless its proof is there.
pub(super) fn debian(package: Package) -> Result<()> {
    if find(package.proof).is_some() {
        return Ok(());
    }
    print::line(&format!("installing the Debian package {}", package.name));
    // A fresh container has no lists and an old machine has stale ones. Without a network the
    // package may still be in apt's cache, so a failed update is not yet a failure.
    if let Err(error) = apt_get(&["update"]) {
        print::line(&format!("{error:#}; going on with the package lists there are"));
    }
    apt_get(&["install", "--yes", "--no-install-recommends", package.name])?;
    find(package.proof).map(drop).with_context(|| format!("{} is installed, yet no {}", package.name, package.proof))
}

/// `RUNLEVEL=1` keeps Debian from starting the package's own server: ours are private.
fn apt_get(args: &[&str]) -> Result<()> {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"])
        .args(["--quiet=2", "--option", "Dpkg::Use-Pty=0"])
        .args(args)
        .stdin(Stdio::null());
    let status = command.status().context("neither root nor sudo")?;
    if !status.success() {
        bail!("`apt-get {}` failed", args.join(" "));
    }
    Ok(())
}

/// Adds a rustup component unless its cargo command answers.
pub(super) fn component(root: &Path, name: &str) -> Result<()> {
    let subcommand = if name == "rustfmt" { "fmt" } else { name };
    if answers(root, subcommand) {
        return Ok(());
    }
    let added = Command::new("rustup").args(["component", "add", name]).current_dir(root).stdin(Stdio::null()).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("cargo {subcommand} is missing and `rustup component add {name}` did not help"),
    }
}

/// Installs a cargo subcommand unless it answers.
pub(super) fn tool(root: &Path, tool: &Tool, stop: &Stop) -> Result<()> {
    if answers(root, tool.subcommand) {
        return Ok(());
    }
    print::line(&format!("installing {} (about a minute, once)", tool.crate_name));
    let mut install = crate::cargo(root);
    // Not optimised: it works for a second, and would take two minutes to build instead of one.
    install.args(["install", "--locked", "--quiet", "--debug", tool.crate_name, "--version", tool.version]);
    if !child::run(&mut install, stop)? {
        bail!("`cargo install --locked {}` failed", tool.crate_name);
    }
    Ok(())
}

fn answers(root: &Path, subcommand: &str) -> bool {
    crate::cargo(root)
        .args([subcommand, "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The program that `proof` names; of several versions the one whose folder sorts last.
pub(super) fn find(proof: &str) -> Option<PathBuf> {
    if !proof.contains('/') {
        // Debian's daemons live in /usr/sbin, which an ordinary user's PATH leaves out.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders.extend(["/usr/sbin".into(), "/sbin".into()]);
        return folders.into_iter().map(|folder| folder.join(proof)).find(|file| file.is_file());
    }
    let Some((before, after)) = proof.split_once("/*/") else {
        return Some(PathBuf::from(proof)).filter(|file| file.is_file());
    };
    let folders = std::fs::read_dir(before).ok()?;
    let mut found: Vec<PathBuf> =
        folders.flatten().map(|folder| folder.path().join(after)).filter(|file| file.is_file()).collect();
    found.sort();
    found.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_and_by_pattern() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
        let folder = tempfile::tempdir().unwrap();
        for version in ["14", "15"] {
            std::fs::create_dir_all(folder.path().join(version).join("bin")).unwrap();
        }
        std::fs::write(folder.path().join("14/bin/x"), "").unwrap();
        let pattern = format!("{}/*/bin/x", folder.path().display());
        assert_eq!(find(&pattern).unwrap(), folder.path().join("14/bin/x"));
    }
}
