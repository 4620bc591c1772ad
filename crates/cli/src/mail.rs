//! `[mail]` of the configuration: how letters go out. The password is read when they do, and kept nowhere else.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use keywright_app::mail::{Post, Sender};
use keywright_core::mail::{Relay, Tls};
use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use crate::config::Check;
use crate::exit::{Exit, fail};

/// Where the password for the mail server may be, apart from a file.
const PASSWORD_VARIABLE: &str = "KEYWRIGHT_SMTP_PASSWORD";
/// Whom letters are from where nobody else reads them.
const LOCAL_SENDER: &str = "Keywright <no-reply@localhost>";

/// `[mail]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawMail {
    from: Option<Spanned<String>>,
    smtp: Option<Spanned<String>>,
    password_file: Option<Spanned<PathBuf>>,
    certificate: Option<Spanned<PathBuf>>,
    folder: Option<Spanned<PathBuf>>,
}

/// How letters go out.
#[derive(Clone, Debug)]
pub(crate) enum Mail {
    /// They do not.
    None,
    /// Each becomes a file in a folder.
    Folder {
        path: PathBuf,
        from: Option<Sender>,
        /// Whether the log shows the link in each.
        shows_links: bool,
    },
    /// A mail server takes them.
    Smtp { relay: Relay, from: Sender, password_file: Option<PathBuf>, certificate: Option<PathBuf> },
}

/// Checks `[mail]`. Paths count from `base`.
pub(crate) fn parse(raw: Option<Spanned<RawMail>>, base: &Path, check: &mut Check<'_>) -> Mail {
    let Some(raw) = raw else { return Mail::None };
    let table = raw.span();
    let RawMail { from, smtp, password_file, certificate, folder } = raw.into_inner();
    let has_sender = from.is_some();
    let from = check.take(from, |text| text.parse::<Sender>().map_err(|reason| format!("from: `{text}` {reason}")));
    if let Some(folder) = &folder {
        for (other, what) in [(smtp.is_some(), "smtp"), (password_file.is_some(), "password_file")] {
            if other {
                check.wrong(folder.span(), format!("folder: stands in the place of {what}: write one of them"));
            }
        }
        return Mail::Folder { path: base.join(folder.get_ref()), from, shows_links: false };
    }
    let Some(smtp) = smtp else {
        check.wrong(
            table,
            "[mail]: write smtp = \"smtps://USER@HOST:465\", or folder = \"mail\" to try things on".into(),
        );
        return Mail::None;
    };
    // What it says is never repeated: somebody may have put a password into it.
    let relay = check.take(Some(smtp), |text| text.parse::<Relay>().map_err(|reason| format!("smtp: {reason}")));
    if !has_sender {
        check.wrong(table, "[mail]: write whom letters are from: from = \"Keywright <no-reply@example.com>\"".into());
    }
    let Some((relay, from)) = relay.zip(from) else { return Mail::None };
    if let Some(file) = password_file.as_ref().filter(|_| relay.user.is_none()) {
        check.wrong(file.span(), "password_file: smtp names no user: write smtps://USER@HOST:465".into());
    }
    if let Some(file) = certificate.as_ref().filter(|_| relay.tls == Tls::None) {
        check.wrong(file.span(), "certificate: smtp says tls=none, so nobody shows one: leave one of them out".into());
    }
    let path = |file: Spanned<PathBuf>| base.join(file.into_inner());
    Mail::Smtp { relay, from, password_file: password_file.map(path), certificate: certificate.map(path) }
}

impl Mail {
    /// The way `dev` takes: a file for each letter, and its link in the log.
    pub(crate) fn dev(folder: &Path) -> Self {
        Self::Folder { path: folder.join("mail"), from: None, shows_links: true }
    }

    /// The file that holds the password.
    pub(crate) fn password_file(&self) -> Option<&Path> {
        match self {
            Self::Smtp { password_file, .. } => password_file.as_deref(),
            Self::None | Self::Folder { .. } => None,
        }
    }

    /// The way itself, with the password.
    pub(crate) fn post(&self) -> Result<Post> {
        let wrong = |reason: String| fail(Exit::Usage, format!("[mail]: {reason}"));
        match self {
            Self::None => Ok(Post::None),
            Self::Folder { path, from, shows_links } => {
                let from = from.clone().map_or_else(|| LOCAL_SENDER.parse().map_err(wrong), Ok)?;
                Ok(Post::Folder { path: path.clone(), from, shows_links: *shows_links })
            }
            Self::Smtp { relay, from, password_file, certificate } => {
                let password = read_password(relay, password_file.as_deref())?;
                let certificate = certificate.as_deref().map(|file| {
                    std::fs::read(file).with_context(|| format!("the certificate {} cannot be read", file.display()))
                });
                let certificate = certificate.transpose()?;
                Post::smtp(relay.clone(), password, certificate.as_deref(), from.clone())
                    .map_err(|reason| wrong(format!("the mail server {relay}: {reason}")))
            }
        }
    }
}

fn read_password(relay: &Relay, file: Option<&Path>) -> Result<Option<Zeroizing<String>>> {
    if relay.user.is_none() {
        return Ok(None);
    }
    if let Some(password) = std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty()) {
        return Ok(Some(Zeroizing::new(password)));
    }
    let Some(file) = file else {
        let text = format!(
            "[mail]: {relay} wants a password: put it into {PASSWORD_VARIABLE}, or into a file that password_file names"
        );
        return Err(fail(Exit::Usage, text));
    };
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.with_context(|| format!("the password file {} cannot be read", file.display()))?;
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

#[cfg(test)]
mod tests {
    use crate::config;

    use super::*;

    fn mail(text: &str) -> Result<Mail, Vec<(usize, String)>> {
        let read = config::parse(Path::new("/etc/keywright/keywright.toml"), text, None);
        read.map(|config| config.place.mail)
            .map_err(|wrongs| wrongs.into_iter().map(|wrong| (wrong.line, wrong.message)).collect())
    }

    #[test]
    fn a_mail_server_or_a_folder_is_read_with_paths_from_the_file() {
        assert!(matches!(mail(""), Ok(Mail::None)));
        let Ok(Mail::Folder { path, from: None, shows_links: false }) = mail("[mail]\nfolder = \"mail\"\n") else {
            panic!("no folder")
        };
        assert_eq!(path, Path::new("/etc/keywright/mail"));
        let text = "[mail]\nfrom = \"Keywright <no-reply@example.com>\"\nsmtp = \"smtps://me@mail.example.com\"\n\
                    password_file = \"smtp.password\"\n";
        let Ok(Mail::Smtp { relay, password_file: Some(file), certificate: None, .. }) = mail(text) else {
            panic!("no server")
        };
        assert_eq!((relay.port, file.as_path()), (465, Path::new("/etc/keywright/smtp.password")));
    }

    #[test]
    fn mistakes_are_told_by_line_with_what_to_write() {
        let from = "from = \"no-reply@example.com\"";
        for (text, line, says) in [
            ("listen = \"127.0.0.1:1\"\n[mail]\n".to_owned(), 2, "smtp = "),
            ("[mail]\nsmtp = \"smtps://mail.example.com\"\n".to_owned(), 1, "from = "),
            ("[mail]\nfrom = \"nobody\"\nsmtp = \"smtps://mail.example.com\"\n".to_owned(), 2, "Keywright <no-reply@"),
            (format!("[mail]\n{from}\nsmtp = \"mail.example.com\"\n"), 3, "smtps://USER@HOST:465"),
            (format!("[mail]\n{from}\nsmtp = \"smtps://me:hunter2@mail.example.com\"\n"), 3, PASSWORD_VARIABLE),
            (format!("[mail]\n{from}\nsmtp = \"smtp://10.0.0.1?tls=none\"\n"), 3, "another machine"),
            (format!("[mail]\n{from}\nsmtp = \"smtps://a.example\"\nfolder = \"mail\"\n"), 4, "one of them"),
            (format!("[mail]\n{from}\nsmtp = \"smtps://a.example\"\npassword_file = \"p\"\n"), 4, "names no user"),
            (format!("[mail]\n{from}\nsmtp = \"smtp://[::1]?tls=none\"\ncertificate = \"c\"\n"), 4, "leave one"),
            ("[mail]\npassword = \"hunter2\"\n".to_owned(), 2, "password"),
        ] {
            let wrongs = mail(&text).err().unwrap_or_default();
            let [(at, message)] = wrongs.as_slice() else { panic!("{text}: {wrongs:?}") };
            assert!(*at == line && message.contains(says), "{text}: {at} {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
