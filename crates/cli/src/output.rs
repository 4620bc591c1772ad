//! Data, as a table for people or as the API's own JSON for programs.

use std::fmt::Write as _;

use anyhow::Result;
use keywright_core::time::Time;
use serde_json::Value;

use crate::call::one_line;
use crate::options::{Format, Global};
use crate::say;

/// A column of a table: its heading, the field it shows, and how.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) &'static str, pub(crate) Look);

/// How a field is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// As it is.
    Plain,
    /// A point in time, as the distance from now.
    Ago,
    /// A state, coloured by what it means.
    Status,
    /// A key's prefix, with the last four characters of its secret.
    Key,
}

/// Writes one thing.
pub(crate) fn object(global: &Global, value: &Value) -> Result<()> {
    match global.format() {
        Format::Json => json(value),
        Format::Table => Ok(say::data(&fields(value, say::colours_output()))?),
    }
}

/// Writes a page of things, and on standard error how to get the next.
pub(crate) fn page(global: &Global, page: &Value, columns: &[Column]) -> Result<()> {
    let now = keywright_app::clock::Clock::System.now();
    match global.format() {
        Format::Json => json(page)?,
        Format::Table => {
            let rows = page.get("data").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            say::data(&table(rows, columns, now, say::colours_output()))?;
        }
    }
    if let Some(cursor) = page.get("next_cursor").and_then(Value::as_str) {
        say::note(&format!("There is more: add --cursor {cursor}, or --all."));
    }
    Ok(())
}

/// Writes JSON, indented.
pub(crate) fn json(value: &Value) -> Result<()> {
    Ok(say::data(&serde_json::to_string_pretty(value)?)?)
}

/// What a person looks for comes first; the rest follows in order of the alphabet.
const FIRST: [&str; 12] = [
    "key",
    "valid",
    "code",
    "id",
    "key_id",
    "account_id",
    "kind",
    "name",
    "description",
    "status",
    "prefix",
    "last_four",
];

fn fields(value: &Value, colours: bool) -> String {
    let Some(object) = value.as_object() else { return cell(value) };
    let wide = object.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut ordered: Vec<_> = object.iter().collect();
    ordered.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let mut text = String::new();
    for (name, value) in ordered {
        let shown = cell(value);
        let shown = if name == "status" { state(&shown, colours) } else { shown };
        let _ = writeln!(text, "{}{}  {shown}", say::dim(name, colours), " ".repeat(wide - name.chars().count()));
    }
    text
}

/// A table without lines: columns two spaces apart, the last one not padded.
fn table(rows: &[Value], columns: &[Column], now: Time, colours: bool) -> String {
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|column| column.0.to_owned()).collect()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| look(row, column, now)).collect()));
    let width =
        |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (at, ((cell, wide), column)) in line.iter().zip(&widths).zip(columns).enumerate() {
            let painted = match (number, column.2) {
                (0, _) => say::bold(cell, colours),
                (_, Look::Status) => state(cell, colours),
                (_, Look::Plain | Look::Ago | Look::Key) => cell.clone(),
            };
            text.push_str(&painted);
            let gap = if at + 1 == columns.len() { 0 } else { wide - cell.chars().count() + 2 };
            text.push_str(&" ".repeat(gap));
        }
        text.push('\n');
    }
    text
}

fn look(row: &Value, column: &Column, now: Time) -> String {
    let value = row.get(column.1).unwrap_or(&Value::Null);
    match column.2 {
        Look::Plain | Look::Status => cell(value),
        Look::Ago => {
            value.as_str().and_then(|text| text.parse().ok()).map_or_else(|| "-".into(), |at| distance(at, now))
        }
        Look::Key => match row.get("last_four").and_then(Value::as_str).filter(|last| !last.is_empty()) {
            Some(last_four) => format!("{}…{}", cell(value), one_line(last_four)),
            None => cell(value),
        },
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => one_line(text),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        Value::Object(fields) if fields.is_empty() => "-".into(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => one_line(&value.to_string()),
    }
}

/// Status by colour *and* word.
fn state(word: &str, colours: bool) -> String {
    let style = match word {
        "active" | "created" | "ok" => "32",
        "disabled" | "suspended" | "warning" | "present" => "33",
        "revoked" | "expired" | "wrong" | "refused" => "31",
        _ => return word.to_owned(),
    };
    say::paint(word, style, colours)
}

/// How far a point is from now, in its largest unit.
pub(crate) fn distance(at: Time, now: Time) -> String {
    let ahead = at > now;
    let seconds = at.millis().abs_diff(now.millis()) / 1_000;
    let (count, unit) = match seconds {
        0..=59 => (seconds, "s"),
        60..=3_599 => (seconds / 60, "min"),
        3_600..=172_799 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    if ahead { format!("in {count} {unit}") } else { format!("{count} {unit} ago") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_lines_up_and_strips_control_characters() {
        let rows = [
            json!({ "id": "key_1", "name": "a\u{1b}[31mb", "status": "active", "prefix": "kw_live", "last_four": "9xYz" }),
            json!({ "id": "key_22", "name": "", "status": "revoked", "prefix": "kw", "last_four": "" }),
        ];
        let columns = [
            Column("ID", "id", Look::Plain),
            Column("NAME", "name", Look::Plain),
            Column("KEY", "prefix", Look::Key),
            Column("STATUS", "status", Look::Status),
        ];
        let text = table(&rows, &columns, Time::from_millis(0), false);
        let expected = "ID      NAME     KEY           STATUS\n\
                        key_1   a [31mb  kw_live…9xYz  active\n\
                        key_22  -        kw            revoked\n";
        assert_eq!(text, expected);
        assert!(table(&rows, &columns, Time::from_millis(0), true).contains("\u{1b}[31mrevoked\u{1b}[0m"));
    }

    #[test]
    fn distances_are_short() {
        let now = Time::from_millis(1_000_000_000_000);
        for (millis, text) in
            [(-3_000, "3 s ago"), (-180_000, "3 min ago"), (90_000_000, "in 25 h"), (-864_000_000, "10 days ago")]
        {
            assert_eq!(distance(Time::from_millis(now.millis() + millis), now), text);
        }
    }
}
