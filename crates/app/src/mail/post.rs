//! The ways a letter goes out: none, into a folder, or over SMTP. Nobody else knows which it is.
//!
//! An error says what the mail server said, never what the letter says.

use std::error::Error as _;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keywright_core::id::MailId;
use keywright_core::mail::{Letter, Relay, Tls};
use keywright_core::time::Time;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls as Wire, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Category, Detail};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use zeroize::Zeroizing;

use super::PATIENCE;

/// The most that is kept of what a mail server said.
const LONGEST_REASON: usize = 200;
/// The longest line of a letter (RFC 5322, 2.1.1).
const LONGEST_LINE: usize = 998;
/// How long a server may take to answer when it is only asked whether it does.
const PATIENCE_FOR_A_CHECK: Duration = Duration::from_secs(10);
const PEM_BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";
const NO_CERTIFICATE: &str = "its certificate cannot be read: it has to be in PEM";

/// Why a letter did not go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It will not be taken at another time either.
    Refused(String),
    /// It may be.
    Later(String),
}

/// Whom letters are from: `Keywright <no-reply@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is not a sender: write Keywright <no-reply@example.com>".to_owned();
        let mailbox = text.parse::<Mailbox>().map_err(|_| wrong())?;
        let is_one_line = !text.chars().any(char::is_control);
        Some(Self(mailbox)).filter(|_| is_one_line).ok_or_else(wrong)
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// How letters go out.
pub enum Post {
    /// They do not.
    None,
    /// Each becomes a file: for development.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Whom they are from.
        from: Sender,
        /// Whether the log shows the link in each. It lets people in: `dev` alone does that.
        shows_links: bool,
    },
    /// A mail server takes them.
    Smtp(Box<Smtp>),
}

/// A way to a mail server.
pub struct Smtp {
    relay: Relay,
    from: Sender,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl fmt::Debug for Post {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("None"),
            Self::Folder { path, .. } => write!(out, "Folder({})", path.display()),
            Self::Smtp(smtp) => write!(out, "Smtp({})", smtp.relay),
        }
    }
}

impl Post {
    /// Over SMTP. `authority` is the certificate, in PEM, of who vouches for the server, where it is none the world knows.
    ///
    /// # Errors
    /// The relay wants a password and there is none, or the certificate cannot be read.
    pub fn smtp(
        relay: Relay,
        password: Option<Zeroizing<String>>,
        authority: Option<&[u8]>,
        from: Sender,
    ) -> Result<Self, String> {
        let tls = || -> Result<TlsParameters, String> {
            let mut tls = TlsParameters::builder(relay.host.clone());
            if let Some(pem) = authority {
                let certificate = Certificate::from_pem(pem).map_err(|_| NO_CERTIFICATE)?;
                // The library takes a text without one for an empty list.
                if !pem.windows(PEM_BEGINS.len()).any(|window| window == PEM_BEGINS) {
                    return Err(NO_CERTIFICATE.into());
                }
                tls = tls.add_root_certificate(certificate);
            }
            tls.build().map_err(|error| said(&error))
        };
        let wire = match relay.tls {
            Tls::Implicit => Wire::Wrapper(tls()?),
            Tls::StartTls => Wire::Required(tls()?),
            Tls::None => Wire::None,
        };
        // What the greeting names: many servers refuse an address in its place.
        let hello = ClientId::Domain(from.0.email.domain().to_owned());
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(relay.host.clone())
            .port(relay.port)
            .tls(wire)
            .timeout(Some(PATIENCE))
            .hello_name(hello);
        if let Some(user) = &relay.user {
            let password =
                password.filter(|password| !password.is_empty()).ok_or("it names a user and has no password")?;
            // A second look: the address cannot be read any other way.
            if relay.tls == Tls::None {
                return Err("a password is never sent in the clear".into());
            }
            transport = transport.credentials(Credentials::new(user.clone(), password.to_string()));
        }
        Ok(Self::Smtp(Box::new(Smtp { transport: transport.build(), relay, from })))
    }

    /// Sends a letter.
    ///
    /// # Errors
    /// It did not go out.
    pub async fn send(&self, id: MailId, letter: &Letter, at: Time) -> Result<(), Failure> {
        match self {
            Self::None => Err(Failure::Later("no mail is configured".into())),
            Self::Folder { path, from, shows_links } => {
                let message = message(id, letter, from, at)?.formatted();
                let (folder, name) = (path.clone(), format!("{id}.eml"));
                let written = tokio::task::spawn_blocking(move || write_private(&folder, &name, &message)).await;
                let file = match written {
                    Ok(Ok(file)) => file,
                    Ok(Err(error)) => return Err(Failure::Later(format!("{}: {error}", path.display()))),
                    Err(_) => return Err(Failure::Later("the file was not written".into())),
                };
                let link = letter.link().filter(|_| *shows_links);
                tracing::info!(to = letter.to(), subject = letter.subject(), file = %file.display(), link, "a letter was written");
                Ok(())
            }
            Self::Smtp(smtp) => {
                let message = message(id, letter, &smtp.from, at)?;
                let sent = smtp.transport.send(message).await;
                sent.map(drop).map_err(|error| failure(&error))
            }
        }
    }

    /// Whether letters can go out: the folder can be written to, or the server answers and takes our name and password.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self) -> Result<(), String> {
        match self {
            Self::None => Err("no mail is configured".into()),
            Self::Folder { path, .. } => {
                let is_usable = path.is_dir() || !path.exists();
                if is_usable { Ok(()) } else { Err(format!("{} is no folder", path.display())) }
            }
            Self::Smtp(smtp) => {
                match tokio::time::timeout(PATIENCE_FOR_A_CHECK, smtp.transport.test_connection()).await {
                    Ok(Ok(true)) => Ok(()),
                    Ok(Ok(false)) => Err("it took the connection and did not answer".into()),
                    Ok(Err(error)) => Err(said(&error)),
                    Err(_) => Err(format!("it did not answer for {PATIENCE_FOR_A_CHECK:?}")),
                }
            }
        }
    }

    /// Where letters go.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::None => "nowhere".into(),
            Self::Folder { path, .. } => path.display().to_string(),
            Self::Smtp(smtp) => smtp.relay.to_string(),
        }
    }
}

fn message(id: MailId, letter: &Letter, from: &Sender, at: Time) -> Result<Message, Failure> {
    let broken = |what: &str| Failure::Refused(format!("{what} cannot be written into a letter"));
    let to = letter.to().parse().map_err(|_| broken("the recipient"))?;
    let millis = u64::try_from(at.millis()).unwrap_or_default();
    let date: SystemTime = UNIX_EPOCH + Duration::from_millis(millis);
    // RFC 3834: no holiday notice answers it.
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into());
    Message::builder()
        .from(from.0.clone())
        .to(Mailbox::new(None, to))
        .subject(letter.subject())
        .date(date)
        // The same at every attempt, for whoever gets it twice.
        .message_id(Some(format!("<{id}@{}>", from.0.email.domain())))
        .raw_header(automatic)
        .header(ContentType::TEXT_PLAIN)
        .body(body(letter.text()))
        .map_err(|_| broken("the text"))
}

/// Plain ASCII goes as it is, so that a link that is longer than a line of quoted-printable stays whole for whoever
/// reads the letter with nothing but their eyes.
fn body(text: &str) -> Body {
    let is_plain = |line: &str| {
        line.len() <= LONGEST_LINE && line.bytes().all(|byte| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic())
    };
    if !text.lines().all(is_plain) {
        return Body::new(text.to_owned());
    }
    let lines = text.lines().flat_map(|line| [line.as_bytes(), b"\r\n"]);
    Body::dangerous_pre_encoded(lines.collect::<Vec<_>>().concat(), ContentTransferEncoding::SevenBit)
}

/// What a mail server's answer means for the letter. A refused password is a mistake of the configuration's: letters
/// wait until it is mended.
fn failure(error: &lettre::transport::smtp::Error) -> Failure {
    let is_about_us = error.status().is_some_and(|code| {
        // 530, 534, 535, 538 (RFC 4954, 6) and 503, which says that a command came out of turn.
        let detail = code.detail as u8;
        code.category == Category::Unspecified3 || (code.category == Category::Syntax && detail == Detail::Three as u8)
    });
    if error.is_permanent() && !is_about_us { Failure::Refused(said(error)) } else { Failure::Later(said(error)) }
}

/// An error with what it comes from, in one line that is not too long.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(LONGEST_REASON).collect()
}

/// Writes a file of mode 0600, so that whoever sees it sees all of it.
fn write_private(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (draft, path) = (folder.join(format!(".{name}.tmp")), folder.join(name));
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_link_stays_whole_and_what_is_not_plain_is_encoded() {
        let link = format!("https://keys.example.com/reset?token={}", "a=".repeat(200));
        let plain = body(&format!("Hello,\n\n.\n{link}"));
        assert_eq!(plain.encoding(), ContentTransferEncoding::SevenBit);
        assert_eq!(plain.into_vec(), format!("Hello,\r\n\r\n.\r\n{link}\r\n").into_bytes());
        for text in ["Grüße", &"a".repeat(999)] {
            assert_ne!(body(text).encoding(), ContentTransferEncoding::SevenBit, "{text:?}");
        }
    }

    #[test]
    fn a_sender_is_one_address_and_no_more() {
        for text in ["Keywright <no-reply@example.com>", "no-reply@localhost", "\"Keys, Inc.\" <a@b.example>"] {
            assert!(text.parse::<Sender>().is_ok(), "{text}");
        }
        for text in ["Keywright", "", "a@b.example\r\nBcc: c@d.example", "<a@b.example>, <c@d.example>"] {
            assert!(text.parse::<Sender>().is_err(), "{text}");
        }
    }
}
