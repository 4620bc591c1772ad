//! `keywright init`: a configuration, a policy, a master key and the first operator key.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use keywright_core::policy::Policy;
use serde_json::{Value, json};

use crate::call::Call;
use crate::config;
use crate::exit::{Exit, fail};
use crate::folder::{self, Folder, write_private};
use crate::options::{Format, Global};
use crate::place::load_config;
use crate::session::Local;
use crate::{output, say};

/// What the help says beneath the options.
pub(crate) const HELP: &str = "\
It writes keywright.toml, policy.toml and master.key into the folder, makes the database, and prints the first operator key on \
standard output, this once. It overwrites nothing. KEYWRIGHT_DATABASE_URL chooses another database than SQLite.

Examples:
  keywright init --dir /etc/keywright
  KEYWRIGHT_API_KEY=$(keywright init --dir /etc/keywright)";

/// `init`
#[derive(Args)]
pub(crate) struct Init {
    /// The folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// Begins a Keywright.
pub(crate) async fn run(global: &Global, init: Init) -> Result<Exit> {
    Folder(init.dir.clone()).create()?;
    // What is shown is what can be pasted: no `./` before it.
    let dir = if init.dir == Path::new(".") { PathBuf::new() } else { init.dir };
    let file = dir.join(config::FILE);
    let policy = dir.join("policy.toml");
    let place = config::parse(&file, config::TEMPLATE, None).map_err(|wrongs| config::refuse(&wrongs))?.place;
    for path in [&file, &policy, &place.master_key, &place.folder.database()] {
        if path.exists() {
            return Err(fail(Exit::Usage, format!("{} exists already; nothing was changed", path.display())));
        }
    }
    let made = begin(global, &file, &policy).await;
    if made.is_err() {
        // Half of it would stand in the way of the next try.
        for path in [file.clone(), policy.clone(), place.master_key.clone(), place.folder.0.join("lock")] {
            drop(std::fs::remove_file(path));
        }
        drop(place.folder.remove_database());
        // It stays where somebody else keeps something in it.
        drop(std::fs::remove_dir(&place.folder.0));
    }
    let key = made?;
    if global.output == Some(Format::Json) {
        output::json(
            &json!({ "operator_key": key, "config": file, "policy": policy, "master_key": place.master_key }),
        )?;
    } else {
        say::data(&key)?;
    }
    explain(&file, &policy, &place.master_key);
    Ok(Exit::Done)
}

async fn begin(global: &Global, file: &Path, policy: &Path) -> Result<String> {
    write_private(file, config::TEMPLATE.as_bytes())?;
    write_private(policy, Policy::STARTER.as_bytes())?;
    let place = load_config(&Global { data_dir: None, ..global.clone() }, file)?.place;
    folder::create_master_key(&place.master_key)?;
    place.folder.create()?;
    let lock = place.folder.take_alone("it uses the folder already").await?;
    let local = Local::new(place.open_briefly(lock).await?);
    let operator = json!({ "kind": "operator", "name": "First operator", "permissions": ["*"] });
    let made = local.call(Call::post("/v1/keys", operator)).await;
    local.into_house().close().await?;
    let made = made.context("the first operator key could not be made")?;
    made.get("key").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| anyhow!("the answer has no key"))
}

fn explain(file: &Path, policy: &Path, master_key: &Path) {
    say::note(&format!(
        "\nThat is the first operator key: it may do everything and cannot be shown again.\n\n  \
         {}  what the server is told\n  {}  what keys there are and what they may do\n  {}  back it up, apart from the data\n\n\
         Next:\n  keywright serve --config {}   # prints a link on which you choose the password of the first operator\n  export KEYWRIGHT_API_KEY=…   # the key above\n  \
         keywright accounts create 'My first customer'\n",
        file.display(),
        policy.display(),
        master_key.display(),
        file.display(),
    ));
}
