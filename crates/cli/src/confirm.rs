//! Nothing that cannot be undone happens before somebody has said yes, on the terminal or by `--yes`.

use anyhow::Result;
use clap::Args;

use crate::exit::{Exit, fail};
use crate::say;

/// The flag of every command that cannot be undone.
#[derive(Args)]
pub(crate) struct Yes {
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
}

impl Yes {
    /// Goes on only when it was confirmed. `what` is a whole sentence and says what will be lost.
    pub(crate) fn confirm(&self, what: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        if !say::is_input_terminal() {
            return Err(fail(Exit::Refused, format!("{what} Say --yes to do it where nobody can be asked.")));
        }
        let answer = say::ask(&format!("{what} Go on? [y/N] "))?;
        if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(fail(Exit::Refused, "nothing was changed"))
    }

    /// Whether somebody will be asked, and wants to see what about.
    pub(crate) fn will_ask(&self) -> bool {
        !self.yes && say::is_input_terminal()
    }
}
