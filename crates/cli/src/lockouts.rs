//! `keywright lockouts`: who is locked out after too many wrong keys or logins.

use anyhow::Result;
use clap::Subcommand;

use crate::call::{Call, escape};
use crate::exit::Exit;
use crate::list::{self, Paging};
use crate::options::Global;
use crate::output::{Column, Look};
use crate::say;
use crate::session::call;

const COLUMNS: [Column; 7] = [
    Column("ID", "id", Look::Plain),
    Column("KIND", "kind", Look::Plain),
    Column("KEY", "key_prefix", Look::Plain),
    Column("EMAIL", "email", Look::Plain),
    Column("ADDRESS", "ip", Look::Plain),
    Column("RULE", "rule", Look::Plain),
    Column("UNTIL", "until", Look::Plain),
];

/// What can be done with lockouts.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the keys and addresses for which nothing is tried for now
    List(Paging),
    /// Let whoever is locked out try again at once
    #[command(after_help = "Examples:\n  keywright lockouts lift lock_…")]
    Lift {
        /// The lockout's id, as in lock_…
        id: String,
    },
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    match command {
        Command::List(paging) => list::run(global, Call::get("/v1/lockouts"), &paging, &COLUMNS).await?,
        Command::Lift { id } => {
            call(global, Call::delete(format!("/v1/lockouts/{}", escape(&id)))).await?;
            say::note("Lifted.");
        }
    }
    Ok(Exit::Done)
}
