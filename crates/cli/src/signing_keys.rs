//! `keywright signing-keys`: the keys access tokens are signed with.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::call::Call;
use crate::exit::Exit;
use crate::list::{self, Paging};
use crate::options::Global;
use crate::output::{self, Column, Look};
use crate::session::call;

const COLUMNS: [Column; 5] = [
    Column("ID", "kid", Look::Plain),
    Column("ALGORITHM", "algorithm", Look::Plain),
    Column("SIGNS", "signs", Look::Plain),
    Column("CREATED", "created_at", Look::Ago),
    Column("RETIRES", "retires_at", Look::Plain),
];

/// What can be done with signing keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the keys tokens are signed with, the newest first
    List(Paging),
    /// Have another key sign tokens from now on; nobody is logged out
    #[command(
        after_help = "The policy's `[tokens] algorithm` says how it signs. The key before it checks what it signed\n\
        for 65 minutes more."
    )]
    Rotate,
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    match command {
        Command::List(paging) => list::run(global, Call::get("/v1/signing-keys"), &paging, &COLUMNS).await?,
        Command::Rotate => {
            let made = call(global, Call::post("/v1/signing-keys/rotate", json!({}))).await?;
            output::object(global, &made)?;
        }
    }
    Ok(Exit::Done)
}
