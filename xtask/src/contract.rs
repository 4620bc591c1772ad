//! `docs/reference/contract.md`: what the three providers' documents promise, row by row, and the tests that hold it.
//!
//! A test belongs to every row its name begins with, `wa8_wa10_…`. A row without one is open, and says what it waits for:
//! a row that has both a test and a reason to be open is a mistake here, and so is a test of no row.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

const TESTS: &str = "crates/server/tests/it/contract";
const LATER: &str = "usage, budgets and webhooks";

/// A row: its id, what it is about, and what it waits for where no test holds it.
struct Row(&'static str, &'static str, Option<&'static str>);

const ROWS: &[(&str, &[Row])] = &[
    (
        "WAYSCloud: authentication",
        &[
            Row("WA1", "a key is shown as `Bearer`, else 401 in the documented words", None),
            Row("WA2", "the form of a key", None),
            Row("WA3", "paths that lead to a service each", None),
            Row("WA4", "scopes by method", None),
            Row("WA5", "bodies pass untouched and streamed", None),
            Row("WA6", "one key for several services", None),
            Row("WA7", "name, description, addresses", None),
            Row("WA8", "a key is shown once", None),
            Row("WA9", "a key made from the documented body, with an account's own key or an external login", None),
            Row("WA10", "what a list shows of a key", None),
            Row("WA11", "revoking is immediate and for good", None),
            Row("WA12", "rotation with seven days of grace", None),
            Row("WA13", "every cause of a 401", None),
            Row("WA14", "a missing permission is the documented 403", None),
            Row("WA15", "no key in any error or log", None),
            Row("WA16", "usage, alerts on it, an access log", Some(LATER)),
            Row("WA17", "keys of 90 days are due for rotation, and raise an event", None),
            Row("WA18", "the printed clients work", None),
        ],
    ),
    (
        "WAYSCloud: creating keys",
        &[
            Row("WC1", "login with a second factor", None),
            Row("WC2", "the list and its button", None),
            Row("WC3", "a name that says nothing draws a warning", None),
            Row("WC4", "at least one service", None),
            Row("WC5", "a bad address is named beside its field", None),
            Row("WC6", "shown once, with a copy button", None),
            Row("WC7", "what an account must have, and fifty keys at most", None),
            Row("WC8", "the new key lists buckets", None),
            Row("WC9", "the list's columns, revoking asks first", None),
            Row("WC10", "guided rotation", None),
        ],
    ),
    (
        "WAYSCloud: Account API",
        &[
            Row("AC1", "access tokens and their scopes", None),
            Row("AC2", "the profile", None),
            Row("AC3", "the list of keys", None),
            Row("AC4", "making a service key", None),
            Row("AC5", "making a token, no wider than its maker", None),
            Row("AC6", "deleting a key; another account's looks missing", None),
            Row("AC7", "SSH keys, with fingerprints as OpenSSH prints them", None),
            Row("AC8", "the account's services", None),
            Row("AC9", "what a service key may do", None),
        ],
    ),
    (
        "WAVIS",
        &[
            Row("WV1", "trial keys for anybody", None),
            Row("WV2", "five a minute from one address", None),
            Row("WV3", "ten operations and half an hour", None),
            Row("WV4", "the form of a key", None),
            Row("WV5", "kept as an HMAC whose secret can change", None),
            Row("WV6", "with `Bearer` or bare", None),
            Row("WV7", "the four roles", None),
            Row("WV8", "a person makes a key with a session of ours or an external login", None),
            Row("WV9", "ten an hour", None),
            Row("WV10", "rotation by the key itself, a day of grace", None),
            Row("WV11", "rotation sends a webhook", Some(LATER)),
            Row("WV12", "a person revokes a key", None),
            Row("WV13", "lockout per key and per address", None),
            Row("WV14", "`test` is metered apart", None),
            Row("WV15", "a budget that is never exceeded", Some(LATER)),
            Row("WV16", "two SDKs that find their key by themselves", Some("the SDKs")),
            Row("WV17", "401 and 403", None),
        ],
    ),
    (
        "Cloudheed",
        &[
            Row("CH1", "login", None),
            Row("CH2", "refresh", None),
            Row("CH3", "a person makes a key with scopes and an expiry", None),
            Row("CH4", "scopes, by path and method", None),
            Row("CH5", "one header for sessions and keys", None),
            Row("CH6", "setting up a second factor", None),
            Row("CH7", "enabling it", None),
            Row("CH8", "login with it", None),
            Row("CH9", "expiry; sessions and keys are listed and revoked", None),
        ],
    ),
];

/// The page.
pub(crate) fn page(root: &Path) -> Result<String> {
    let mut tests = tests(root)?;
    let mut page = "# The contract, row by row\n\nWhat the documents of three providers promise of their credentials, and the tests that hold it, in \
        `crates/server/tests/it/contract/`. Run one by its name: `cargo test -p keywright-server --test it wa11_`.\n"
        .to_owned();
    let (mut held, mut open) = (0, 0);
    let mut body = String::new();
    for (title, rows) in ROWS {
        write!(body, "\n## {title}\n\n| row | what | held by |\n| --- | --- | --- |\n")?;
        for Row(id, what, waits) in *rows {
            let by = tests.remove(*id).unwrap_or_default();
            let shown = match (by.is_empty(), waits) {
                (false, None) => by.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join("<br>"),
                (true, Some(waits)) => format!("*open: waits for {waits}*"),
                (false, Some(_)) => bail!("{id} is said to be open and has a test"),
                (true, None) => bail!("{id} has no test and does not say what it waits for"),
            };
            *(if by.is_empty() { &mut open } else { &mut held }) += 1;
            writeln!(body, "| {id} | {what} | {shown} |")?;
        }
    }
    if let Some((row, names)) = tests.first_key_value() {
        bail!("{names:?} name the row {row}, which there is none of");
    }
    write!(page, "\n{held} rows are held, {open} are open.\n{body}")?;
    Ok(page)
}

/// Names of tests by row.
fn tests(root: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut files: Vec<_> = Vec::new();
    let mut folders = vec![root.join(TESTS)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            match name {
                Some(name) if is_test => {
                    for row in rows_of(name) {
                        found.entry(row).or_default().push(name.to_owned());
                    }
                    is_test = false;
                }
                _ => is_test |= line.starts_with("#[test") || line.starts_with("#[tokio::test"),
            }
        }
    }
    Ok(found)
}

/// The rows a test's name begins with.
fn rows_of(name: &str) -> impl Iterator<Item = String> {
    let is_row = |part: &&str| {
        let digits = part.trim_start_matches(|char: char| char.is_ascii_alphabetic());
        part.len() - digits.len() == 2 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    name.split('_').take_while(is_row).map(str::to_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_rows() {
        let rows = |name| rows_of(name).collect::<Vec<_>>();
        assert_eq!(rows("wa8_wa10_a_key_is_shown_once"), ["WA8", "WA10"]);
        assert_eq!(rows("every_change_is_audited"), [""; 0]);
        assert_eq!(rows("ch9_365d_is_taken"), ["CH9"]);
    }
}
