//! `keywright completion`: completions for a shell.

use anyhow::Result;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::exit::Exit;
use crate::{Cli, say};

/// `completion`
#[derive(Args)]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

/// Prints a script for the shell.
pub(crate) fn run(completion: &Completion) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(completion.shell, &mut Cli::command(), "keywright", &mut script);
    say::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
