//! The one place that writes to standard output and standard error. Data goes to the one, all else to the other.

use std::io::{self, IsTerminal as _, Write as _};

use console::Term;

/// Writes a line of data. It fails where it cannot be written: what it says may exist nowhere else.
pub(crate) fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Writes a line for the person at the terminal. Where nobody reads it, nothing is lost.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Whether standard output takes colour: a terminal, and no `NO_COLOR`.
pub(crate) fn colours_output() -> bool {
    colour_is_welcome() && is_output_terminal()
}

/// Whether standard error takes colour.
pub(crate) fn colours_notes() -> bool {
    colour_is_welcome() && is_notes_terminal()
}

fn colour_is_welcome() -> bool {
    // https://no-color.org: set and not empty. A dumb terminal has none to give.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether a person sees standard output.
pub(crate) fn is_output_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person sees standard error.
pub(crate) fn is_notes_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether a person can answer.
pub(crate) fn is_input_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Asks a question that is answered with a line.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    write!(io::stderr().lock(), "{question}")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Asks for a secret, which is not echoed.
pub(crate) fn ask_secret(question: &str) -> io::Result<String> {
    write!(io::stderr().lock(), "{question}")?;
    Term::stderr().read_secure_line()
}

/// Bold, where there is colour.
pub(crate) fn bold(text: &str, colours: bool) -> String {
    paint(text, "1", colours)
}

/// Grey, where there is colour.
pub(crate) fn dim(text: &str, colours: bool) -> String {
    paint(text, "2", colours)
}

/// A text in an ANSI style, where there is colour.
pub(crate) fn paint(text: &str, style: &str, colours: bool) -> String {
    if colours { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}
