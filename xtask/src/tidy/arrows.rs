//! Rules about `Cargo.toml`: which crate may know which, and the lints each takes on.
//!
//! `cli → server → app → store → core`: a crate may use anything to its right. Tests are exempt, as
//! a crate's tests may stand on its left neighbour's shoulders.

use super::Finding;

/// The line, left to right: folder under `crates/`, and package.
const LINE: &[(&str, &str)] = &[
    ("cli", "keywright"),
    ("server", "keywright-server"),
    ("app", "keywright-app"),
    ("store", "keywright-store"),
    ("core", "keywright-core"),
];

/// Where a framework may be seen. One that is not listed may be seen anywhere.
const FRAMEWORKS: &[(&str, &[&str])] = &[
    ("anyhow", &["cli"]),
    ("axum", &["server"]),
    ("hyper", &["app", "server", "cli"]),
    ("hyper-util", &["app", "server", "cli"]),
    ("rusqlite", &["store"]),
    ("sqlx", &["store"]),
    ("tokio", &["store", "app", "server", "cli"]),
    ("tower", &["server", "cli"]),
    ("tower-http", &["server"]),
];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(1, format!("not valid TOML: {error}"))],
    };
    // The workspace's own manifest, and a fuzz crate that is a workspace by itself.
    if !manifest.contains_key("package") || manifest.contains_key("workspace") {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = lints(&manifest).into_iter().collect();
    let folder = path.strip_prefix("crates/").and_then(|rest| rest.split('/').next());
    for (key, package) in dependencies(&manifest) {
        let advice = match folder {
            Some(folder) => arrow(folder, &package).or_else(|| framework(folder, &package)),
            None if path == "xtask/Cargo.toml" && position(&package).is_some() => Some(format!(
                "xtask judges the product and must build without it: run the binary instead of using {package}"
            )),
            None => None,
        };
        findings.extend(advice.map(|advice| Finding::new(line_of(text, &key), advice)));
    }
    if let Some(folder) = folder.filter(|folder| LINE.iter().all(|(known, _)| known != folder)) {
        findings.push(Finding::new(
            1,
            format!(
                "`{folder}` has no place in the line: a crate needs a second consumer and a decision in docs/decisions"
            ),
        ));
    }
    findings
}

fn lints(manifest: &toml::Table) -> Option<Finding> {
    let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    (inherited != Some(true)).then(|| Finding::new(1, "add `[lints]` with `workspace = true`"))
}

fn position(package: &str) -> Option<usize> {
    LINE.iter().position(|(_, name)| *name == package)
}

fn arrow(folder: &str, package: &str) -> Option<String> {
    let from = LINE.iter().position(|(name, _)| *name == folder)?;
    let to = position(package)?;
    (to <= from)
        .then(|| format!("{folder} may not use {package}: arrows point right, cli → server → app → store → core"))
}

fn framework(folder: &str, package: &str) -> Option<String> {
    let (_, homes) = FRAMEWORKS.iter().find(|(name, _)| *name == package)?;
    (!homes.contains(&folder)).then(|| format!("{package} may be used in {} only", homes.join(", ")))
}

/// Key and package of every dependency that ships, those of targets included.
fn dependencies(manifest: &toml::Table) -> Vec<(String, String)> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = std::iter::once(manifest).chain(targets.into_iter().flatten().filter_map(|(_, v)| v.as_table()));
    tables
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)))
        .filter_map(|found| found.and_then(toml::Value::as_table))
        .flatten()
        .map(|(key, value)| {
            let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
            (key.clone(), package.to_owned())
        })
        .collect()
}

fn line_of(text: &str, key: &str) -> usize {
    let opens = |line: &str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            || line.contains(&format!("dependencies.{key}]"))
    };
    text.lines().position(opens).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(path: &str, dependencies: &str) -> Vec<(usize, String)> {
        let text = format!("[package]\nname = \"x\"\n[lints]\nworkspace = true\n{dependencies}\n");
        check(path, &text).into_iter().map(|finding| (finding.line, finding.advice)).collect()
    }

    #[test]
    fn arrows_point_right() {
        assert!(advice("crates/server/Cargo.toml", "[dependencies]\nkeywright-app.workspace = true").is_empty());
        assert!(advice("crates/cli/Cargo.toml", "[dependencies]\nkeywright-core.workspace = true").is_empty());
        let left = advice("crates/store/Cargo.toml", "[dependencies]\nkeywright-app.workspace = true");
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].0, 6);
        let renamed = "[dependencies]\nx = { package = \"keywright-server\", path = \"../server\" }";
        assert_eq!(advice("crates/app/Cargo.toml", renamed).len(), 1);
        let by_target = "[target.'cfg(unix)'.dependencies]\nkeywright-app.workspace = true";
        assert_eq!(advice("crates/core/Cargo.toml", by_target).len(), 1);
    }

    #[test]
    fn tests_may_look_left() {
        let dev = "[dev-dependencies]\nkeywright-app.workspace = true\ntokio.workspace = true";
        assert!(advice("crates/core/Cargo.toml", dev).is_empty());
    }

    #[test]
    fn frameworks_have_homes() {
        for (folder, package, fine) in [
            ("core", "tokio", false),
            ("core", "sqlx", false),
            ("core", "serde", true),
            ("store", "sqlx", true),
            ("app", "sqlx", false),
            ("app", "axum", false),
            ("app", "hyper", true),
            ("store", "hyper", false),
            ("cli", "axum", false),
            ("cli", "hyper-util", true),
            ("server", "axum", true),
            ("server", "anyhow", false),
        ] {
            let found = advice(&format!("crates/{folder}/Cargo.toml"), &format!("[dependencies]\n{package} = \"1\""));
            assert_eq!(found.is_empty(), fine, "{folder} uses {package}");
        }
    }

    #[test]
    fn chores_judge_the_product_from_outside() {
        assert_eq!(advice("xtask/Cargo.toml", "[dependencies]\nkeywright-core.workspace = true").len(), 1);
        assert!(advice("bench/Cargo.toml", "[dependencies]\nkeywright-core.workspace = true").is_empty());
    }

    #[test]
    fn a_sixth_crate_needs_a_decision() {
        assert_eq!(advice("crates/cache/Cargo.toml", "").len(), 1);
    }

    #[test]
    fn every_crate_inherits_the_lints() {
        assert_eq!(check("bench/Cargo.toml", "[package]\nname = \"x\"\n").len(), 1);
        assert!(check("Cargo.toml", "[workspace]\nmembers = []\n").is_empty());
        assert!(check("fuzz/Cargo.toml", "[package]\nname = \"f\"\n[workspace]\n").is_empty());
    }
}
