//! `keywright accounts`: the customers that own keys.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::call::{Call, escape};
use crate::confirm::Yes;
use crate::exit::Exit;
use crate::fields::{must_change, parse_object};
use crate::list::{self, Paging};
use crate::options::Global;
use crate::output::{self, Column, Look};
use crate::session::call;

const COLUMNS: [Column; 4] = [
    Column("ID", "id", Look::Plain),
    Column("NAME", "name", Look::Plain),
    Column("STATUS", "status", Look::Status),
    Column("CREATED", "created_at", Look::Ago),
];

/// What can be done with accounts.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an account
    #[command(after_help = "Examples:\n  keywright accounts create 'Example Ltd' --metadata '{\"crm\": 4711}'")]
    Create {
        /// What people call it
        name: String,
        /// Whatever is to be kept with it: a JSON object
        #[arg(long, value_name = "JSON", value_parser = parse_object)]
        metadata: Option<Value>,
    },
    /// List accounts
    List(Paging),
    /// Show an account
    Get(One),
    /// Change an account
    Update {
        #[command(flatten)]
        account: One,
        /// What people call it
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Whatever is to be kept with it: a JSON object
        #[arg(long, value_name = "JSON", value_parser = parse_object)]
        metadata: Option<Value>,
    },
    /// Refuse all of an account's keys until it is active again
    Suspend {
        #[command(flatten)]
        account: One,
        #[command(flatten)]
        yes: Yes,
    },
    /// Accept a suspended account's keys again
    Activate(One),
}

/// An account.
#[derive(Args)]
pub(crate) struct One {
    /// The account's id, as in acc_…
    id: String,
}

impl One {
    fn path(&self) -> String {
        format!("/v1/accounts/{}", escape(&self.id))
    }
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    let done = match command {
        Command::Create { name, metadata } => {
            let body = fields([("name", Some(name.into())), ("metadata", metadata)]);
            call(global, Call::post("/v1/accounts", body.into())).await?
        }
        Command::List(paging) => {
            list::run(global, Call::get("/v1/accounts"), &paging, &COLUMNS).await?;
            return Ok(Exit::Done);
        }
        Command::Get(account) => call(global, Call::get(account.path())).await?,
        Command::Update { account, name, metadata } => {
            let body = fields([("name", name.map(Value::from)), ("metadata", metadata)]);
            must_change(&body)?;
            call(global, Call::patch(account.path(), body.into())).await?
        }
        Command::Suspend { account, yes } => {
            yes.confirm(&format!("Every key of the account {} is refused until it is active again.", account.id))?;
            call(global, Call::patch(account.path(), json!({ "status": "suspended" }))).await?
        }
        Command::Activate(account) => call(global, Call::patch(account.path(), json!({ "status": "active" }))).await?,
    };
    output::object(global, &done)?;
    Ok(Exit::Done)
}

fn fields<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
