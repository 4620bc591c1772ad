//! `keywright rekey`: a new master key, without reissuing a single key.
//!
//! The new master key is on disk before anything is sealed under it, and takes its place after. Whenever this is cut
//! off, one of the two opens the database, and the next start finds out which (`place.rs`).

use anyhow::{Result, anyhow};
use clap::Args;
use keywright_app::Keyring;
use keywright_app::clock::Clock;

use crate::confirm::Yes;
use crate::exit::Exit;
use crate::folder;
use crate::options::Global;
use crate::place::Place;
use crate::say;

/// What the help says beneath the options.
pub(crate) const HELP: &str = "\
The server has to be stopped. Every key goes on working: it moves to the new secret when it is next used. Backups made until now \
open with the old master key alone, which is kept beside the new one as master.key.old-N: delete it once no backup needs it.

Examples:
  keywright rekey --config /etc/keywright/keywright.toml";

/// `rekey`
#[derive(Args)]
pub(crate) struct Rekey {
    #[command(flatten)]
    yes: Yes,
}

/// Replaces the master key.
pub(crate) async fn run(global: &Global, rekey: Rekey) -> Result<Exit> {
    let place = Place::find(global)?;
    let lock = place.folder.take_alone("stop it first, then run this again").await?;
    rekey.yes.confirm(&format!(
        "The master key {} is replaced; backups made until now need the old one.",
        place.master_key.display()
    ))?;
    let db = place.open_database().await?;
    let claim = db.claim().await.map_err(|error| place.out_of_reach(&error.to_string()))?;
    let old = place.find_master_key(&db).await?;
    let next = place.next_master_key();
    let new = folder::create_master_key(&next)?;
    Keyring::rekey(&db, &old, &new, Clock::System.now())
        .await
        .map_err(|error| anyhow!("nothing was changed: {error}"))?;
    let kept = folder::put_in_place(&next, &place.master_key)?;
    drop((claim, lock));
    say::note(&format!("The data is sealed under a new master key, {}: back it up.", place.master_key.display()));
    if let Some(kept) = kept {
        say::note(&format!("The old one is kept as {}: delete it once no backup needs it.", kept.display()));
    }
    Ok(Exit::Done)
}
