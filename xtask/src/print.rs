//! Every line xtask prints leaves here.
//!
//! A reader that goes away (`cargo xtask ci | head`) must not panic a run that still has servers to
//! end, so a failed write is dropped.

use std::io::{IsTerminal, Write};

/// One line to standard output.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// One line to standard error.
pub(crate) fn error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A line that opens a section: bold on a terminal, plain anywhere else.
pub(crate) fn heading(text: &str) {
    if is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        line(&format!("\u{1b}[1m{text}\u{1b}[0m"));
    } else {
        line(text);
    }
}

/// Whether a person is watching.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
