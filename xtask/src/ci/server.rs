//! Private servers: a free loopback port, a scratch folder, and an end that cannot be forgotten.
//!
//! Adding one: a file beside this with `start() -> Result<Running>`, and an arm in each match here.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::packages::{POSTGRESQL, Package};
use super::postgres;
use crate::child;

/// Debian's `nobody` and `nogroup`. Not the package's own user: these servers ask for no password,
/// and the files of a real server on the same machine must stay out of their reach.
const NOBODY: u32 = 65_534;

/// The servers that tests may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Server {
    Postgres,
}

impl Server {
    pub(super) fn package(self) -> Package {
        match self {
            Self::Postgres => POSTGRESQL,
        }
    }

    pub(super) fn start(self) -> Result<Running> {
        match self {
            Self::Postgres => postgres::start(),
        }
    }
}

/// A started server; dropping it ends it and removes its folder.
pub(super) struct Running {
    /// The environment variable by which tests find it.
    pub(super) variable: &'static str,
    pub(super) url: String,
    process: Process,
    // After `process`: fields drop in order, and the folder must outlive the server.
    _scratch: Scratch,
}

impl Running {
    /// Starts `program`, waits until `ready` says yes, and gives up with the log's tail.
    pub(super) fn start(
        scratch: Scratch,
        program: &mut Command,
        (variable, url): (&'static str, String),
        ready: impl Fn() -> bool,
    ) -> Result<Self> {
        let log = scratch.path().join("log");
        let file = std::fs::File::create(&log)?;
        // A group of its own: Ctrl-C is for us to hear, and we end the server after its clients.
        program.stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = program.spawn().context("starting the server")?;
        let mut process = Process(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !ready() {
            let gone = process.0.try_wait()?.is_some();
            if gone || Instant::now() > deadline {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("the server {}:\n{said}", if gone { "ended at once" } else { "is not ready after 30 s" });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { variable, url, process, _scratch: scratch })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// A server process, ended by its own pid.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown, and an ordinary end to the others.
        for (signal, patience_s) in [(Signal::INT, 10), (Signal::QUIT, 5), (Signal::KILL, 5)] {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
                let _ = kill_process(pid, signal);
            }
            if child::ends_within(&mut self.0, Duration::from_secs(patience_s)) {
                return;
            }
        }
    }
}

/// A folder that the unprivileged user owns.
pub(super) struct Scratch(TempDir);

impl Scratch {
    /// Directly under `/tmp`: another user must reach it, and a Unix socket's path has room for
    /// about a hundred bytes, which a caller's `TMPDIR` may exceed.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("keywright-ci-").tempdir_in("/tmp")?;
        if rustix::process::geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// `program` in this folder, without root's rights, and told to end (SIGINT) should we die in a
    /// way that runs no destructor.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=INT");
        if rustix::process::geteuid().is_root() {
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()]);
        }
        command.arg(program).current_dir(self.path()).stdin(Stdio::null());
        command
    }
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
