//! Letters that go out, when the next attempt to deliver one is made, and what a mail server's address may be.
//!
//! What must stay true: nothing that somebody typed begins a header of its own, and no password and no letter crosses a
//! network in the clear.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::account::normal_email;
use crate::clip;
use crate::time::Span;

/// The longest subject, in bytes: what fits into a header of RFC 5322 once it is encoded.
const LONGEST_SUBJECT: usize = 200;
/// The longest text, in bytes.
const LONGEST_TEXT: usize = 64 * 1_024;
/// How long after each failed attempt the next one is made, in seconds: two days in all.
const WAITS: [i64; 15] =
    [5, 30, 120, 600, 1_800, 3_600, 7_200, 10_800, 14_400, 21_600, 21_600, 21_600, 21_600, 21_600, 21_600];

/// Why a letter cannot be written. It never repeats what the letter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALetter {
    /// The recipient is no address.
    #[error("the recipient is not an email address")]
    Recipient,
    /// The subject is empty, too long, or has more than one line.
    #[error("the subject has to be one line of 1 to {LONGEST_SUBJECT} bytes")]
    Subject,
    /// The text is empty, too long, or has a control character other than `\n` and `\t`.
    #[error("the text has to be 1 to {LONGEST_TEXT} bytes, with no control character but line breaks and tabs")]
    Text,
}

/// A letter in plain text. It may hold a link that works once, so it has neither `Debug` nor `Display`.
pub struct Letter {
    to: String,
    subject: String,
    text: Zeroizing<String>,
}

impl Letter {
    /// Writes a letter. Lines of the text end with `\n`.
    ///
    /// # Errors
    /// What cannot be sent.
    pub fn new(to: &str, subject: &str, text: String) -> Result<Self, NotALetter> {
        // An address that is trimmed has lost a line break, which nobody types: it is refused instead.
        let to = normal_email(to).filter(|_| is_one_line(to)).ok_or(NotALetter::Recipient)?;
        let fits = |text: &str, longest: usize| (1..=longest).contains(&text.len());
        if !fits(subject, LONGEST_SUBJECT) || !is_one_line(subject) {
            return Err(NotALetter::Subject);
        }
        let text = Zeroizing::new(text);
        // A carriage return by itself ends a line for some servers and not for others: nobody writes one.
        let is_strange = |char: char| char.is_control() && char != '\n' && char != '\t';
        if !fits(&text, LONGEST_TEXT) || text.chars().any(is_strange) {
            return Err(NotALetter::Text);
        }
        Ok(Self { to, subject: subject.into(), text })
    }

    /// Whom it is for.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What it says.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first link in it.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        self.text.split_whitespace().find(|word| word.starts_with("https://") || word.starts_with("http://"))
    }

    /// The whole letter, to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Three texts are always JSON; an empty one would be no letter when it is read.
        Zeroizing::new(serde_json::to_vec(&(&self.to, &self.subject, self.text.as_str())).unwrap_or_default())
    }

    /// The letter that [`Letter::to_bytes`] made these of.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (to, subject, text): (String, String, String) = serde_json::from_slice(bytes).ok()?;
        Self::new(&to, &subject, text).ok()
    }
}

fn is_one_line(text: &str) -> bool {
    !text.chars().any(|char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}'))
}

/// How long to wait after so many failed attempts; none where it is given up. `jitter` is any number: it moves the
/// next attempt by up to a fifth, so that what failed together does not come back together.
#[must_use]
pub fn next_attempt(attempts: i64, jitter: u32) -> Option<Span> {
    let seconds = usize::try_from(attempts).ok()?.checked_sub(1).and_then(|at| WAITS.get(at))?;
    let fifth = seconds * 1_000 / 5;
    Some(Span::from_millis(fifth * 4 + i64::from(jitter) * fifth * 2 / i64::from(u32::MAX)))
}

/// How a connection to a mail server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From its first byte (RFC 8314).
    Implicit,
    /// After STARTTLS, without which nothing is sent (RFC 3207).
    StartTls,
    /// Not at all: on the machine itself alone.
    None,
}

/// A mail server that takes letters from us: `smtps://USER@HOST:PORT`, `smtp://HOST` or `smtp://127.0.0.1:25?tls=none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub tls: Tls,
    /// Who we are to it. The password is never part of the address.
    pub user: Option<String>,
}

impl fmt::Display for Relay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls == Tls::Implicit { "smtps" } else { "smtp" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(out, "{scheme}://{host}:{}", self.port)
    }
}

impl FromStr for Relay {
    type Err = String;

    /// Refuses a password: it is never repeated in what is said about that.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(unreadable)?;
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let (user, host) = place.rsplit_once('@').map_or((None, place), |(user, host)| (Some(user), host));
        let host = host.strip_suffix('/').unwrap_or(host);
        if user.is_some_and(|user| user.contains(':')) {
            return Err("a password does not belong into the address: put it into KEYWRIGHT_SMTP_PASSWORD or the \
                        file password_file names, and write smtps://USER@HOST:465"
                .into());
        }
        let tls = match (scheme, query) {
            ("smtps", None) => Tls::Implicit,
            ("smtp", None | Some("tls=required")) => Tls::StartTls,
            ("smtp", Some("tls=none")) => Tls::None,
            _ => return Err(unreadable()),
        };
        let (host, port) = host_and_port(host).ok_or_else(unreadable)?;
        let user = user.map(|user| unescaped(user).ok_or_else(unreadable)).transpose()?;
        if tls == Tls::None && !is_this_machine(&host) {
            return Err(format!(
                "`{}` is another machine, and letters hold links that let people in: leave out tls=none, which is for \
                 127.0.0.1, ::1 and localhost",
                clip(&host)
            ));
        }
        if tls == Tls::None && user.is_some() {
            return Err("a password is never sent in the clear: leave out tls=none, or the user".into());
        }
        // RFC 8314 and RFC 6409; without TLS it is a server of the machine's own.
        let usual = match tls {
            Tls::Implicit => 465,
            Tls::StartTls => 587,
            Tls::None => 25,
        };
        Ok(Self { host, port: port.unwrap_or(usual), tls, user })
    }
}

fn unreadable() -> String {
    "is not the address of a mail server: write smtps://USER@HOST:465, smtp://USER@HOST:587 (STARTTLS), or \
     smtp://127.0.0.1:25?tls=none for one on this machine"
        .into()
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.is_empty().then_some("").or_else(|| rest.strip_prefix(':').filter(|port| !port.is_empty()))?)
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let named = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
            if host.is_empty() || !host.chars().all(named) || port == Some("") {
                return None;
            }
            (host, port.unwrap_or_default())
        }
    };
    let port = if port.is_empty() { None } else { Some(port.parse().ok().filter(|port| *port != 0)?) };
    Some((host.to_owned(), port))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A user's name with its `%40` written out (RFC 3986, 2.1).
fn unescaped(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty() && is_one_line(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(to: &str, subject: &str, text: &str) -> Result<Letter, NotALetter> {
        Letter::new(to, subject, text.into())
    }

    #[test]
    fn no_header_field_holds_a_line_break() {
        for to in ["a@example.com\nBcc: b@example.com", "a@example.com\r\n", "\na@example.com", "a@example.com\0", "a"]
        {
            assert_eq!(letter(to, "s", "t").err(), Some(NotALetter::Recipient), "{to:?}");
        }
        for subject in ["s\nBcc: b@example.com", "s\r", "s\u{2028}t", "s\u{85}t", "", &"s".repeat(201)] {
            assert_eq!(letter("a@example.com", subject, "t").err(), Some(NotALetter::Subject), "{subject:?}");
        }
        for text in [String::new(), "t".repeat(LONGEST_TEXT + 1), "a\r.\r\nMAIL FROM:<b>".into(), "a\0".into()] {
            assert_eq!(letter("a@example.com", "s", &text).err(), Some(NotALetter::Text));
        }
    }

    #[test]
    fn a_letter_survives_its_bytes() {
        let made = letter("A@Example.com", "Grüße", "Hello,\n\nhttps://example.com/?a=1 works once.\n").unwrap();
        let read = Letter::from_bytes(&made.to_bytes()).unwrap();
        assert_eq!((read.to(), read.subject(), read.text()), ("a@example.com", "Grüße", made.text()));
        assert_eq!(read.link(), Some("https://example.com/?a=1"));
        for forged in [r#"["a@b.c\nBcc: x@y.z","s","t"]"#, r#"["a@b.c","s"]"#, ""] {
            assert!(Letter::from_bytes(forged.as_bytes()).is_none(), "{forged}");
        }
    }

    #[test]
    fn attempts_are_made_for_two_days_and_then_given_up() {
        let waits: Vec<i64> =
            (1..).map_while(|attempt| next_attempt(attempt, u32::MAX / 2)).map(Span::millis).collect();
        assert_eq!(waits.len(), WAITS.len());
        assert!((4_900..=5_100).contains(waits.first().unwrap()), "{waits:?}");
        assert!(waits.is_sorted(), "{waits:?}");
        let hours = waits.iter().sum::<i64>() / 3_600_000;
        assert!((44..=50).contains(&hours), "{hours} hours");
        assert_eq!((next_attempt(0, 0), next_attempt(-1, 0), next_attempt(i64::MAX, 0)), (None, None, None));
    }

    #[test]
    fn jitter_moves_an_attempt_by_at_most_a_fifth() {
        let wait = |jitter| next_attempt(6, jitter).map(Span::millis);
        assert_eq!((wait(0), wait(u32::MAX)), (Some(2_880_000), Some(4_320_000)));
    }

    #[test]
    fn a_relay_is_read_with_its_usual_port() {
        for (text, host, port, tls, user) in [
            ("smtps://me@mail.example.com", "mail.example.com", 465, Tls::Implicit, Some("me")),
            (
                "smtps://me%40example.com@mail.example.com:4465/",
                "mail.example.com",
                4465,
                Tls::Implicit,
                Some("me@example.com"),
            ),
            ("smtp://me@example.com@mail.example.com", "mail.example.com", 587, Tls::StartTls, Some("me@example.com")),
            ("smtp://mail:2525?tls=required", "mail", 2525, Tls::StartTls, None),
            ("smtp://127.0.0.1?tls=none", "127.0.0.1", 25, Tls::None, None),
            ("smtp://[::1]:1025?tls=none", "::1", 1025, Tls::None, None),
            ("smtp://localhost:1025?tls=none", "localhost", 1025, Tls::None, None),
        ] {
            let relay: Relay = text.parse().unwrap();
            assert_eq!(relay, Relay { host: host.into(), port, tls, user: user.map(Into::into) }, "{text}");
            let again = relay.to_string().split_once("://").and_then(|(_, place)| host_and_port(place));
            assert_eq!(again, Some((host.to_owned(), Some(port))), "{relay}");
        }
    }

    #[test]
    fn nothing_is_sent_in_the_clear_but_on_the_machine_itself() {
        for text in [
            "smtp://mail.example.com?tls=none",
            "smtp://10.0.0.1:25?tls=none",
            "smtp://0.0.0.0?tls=none",
            "smtp://localhost.example.com?tls=none",
            "smtp://me@127.0.0.1?tls=none",
            "smtps://mail.example.com?tls=none",
            "smtp://mail.example.com?tls=opportunistic",
            "smtp://mail.example.com?tls=none&tls=required",
        ] {
            assert!(text.parse::<Relay>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn what_is_no_relay_is_refused_and_a_password_is_not_repeated() {
        for text in [
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://:25",
            "smtp://a b",
            "smtp://host:0",
            "smtp://host:",
            "smtp://host:70000",
            "smtp://[::1",
            "smtp://[::1]25",
            "smtp://host/path",
            "smtp://%0a@host",
            "smtp://%zz@host",
            "smtp://@host",
        ] {
            assert!(text.parse::<Relay>().is_err(), "{text} was taken");
        }
        let refused = "smtps://me:hunter2@mail.example.com".parse::<Relay>().unwrap_err();
        assert!(refused.contains("KEYWRIGHT_SMTP_PASSWORD") && !refused.contains("hunter2"), "{refused}");
    }
}
