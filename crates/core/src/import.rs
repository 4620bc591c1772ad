//! Keys another system issued, known by their SHA-256 alone: what one row of an import says.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::draft::Draft;

/// The longest part of an imported key that may be shown, in bytes.
const LONGEST_PREFIX: usize = 40;

/// A key to bring in.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportRow {
    /// The SHA-256 of the whole key's text.
    pub sha256: [u8; 32],
    /// The part of the key that may be shown, if known.
    pub prefix: String,
    /// What the key is to be.
    pub draft: Draft,
}

impl ImportRow {
    /// Reads a row: `hash`, perhaps `prefix`, and what a new key may be asked to be.
    ///
    /// # Errors
    /// The field that is wrong, and what to write instead.
    pub fn read(mut fields: Map<String, Value>) -> Result<Self, String> {
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name}: is a text")),
        };
        let hash = text("hash")?.ok_or("hash: is required: the SHA-256 of the whole key, in hexadecimal or base64")?;
        let sha256 =
            read_sha256(&hash).ok_or("hash: is not a SHA-256: 64 hexadecimal digits, or 44 characters of base64")?;
        let prefix = text("prefix")?.unwrap_or_default();
        if prefix.len() > LONGEST_PREFIX || prefix.chars().any(char::is_control) {
            return Err(format!("prefix: is at most {LONGEST_PREFIX} bytes, none of them control characters"));
        }
        let draft = Draft::deserialize(Value::Object(fields)).map_err(|error| error.to_string())?;
        Ok(Self { sha256, prefix, draft })
    }
}

/// Reads a SHA-256 in hexadecimal or base64.
#[must_use]
pub fn read_sha256(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.len() == 64 {
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? * 16 + low?).ok()?;
        }
        return Some(bytes);
    }
    let engines = [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD];
    engines.iter().find_map(|engine| engine.decode(text).ok())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ImportRow, String> {
        ImportRow::read(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_hash_is_read_in_hexadecimal_and_base64() {
        // The SHA-256 of the empty text.
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let bytes = read_sha256(hex).unwrap();
        assert_eq!(read_sha256(&hex.to_uppercase()), Some(bytes));
        assert_eq!(read_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), Some(bytes));
        assert_eq!(read_sha256("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"), Some(bytes));
        for bad in ["", "abc", &hex[1..], &format!("{}g", &hex[1..]), "é".repeat(32).as_str()] {
            assert_eq!(read_sha256(bad), None, "{bad} was read");
        }
    }

    #[test]
    fn a_bad_row_names_its_field() {
        let hash = "0".repeat(64);
        assert!(read(&format!(r#"{{"hash":"{hash}","name":"a","expires_in":"30d"}}"#)).is_ok());
        for (row, named) in [
            (r#"{"name":"a"}"#.to_owned(), "hash"),
            (r#"{"hash":7}"#.to_owned(), "hash"),
            (r#"{"hash":"short"}"#.to_owned(), "hash"),
            (format!(r#"{{"hash":"{hash}","prefix":"{}"}}"#, "x".repeat(41)), "prefix"),
            (format!(r#"{{"hash":"{hash}","colour":"red"}}"#), "colour"),
            (format!(r#"{{"hash":"{hash}","expires_in":"soon"}}"#), "soon"),
        ] {
            assert!(read(&row).unwrap_err().contains(named), "{row}");
        }
    }
}
