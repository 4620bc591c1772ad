//! `keywright services`: the services an account has, as the operator's provisioning writes them down.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::accounts::fields;
use crate::call::{Call, escape};
use crate::confirm::Yes;
use crate::exit::Exit;
use crate::fields::{must_change, parse_object};
use crate::list::{self, Paging};
use crate::options::Global;
use crate::output::{self, Column, Look};
use crate::session::call;

const COLUMNS: [Column; 6] = [
    Column("ID", "id", Look::Plain),
    Column("TYPE", "service_type", Look::Plain),
    Column("NAME", "name", Look::Plain),
    Column("STATUS", "status", Look::Plain),
    Column("REGION", "region", Look::Plain),
    Column("CREATED", "created_at", Look::Ago),
];

/// What can be done with services.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write down a service an account has
    #[command(after_help = "Examples:\n  keywright services create acc_… database webapp-prod-db --region oslo\n  \
        keywright services create acc_… vps web-1 --metadata '{\"ssh_key_ids\": [\"ssh_…\"]}'")]
    Create {
        /// The account's id, as in acc_…
        account: String,
        /// What it is, as in database or vps
        #[arg(value_name = "TYPE")]
        service_type: String,
        /// What people call it
        name: String,
        #[command(flatten)]
        said: Said,
    },
    /// List the services an account has
    List {
        /// The account's id, as in acc_…
        account: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Change what is written down of a service
    Update {
        #[command(flatten)]
        service: One,
        /// What people call it
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        #[command(flatten)]
        said: Said,
    },
    /// Strike a service off
    Delete {
        #[command(flatten)]
        service: One,
        #[command(flatten)]
        yes: Yes,
    },
}

/// What is said of a service.
#[derive(Args)]
pub(crate) struct Said {
    /// How it is, as in running
    #[arg(long, value_name = "WORD")]
    status: Option<String>,
    /// Where it is, as in oslo
    #[arg(long, value_name = "WORD")]
    region: Option<String>,
    /// Whatever is to be kept with it: a JSON object
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Value>,
}

impl Said {
    fn into_json(self, service_type: Option<String>, name: Option<String>) -> Map<String, Value> {
        fields([
            ("service_type", service_type.map(Value::from)),
            ("name", name.map(Value::from)),
            ("status", self.status.map(Value::from)),
            ("region", self.region.map(Value::from)),
            ("metadata", self.metadata),
        ])
    }
}

/// A service.
#[derive(Args)]
pub(crate) struct One {
    /// The account's id, as in acc_…
    account: String,
    /// The service's id, as in svc_…
    id: String,
}

impl One {
    fn path(&self) -> String {
        format!("{}/{}", path(&self.account), escape(&self.id))
    }
}

fn path(account: &str) -> String {
    format!("/v1/accounts/{}/services", escape(account))
}

/// Does what was asked.
pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit> {
    match command {
        Command::Create { account, service_type, name, said } => {
            let body = said.into_json(Some(service_type), Some(name));
            output::object(global, &call(global, Call::post(path(&account), body.into())).await?)?;
        }
        Command::List { account, paging } => {
            list::run(global, Call::get(path(&account)), &paging, &COLUMNS).await?;
        }
        Command::Update { service, name, said } => {
            let body = said.into_json(None, name);
            must_change(&body)?;
            output::object(global, &call(global, Call::patch(service.path(), body.into())).await?)?;
        }
        Command::Delete { service, yes } => {
            yes.confirm(&format!("The account {} no longer sees the service {}.", service.account, service.id))?;
            call(global, Call::delete(service.path())).await?;
        }
    }
    Ok(Exit::Done)
}
