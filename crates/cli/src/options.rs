//! The options every command takes, and the environment variables that stand in for them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::say;

/// Where a command goes and how it answers.
#[derive(Args, Clone)]
pub(crate) struct Global {
    /// Speak to the server at this address. It needs an operator key in KEYWRIGHT_API_KEY
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "KEYWRIGHT_BASE_URL",
        hide_env_values = true,
        help_heading = "Where it goes"
    )]
    pub(crate) server: Option<String>,
    /// The configuration file [default: ./keywright.toml, where there is one]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "KEYWRIGHT_CONFIG",
        hide_env_values = true,
        help_heading = "Where it goes"
    )]
    pub(crate) config: Option<PathBuf>,
    /// The data folder [default: the configuration's, else ./.keywright]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "KEYWRIGHT_DATA_DIR",
        hide_env_values = true,
        help_heading = "Where it goes"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// How data is written [default: table on a terminal, json elsewhere]
    #[arg(
        long,
        short,
        global = true,
        value_name = "FORMAT",
        env = "KEYWRIGHT_OUTPUT",
        hide_env_values = true,
        help_heading = "How it answers"
    )]
    pub(crate) output: Option<Format>,
}

/// How data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: what the API answers
    Json,
}

impl Global {
    /// The format asked for, or the one that suits whoever reads.
    pub(crate) fn format(&self) -> Format {
        let fitting = if say::is_output_terminal() { Format::Table } else { Format::Json };
        self.output.unwrap_or(fitting)
    }
}

/// The operator key of the environment.
pub(crate) fn api_key() -> Option<zeroize::Zeroizing<String>> {
    std::env::var("KEYWRIGHT_API_KEY").ok().filter(|key| !key.is_empty()).map(zeroize::Zeroizing::new)
}
