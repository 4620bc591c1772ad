//! The files of a Keywright: whether they are there, and nobody else's to read.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Findings;
use crate::folder;
use crate::place::Place;

/// Checks the folder and what is secret in it.
pub(super) fn check(place: &Place, found: &mut Findings) {
    let folder = &place.folder.0;
    match std::fs::metadata(folder) {
        Ok(meta) if !meta.is_dir() => {
            found.wrong(
                "data folder",
                format!("{} is no folder", folder.display()),
                "name one with --data-dir or data_dir",
            );
        }
        Ok(meta) if meta.mode() & 0o077 != 0 => {
            let detail = format!("{} is open to others (mode {:o})", folder.display(), meta.mode() & 0o777);
            found.warn("data folder", detail, format!("chmod 700 {}", folder.display()));
        }
        Ok(_) => found.ok("data folder", format!("{} is its owner's alone", folder.display())),
        Err(error) => {
            found.warn(
                "data folder",
                format!("{}: {error}", folder.display()),
                "the first start makes it; if there was one, restore its backup",
            );
        }
    }
    if let Err(error) = folder::read_master_key(&place.master_key) {
        found.wrong(
            "master key",
            format!("{error:#}"),
            "restore it from its backup; `keywright init` makes a first one",
        );
    }
    let mut secret = vec![place.master_key.clone(), place.next_master_key(), place.folder.dev_credentials()];
    secret.extend(place.mail.password_file().map(Path::to_owned));
    if let Some(database) = place.database_file() {
        secret.extend(["", "-wal", "-shm"].map(|tail| beside(database, tail)));
    }
    let exposed: Vec<PathBuf> = secret.into_iter().filter(|path| is_exposed(path)).collect();
    if exposed.is_empty() {
        found.ok("file modes", "what is secret is its owner's alone");
    }
    for path in exposed {
        found.wrong(
            "file modes",
            format!("{} can be read by others", path.display()),
            format!("chmod 600 {}", path.display()),
        );
    }
}

fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(tail);
    path.into()
}

fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o077 != 0)
}
