//! The log: on standard error, by `tracing`. Secrets have types that cannot be logged.

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::say;

/// What is logged where nothing else is said.
pub(crate) const DEFAULT: &str = "info,sqlx=error";
/// What a command that answers by itself logs.
pub(crate) const QUIET: &str = "warn,sqlx=error";
/// What `dev` logs: also where a letter was written, and the link in it.
pub(crate) const DEV: &str = "warn,sqlx=error,keywright_app::mail=info";

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// An object a line, for programs
    Json,
}

/// Whether a filter can be read.
pub(crate) fn check(filter: &str) -> Result<(), String> {
    EnvFilter::builder().parse(filter).map(drop).map_err(|error| format!("`{filter}` is no filter ({error})"))
}

/// Begins to log. `KEYWRIGHT_LOG` and `RUST_LOG` stand above `filter`.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<()> {
    let from_environment =
        ["KEYWRIGHT_LOG", "RUST_LOG"].iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let filter = from_environment.as_deref().unwrap_or(filter);
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| anyhow!("the log filter `{filter}` cannot be read: {error}"))?;
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(say::colours_notes());
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}
