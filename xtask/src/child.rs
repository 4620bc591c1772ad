//! Running another program so that it never outlives us.
//!
//! A child gets its own process group. On SIGINT or SIGTERM the flag in [`Stop`] is raised, the
//! whole group is ended, and the caller unwinds by an ordinary error, so every `Drop` guard runs.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(5);

/// Raised once somebody asked us to stop.
#[derive(Clone)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for SIGINT and SIGTERM from here on.
    pub(crate) fn listen() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// An error if somebody asked us to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}

/// Runs to the end; `true` when the program succeeded.
///
/// # Errors
///
/// The program could not be started, or `stop` was raised meanwhile.
pub(crate) fn run(command: &mut Command, stop: &Stop) -> Result<bool> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("starting {name}"))?;
    let mut group = Group(child);
    loop {
        stop.check()?;
        if let Some(status) = group.0.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(POLL);
    }
}

/// Ends the child's whole group unless it has already ended by itself.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) else {
            return;
        };
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = kill_process_group(pid, Signal::TERM);
        if !ends_within(&mut self.0, PATIENCE) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// Whether the child ends by itself in time.
pub(crate) fn ends_within(child: &mut Child, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return true;
        }
        std::thread::sleep(POLL);
    }
    false
}
