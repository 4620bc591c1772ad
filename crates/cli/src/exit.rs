//! What a command's exit code means. Scripts depend on these numbers: they never change, and `keywright --help` lists them.

use std::fmt;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It failed, or a check found something wrong.
    Failed = 1,
    /// The command, a field or the configuration is wrong: the same again fails again.
    Usage = 2,
    /// There is no such key, account or file.
    NotFound = 3,
    /// The credential may not do that, or nobody confirmed it.
    Refused = 4,
    /// The server, or the database, is out of reach.
    Unreachable = 5,
    /// The key was looked at and does not pass.
    Denied = 6,
    /// Part of it was done: some lines of an import were refused.
    Partly = 7,
}

/// A failure that knows its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// An error that ends the program with this code.
pub(crate) fn fail(exit: Exit, text: impl Into<String>) -> anyhow::Error {
    Failure { exit, text: text.into() }.into()
}

/// The code an error ends the program with.
pub(crate) fn code(error: &anyhow::Error) -> Exit {
    let known = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    known.map_or(Exit::Failed, |failure| failure.exit)
}

/// Whether the error is that nobody reads our output any more, as after `| head`.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let of_io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    of_io.into_iter().any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_failure_keeps_its_code_under_context() {
        let error = Err::<(), _>(fail(Exit::NotFound, "no such key")).context("while looking").unwrap_err();
        assert_eq!(code(&error), Exit::NotFound);
        assert_eq!(code(&anyhow::anyhow!("anything else")), Exit::Failed);
    }

    #[test]
    fn the_help_lists_every_code() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::Refused,
            Exit::Unreachable,
            Exit::Denied,
            Exit::Partly,
        ] {
            assert!(crate::AFTER_HELP.contains(&format!("\n  {}  ", exit as u8)), "{exit:?} is missing");
        }
    }
}
