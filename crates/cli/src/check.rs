//! `keywright config check`: whether a server would start with this configuration and this policy.

use anyhow::Result;
use clap::Subcommand;
use keywright_app::clock::Clock;

use crate::config::{self, Wrong};
use crate::exit::Exit;
use crate::options::Global;
use crate::place::{Place, config_file};
use crate::say;

/// What can be done with the configuration.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check the configuration and the policy; every mistake is printed as file:line: what to write
    #[command(
        after_help = "Examples:\n  keywright config check --config /etc/keywright/keywright.toml && kill -HUP $(pidof keywright)"
    )]
    Check,
}

/// Does what was asked.
pub(crate) fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::Check => check(global),
    }
}

fn check(global: &Global) -> Result<Exit> {
    let found = match config_file(global) {
        None if Place::find(global).is_ok() => Ok(Place::find(global)?),
        found => {
            let file = found.unwrap_or_else(|| config::FILE.into());
            let text = config::read(&file)?;
            config::parse(&file, &text, None).map(|config| config.place)
        }
    };
    let checked = match found {
        Ok(place) => {
            let text = place.read_policy()?;
            let tls = place.tls.as_ref().map_or(Ok(Vec::new()), |tls| tls.check(Clock::System.now()));
            match (place.check_policy(&text), tls, place.upstreams.trusted()) {
                (Ok(policy), Ok(warnings), Ok(_)) => Ok((policy, warnings)),
                (policy, tls, trusted) => {
                    let files = tls.err().into_iter().chain(trusted.err().into_iter().flatten());
                    Err(files.chain(policy.err().into_iter().flatten()).collect())
                }
            }
        }
        Err(wrongs) => Err(wrongs),
    };
    match checked {
        Ok((policy, warnings)) => {
            for warning in warnings {
                say::note(&format!("warning: {warning}"));
            }
            let kinds: Vec<&str> = policy.kinds().iter().map(|kind| kind.name.as_str()).collect();
            say::note(&format!("Both are sound. Kinds of key: {}.", kinds.join(", ")));
            Ok(Exit::Done)
        }
        Err(wrongs) => {
            let lines: Vec<String> = wrongs.iter().map(Wrong::to_string).collect();
            say::data(&lines.join("\n"))?;
            Ok(Exit::Usage)
        }
    }
}
