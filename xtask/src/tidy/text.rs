//! Rules about any text file: names, length, whitespace, paths, promises, links.

use super::Finding;
use super::scan::scan;

/// Lines a file of ours may have before its tests.
const MAX_LINES: usize = 500;

/// What people write, as opposed to what a tool writes or a page that may run on.
const WRITTEN: &[&str] = &["rs", "js", "ts", "css", "html", "sql", "sh", "py", "go"];

/// Names that say nothing about what is inside, and so end up holding everything.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "types", "models", "services", "helpers"];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = name(path);
    findings.extend(length(path, text));
    findings.extend(whitespace(text));
    findings.extend(machine_paths(text));
    if !path.ends_with(".rs") && !path.ends_with(".md") {
        findings.extend(text.lines().enumerate().filter_map(|(at, line)| todo(at + 1, line)));
    }
    findings
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn name(path: &str) -> Vec<Finding> {
    let stems = path.split('/').map(|part| part.split_once('.').map_or(part, |(stem, _)| stem));
    stems
        .filter(|stem| EMPTY_NAMES.contains(stem))
        .map(|stem| Finding::new(1, format!("`{stem}` names nothing: name it after the noun it holds")))
        .collect()
}

fn length(path: &str, text: &str) -> Option<Finding> {
    if !WRITTEN.contains(&extension(path)) {
        return None;
    }
    let tests = if path.ends_with(".rs") { scan(text).test_lines } else { 0 };
    let lines = text.lines().count() - tests;
    (lines > MAX_LINES).then(|| {
        Finding::new(MAX_LINES + 1, format!("{lines} lines before tests, {MAX_LINES} allowed: split it by noun"))
    })
}

fn whitespace(text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = (1..)
        .zip(text.split('\n'))
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']))
        .map(|(line, _)| Finding::new(line, "remove the whitespace at the end of the line"))
        .collect();
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::new(text.lines().count(), "end the file with a newline"));
    }
    findings
}

/// A path that exists on one machine is a secret about it at best, and a bug on all others.
fn machine_paths(text: &str) -> Vec<Finding> {
    // Put together here, so that this file passes its own rule.
    let roots = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let absolute = |line: &str, root: &str| {
        line.match_indices(root).any(|(at, _)| {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric() || "._-}~>$*/".contains(c))
        })
    };
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| roots.iter().any(|root| absolute(line, root)))
        .map(|(line, _)| Finding::new(line, "an absolute path of one machine: make it relative or an argument"))
        .collect()
}

/// A promise needs a date or an issue, or nobody ever keeps it.
pub(super) fn todo(line: usize, text: &str) -> Option<Finding> {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let bare = |word: &str| {
        text.match_indices(word).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + word.len()..).unwrap_or_default();
            let inside_word = |c: char| c.is_alphanumeric() || c == '_';
            !before.is_some_and(inside_word) && !after.starts_with(inside_word) && !is_tracked(after)
        })
    };
    words
        .iter()
        .any(|word| bare(word))
        .then(|| Finding::new(line, format!("do it now, or write {}(#12) or {}(2026-12-01)", words[0], words[0])))
}

/// Whether `after` goes on as `(#12)` or `(2026-12-01)`.
fn is_tracked(after: &str) -> bool {
    let Some((inside, _)) = after.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match inside.strip_prefix('#') {
        Some(number) => digits(number),
        None => {
            let parts: Vec<&str> = inside.split('-').collect();
            parts.iter().map(|part| part.len()).eq([4, 2, 2]) && parts.into_iter().all(digits)
        }
    }
}

/// Relative links of a Markdown page that lead nowhere. `exists` answers for paths from the root.
pub(super) fn links(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let broken = targets(&without_code(content)).into_iter().filter(|target| {
                let file = target.split('#').next().unwrap_or_default();
                !file.is_empty() && !resolve(path, file).is_some_and(|resolved| exists(&resolved))
            });
            findings.extend(broken.map(|target| Finding::new(line, format!("the link to `{target}` leads nowhere"))));
        }
    }
    findings
}

/// Every second stretch between backticks is code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The link targets of a line that are no URLs: `[text](target "title")` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let defined = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    inline
        .chain(defined)
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']).to_owned())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// `target` as a path from the root, seen from the page at `path`; `None` if it leaves the tree.
fn resolve(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: impl IntoIterator<Item = Finding>) -> Vec<usize> {
        findings.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn empty_names_are_refused() {
        assert_eq!(name("crates/app/src/utils.rs").len(), 1);
        assert_eq!(name("crates/common/src/lib.rs").len(), 1);
        assert_eq!(name("sdks/ts/src/types.d.ts").len(), 1);
        assert!(name("crates/app/src/keys.rs").is_empty());
        assert!(name("docs/content-types.md").is_empty());
    }

    #[test]
    fn a_file_ends_at_five_hundred_lines_and_its_tests_are_free() {
        let fits = "fn f() {}\n".repeat(500);
        assert!(length("a.rs", &fits).is_none());
        assert_eq!(lines(length("a.rs", &format!("{fits}fn g() {{}}\n"))), [501]);
        let tests = format!("{fits}#[cfg(test)]\nmod tests {{\n{fits}}}\n");
        assert!(length("a.rs", &tests).is_none());
        assert!(length("a.js", &format!("{fits}\n")).is_some());
        assert!(length("Cargo.lock", &format!("{fits}\n")).is_none());
    }

    #[test]
    fn lines_end_clean_and_files_with_a_newline() {
        assert!(whitespace("a\nb\n").is_empty());
        assert!(whitespace("").is_empty());
        assert_eq!(lines(whitespace("a \nb\t\nc\r\nd\n")), [1, 2, 3]);
        assert_eq!(lines(whitespace("a\nb")), [2]);
    }

    #[test]
    fn paths_of_one_machine_are_refused() {
        let (work, root) = (concat!("/wo", "rk/x"), concat!("/ro", "ot/x"));
        assert_eq!(lines(machine_paths(&format!("ok\ncd {work}\n\"{root}\"\n({work})\n"))), [2, 3, 4]);
        assert!(machine_paths(&format!("see https://example.com{work} and crates{root} and ..{work}\n")).is_empty());
        assert!(machine_paths("/usr/lib/postgresql /tmp/x\n").is_empty());
    }

    #[test]
    fn promises_are_dated_or_numbered() {
        let word = concat!("FIX", "ME");
        for bare in [word.to_owned(), format!("{word}: x"), format!("{word}(me)"), format!("{word}(2026-1-1)")] {
            assert!(todo(1, &bare).is_some(), "{bare}");
        }
        for fine in [format!("{word}(#12)"), format!("{word}(2026-12-01): x"), format!("{word}S"), format!("A_{word}")]
        {
            assert!(todo(1, &fine).is_none(), "{fine}");
        }
    }

    #[test]
    fn relative_links_resolve() {
        let there = |path: &str| ["README.md", "docs/decisions/0001-a.md"].contains(&path);
        let broken = |text: &str| lines(links("docs/operate/run.md", text, &there));
        assert!(broken("[a](../../README.md#top) [b](../decisions/0001-a.md \"t\") [c](#here)").is_empty());
        assert!(broken("[a](https://example.com/x) [b](mailto:a@example.com) `[c](gone.md)`").is_empty());
        assert!(broken("```\n[a](gone.md)\n```\n[b](/README.md)").is_empty());
        assert_eq!(broken("x\n[a](gone.md) and [b](../../../README.md)"), [2, 2]);
        assert_eq!(broken("[a]: gone.md"), [1]);
    }
}
