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
    #[command(after_help = "Examples:\n  keywright accounts create 'Example Ltd' --metadata '{\"crm\": 4711}'\n  \
        keywright accounts create 'Example Ltd' --email post@example.com --email-verified true --subscription active")]
    Create {
        #[command(flatten)]
        name: Named,
        #[command(flatten)]
        who: Who,
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
        #[command(flatten)]
        who: Who,
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

/// Who an account is and how it stands.
#[derive(Args)]
pub(crate) struct Who {
    /// Its address; a new one is unverified until it is said to be verified
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Whether the address is verified
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    email_verified: Option<bool>,
    /// First name
    #[arg(long, value_name = "TEXT")]
    first_name: Option<String>,
    /// Last name
    #[arg(long, value_name = "TEXT")]
    last_name: Option<String>,
    /// Company
    #[arg(long, value_name = "TEXT")]
    company: Option<String>,
    /// private or business
    #[arg(long, value_name = "TYPE")]
    customer_type: Option<String>,
    /// none, trialing, active, past_due or canceled
    #[arg(long, value_name = "STATE")]
    subscription: Option<String>,
    /// Its balance, in your own units
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    credits: Option<i64>,
    /// Whatever is to be kept with it: a JSON object
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Value>,
}

impl Who {
    /// The API's fields, with the name before them.
    fn into_json(self, name: Option<String>) -> Map<String, Value> {
        let text = |value: Option<String>| value.map(Value::from);
        fields([
            ("name", text(name)),
            ("email", text(self.email)),
            ("email_verified", self.email_verified.map(Value::from)),
            ("first_name", text(self.first_name)),
            ("last_name", text(self.last_name)),
            ("company", text(self.company)),
            ("customer_type", text(self.customer_type)),
            ("subscription", text(self.subscription)),
            ("credits", self.credits.map(Value::from)),
            ("metadata", self.metadata),
        ])
    }
}

/// An account.
#[derive(Args)]
pub(crate) struct One {
    /// The account's id, as in acc_…
    id: String,
}

impl One {
    pub(crate) fn path(&self) -> String {
        format!("/v1/accounts/{}", escape(&self.id))
    }
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    let done = match command {
        Command::Create { name, who } => {
            let body = who.into_json(name.name.or(name.named));
            call(global, Call::post("/v1/accounts", body.into())).await?
        }
        Command::List(paging) => {
            list::run(global, Call::get("/v1/accounts"), &paging, &COLUMNS).await?;
            return Ok(Exit::Done);
        }
        Command::Get(account) => call(global, Call::get(account.path())).await?,
        Command::Update { account, name, who } => {
            let body = who.into_json(name);
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

/// A name that has to be there, wherever it is looked for.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Named {
    /// What people call it
    name: Option<String>,
    /// The same, as `keywright keys create` and `update` take it
    #[arg(long = "name", value_name = "TEXT")]
    named: Option<String>,
}

pub(crate) fn fields<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
