//! A private PostgreSQL: no password, no durability, two hundred connections, gone afterwards.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::packages::{POSTGRESQL, find};
use super::server::{Running, Scratch, free_port};

/// Many test binaries each hold a pool.
const MAX_CONNECTIONS: u32 = 200;

/// Creates a cluster in a scratch folder and serves it.
pub(super) fn start() -> Result<Running> {
    let postgres = find(POSTGRESQL.proof).context("PostgreSQL is not installed")?;
    let programs = postgres.parent().context("postgres has no folder")?;
    let scratch = Scratch::new()?;
    create_cluster(programs, &scratch)?;

    let port = free_port()?;
    let folder = scratch.path().display().to_string();
    let mut server = scratch.command(&postgres);
    server.args(["-D", "data", "-p", &port.to_string(), "-k", &folder]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        &format!("max_connections={MAX_CONNECTIONS}"),
    ] {
        server.args(["-c", setting]);
    }
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let probe = scratch_probe(programs, port);
    Running::start(scratch, &mut server, ("KEYWRIGHT_TEST_POSTGRES", url), probe)
}

fn create_cluster(programs: &Path, scratch: &Scratch) -> Result<()> {
    let made = scratch
        .command(&programs.join("initdb"))
        .args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
        .output()
        .context("starting initdb through setpriv")?;
    if !made.status.success() {
        bail!("initdb failed:\n{}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}

fn scratch_probe(programs: &Path, port: u16) -> impl Fn() -> bool {
    let pg_isready = programs.join("pg_isready");
    move || {
        std::process::Command::new(&pg_isready)
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_serves_while_held_and_is_gone_when_dropped() {
        if find(POSTGRESQL.proof).is_none() {
            assert!(std::env::var_os("KEYWRIGHT_CI").is_none(), "CI installs PostgreSQL before it tests");
            return;
        }
        let running = start().unwrap();
        let proc = format!("/proc/{}", running.pid());
        assert!(Path::new(&proc).exists());
        assert!(running.url.starts_with("postgres://postgres@127.0.0.1:"));
        drop(running);
        assert!(!Path::new(&proc).exists());
    }
}
