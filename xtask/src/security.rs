//! `docs/reference/security.md`: what must hold of logins, tokens and limits, and the tests that show it.
//!
//! A test says which rows it shows in a comment above it: `security.md 9 and 11`, `security.md 21 to 23`. A row without a
//! test is open and says why; one that has both is a mistake here, and so is a number that is no row of the whole list.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

const FOLDERS: [&str; 3] = ["crates/server/tests/it", "crates/cli/tests/it", "crates/app/src"];
const NOTE: &str = "/// security.md ";
/// The last row of the whole list, of which this page has those on people.
const LAST: usize = 60;

/// A row: its number, what must hold, and why no test shows it where none does.
struct Row(usize, &'static str, Option<&'static str>);

const ROWS: &[(&str, &[Row])] = &[
    (
        "Tokens",
        &[
            Row(1, "each issuer has a list of algorithms; never `none`, never a public key as a shared secret", None),
            Row(2, "keys come from configured issuers alone; `jku`, `x5u` and `jwk` are ignored", None),
            Row(3, "`exp`, `iss`, `aud` and `sub` are there and of their types", None),
            Row(4, "`typ` is explicit; an ID token is no access token", None),
            Row(5, "access tokens live 3600 seconds; the leeway is five", None),
            Row(6, "an external identity is issuer and subject, never an address", None),
            Row(7, "an external token is for us", None),
            Row(8, "an unknown `kid` causes at most one fetch in an interval", None),
            Row(9, "a refresh token is good once; used again it ends the session", None),
            Row(10, "however many refreshes at once, a session never forks", None),
            Row(11, "an answer that was lost is given again for 30 seconds", None),
            Row(12, "a session has an end however much it is used", None),
            Row(13, "logout, disabling and another role act on the next request", None),
        ],
    ),
    (
        "Passwords",
        &[
            Row(14, "argon2id, 19 MiB, two passes; made anew where weaker", None),
            Row(15, "15 characters, 8 beside a second factor; long ones are taken, whole and of any make", None),
            Row(16, "NFKC before hashing", None),
            Row(17, "the most common are refused", None),
            Row(18, "hashes at a time are bounded, and so is what waits", None),
            Row(19, "another password or address takes the present password and ends other sessions", None),
            Row(20, "a reset takes the second factor, too", None),
        ],
    ),
    (
        "Second factor",
        &[
            Row(21, "a step is taken once", None),
            Row(22, "30 seconds a step, one step of drift", None),
            Row(23, "six ASCII digits, nothing trimmed or folded", None),
            Row(24, "a secret has 160 bits and is sealed", None),
            Row(25, "it counts after a right code; turning it off takes password and code", None),
            Row(26, "codes on paper are random, good once, and hashed", None),
            Row(27, "a failure counts though its transaction forgets it", None),
        ],
    ),
    (
        "Lockout and limits",
        &[
            Row(28, "one limiter on every path that checks a secret", None),
            Row(29, "a burst has no more tries than a row", None),
            Row(30, "failures count on the account or key, not on what was typed", None),
            Row(31, "nobody is locked out for good by somebody else", None),
            Row(32, "forwarded addresses are believed of listed proxies only", None),
            Row(33, "`::ffff:10.1.2.3` is `10.1.2.3`", None),
        ],
    ),
    (
        "Web",
        &[
            Row(45, "cookies of this host alone, and where a request with one comes from", None),
            Row(46, "a strict content policy; `nosniff`; `no-store` where a secret is shown", None),
            Row(47, "links in letters lead where the operator said", None),
            Row(48, "whether there is such a person shows in no body, status or time", None),
            Row(49, "addresses are brought into one spelling; mail goes to the stored one", None),
            Row(50, "nothing redirects elsewhere", None),
        ],
    ),
];

/// The page.
pub(crate) fn page(root: &Path) -> Result<String> {
    let tests = tests(root)?;
    let mut page = "# What must hold of people's access\n\nEach row comes from a standard (OWASP ASVS 5, NIST SP 800-63B-4, RFC 6238, 8725, 9700) \
        or from a mistake somebody made; the tests that show it are named beside it. Run one by its name: `cargo test \
        --workspace NAME`. How alike the times of answers are (48) and what 200 logins at once do to verification and memory (18) \
        is measured by `cargo xtask bench logins`.\n"
        .to_owned();
    for (title, rows) in ROWS {
        write!(page, "\n## {title}\n\n| row | what | shown by |\n| --- | --- | --- |\n")?;
        for Row(number, what, open) in *rows {
            let by = tests.get(number).map(Vec::as_slice).unwrap_or_default();
            let shown = match (by, open) {
                ([], Some(why)) => format!("*open: {why}*"),
                ([_, ..], None) => by.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join("<br>"),
                ([_, ..], Some(_)) => bail!("row {number} is said to be open and has a test"),
                ([], None) => bail!("row {number} has no test and does not say why"),
            };
            writeln!(page, "| {number} | {what} | {shown} |")?;
        }
    }
    Ok(page)
}

/// Names of tests by row.
fn tests(root: &Path) -> Result<BTreeMap<usize, Vec<String>>> {
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut files = Vec::new();
    let mut folders: Vec<_> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    files.sort();
    for file in files {
        let mut held = Vec::new();
        for line in std::fs::read_to_string(&file)?.lines().map(str::trim) {
            if let Some(note) = line.strip_prefix(NOTE) {
                held = rows_of(note).with_context(|| format!("{}: `{note}`", file.display()))?;
            }
            let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            if let Some(name) = name {
                held.drain(..).for_each(|row| found.entry(row).or_default().push(name.to_owned()));
            }
        }
    }
    Ok(found)
}

/// The rows a note names: `1 to 4, 7`, `9 and 11`, and what comes after a colon is prose.
fn rows_of(note: &str) -> Result<Vec<usize>> {
    let mut rows: Vec<usize> = Vec::new();
    let mut is_range = false;
    let list = note.split(':').next().unwrap_or_default();
    for word in list.split([' ', ',']).filter(|word| !word.is_empty()) {
        match word {
            "and" => {}
            "to" => is_range = true,
            number => {
                let number: usize = number.parse().context("neither a row nor `to` nor `and`")?;
                let from = if is_range { rows.last().map_or(number, |last| last + 1) } else { number };
                rows.extend(from..=number);
                is_range = false;
            }
        }
    }
    if rows.is_empty() || rows.iter().any(|row| !(1..=LAST).contains(row)) {
        bail!("rows are 1 to {LAST}");
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_its_rows() {
        let rows = |note| rows_of(note).unwrap();
        assert_eq!(rows("48"), [48]);
        assert_eq!(rows("9 and 11"), [9, 11]);
        assert_eq!(rows("1 to 4, 7"), [1, 2, 3, 4, 7]);
        assert_eq!(rows("27 to 29: a burst of 50"), [27, 28, 29]);
        for wrong in ["", "61", "soon", ": 1"] {
            assert!(rows_of(wrong).is_err(), "{wrong}");
        }
    }
}
