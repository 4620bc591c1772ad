//! `keywright backup`: a consistent copy of the database, also while a server writes to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::ProgressBar;
use keywright_store::Db;
use serde_json::json;

use crate::exit::{Exit, fail};
use crate::options::Global;
use crate::place::Place;
use crate::{folder, output, progress, say};

const TICK: Duration = Duration::from_millis(200);

/// What the help says beneath the options.
pub(crate) const HELP: &str = "\
The copy is of one moment, and is readable by its owner alone. It holds no master key: keep that too, apart from the copy, for \
without it the copy is of no use. To restore, stop the server and put the copy in the database's place, without the -wal and -shm \
files beside it. PostgreSQL is backed up with pg_dump.

Examples:
  keywright backup --to /var/backups/keywright-$(date +%F).db";

/// `backup`
#[derive(Args)]
pub(crate) struct Backup {
    /// Where to; nothing is overwritten
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Copies the database.
pub(crate) async fn run(global: &Global, backup: Backup) -> Result<Exit> {
    let place = Place::find(global)?;
    let Some(from) = place.database_file() else {
        let text =
            format!("PostgreSQL brings its own tool: pg_dump --format=custom --file={} DATABASE", backup.to.display());
        return Err(fail(Exit::Usage, text));
    };
    if backup.to.exists() {
        return Err(fail(Exit::Usage, format!("{} exists already: choose another name", backup.to.display())));
    }
    let size =
        std::fs::metadata(from).map_err(|error| fail(Exit::NotFound, format!("{}: {error}", from.display())))?.len();
    let mut draft = backup.to.as_os_str().to_owned();
    draft.push(".partial");
    let draft = PathBuf::from(draft);
    // Left by a copy that was cut off.
    drop(std::fs::remove_file(&draft));
    copy(from, &draft, progress::bytes(size, "copying")).await?;
    folder::rename(&draft, &backup.to).with_context(|| format!("{} cannot be made", backup.to.display()))?;
    let bytes = std::fs::metadata(&backup.to)?.len();
    output::object(global, &json!({ "file": backup.to, "bytes": bytes }))?;
    say::note(&format!(
        "The copy needs {} to be of use: keep that as well, apart from it.",
        place.master_key.display()
    ));
    Ok(Exit::Done)
}

async fn copy(from: &Path, to: &Path, bar: ProgressBar) -> Result<()> {
    let mut copied = std::pin::pin!(Db::copy_file(from, to));
    loop {
        match tokio::time::timeout(TICK, &mut copied).await {
            Ok(done) => {
                bar.finish_and_clear();
                return done.context("the copy could not be made");
            }
            Err(_) => bar.set_position(std::fs::metadata(to).map_or(0, |file| file.len())),
        }
    }
}
