//! CSV cells as the fields of a key. An empty cell is a field left out; a list is separated by `;` or spaces.

use serde_json::{Map, Value};

use crate::fields::{parse_object, parse_ratelimit, parse_refill};

/// The columns there are.
pub(super) const COLUMNS: [&str; 14] = [
    "hash",
    "prefix",
    "name",
    "description",
    "environment",
    "role",
    "services",
    "permissions",
    "ip_allowlist",
    "expires_in",
    "credits",
    "refill",
    "ratelimits",
    "metadata",
];

/// Checks a header.
pub(super) fn check(columns: Vec<String>) -> Result<Vec<String>, String> {
    for (at, column) in columns.iter().enumerate() {
        if !COLUMNS.contains(&column.as_str()) {
            let shown: String = column.chars().take(40).collect();
            return Err(format!("`{shown}` is not a column: use {}", COLUMNS.join(", ")));
        }
        if columns.iter().take(at).any(|earlier| earlier == column) {
            return Err(format!("the column {column} is there twice"));
        }
    }
    if !columns.iter().any(|column| column == "hash") {
        return Err("there is no column hash: it holds the SHA-256 of each key, in hexadecimal or base64".into());
    }
    Ok(columns)
}

/// A record's fields.
pub(super) fn fields(columns: &[String], values: &[String]) -> Result<Map<String, Value>, String> {
    if values.len() != columns.len() {
        return Err(format!("the line has {} fields and the header {}", values.len(), columns.len()));
    }
    let mut fields = Map::new();
    for (column, text) in columns.iter().zip(values) {
        let text = text.trim();
        if !text.is_empty() {
            fields.insert(column.clone(), cell(column, text).map_err(|reason| format!("{column}: {reason}"))?);
        }
    }
    Ok(fields)
}

fn cell(column: &str, text: &str) -> Result<Value, String> {
    let parts = || text.split(|char: char| char == ';' || char.is_whitespace()).filter(|part| !part.is_empty());
    match column {
        "services" | "permissions" | "ip_allowlist" => Ok(parts().collect()),
        "credits" => text.parse::<i64>().map(Value::from).map_err(|_| format!("`{text}` is not a number")),
        "refill" => parse_refill(text),
        "ratelimits" => parts().map(parse_ratelimit).collect(),
        "metadata" => parse_object(text),
        _ => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_become_fields_of_the_right_types() {
        let columns = ["hash", "permissions", "credits", "refill", "ratelimits", "metadata", "name"].map(str::to_owned);
        let values = ["aa", "a:b; c:d e:f", "5", "5/1d", "x=1/1m;y=2/1h", "{\"a\":1}", ""].map(str::to_owned);
        let expected = json!({
            "hash": "aa", "permissions": ["a:b", "c:d", "e:f"], "credits": 5, "refill": { "amount": 5, "every": "1d" },
            "ratelimits": [{ "name": "x", "limit": 1, "window": "1m" }, { "name": "y", "limit": 2, "window": "1h" }],
            "metadata": { "a": 1 },
        });
        assert_eq!(Value::from(fields(&columns, &values).unwrap()), expected);
    }

    #[test]
    fn a_header_has_to_make_sense() {
        let check = |text: &str| check(text.split(',').map(str::to_owned).collect());
        assert!(check("hash,name").is_ok());
        assert!(check("name").unwrap_err().contains("hash"));
        assert!(check("hash,colour").unwrap_err().contains("colour"));
        assert!(check("hash,hash").unwrap_err().contains("twice"));
    }
}
