//! `[tls]` of the configuration: the certificate the server shows, and what is wrong with it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use keywright_core::time::Time;
use keywright_server::{Files, Pair, Standing, Tls, Unfit};
use serde::Deserialize;
use toml::Spanned;

use crate::config::{Check, Wrong, refuse};

/// `[tls]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawTls {
    certificate: Option<Spanned<PathBuf>>,
    key: Option<Spanned<PathBuf>>,
}

/// The files of a certificate and its key, and where the configuration names them.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) files: Files,
    config: PathBuf,
    certificate_line: usize,
    key_line: usize,
}

/// Checks `[tls]`. Paths count from `base`.
pub(crate) fn parse(raw: Option<Spanned<RawTls>>, base: &Path, check: &mut Check<'_>) -> Option<TlsFiles> {
    let raw = raw?;
    let table = raw.span();
    let RawTls { certificate, key } = raw.into_inner();
    let Some((certificate, key)) = certificate.zip(key) else {
        check.wrong(table, "[tls]: write both, certificate = \"tls.pem\" and key = \"tls.key\"".into());
        return None;
    };
    let (config, certificate_line) = check.place(&certificate.span());
    let (_, key_line) = check.place(&key.span());
    let files = Files { certificate: base.join(certificate.into_inner()), key: base.join(key.into_inner()) };
    Some(TlsFiles { files, config, certificate_line, key_line })
}

impl TlsFiles {
    /// What a server speaks TLS with.
    pub(crate) fn open(&self) -> anyhow::Result<Tls> {
        Tls::open(self.files.clone()).map_err(|unfit| refuse(&[self.wrong(&unfit)]))
    }

    /// What is wrong by file and line, and what is not as it should be.
    pub(crate) fn check(&self, now: Time) -> Result<Vec<String>, Wrong> {
        let pair = self.files.read().map_err(|unfit| self.wrong(&unfit))?;
        let certificate = self.files.certificate.display();
        let mut warnings = Vec::new();
        match pair.standing(now) {
            Standing::Holds => {}
            Standing::EndsSoon => warnings.push(format!("{certificate} ends at {}: renew it", pair.ends())),
            Standing::Over | Standing::TooEarly => {
                return Err(self.wrong(&Unfit::Certificate(format!("{certificate} {}", out_of_time(&pair, now)))));
            }
        }
        if self.key_is_exposed() {
            let key = self.files.key.display();
            warnings.push(format!("{key} can be read by others: chmod 600 {key}"));
        }
        Ok(warnings)
    }

    /// Whether others than its owner and their group can read the key.
    pub(crate) fn key_is_exposed(&self) -> bool {
        std::fs::metadata(&self.files.key).is_ok_and(|meta| meta.mode() & 0o007 != 0)
    }

    fn wrong(&self, unfit: &Unfit) -> Wrong {
        let line = match unfit {
            Unfit::Certificate(_) => self.certificate_line,
            Unfit::Key(_) => self.key_line,
        };
        Wrong { file: self.config.clone(), line, message: format!("tls.{unfit}") }
    }
}

/// Why a certificate does not hold now.
pub(crate) fn out_of_time(pair: &Pair, now: Time) -> String {
    if now < pair.begins() {
        format!("holds from {} on only: look at the clock, or renew it", pair.begins())
    } else {
        format!("ended at {}: renew it", pair.ends())
    }
}
