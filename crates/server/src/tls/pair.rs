//! A certificate and its key: read from their files, held against each other, and what can be told of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keywright_core::time::{Span, Time};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

/// How long before its end a certificate is told of: those who renew by themselves have done so before.
const SOON: Span = Span::days(14);
/// The largest file that is read. Chains have some kilobytes.
const MOST_BYTES: u64 = 1 << 20;
/// Later than any certificate can end: the year 10000, in seconds.
const LATEST: u64 = 253_402_300_800;
/// The one protocol that is spoken: how requests are told apart is held to the letter in its bytes (`framing.rs`).
const PROTOCOL: &[u8] = b"http/1.1";

/// Where a certificate and its key are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, and after it those that lead to an authority clients know.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why two files are not a certificate and its key, by the file to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is about the certificate.
    #[error("certificate: {0}")]
    Certificate(String),
    /// It is about the key.
    #[error("key: {0}")]
    Key(String),
}

/// A certificate and its key, which fit.
pub struct Pair {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    begins: Time,
    ends: Time,
}

/// How a certificate stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds for a good while.
    Holds,
    /// It holds, and ends within two weeks.
    EndsSoon,
    /// It is over.
    Over,
    /// Its time has not come.
    TooEarly,
}

impl Files {
    /// Reads both, and holds them against each other.
    ///
    /// # Errors
    /// Which of them is not what it should be, and what to put there.
    pub fn read(&self) -> Result<Pair, Unfit> {
        let chain = read(&self.certificate).and_then(|text| certificates(&self.certificate, &text));
        let chain = chain.map_err(Unfit::Certificate)?;
        let key = read(&self.key).and_then(|text| private_key(&self.key, &text)).map_err(Unfit::Key)?;
        let certificate = chain.first().cloned().ok_or_else(|| Unfit::Certificate("there is none".into()))?;
        let (begins, ends) = times(&certificate).ok_or_else(|| {
            Unfit::Certificate(format!(
                "{}: the first in it cannot be read: it is no X.509 v3",
                self.certificate.display()
            ))
        })?;
        let provider = Arc::new(ring::default_provider());
        let certified = self.fit(chain, key, &provider)?;
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| Unfit::Certificate(error.to_string()))?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Pair { config: Arc::new(config), certificate, begins, ends })
    }

    fn fit(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, Unfit> {
        let (certificate, file) = (self.certificate.display(), self.key.display());
        let key = provider.key_provider.load_private_key(key).map_err(|_| {
            Unfit::Key(format!("{file}: keys are RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519"))
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // Whether they fit cannot be told of some keys; the first handshake tells.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(_) => Err(Unfit::Key(format!(
                "{file} is not the key of the first certificate in {certificate}: put the server's own first there, \
                 or the key beside it that it was asked for with"
            ))),
        }
    }
}

impl Pair {
    /// When it ends.
    #[must_use]
    pub const fn ends(&self) -> Time {
        self.ends
    }

    /// When it begins.
    #[must_use]
    pub const fn begins(&self) -> Time {
        self.begins
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self, now: Time) -> Standing {
        if now < self.begins {
            Standing::TooEarly
        } else if self.ends <= now {
            Standing::Over
        } else if self.ends <= now.after(SOON) {
            Standing::EndsSoon
        } else {
            Standing::Holds
        }
    }

    /// Whether it is for a host. What is no host it is not for.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let (name, parsed) = (ServerName::try_from(host), ParsedCertificate::try_from(&self.certificate));
        matches!((name, parsed), (Ok(name), Ok(parsed)) if rustls::client::verify_server_name(&parsed, &name).is_ok())
    }

    pub(super) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(super) fn warn(&self, now: Time) {
        let (begins, ends) = (self.begins, self.ends);
        match self.standing(now) {
            Standing::Holds => {}
            Standing::EndsSoon => tracing::warn!(%ends, "the certificate ends soon: renew it"),
            Standing::Over => tracing::error!(%ends, "the certificate is over, and clients refuse it: renew it"),
            Standing::TooEarly => {
                tracing::error!(%begins, "the certificate's time has not come: look at the clock, or renew it");
            }
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let size = std::fs::metadata(path).map_err(told)?.len();
    if size > MOST_BYTES {
        return Err(format!("{} is larger than a megabyte, and no PEM of a certificate or key", path.display()));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(told)
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = path.display();
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("{path} has no certificate in PEM: -----BEGIN CERTIFICATE-----")),
        Ok(all) => Ok(all),
        Err(_) => Err(format!("{path} is no whole PEM: was it cut off?")),
    }
}

fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    // What is wrong is told without a word of what is in it.
    PrivateKeyDer::from_pem_slice(text).map_err(|_| {
        let help = "one that is encrypted has to be decrypted first, as with `openssl pkey`";
        format!("{} has no private key in PEM, -----BEGIN PRIVATE KEY-----: {help}", path.display())
    })
}

/// When a certificate begins and ends.
///
/// What checks chains looks at these before anything else, and where they do not fit the time it was given it says them: so
/// it is asked at the beginning of time and at its end. `the_library_tells_when_a_certificate_begins_and_ends` holds it to that.
fn times(certificate: &CertificateDer<'_>) -> Option<(Time, Time)> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let (nobody, algorithms) = (RootCertStore::empty(), ring::default_provider().signature_verification_algorithms.all);
    let at = |second: u64| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(second));
        rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], time, algorithms)
    };
    let time = |time: UnixTime| i64::try_from(time.as_secs()).ok().map(|seconds| Time::from_millis(seconds * 1_000));
    let Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) = at(LATEST) else {
        return None;
    };
    let begins = match at(0) {
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => time(not_before)?,
        // It began with the epoch, or before.
        Ok(()) | Err(_) => Time::from_millis(0),
    };
    Some((begins, time(not_after)?))
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A pair for `localhost` from 2020 until the beginning of a year, in a folder.
    pub(in crate::tls) fn written(folder: &Path, until: i32) -> Files {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2_020, 2, 3), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        let files = Files { certificate: folder.join("tls.pem"), key: folder.join("tls.key") };
        std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn the_library_tells_when_a_certificate_begins_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        for (until, ends) in [(2_027, "2027-01-01T00:00:00Z"), (2_080, "2080-01-01T00:00:00Z")] {
            let pair = written(folder.path(), until).read().unwrap();
            assert_eq!((pair.begins(), pair.ends()), (time("2020-02-03T00:00:00Z"), time(ends)));
        }
    }

    #[test]
    fn a_certificate_is_told_of_two_weeks_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let pair = written(folder.path(), 2_027).read().unwrap();
        for (at, standing) in [
            ("2020-02-02T23:59:59Z", Standing::TooEarly),
            ("2020-02-03T00:00:00Z", Standing::Holds),
            ("2026-12-17T23:59:59Z", Standing::Holds),
            ("2026-12-18T00:00:00Z", Standing::EndsSoon),
            ("2026-12-31T23:59:59Z", Standing::EndsSoon),
            ("2027-01-01T00:00:00Z", Standing::Over),
        ] {
            assert_eq!(pair.standing(time(at)), standing, "{at}");
        }
    }

    #[test]
    fn a_certificate_is_for_the_names_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let pair = written(folder.path(), 2_027).read().unwrap();
        for (host, is_for) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("[::1]", false),
            ("example.com", false),
            ("", false),
        ] {
            assert_eq!(pair.is_for(host), is_for, "{host}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_file_and_never_repeated() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (files, others) = (written(one.path(), 2_027), written(other.path(), 2_027));
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let (certificate, key) = (text(&files.certificate), text(&files.key));
        let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        for (in_certificate, in_key, says) in [
            ("", key.as_str(), "certificate: "),
            (&key, &key, "has no certificate in PEM"),
            (&certificate[..200], &key, "no whole PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "no X.509 v3"),
            (&certificate, "", "key: "),
            (&certificate, &certificate, "has no private key in PEM"),
            (&certificate, &encrypted, "decrypted first"),
            (&certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "RSA of 2048 bits"),
            (&certificate, &text(&others.key), "is not the key of the first certificate in"),
        ] {
            std::fs::write(&files.certificate, in_certificate).unwrap();
            std::fs::write(&files.key, in_key).unwrap();
            let unfit = files.read().err().unwrap_or_else(|| panic!("{says}: it fits")).to_string();
            assert!(unfit.contains(says), "{says}: {unfit}");
            let mut secret = key.lines().filter(|line| !line.starts_with('-'));
            assert!(!secret.any(|line| unfit.contains(line)), "{unfit}");
        }
        std::fs::remove_file(&files.key).unwrap();
        std::fs::write(&files.certificate, &certificate).unwrap();
        assert!(files.read().err().unwrap().to_string().contains("tls.key cannot be read"));
    }
}
