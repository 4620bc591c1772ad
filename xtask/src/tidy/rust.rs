//! Rules about Rust files.

use super::Finding;
use super::scan::{Scan, scan};

/// What the path alone says about a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    /// A crate that ships, and its short name.
    Product,
    /// Tests, benchmarks, fuzz targets and chores: free of the rules that protect the product.
    Workshop,
}

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let scan = scan(text);
    let mut findings: Vec<Finding> = opening(text).into_iter().collect();
    findings.extend(todos(&scan));
    if home(path) == Home::Product {
        findings.extend(commits(path, &scan));
        findings.extend(sql(path, &scan));
        findings.extend(ambient(path, &scan));
        findings.extend(calls(path, &scan));
    }
    findings
}

fn home(path: &str) -> Home {
    let mut parts = path.split('/');
    if parts.next() != Some("crates") {
        return Home::Workshop;
    }
    let parts: Vec<&str> = parts.collect();
    let tests = parts.iter().any(|part| matches!(*part, "tests" | "benches" | "examples" | "tests.rs"));
    if tests { Home::Workshop } else { Home::Product }
}

/// A file opens by saying what it is for.
fn opening(text: &str) -> Option<Finding> {
    let first = text.lines().next().unwrap_or_default();
    let said = first.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty());
    (!said).then(|| Finding::new(1, "open the file with `//!`: what it is for and what must stay true"))
}

/// One place commits, so that an unaudited write cannot be written.
fn commits(path: &str, scan: &Scan) -> Vec<Finding> {
    if path == "crates/app/src/write.rs" || path.starts_with("crates/store/src/") {
        return Vec::new();
    }
    each_line(scan, |line| {
        line.contains(".commit(")
            .then(|| "only crates/app/src/write.rs commits: go through `write`, which also audits".to_owned())
    })
}

/// SQL lives in one crate, where both engines are tested on it.
fn sql(path: &str, scan: &Scan) -> Vec<Finding> {
    if path.starts_with("crates/store/") {
        return Vec::new();
    }
    let found = scan.strings.iter().filter(|(_, text)| is_sql(text));
    found.map(|(line, _)| Finding::new(*line, "SQL belongs in crates/store: move the statement there")).collect()
}

/// Whether a literal opens as a statement. The second word decides, since prose also begins with
/// "Create a key" and "Update the limit".
fn is_sql(literal: &str) -> bool {
    // An escape, or the backslash that joins a literal's lines, is white space here.
    let lower = literal.to_lowercase().replace("\\n", " ").replace('\\', " ");
    let words: Vec<&str> = lower.split_whitespace().collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    match word(0) {
        "select" => {
            let (column, then) = (word(1), word(2));
            column.contains(['*', ',', '(', '$', '.', '?'])
                || column.starts_with(|c: char| c.is_ascii_digit())
                || matches!(column, "distinct" | "case")
                || matches!(then, "from" | "as")
        }
        "insert" => matches!(word(1), "into" | "or"),
        "delete" => word(1) == "from" && !word(2).is_empty() && !matches!(word(2), "the" | "a" | "this"),
        "update" => matches!(word(2), "set") || (word(2) == "as" && word(4) == "set"),
        "create" | "drop" | "alter" => {
            let what = if word(1) == "unique" || word(1) == "temp" { word(2) } else { word(1) };
            matches!(what, "table" | "index" | "view" | "trigger" | "schema" | "extension")
        }
        "with" => matches!(word(2), "as" | "as("),
        "pragma" => true,
        _ => false,
    }
}

/// The clock and the generator are read in one place, so that every rule can be tested at any time.
fn ambient(path: &str, scan: &Scan) -> Vec<Finding> {
    const READS: &[&str] = &[
        "SystemTime::now",
        "Instant::now",
        "Utc::now",
        "Timestamp::now",
        "Zoned::now",
        "OsRng",
        "SysRng",
        "rand::rng(",
        "thread_rng(",
        "rand::random",
        "getrandom::",
    ];
    if path == "crates/app/src/clock.rs" {
        return Vec::new();
    }
    each_line(scan, |line| {
        let read = READS.iter().find(|read| line.contains(**read))?;
        Some(format!(
            "`{read}` is read in crates/app/src/clock.rs alone: take the time or the generator as an argument"
        ))
    })
}

/// The app serves nothing, and calls others in one place, where what a call may do is bounded.
fn calls(path: &str, scan: &Scan) -> Vec<Finding> {
    if !path.starts_with("crates/app/src/") || path == "crates/app/src/outbound.rs" {
        return Vec::new();
    }
    each_line(scan, |line| {
        ["hyper::", "hyper_util::"]
            .iter()
            .any(|used| line.contains(used))
            .then(|| "the app calls others through crates/app/src/outbound.rs alone, and serves nothing".to_owned())
    })
}

/// Comments promise nothing without a date or a number.
fn todos(scan: &Scan) -> Vec<Finding> {
    scan.comments.iter().filter_map(|(line, text)| super::text::todo(*line, text)).collect()
}

fn each_line(scan: &Scan, rule: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let lines = scan.code.iter().enumerate();
    lines.filter_map(|(at, line)| rule(line).map(|advice| Finding::new(at + 1, advice))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that a file with this body would be faulted on.
    fn lines(path: &str, body: &str) -> Vec<usize> {
        check(path, &format!("//! Purpose.\n{body}\n")).iter().map(|finding| finding.line).collect()
    }

    const APP: &str = "crates/app/src/keys.rs";

    #[test]
    fn a_file_opens_with_its_purpose() {
        assert!(opening("//! Keys.\n").is_none());
        assert!(opening("//!\n").is_some());
        assert!(opening("use std::fmt;\n//! Late.\n").is_some());
        assert!(opening("").is_some());
    }

    #[test]
    fn only_write_and_the_store_commit() {
        assert_eq!(lines(APP, "async fn f() {\n    tx.commit().await;\n}"), [3]);
        assert!(lines("crates/app/src/write.rs", "fn f() { tx.commit(); }").is_empty());
        assert!(lines("crates/store/src/tx.rs", "fn f() { tx.commit(); }").is_empty());
        assert!(lines(APP, "// never tx.commit() here\nfn f() { \"tx.commit()\"; }").is_empty());
        assert!(lines(APP, "#[cfg(test)]\nmod tests { fn f() { tx.commit(); } }").is_empty());
        assert!(lines("crates/server/tests/keys.rs", "fn f() { tx.commit(); }").is_empty());
    }

    #[test]
    fn sql_stays_in_the_store() {
        for statement in [
            "SELECT id, name FROM keys",
            "select 1",
            "\\n    select count(*) from keys",
            "select id from keys",
            "insert into keys (id) values ($1)",
            "update keys set name = $1",
            "DELETE FROM keys where id = $1",
            "create unique index i on keys (id)",
            "create table keys (id bigint)",
            "with due as (select 1) select 2",
            "pragma journal_mode = wal",
        ] {
            let body = format!("const Q: &str = \"{statement}\";");
            assert_eq!(lines(APP, &body), [2], "{statement}");
            assert!(lines("crates/store/src/keys.rs", &body).is_empty(), "{statement}");
            assert!(lines("crates/store/tests/engines.rs", &body).is_empty(), "{statement}");
        }
    }

    #[test]
    fn prose_is_not_sql() {
        for prose in [
            "Create a key",
            "create",
            "Select a service from the list",
            "Update the limit",
            "Delete this key",
            "delete from the list",
            "insert",
            "with care as promised",
            "selected",
        ] {
            let faulted = lines(APP, &format!("const S: &str = \"{prose}\";"));
            assert_eq!(faulted.is_empty(), prose != "with care as promised", "{prose}");
        }
    }

    #[test]
    fn clock_and_generator_are_read_in_one_file() {
        assert_eq!(lines(APP, "fn f() { let t = std::time::SystemTime::now(); }"), [2]);
        assert_eq!(lines(APP, "fn f() { let t = Instant::now(); }"), [2]);
        assert_eq!(lines(APP, "use rand::rngs::SysRng;\nuse x::OsRng;"), [2, 3]);
        assert_eq!(lines("crates/core/src/key.rs", "fn f() { let r = rand::rng(); }"), [2]);
        assert!(lines("crates/app/src/clock.rs", "fn f() { Instant::now(); rand::rng(); }").is_empty());
        assert!(lines("bench/src/main.rs", "fn f() { Instant::now(); }").is_empty());
        assert!(lines(APP, "/// Not `Instant::now`.\nfn f(now: u64) {}").is_empty());
    }

    #[test]
    fn the_app_calls_out_in_one_file() {
        assert_eq!(lines(APP, "use hyper::Request;\nuse hyper_util::rt::TokioIo;"), [2, 3]);
        assert!(lines("crates/app/src/outbound.rs", "use hyper::Request;").is_empty());
        assert!(lines("crates/server/src/serve.rs", "use hyper::Request;").is_empty());
    }

    #[test]
    fn todos_in_comments_are_dated_or_numbered() {
        let word = concat!("TO", "DO");
        assert_eq!(lines(APP, &format!("// {word}: later")), [2]);
        assert!(lines(APP, &format!("// {word}(#12): later")).is_empty());
        assert!(lines(APP, &format!("const S: &str = \"{word}\";")).is_empty());
        assert_eq!(lines(APP, &format!("#[cfg(test)]\nmod tests {{\n    // {word}\n}}")), [4]);
    }
}
