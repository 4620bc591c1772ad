//! Whom we believe about who others are, when we call them over TLS.
//!
//! What must stay true: a certificate is checked on every connection, its name included; nothing turns that off.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The one protocol that is spoken over it.
const PROTOCOL: &[u8] = b"http/1.1";

/// Who vouches for those who are called.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Trust")
    }
}

/// Trusts whom the machine trusts, so that a company's own authority is put where all its programs look; and, on a machine
/// that trusts nobody, as a bare container does, whom browsers trust.
static MACHINE: LazyLock<Option<Trust>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Trust::new(roots)
});

impl Trust {
    /// Whom the machine trusts; none where there is no TLS.
    #[must_use]
    pub fn machine() -> Option<Self> {
        MACHINE.clone()
    }

    /// Those in a file, in PEM, and nobody else.
    ///
    /// # Errors
    /// There are none in it. Says what to put there.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|_| format!("{shown} is no whole PEM: was it cut off?"))?;
        let mut roots = RootCertStore::empty();
        for certificate in found {
            let added = roots.add(certificate);
            added.map_err(|_| format!("{shown}: a certificate in it is no authority's: it cannot be read"))?;
        }
        if roots.is_empty() {
            return Err(format!("{shown} has no certificate in PEM: -----BEGIN CERTIFICATE-----"));
        }
        Self::new(roots).ok_or_else(|| "there is no TLS".into())
    }

    fn new(roots: RootCertStore) -> Option<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Some(Self(Arc::new(config)))
    }

    /// What a connection is made with.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}
