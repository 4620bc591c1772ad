//! Clocks that count work instead of waiting, and a core for each party.
//!
//! On a shared machine wall time measures the neighbours. In-process the clock is the thread's CPU
//! time; for a server it is the time its threads spent on a CPU, which the kernel keeps for us.

use std::ffi::OsStr;
use std::io;
use std::process::Command;
use std::sync::LazyLock;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// What a processor's largest cache holds where the kernel does not say, in bytes.
const USUAL_CACHE: usize = 32 << 20;

/// CPU time of the calling thread, in nanoseconds. Only differences mean anything.
#[must_use]
pub fn thread_ns() -> u64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(spent.tv_sec) * 1_000_000_000 + part(spent.tv_nsec)
}

/// CPU time of the calling thread that `work` takes, in nanoseconds.
pub fn thread_ns_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = thread_ns();
    let value = work();
    (value, thread_ns() - before)
}

/// Nanoseconds that the threads of process `pid` have spent on a CPU, user and kernel time together.
///
/// A thread that ended takes its time with it, so compare only while the process keeps its threads,
/// as a server under load does. Child processes are not counted: sum over their pids.
///
/// # Errors
///
/// The process is gone, or the kernel keeps no scheduler statistics.
pub fn process_ns(pid: u32) -> io::Result<u64> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        match std::fs::read_to_string(task?.path().join("schedstat")) {
            Ok(text) => total += on_cpu_ns(&text).ok_or(io::ErrorKind::InvalidData)?,
            // The thread ended between the listing and the reading.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// The first field of a `schedstat` file (Linux, `Documentation/scheduler/sched-stats.rst`).
fn on_cpu_ns(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Memory this process has in use, in bytes.
///
/// # Errors
/// The kernel does not say.
pub fn resident_bytes() -> io::Result<u64> {
    resident_bytes_of(std::process::id())
}

/// Memory that process `pid` has in use, in bytes: what it shares with others is counted in full.
///
/// # Errors
/// The process is gone, or the kernel does not say.
pub fn resident_bytes_of(pid: u32) -> io::Result<u64> {
    memory_of(pid, "VmRSS:")
}

/// The most memory that process `pid` has had in use so far, in bytes.
///
/// # Errors
/// The process is gone, or the kernel does not say.
pub fn peak_bytes_of(pid: u32) -> io::Result<u64> {
    memory_of(pid, "VmHWM:")
}

fn memory_of(pid: u32, what: &str) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1_024).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads so much memory that hardly anything else is left in the processor's caches, or in those that lead to its pages.
pub fn displace_caches() {
    static OTHER: LazyLock<Vec<u64>> = LazyLock::new(|| vec![1; 2 * largest_cache() / size_of::<u64>()]);
    std::hint::black_box(OTHER.iter().step_by(64 / size_of::<u64>()).sum::<u64>());
}

/// How much the largest of the processor's caches holds, in bytes.
fn largest_cache() -> usize {
    let sizes = (0..).map_while(|index| {
        std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size")).ok()
    });
    sizes.filter_map(|size| in_bytes(&size)).max().unwrap_or(USUAL_CACHE)
}

/// A size as the kernel writes it, in bytes (Linux, `Documentation/ABI/testing/sysfs-devices-system-cpu`).
fn in_bytes(size: &str) -> Option<usize> {
    size.trim().strip_suffix('K')?.parse::<usize>().ok()?.checked_mul(1_024)
}

/// Keeps the calling thread, and those it starts from now on, to one core.
///
/// # Errors
/// There is no such core.
pub fn stay_on(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// `program`, to be started on `core` alone. `taskset` replaces itself by the program, so the pid of
/// the child is the program's.
pub fn pinned(core: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_field_is_the_time_on_the_cpu() {
        assert_eq!(on_cpu_ns("1234567 89 10\n"), Some(1_234_567));
        assert_eq!(on_cpu_ns(""), None);
        assert_eq!(on_cpu_ns("x 1 2"), None);
    }

    #[test]
    fn work_takes_cpu_time_by_either_clock() {
        let before = process_ns(std::process::id()).unwrap();
        let (_, spent) = thread_ns_of(|| (0..20_000_000_u64).map(std::hint::black_box).sum::<u64>());
        assert!(spent > 0);
        assert!(process_ns(std::process::id()).unwrap() > before);
    }

    #[test]
    fn the_size_of_a_cache_is_in_kibibytes() {
        assert_eq!(in_bytes("32768K\n"), Some(32 << 20));
        assert_eq!(in_bytes("K"), None);
        assert_eq!(in_bytes("32768"), None);
        assert!(largest_cache() >= 64 << 10);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(process_ns(u32::MAX).is_err());
    }

    #[test]
    fn a_pinned_program_runs_on_its_core_under_its_own_pid() {
        let child = pinned(0, "cat").arg("/proc/self/status").stdout(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let status = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        assert!(status.contains(&format!("\nPid:\t{pid}\n")), "{status}");
    }
}
