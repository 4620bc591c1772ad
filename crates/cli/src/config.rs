//! `keywright.toml`: what a server is told besides its policy. `templates/keywright.toml` is its reference.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use keywright_server::Options;
use serde::Deserialize;
use toml::Spanned;

use crate::exit::{Exit, fail};
use crate::folder::Folder;
use crate::log::LogFormat;
use crate::mail::{self, RawMail};
use crate::place::{Place, PolicySource};
use crate::tls::{self, RawTls};
use crate::upstreams;

/// The configuration `init` writes: every setting, with its default.
pub(crate) const TEMPLATE: &str = include_str!("../templates/keywright.toml");
/// Where it is looked for.
pub(crate) const FILE: &str = "keywright.toml";

const CACHED_KEYS: usize = 1_000_000;

/// A sound configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where the server listens.
    pub(crate) listen: SocketAddr,
    /// Where everything is kept.
    pub(crate) place: Place,
    /// What the server is told.
    pub(crate) options: Options,
    /// What is logged.
    pub(crate) log: String,
    /// How it is logged.
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    listen: Option<Spanned<String>>,
    public_url: Option<Spanned<String>>,
    trusted_proxies: Vec<Spanned<String>>,
    data_dir: Option<PathBuf>,
    database: Option<Spanned<String>>,
    master_key: Option<PathBuf>,
    policy: Option<PathBuf>,
    cached_keys: Option<Spanned<usize>>,
    log: Option<Spanned<String>>,
    log_format: Option<LogFormat>,
    tls: Option<Spanned<RawTls>>,
    mail: Option<Spanned<RawMail>>,
    upstreams: BTreeMap<String, Spanned<toml::Value>>,
}

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The file.
    pub(crate) file: PathBuf,
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong and what to write instead.
    pub(crate) message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// Everything that is wrong, a line each, as one error.
pub(crate) fn refuse(wrongs: &[Wrong]) -> anyhow::Error {
    let lines: Vec<String> = wrongs.iter().map(ToString::to_string).collect();
    fail(Exit::Usage, lines.join("\n"))
}

/// Reads and checks a configuration file. A data folder named elsewhere stands above its own.
pub(crate) fn load(file: &Path, data_dir: Option<&Path>) -> Result<Config> {
    let text = read(file)?;
    parse(file, &text, data_dir).map_err(|wrongs| refuse(&wrongs))
}

/// Reads a file, and says how to come by one where there is none.
pub(crate) fn read(file: &Path) -> Result<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text =
                format!("{} does not exist: `keywright init` writes one, --config names another", file.display());
            Err(fail(Exit::NotFound, text))
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}

/// Checks the text of a configuration file. Paths in it count from the folder it is in.
pub(crate) fn parse(file: &Path, text: &str, data_dir: Option<&Path>) -> Result<Config, Vec<Wrong>> {
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        vec![Wrong { file: file.into(), line: line_of(text, start), message: error.message().replace('\n', ": ") }]
    })?;
    let mut check = Check { file, text, wrongs: Vec::new() };
    let base = file.parent().unwrap_or(Path::new(""));
    let folder =
        Folder(data_dir.map_or_else(|| base.join(raw.data_dir.unwrap_or_else(|| "data".into())), Path::to_owned));
    let public_url = check.take(raw.public_url, parse_url);
    let upstreams = upstreams::parse(raw.upstreams, base, &mut check);
    let config = Config {
        listen: check.take(raw.listen, parse_listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8700))),
        options: Options {
            trusted_proxies: raw
                .trusted_proxies
                .into_iter()
                .filter_map(|text| check.take(Some(text), parse_net))
                .collect(),
            public_url: public_url.clone(),
            listening: None,
            tls: None,
            upstreams: upstreams.addresses.clone(),
            trusted: BTreeMap::new(),
            health: upstreams.health.clone(),
        },
        place: Place {
            database: check
                .take(raw.database, |text| parse_database(text, base))
                .unwrap_or_else(|| sqlite(&folder.database())),
            master_key: base.join(raw.master_key.unwrap_or_else(|| "master.key".into())),
            policy: PolicySource::File(base.join(raw.policy.unwrap_or_else(|| "policy.toml".into()))),
            cached_keys: check.take(raw.cached_keys, parse_cached_keys).unwrap_or(CACHED_KEYS),
            folder,
            public_url,
            site: None,
            tls: tls::parse(raw.tls, base, &mut check),
            mail: mail::parse(raw.mail, base, &mut check),
            upstreams,
        },
        log: check.take(raw.log, parse_log).unwrap_or_else(|| crate::log::DEFAULT.into()),
        log_format: raw.log_format.unwrap_or_default(),
    };
    check.wrongs.sort_by_key(|wrong| wrong.line);
    if check.wrongs.is_empty() { Ok(config) } else { Err(check.wrongs) }
}

/// A file that is being checked, and what is wrong with it so far.
pub(crate) struct Check<'a> {
    file: &'a Path,
    text: &'a str,
    wrongs: Vec<Wrong>,
}

impl Check<'_> {
    /// Reads a value that is there, or notes what is wrong with it.
    pub(crate) fn take<T, U>(
        &mut self,
        value: Option<Spanned<T>>,
        read: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<U> {
        let value = value?;
        let span = value.span();
        read(value.into_inner()).map_err(|message| self.wrong(span, message)).ok()
    }

    /// The file, and the line of it that what stands at `span` is on.
    pub(crate) fn place(&self, span: &Range<usize>) -> (PathBuf, usize) {
        (self.file.into(), line_of(self.text, span.start))
    }

    /// Notes what is wrong with what stands at `span`.
    pub(crate) fn wrong(&mut self, span: Range<usize>, message: String) {
        self.wrongs.push(Wrong { file: self.file.into(), line: line_of(self.text, span.start), message });
    }
}

/// The line, from 1, that a byte of `text` is on.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// The URL of an SQLite database.
pub(crate) fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn parse_listen(text: String) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "listen: `{text}` is not an address and port: write 127.0.0.1:8700, or 0.0.0.0:8700 for every interface"
        )
    })
}

fn parse_net(text: String) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(|net| net.trunc()).map_err(|_| {
        format!("trusted_proxies: `{text}` is neither an address nor a network: write 10.0.0.7 or 10.0.0.0/8")
    })
}

fn parse_url(text: String) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host.map(|host| host.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!("public_url: `{text}` is not the address of a server: write https://keys.example.com")),
    }
}

fn parse_database(text: String, base: &Path) -> Result<String, String> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        return Ok(sqlite(&base.join(path.trim_start_matches("//"))));
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(text);
    }
    // It may hold a password, so it is not repeated.
    Err("database: write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME".into())
}

fn parse_cached_keys(count: usize) -> Result<usize, String> {
    if (1_000..=100_000_000).contains(&count) {
        Ok(count)
    } else {
        Err("cached_keys: is from 1000 to 100000000".into())
    }
}

fn parse_log(text: String) -> Result<String, String> {
    match crate::log::check(&text) {
        Ok(()) => Ok(text),
        Err(reason) => Err(format!("log: {reason}: write error, warn, info or debug, or keywright_app=debug,info")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrongs(text: &str) -> Vec<(usize, String)> {
        let wrongs = parse(Path::new("/etc/keywright/keywright.toml"), text, None).err().unwrap_or_default();
        wrongs.into_iter().map(|wrong| (wrong.line, wrong.message)).collect()
    }

    #[test]
    fn the_template_is_sound_and_states_the_defaults() {
        let file = Path::new("/etc/keywright/keywright.toml");
        let stated: String = TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("#=").unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let as_written = parse(file, TEMPLATE, None).unwrap();
        let stated = parse(file, &stated, None).unwrap();
        // What has no default is stated as an example.
        let comparable = |config: &Config| {
            format!("{:?} {:?} {:?} {:?}", config.listen, config.place, config.log, config.log_format)
        };
        assert_eq!(comparable(&as_written), comparable(&stated));
        let empty = parse(file, "", None).unwrap();
        assert_eq!(comparable(&as_written), comparable(&empty));
        assert_eq!(as_written.place.folder.0, Path::new("/etc/keywright/data"));
    }

    #[test]
    fn mistakes_are_told_by_line_all_at_once() {
        let text = "listen = \"8700\"\n\ntrusted_proxies = [\n  \"10.0.0.0/8\",\n  \"proxy\",\n]\npublic_url = \"keys\"\ncached_keys = 3\nlog = \"a=b=c\"\ndatabase = \"mysql://root:hunter2@x\"\n";
        let wrongs = wrongs(text);
        assert_eq!(wrongs.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 5, 7, 8, 9, 10]);
        assert!(!format!("{wrongs:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_not_a_setting_is_refused_where_it_stands() {
        let wrongs = wrongs("listen = \"127.0.0.1:1\"\nlistne = 1\n");
        assert_eq!(wrongs[0].0, 2);
        assert!(wrongs[0].1.contains("listne"), "{wrongs:?}");
    }
}
