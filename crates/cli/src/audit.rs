//! `keywright audit`: what was changed, by whom, and whether the log still says so.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::call::Call;
use crate::exit::Exit;
use crate::list::{self, Paging};
use crate::options::Global;
use crate::output::{self, Column, Look};
use crate::say;
use crate::session::call;

/// Following the chain takes a while where there are millions of rows.
const PATIENCE: Duration = Duration::from_secs(3_600);

const COLUMNS: [Column; 6] = [
    Column("SEQ", "seq", Look::Plain),
    Column("AT", "at", Look::Plain),
    Column("ACTION", "action", Look::Plain),
    Column("TARGET", "target", Look::Plain),
    Column("ACTOR", "actor", Look::Plain),
    Column("ACCOUNT", "account_id", Look::Plain),
];

/// What can be done with the audit log.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List what was changed, newest first; -o json has the details
    #[command(
        after_help = "Examples:\n  keywright audit list --action key.revoke\n  keywright audit list --target key_… -o json"
    )]
    List(Filter),
    /// Follow the chain and find a changed, missing or reordered row; exit code 1 where there is one
    Verify,
}

/// `audit list`
#[derive(Args)]
pub(crate) struct Filter {
    /// About this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// About this key, account or user
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// This was done, as in key.rotate
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// By this one: key:key_… or local
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    match command {
        Command::List(filter) => {
            let list = Call::get("/v1/audit")
                .query("account_id", filter.account)
                .query("target", filter.target)
                .query("action", filter.action)
                .query("actor", filter.actor);
            list::run(global, list, &filter.paging, &COLUMNS).await?;
            Ok(Exit::Done)
        }
        Command::Verify => {
            let verified = call(global, Call::post("/v1/audit/verify", json!({})).patient(PATIENCE)).await?;
            output::object(global, &verified)?;
            if verified.get("intact").and_then(Value::as_bool) == Some(true) {
                return Ok(Exit::Done);
            }
            say::note(
                "The audit log is not what was written: find out who can write to the database, and keep a copy as it is.",
            );
            Ok(Exit::Failed)
        }
    }
}
