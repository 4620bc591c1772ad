//! The fields of a request's head, by whomever it was read: the HTTP library, or `direct.rs`.

use http::{HeaderMap, HeaderName};

/// Fields to look things up in. What is read of them is decided elsewhere, once for all who read heads.
pub(crate) trait Fields: Sync {
    /// Every field, its name as it was sent.
    fn each(&self) -> impl Iterator<Item = (&str, &[u8])>;

    /// The values of a field, in the order they were sent, without the blanks around them.
    fn all<'f>(&'f self, name: &'f HeaderName) -> impl Iterator<Item = &'f [u8]>;

    /// The first value of a field, where it is nothing but visible ASCII and blanks.
    fn text<'f>(&'f self, name: &'f HeaderName) -> Option<&'f str> {
        let value = self.all(name).next()?;
        // Looking at all of it costs less than stopping at the first that is not.
        let is_plain = value.iter().fold(true, |all, byte| all & matches!(byte, b'\t' | b' '..=b'~'));
        std::str::from_utf8(value).ok().filter(|_| is_plain)
    }
}

impl Fields for HeaderMap {
    fn each(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    fn all<'f>(&'f self, name: &'f HeaderName) -> impl Iterator<Item = &'f [u8]> {
        self.get_all(name).iter().map(http::HeaderValue::as_bytes)
    }
}

impl Fields for [httparse::Header<'_>] {
    fn each(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter().map(|field| (field.name, field.value))
    }

    fn all<'f>(&'f self, name: &'f HeaderName) -> impl Iterator<Item = &'f [u8]> {
        let name = name.as_str();
        let is = |field: &&httparse::Header<'_>| is_named(field.name, name);
        self.iter().filter(is).map(|field| field.value)
    }
}

/// Whether a field, as it was sent, has a name. Most differ in their length, and are looked at no further.
#[inline]
pub(crate) fn is_named(sent: &str, name: &str) -> bool {
    sent.len() == name.len() && sent.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{ACCEPT, HOST, USER_AGENT};

    use super::*;

    fn read(fields: &(impl Fields + ?Sized)) -> (Vec<&[u8]>, [Option<&str>; 3]) {
        (fields.all(&ACCEPT).collect(), [&ACCEPT, &USER_AGENT, &HOST].map(|name| fields.text(name)))
    }

    #[test]
    fn both_ways_of_reading_say_the_same() {
        let parsed: [httparse::Header<'_>; 3] = [("Accept", "a"), ("USER-AGENT", "caf\u{e9}"), ("accept", "b c")]
            .map(|(name, value)| httparse::Header { name, value: value.as_bytes() });
        let mut map = HeaderMap::new();
        for field in &parsed {
            let name: HeaderName = field.name.parse().unwrap();
            map.append(name, HeaderValue::from_bytes(field.value).unwrap());
        }
        assert_eq!(read(&parsed[..]), (vec![&b"a"[..], b"b c"], [Some("a"), None, None]));
        assert_eq!(read(&map), read(&parsed[..]));
    }
}
