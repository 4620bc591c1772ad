//! JSON objects written field by field, for answers that are given all the time: what a name looks like is known beforehand,
//! and most texts need no escaping.

use serde::Serialize;

/// An object that is being written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_begun: bool,
}

impl<'o> Object<'o> {
    /// Begins one.
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_begun: false }
    }

    /// Begins one whose first fields are written already, from the brace on.
    pub(crate) fn begin_with(out: &'o mut Vec<u8>, fields: &'static [u8]) -> Self {
        out.extend_from_slice(fields);
        Self { out, is_begun: true }
    }

    /// Writes a field. Its name is written as it is.
    pub(crate) fn field(&mut self, name: &'static str, value: &impl Serialize) {
        self.name(name);
        write(self.out, value);
    }

    /// Writes a field that is a text.
    #[inline]
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        text(self.out, value);
    }

    /// Writes a field that is a text of letters that need no escaping.
    #[inline]
    pub(crate) fn letters(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    /// Writes a field that is a text, or null.
    pub(crate) fn maybe_text(&mut self, name: &'static str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.field(name, &()),
        }
    }

    /// Writes a field that is a list of texts.
    pub(crate) fn texts<'t>(&mut self, name: &'static str, values: impl IntoIterator<Item = &'t str>) {
        self.name(name);
        let begin = self.out.len();
        for value in values {
            self.out.push(if self.out.len() == begin { b'[' } else { b',' });
            text(self.out, value);
        }
        self.out.extend_from_slice(if self.out.len() == begin { b"[]" } else { b"]" });
    }

    /// Writes the fields of an object that is written already, and has some.
    pub(crate) fn fields_of(&mut self, object: &[u8]) {
        let begun = if std::mem::replace(&mut self.is_begun, true) { b"," } else { &b""[..] };
        self.out.extend_from_slice(begun);
        self.out
            .extend_from_slice(object.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or_default());
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    #[inline]
    fn name(&mut self, name: &'static str) {
        if std::mem::replace(&mut self.is_begun, true) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Looking at all of it costs less than stopping at the first that is in need of escaping.
    let is_plain = text.bytes().fold(true, |all, byte| all & !matches!(byte, 0..=31 | b'"' | b'\\' | 127));
    if is_plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write(out, text);
    }
}

fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let begin = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        // What has no JSON is none: no answer holds any such.
        out.truncate(begin);
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_written_is_what_was_meant() {
        let odd = "a\"b\\c\nd\u{7f}\u{0}é\u{1f600}";
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.field("number", &7);
        object.text("plain", "key_1");
        object.text("odd", odd);
        object.maybe_text("none", None);
        object.maybe_text("some", Some(""));
        object.texts("no", []);
        object.texts("one", [odd]);
        object.texts("two", ["a", "b"]);
        object.fields_of(b"{\"more\":1,\"most\":{}}");
        object.end();
        let read: Value = serde_json::from_slice(&out).unwrap();
        let meant = json!({
            "number": 7, "plain": "key_1", "odd": odd, "none": null, "some": "", "no": [], "one": [odd], "two": ["a", "b"],
            "more": 1, "most": {}
        });
        assert_eq!(read, meant);
        let mut out = Vec::new();
        Object::begin(&mut out).end();
        assert_eq!(out, b"{}");
    }
}
