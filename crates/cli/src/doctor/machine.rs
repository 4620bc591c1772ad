//! The machine under a Keywright: room on the disk, open files.

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};

use super::Findings;
use crate::place::Place;

/// What a small installation writes in a year, and what one that is about to stop has left.
const LITTLE: u64 = 1 << 30;
const TOO_LITTLE: u64 = 100 << 20;
/// Connections the server takes at once, and some for itself. It takes what it may ask for.
const FILES: u64 = 10_100;

/// Checks the machine.
pub(super) fn check(place: &Place, found: &mut Findings) {
    let folder = &place.folder.0;
    if let Ok(disk) = statvfs(folder) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let detail = format!("{} MiB free under {}", free >> 20, folder.display());
        let mend = "make room: without it nothing can be created, changed or revoked";
        match free {
            0..TOO_LITTLE => found.wrong("disk", detail, mend),
            TOO_LITTLE..LITTLE => found.warn("disk", detail, mend),
            _ => found.ok("disk", detail),
        }
    }
    match getrlimit(Resource::Nofile).maximum {
        Some(files) if files < FILES => {
            let detail = format!("at most {files}, fewer than the 10000 connections a server takes");
            found.warn(
                "open files",
                detail,
                "raise the limit for the server: ulimit -Hn 65536, or LimitNOFILE=65536 in its systemd unit",
            );
        }
        _ => found.ok("open files", "enough for every connection"),
    }
}
