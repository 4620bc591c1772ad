//! `keywright docs`: reference pages the binary writes about itself, for `cargo xtask docs`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::{CommandFactory as _, Subcommand};

use crate::exit::Exit;
use crate::{Cli, config, say};

/// Columns of the command line's page.
const WIDTH: usize = 110;

/// The pages.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every command with its options
    Cli,
    /// Every setting with its default
    Config,
    /// Every error, outcome and exit code
    Errors,
}

/// Prints a page.
pub(crate) fn run(command: &Command) -> Result<Exit> {
    let page = match command {
        Command::Cli => cli(),
        Command::Config => format!(
            "# Configuration\n\n`keywright.toml`, as `keywright init` writes it.\n\n```toml\n{}```\n",
            config::TEMPLATE
        ),
        Command::Errors => errors(),
    };
    say::data(&page)?;
    Ok(Exit::Done)
}

fn errors() -> String {
    let mut page = "# Errors\n\nThe API answers errors as RFC 9457 problem documents; `code` is stable.\n\n".to_owned();
    page.push_str("| code | status | meaning |\n| --- | --- | --- |\n");
    for (code, status, title) in keywright_server::problems() {
        let _ = writeln!(page, "| `{code}` | {status} | {title} |");
    }
    page.push_str("\n## Outcomes of a verification\n\nA denial is an answer with status 200, not an error.\n\n");
    page.push_str("| code | meaning |\n| --- | --- |\n");
    for (code, meaning) in keywright_server::outcomes() {
        let _ = writeln!(page, "| `{code}` | {meaning} |");
    }
    page.push_str("\nExit codes of the command line are in [its page](cli.md).\n");
    page
}

fn cli() -> String {
    let mut page = "# Command line\n\nWhat `--help` says, command by command.\n".to_owned();
    let mut command = Cli::command().term_width(WIDTH).disable_help_subcommand(true);
    command.build();
    describe(&mut page, &mut command, "keywright");
    page
}

fn describe(page: &mut String, command: &mut clap::Command, name: &str) {
    let help = command.render_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    let names: Vec<String> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(|sub| sub.get_name().to_owned()).collect();
    for sub in names {
        if let Some(command) = command.find_subcommand_mut(&sub) {
            describe(page, command, &format!("{name} {sub}"));
        }
    }
}
