//! The server's own secrets, peppers and the audit chain's key among them: random, sealed under the master key, kept with
//! the data.

use std::sync::Arc;

use arc_swap::ArcSwap;
use keywright_core::audit::AuditEvent;
use keywright_core::proof::ProofKey;
use keywright_core::secret::{ChainKey, Date, Digest, Form, Making, MasterKey, Pepper, Vault};
use keywright_core::signing::{Algorithm, SigningKey};
use keywright_core::time::Time;
use keywright_store::{Db, keyring as stored};
use rand::Rng as _;
use serde_json::json;
use zeroize::Zeroizing;

use crate::clock;
use crate::error::Error;
use crate::write::write_alone;

const PEPPER: &str = "pepper";
const CHAIN: &str = "audit-chain";
/// Keys that tokens are signed with: one of each algorithm, so that a policy may name any.
const SIGNING: [(&str, Algorithm); 3] = [
    ("token-signing", Algorithm::EdDSA),
    ("token-signing-es256", Algorithm::Es256),
    ("token-signing-hs256", Algorithm::Hs256),
];
const PROOFS: &str = "proofs";
const VAULT: &str = "vault";
/// Everything a keyring holds. What one from an earlier version lacks is added when it is opened.
const PURPOSES: [&str; 7] = [PEPPER, CHAIN, SIGNING[0].0, SIGNING[1].0, SIGNING[2].0, PROOFS, VAULT];

/// Every secret the server digests and links with.
pub struct Keyring {
    /// Newest first; the first is the one new keys are digested under.
    peppers: Vec<Pepper>,
    pub(crate) chain: ChainKey,
    /// Newest first; the first of the policy's algorithm signs.
    signing: ArcSwap<Vec<Arc<SigningKey>>>,
    master: MasterKey,
    /// Makes what nobody else can make, and nothing is stored for.
    pub(crate) proofs: ProofKey,
    /// Seals what is kept of people.
    pub(crate) vault: Vault,
}

impl Keyring {
    /// Opens the keyring, or makes it on the first start.
    ///
    /// # Errors
    /// The master key is not the one it was sealed under.
    pub async fn open(db: &Db, master: &MasterKey, now: Time) -> Result<Self, Error> {
        let mut rows = match stored::list_keyring(db).await? {
            rows if rows.is_empty() => Self::make(db, master, now).await?,
            rows => rows,
        };
        if PURPOSES.iter().any(|purpose| rows.iter().all(|row| row.purpose != *purpose)) {
            rows = Self::complete(db, master, &rows, now).await?;
        }
        let (mut signing, mut peppers) = (Vec::new(), Vec::new());
        let (mut chain, mut proofs, mut vault) = (None, None, None);
        for row in rows {
            let bytes = open(master, &row.purpose, row.version, &row.sealed).ok_or_else(wrong_master)?;
            match row.purpose.as_str() {
                PEPPER => peppers.push(Pepper::new(row.version, &bytes)),
                CHAIN => chain = Some(ChainKey::new(&bytes)),
                PROOFS => proofs = Some(ProofKey::new(&bytes)),
                VAULT => vault = Some(Vault::new(&bytes)),
                other => {
                    let found = SIGNING.iter().find(|(purpose, _)| *purpose == other);
                    let unknown = || format!("the keyring holds `{other}`, which this version does not know");
                    let (_, algorithm) = found.ok_or_else(|| Error::Internal(unknown()))?;
                    let key = SigningKey::from_seed(&bytes, *algorithm, row.created_at);
                    signing.push(Arc::new(key.ok_or_else(broken_key)?));
                }
            }
        }
        sort(&mut signing);
        peppers.sort_by_key(|pepper| std::cmp::Reverse(pepper.version()));
        let whole = chain.zip(proofs).zip(vault).filter(|_| !peppers.is_empty());
        let ((chain, proofs), vault) = whole.ok_or_else(incomplete)?;
        let signing = ArcSwap::from_pointee(signing);
        Ok(Self { peppers, chain, signing, proofs, vault, master: master.clone() })
    }

    /// Adds what a keyring from an earlier version lacks.
    async fn complete(
        db: &Db,
        master: &MasterKey,
        rows: &[stored::Sealed],
        now: Time,
    ) -> Result<Vec<stored::Sealed>, Error> {
        // The log's key and the peppers are never made anew: what they were used for would be lost.
        let chain = rows.iter().find(|row| row.purpose == CHAIN).ok_or_else(incomplete)?;
        let bytes = open(master, CHAIN, chain.version, &chain.sealed).ok_or_else(wrong_master)?;
        let lacking = PURPOSES.into_iter().filter(|purpose| rows.iter().all(|row| row.purpose != *purpose));
        if lacking.clone().any(|purpose| purpose == PEPPER) {
            return Err(incomplete());
        }
        let sealed: Vec<_> = lacking.map(|purpose| random(purpose, 1).seal(master, now)).collect();
        write_alone(db, &ChainKey::new(&bytes), now, move |tx| {
            Box::pin(async move {
                for secret in &sealed {
                    stored::insert_keyring(tx, secret).await?;
                }
                let added: Vec<&str> = sealed.iter().map(|secret| secret.purpose.as_str()).collect();
                let detail = json!({ "added": added });
                Ok(AuditEvent {
                    action: "keyring.complete",
                    target: "keyring".into(),
                    account: None,
                    detail: detail.into(),
                })
            })
        })
        .await?;
        Ok(stored::list_keyring(db).await?)
    }

    async fn make(db: &Db, master: &MasterKey, now: Time) -> Result<Vec<stored::Sealed>, Error> {
        let made = PURPOSES.map(|purpose| random(purpose, 1));
        let chain = made.iter().find(|secret| secret.purpose == CHAIN).ok_or_else(incomplete)?;
        let chain = ChainKey::new(&chain.bytes);
        let sealed = made.map(|secret| secret.seal(master, now));
        write_alone(db, &chain, now, move |tx| {
            Box::pin(async move {
                for secret in &sealed {
                    stored::insert_keyring(tx, secret).await?;
                }
                Ok(event("keyring.create", 1))
            })
        })
        .await?;
        Ok(stored::list_keyring(db).await?)
    }

    /// Seals everything anew under `to`, and adds a pepper for keys made from now on. No key has to be reissued: each
    /// moves to the new pepper when it is next used.
    ///
    /// # Errors
    /// `from` is not the present master key.
    pub async fn rekey(db: &Db, from: &MasterKey, to: &MasterKey, now: Time) -> Result<(), Error> {
        // Before anything is sealed anew: this adds what an older keyring lacks, under `from`.
        let chain = Self::open(db, from, now).await?.chain;
        let mut resealed = Vec::new();
        let mut newest = 0;
        for row in stored::list_keyring(db).await? {
            let bytes = open(from, &row.purpose, row.version, &row.sealed).ok_or_else(wrong_master)?;
            let sealed = to.seal(&aad(&row.purpose, row.version), bytes.as_ref(), &mut clock::rng());
            newest = newest.max(if row.purpose == PEPPER { row.version } else { 0 });
            resealed.push((row.purpose, row.version, sealed));
        }
        let pepper = random(PEPPER, newest + 1);
        let sealed = pepper.seal(to, now);
        write_alone(db, &chain, now, move |tx| {
            Box::pin(async move {
                for (purpose, version, sealed) in resealed {
                    stored::update_sealed(tx, &purpose, version, &sealed).await?;
                }
                stored::insert_keyring(tx, &sealed).await?;
                Ok(event("keyring.rekey", pepper.version))
            })
        })
        .await
    }

    /// The pepper new keys are digested under.
    #[inline]
    pub(crate) fn current(&self) -> Option<&Pepper> {
        self.peppers.first()
    }

    /// The key new tokens are signed with.
    pub(crate) fn signing_key(&self, algorithm: Algorithm) -> Option<Arc<SigningKey>> {
        self.signing.load().iter().find(|key| key.algorithm() == algorithm).map(Arc::clone)
    }

    /// Every key there is, the newest first.
    pub(crate) fn signing_keys(&self) -> Arc<Vec<Arc<SigningKey>>> {
        self.signing.load_full()
    }

    /// A key to sign with from now on, sealed for the database. It signs once it is taken up.
    pub(crate) async fn next_signing_key(
        &self,
        db: &Db,
        algorithm: Algorithm,
        now: Time,
    ) -> Result<(stored::Sealed, Arc<SigningKey>), Error> {
        let (purpose, _) = SIGNING.iter().find(|(_, of)| *of == algorithm).ok_or_else(incomplete)?;
        let rows = stored::list_keyring(db).await?;
        let newest = rows.iter().filter(|row| row.purpose == *purpose).map(|row| row.version).max();
        let made = random(purpose, newest.unwrap_or(0) + 1);
        let key = SigningKey::from_seed(&made.bytes, algorithm, now).ok_or_else(broken_key)?;
        Ok((made.seal(&self.master, now), Arc::new(key)))
    }

    /// Signs with this key from now on.
    pub(crate) fn take_up(&self, key: &Arc<SigningKey>) {
        self.signing.rcu(|keys| {
            let mut keys = keys.as_ref().clone();
            keys.push(Arc::clone(key));
            sort(&mut keys);
            keys
        });
    }

    /// What a key is stored under from now on, and how that is made: by its date, where it says one.
    pub(crate) fn digest(&self, key: &[u8], date: Option<Date>) -> Option<(Digest, Making)> {
        let form = if date.is_some() { Form::Dated } else { Form::Plain };
        let making = Making { pepper: self.current()?.version(), form };
        Some((self.digest_as(making, key, date)?, making))
    }

    /// Whether keys are stored so from now on.
    pub(crate) fn makes(&self, making: Making) -> bool {
        let is_current = self.current().is_some_and(|pepper| pepper.version() == making.pepper);
        is_current && making.form != Form::Sha256
    }

    /// How what is known by its SHA-256 alone is stored from now on.
    pub(crate) fn making_of_hashes(&self) -> Option<Making> {
        Some(Making { pepper: self.current()?.version(), form: Form::Sha256 })
    }

    /// How a secret made in this way is to be stored instead, where its pepper is not the current one. What is known by
    /// its SHA-256 stays so: that is what a second import knows it by.
    pub(crate) fn renewed(&self, making: Making) -> Option<Making> {
        let pepper = self.current()?.version();
        (making.pepper != pepper).then_some(Making { pepper, ..making })
    }

    /// Every digest a key known by its SHA-256 may be stored under, the current pepper's first.
    pub(crate) fn digests_of_hash(&self, sha256: &[u8; 32]) -> Vec<Digest> {
        self.peppers.iter().map(|pepper| pepper.digest_hash(sha256)).collect()
    }

    /// Every digest a text may be stored under that is no key, the current pepper's first.
    pub(crate) fn digests_of(&self, text: &str) -> Vec<Digest> {
        self.peppers.iter().map(|pepper| pepper.digest(text.as_bytes())).collect()
    }

    /// Digests a presented key in this way.
    pub(crate) fn digest_as(&self, making: Making, key: &[u8], date: Option<Date>) -> Option<Digest> {
        let pepper = self.peppers.iter().find(|pepper| pepper.version() == making.pepper)?;
        Some(match making.form {
            Form::Plain => pepper.digest(key),
            Form::Sha256 => pepper.digest_hash(&sha256(key)),
            Form::Dated => pepper.digest_dated(date?, key),
        })
    }
}

fn sha256(key: &[u8]) -> [u8; 32] {
    <sha2::Sha256 as sha2::Digest>::digest(key).into()
}

struct Random {
    purpose: &'static str,
    version: i64,
    bytes: Zeroizing<[u8; 32]>,
}

impl Random {
    fn seal(&self, master: &MasterKey, now: Time) -> stored::Sealed {
        let sealed = master.seal(&aad(self.purpose, self.version), self.bytes.as_ref(), &mut clock::rng());
        stored::Sealed { purpose: self.purpose.into(), version: self.version, sealed, created_at: now }
    }
}

fn random(purpose: &'static str, version: i64) -> Random {
    let mut bytes = Zeroizing::new([0; 32]);
    clock::rng().fill_bytes(bytes.as_mut());
    Random { purpose, version, bytes }
}

fn event(action: &'static str, pepper: i64) -> AuditEvent {
    AuditEvent { action, target: format!("pepper {pepper}"), account: None, detail: json!({ "pepper": pepper }).into() }
}

fn open(master: &MasterKey, purpose: &str, version: i64, sealed: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = master.open(&aad(purpose, version), sealed)?;
    bytes.first_chunk::<32>().filter(|_| bytes.len() == 32).map(|bytes| Zeroizing::new(*bytes))
}

fn aad(purpose: &str, version: i64) -> String {
    format!("keywright {purpose} {version}")
}

/// The newest first.
fn sort(keys: &mut [Arc<SigningKey>]) {
    keys.sort_by_key(|key| std::cmp::Reverse(key.created_at()));
}

fn broken_key() -> Error {
    Error::Internal("a signing key cannot be used".into())
}

fn incomplete() -> Error {
    Error::Internal("the keyring is incomplete".into())
}

fn wrong_master() -> Error {
    Error::Internal("the master key is not the one this data was sealed under: use the one from the same data folder, or from its backup".into())
}
