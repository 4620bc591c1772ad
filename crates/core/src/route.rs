//! Routes of the gate: which requests go to which upstream, and what they have to show for it.
//!
//! What must stay true: a route is chosen by the path as any upstream would read it, and a path that two readers could
//! read differently is refused, never guessed at.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use crate::time::Span;

/// A way through the gate.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The host it is for; `None` for every host.
    pub host: Option<String>,
    /// The path it begins with, in plain letters and without a slash at its end.
    pub path: String,
    /// Whether the upstream is asked without that beginning.
    pub strip: bool,
    /// Where it leads; nowhere where only proxies ask about it.
    pub upstreams: Vec<Upstream>,
    /// What each method asks for.
    pub methods: Vec<(String, Toll)>,
    /// Kinds whose keys may pass.
    pub kinds: Vec<String>,
    /// Whether people may pass with a token of theirs.
    pub people: bool,
    /// What its errors look like.
    pub errors: ErrorShape,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The most a body may be, in bytes.
    pub body_limit: u64,
    /// Whether a browser's preflight passes without a credential.
    pub preflight: bool,
    /// Whether a connection may become a WebSocket.
    pub websocket: bool,
    /// Whether the upstream sees the credential.
    pub forward_credential: bool,
    /// Whom a signed word on each request is for; none where the upstream trusts the network.
    pub assertion: Option<String>,
    /// The line of the policy that names its upstream, or else its path, from 1.
    pub line: usize,
}

/// What a method asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toll {
    /// Any one of these will do; of none at all, whoever has a working credential passes.
    pub permissions: Vec<String>,
    /// Units it costs a key.
    pub cost: u32,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection.
    pub connect: Span,
    /// Until the answer begins, counted from the last byte of the request that was taken.
    pub header: Span,
    /// Between two bytes of a body, in either direction.
    pub idle: Span,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// To the addresses the configuration has under this name.
    Named(String),
    /// To this address.
    At(Address),
}

/// The address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Whether it is spoken to over TLS.
    pub is_tls: bool,
    /// Host and port.
    pub authority: String,
    /// What its paths begin with, without a slash at the end.
    pub base: String,
}

/// How it is found out whether an upstream is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What it is asked for, beneath its base.
    pub path: String,
    /// How often.
    pub every: Span,
}

/// Whose clients a route is for: what its errors look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorShape {
    /// RFC 9457.
    #[default]
    Native,
    /// WAYSCloud's `{"error", "code"}`.
    Wayscloud,
    /// WAVIS's `{"error", "code"}`.
    Wavis,
    /// Cloudheed's, which is RFC 9457.
    Cloudheed,
}

impl Route {
    /// What a method asks for. HEAD asks for what GET does, unless it is listed itself.
    #[must_use]
    pub fn toll(&self, method: &str) -> Option<&Toll> {
        let of = |wanted: &str| self.methods.iter().find(|(listed, _)| listed == wanted).map(|(_, toll)| toll);
        of(method).or_else(|| if method == "HEAD" { of("GET") } else { None })
    }

    /// Whether a plain path is beneath its own.
    #[must_use]
    pub fn covers(&self, plain: &str) -> bool {
        plain.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it is for a host.
    #[must_use]
    pub fn serves(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|own| own == host)
    }

    /// What the upstream is asked for, of a path as it was sent; `None` where the route's own part of it is not spelled
    /// plainly.
    #[must_use]
    pub fn beyond<'p>(&self, sent: &'p str) -> Option<&'p str> {
        let rest = sent.strip_prefix(self.path.as_str())?;
        let plainly = rest.is_empty() || rest.starts_with('/');
        match (plainly, self.strip) {
            (false, _) => None,
            (true, false) => Some(sent),
            (true, true) => Some(if rest.is_empty() { "/" } else { rest }),
        }
    }
}

impl Address {
    /// What its requests name as their host: the port only where it is not the usual one.
    #[must_use]
    pub fn host(&self) -> &str {
        let usual = if self.is_tls { ":443" } else { ":80" };
        self.authority.strip_suffix(usual).unwrap_or(&self.authority)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority, self.base)
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is no upstream's address: write http://10.0.0.5:9000 or https://host:443/base",
                crate::clip(text)
            )
        };
        let (is_tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://").ok_or_else(wrong)?),
        };
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let base = base.trim_end_matches('/');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let sound = !host_of(authority).is_empty() && authority.bytes().all(is_plain) && port_is_sound(authority);
        let is_base = base.is_empty() || (plain_path(base).is_ok_and(|plain| plain == base) && !base.contains('?'));
        if !(sound && is_base) {
            return Err(wrong());
        }
        Ok(Self { is_tls, authority: authority.into(), base: base.into() })
    }
}

fn port_is_sound(authority: &str) -> bool {
    match authority.get(host_of(authority).len()..).unwrap_or_default() {
        "" => true,
        port => port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0)),
    }
}

/// The host of `host:port`.
#[must_use]
pub fn host_of(authority: &str) -> &str {
    let find = |sought| authority.bytes().position(|byte| byte == sought);
    let end = match find(b']') {
        Some(end) => end + 1,
        None => find(b':').unwrap_or(authority.len()),
    };
    authority.get(..end).unwrap_or_default()
}

/// A path as any upstream would read it: what is percent-encoded decoded, the parameters of segments left out.
///
/// # Errors
/// Two readers could read it differently. Says what to leave out.
pub fn plain_path(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if !path.starts_with('/') {
        return Err("a path begins with a slash");
    }
    // Nearly every path is spelled as it is read: nothing to decode, to leave out, or to refuse.
    let mut before = 0;
    let is_plain = path.bytes().all(|byte| {
        let is_odd = before == b'/' && matches!(byte, b'/' | b'.');
        before = byte;
        byte.is_ascii_graphic() && !matches!(byte, b'%' | b';' | b'\\') && !is_odd
    });
    if is_plain { Ok(Cow::Borrowed(path)) } else { read_path(path).map(Cow::Owned) }
}

fn read_path(path: &str) -> Result<String, &'static str> {
    let decoded = decode(path)?;
    let mut plain = String::with_capacity(decoded.len());
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let (name, parameters) = segment.split_once(';').map_or((segment, None), |(name, rest)| (name, Some(rest)));
        match name {
            "." | ".." => return Err("leave out segments of dots, as in /./ and /../"),
            "" if parameters.is_some() => return Err("leave out parameters without a segment, as in /;a"),
            "" if segments.peek().is_some() => return Err("leave out empty segments, as in //"),
            _ => {}
        }
        plain.push('/');
        plain.push_str(name);
    }
    Ok(plain)
}

fn decode(path: &str) -> Result<String, &'static str> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let byte = match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or("write a percent sign as %25")?;
                rest = after;
                hex(digits).ok_or("write a percent sign as %25")?
            }
            b'\\' => return Err("leave out backslashes"),
            byte if byte.is_ascii_graphic() => *byte,
            _ => return Err("encode whatever is no visible ASCII"),
        };
        match byte {
            b'/' if *first == b'%' => return Err("leave out encoded slashes: %2F"),
            b'\\' => return Err("leave out backslashes, encoded ones too: %5C"),
            0..=31 | 127 => return Err("leave out control characters, as in %00"),
            _ => decoded.push(byte),
        }
    }
    // Who decodes twice would find a dot, a slash or a backslash, however each of its letters is spelled.
    let is_again = |three: &[u8]| three.strip_prefix(b"%").and_then(hex).is_some_and(is_telling);
    if decoded.windows(3).any(is_again) {
        return Err("leave out what is encoded twice, as in %252E");
    }
    // Overlong spellings of a dot or a slash are no UTF-8.
    String::from_utf8(decoded).map_err(|_| "encode text as UTF-8")
}

fn is_telling(byte: u8) -> bool {
    matches!(byte, b'.' | b'/' | b'\\' | b';' | b'%' | 0..=31 | 127)
}

fn hex(digits: &[u8]) -> Option<u8> {
    let all = digits.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(digits).ok().filter(|_| all).and_then(|digits| u8::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for path in [
            "",
            "a",
            "*",
            "//",
            "//a",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/.",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a/.%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0a",
            "/a%7f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/.;/b",
            "/a/%2e%2e%3b/b",
            "/a/;/b",
            "/;",
            "/a/%252e%252e/b",
            "/a%252fb",
            "/a%25252f",
            "/a%255c",
            "/a/%25%32%65%25%32%65/b",
            "/a%25%32f",
            "/a%252%46",
            "/a/%c0%ae%c0%ae/b",
            "/a%c0%afb",
            "/a/\u{e9}",
            "/a b",
        ] {
            assert!(plain_path(path).is_err(), "{path:?} is {:?}", plain_path(path));
        }
    }

    #[test]
    fn what_has_one_reading_is_read_so() {
        for (path, plain) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a/b.c/...", "/a/b.c/..."),
            ("/%61dmin/x", "/admin/x"),
            ("/admin;v=1/x", "/admin/x"),
            ("/admin%3Bv=1/x", "/admin/x"),
            ("/100%25", "/100%"),
            ("/a%25b", "/a%b"),
            ("/caf%C3%A9", "/café"),
            ("/a%20b+c", "/a b+c"),
            ("/a:b@c", "/a:b@c"),
        ] {
            assert_eq!(plain_path(path).as_deref(), Ok(plain), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_out_is_read_as_it_is(path in "/[a.%2efFcC5;/\\\\0x~ \u{e9}]{0,16}") {
            prop_assert_eq!(plain_path(&path).map(Cow::into_owned), read_path(&path));
        }

        #[test]
        fn a_plain_path_has_no_way_up(path in "/[a.%2efFcC5;/\\\\0x]{0,24}") {
            if let Ok(plain) = plain_path(&path) {
                prop_assert!(plain.split('/').all(|segment| segment != ".." && segment != "."), "{}", plain);
                prop_assert!(!plain.contains('\\') && !plain.contains("//"), "{}", plain);
            }
        }
    }

    #[test]
    fn an_address_is_a_host_a_port_and_perhaps_a_base() {
        for (text, is_tls, authority, base) in [
            ("http://10.0.0.5:9000", false, "10.0.0.5:9000", ""),
            ("http://api.internal", false, "api.internal", ""),
            ("https://api.internal", true, "api.internal", ""),
            ("http://[::1]:80/a/b/", false, "[::1]:80", "/a/b"),
        ] {
            let address: Address = text.parse().unwrap();
            let found = (address.is_tls, address.authority.as_str(), address.base.as_str());
            assert_eq!(found, (is_tls, authority, base));
            assert_eq!(address.to_string(), text.trim_end_matches('/'));
        }
        for text in [
            "",
            "10.0.0.5:80",
            "HTTPS://a",
            "https://",
            "http://",
            "http:///a",
            "http://:80",
            "http://a:x",
            "http://a:0",
            "http://a:99999",
            "http://u:p@a",
            "http://a/b?c",
            "http://a/../b",
            "http://a b",
            "ftp://a",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
