//! The data folder: its lock, its master key, and which server runs on it.
//!
//! Whoever opens the database for writing holds the lock, a server for as long as it runs and a command for as long as
//! it takes. Every file in it is the owner's alone: `main.rs` sets the umask before anything is made.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use keywright_core::secret::MasterKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::exit::{Exit, fail};

/// How long a command waits for another one to be done.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(25);

/// A data folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

/// The right to write in a folder, held until it is dropped or the process ends, however it ends.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file is what gives the lock back")] File);

/// Who has the folder.
pub(crate) enum Holder {
    /// We do.
    Us(Lock),
    /// A server does, and this is where it answers.
    Server(ServerNote),
}

/// What a server leaves in its folder for commands to find it by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ServerNote {
    /// Its process.
    pub(crate) pid: u32,
    /// Where it answers on this machine.
    pub(crate) url: String,
}

impl ServerNote {
    /// Where to connect to.
    pub(crate) fn authority(&self) -> &str {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, authority)| authority)
    }
}

impl Folder {
    /// Where the SQLite database is, unless the configuration says otherwise.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("keywright.db")
    }

    /// Removes the SQLite database and what lies beside it: an old journal would be played into a new database.
    pub(crate) fn remove_database(&self) -> io::Result<()> {
        for tail in ["-journal", "-wal", "-shm", ""] {
            let mut path = self.database().into_os_string();
            path.push(tail);
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Where `dev` keeps its credentials.
    pub(crate) fn dev_credentials(&self) -> PathBuf {
        self.0.join("dev-credentials.json")
    }

    /// There from before `dev` makes anything until its credentials are kept.
    pub(crate) fn dev_unfinished(&self) -> PathBuf {
        self.0.join("dev-unfinished")
    }

    fn server_note(&self) -> PathBuf {
        self.0.join("server.json")
    }

    /// Makes the folder, for its owner alone.
    pub(crate) fn create(&self) -> Result<()> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.with_context(|| format!("{} cannot be made: name a folder that can, with --data-dir", self.0.display()))
    }

    /// Takes the lock, or says which server has it. Waits for other commands, which soon are done.
    pub(crate) async fn take(&self) -> Result<Holder> {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(holder) = self.try_take()? {
                    return Ok(holder);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        waited.await.unwrap_or_else(|_| {
            let text = format!(
                "another keywright command has been using {} for {PATIENCE:?}: try again when it is done",
                self.0.display()
            );
            Err(fail(Exit::Failed, text))
        })
    }

    /// Takes the lock for a server or for a command that needs the server stopped.
    pub(crate) async fn take_alone(&self, why: &str) -> Result<Lock> {
        match self.take().await? {
            Holder::Us(lock) => Ok(lock),
            Holder::Server(note) => {
                let place = self.0.display();
                let text = format!("a server (process {}, {}) runs on {place}: {why}", note.pid, note.url);
                Err(fail(Exit::Failed, text))
            }
        }
    }

    fn try_take(&self) -> Result<Option<Holder>> {
        let path = self.0.join("lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = opened.with_context(|| {
            format!("{} cannot be written: keywright needs a data folder of its own", path.display())
        })?;
        match file.try_lock() {
            Ok(()) => {
                // Whoever wrote it did not live to take it away.
                self.forget_server();
                Ok(Some(Holder::Us(Lock(file))))
            }
            Err(TryLockError::WouldBlock) => Ok(self.find_server().map(Holder::Server)),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| {
                format!("{} cannot be locked: the data folder has to be on a local disk", path.display())
            }),
        }
    }

    /// Tells commands where the server is.
    pub(crate) fn note_server(&self, note: &ServerNote) -> Result<()> {
        write_private(&self.server_note(), &serde_json::to_vec(note)?)
    }

    /// The server that runs here, if one does.
    pub(crate) fn find_server(&self) -> Option<ServerNote> {
        serde_json::from_slice(&std::fs::read(self.server_note()).ok()?).ok()
    }

    /// Takes the note away.
    pub(crate) fn forget_server(&self) {
        drop(std::fs::remove_file(self.server_note()));
    }
}

/// Reads a master key file.
pub(crate) fn read_master_key(path: &Path) -> Result<MasterKey> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.with_context(|| format!("the master key {} cannot be read", path.display()))?;
    MasterKey::parse(&text).ok_or_else(|| {
        let text = format!(
            "{} is no master key: it has to hold 64 hexadecimal digits. Restore it from its backup",
            path.display()
        );
        fail(Exit::Usage, text)
    })
}

/// Makes a master key and its file, which must not exist yet.
pub(crate) fn create_master_key(path: &Path) -> Result<MasterKey> {
    let key = MasterKey::generate(&mut keywright_app::clock::rng());
    if path.exists() {
        return Err(fail(Exit::Usage, format!("{} exists already", path.display())));
    }
    write_private(path, key.text().as_bytes())?;
    Ok(key)
}

/// Writes a file of mode 0600 so that a crash leaves either the old one or the whole new one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".tmp");
    let draft = PathBuf::from(draft);
    let write = || -> io::Result<()> {
        drop(std::fs::remove_file(&draft));
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        rename(&draft, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Renames a file within its folder, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Puts a new master key in the place of the old, which is kept beside it for as long as backups need it.
pub(crate) fn put_in_place(next: &Path, master_key: &Path) -> Result<Option<PathBuf>> {
    let kept = (1..1_000).map(|count| {
        let mut path = master_key.as_os_str().to_owned();
        path.push(format!(".old-{count}"));
        PathBuf::from(path)
    });
    let free = kept.into_iter().find(|path| !path.exists()).filter(|_| master_key.exists());
    if let Some(kept) = &free {
        std::fs::hard_link(master_key, kept).with_context(|| format!("{} cannot be made", kept.display()))?;
    }
    rename(next, master_key).with_context(|| format!("{} cannot be replaced", master_key.display()))?;
    Ok(free)
}
