//! The peppers, the audit chain's key and the other secrets of the server itself: random, sealed under the master key,
//! kept with the data. A keyring of an older version is given what it lacks when it is opened.

use keywright_core::audit::AuditEvent;
use keywright_core::secret::{ChainKey, Digest, Form, LetterKey, Making, MasterKey, Pepper};
use keywright_core::session::SigningKey;
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
const SIGNING: &str = "token-signing";
const MAIL: &str = "mail";

/// What a keyring from before there were tokens, or mail, lacks: its purpose, the event that says it was added, and what
/// the event calls it.
const LATER: [(&str, &str, &str); 2] =
    [(SIGNING, "keyring.add_signing_key", "signing key"), (MAIL, "keyring.add_mail_key", "mail key")];

/// Every secret the server digests and links with.
pub struct Keyring {
    /// Newest first; the first is the one new keys are digested under.
    peppers: Vec<Pepper>,
    pub(crate) chain: ChainKey,
    /// Newest first; the first signs.
    signing: Vec<SigningKey>,
    /// What letters are sealed with while they wait.
    pub(crate) mail: LetterKey,
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
        for (purpose, action, name) in LATER {
            if rows.iter().all(|row| row.purpose != purpose) {
                let lacking = Lacking { purpose, action, name };
                rows = lacking.add(db, master, &rows, now).await?;
            }
        }
        let mut signing = Vec::new();
        let mut peppers = Vec::new();
        let (mut chain, mut mail) = (None, None);
        for row in rows {
            let bytes = open(master, &row.purpose, row.version, &row.sealed).ok_or_else(wrong_master)?;
            match row.purpose.as_str() {
                PEPPER => peppers.push(Pepper::new(row.version, &bytes)),
                CHAIN => chain = Some(ChainKey::new(&bytes)),
                SIGNING => {
                    let key = SigningKey::from_seed(&bytes);
                    let broken = || Error::Internal("a signing key cannot be used".into());
                    signing.insert(0, key.ok_or_else(broken)?);
                }
                MAIL => mail = Some(LetterKey::new(&bytes)),
                other => {
                    return Err(Error::Internal(format!(
                        "the keyring holds `{other}`, which this version does not know"
                    )));
                }
            }
        }
        peppers.sort_by_key(|pepper| std::cmp::Reverse(pepper.version()));
        let whole = chain.zip(mail).filter(|_| !peppers.is_empty());
        let (chain, mail) = whole.ok_or_else(incomplete)?;
        Ok(Self { peppers, chain, signing, mail })
    }

    async fn make(db: &Db, master: &MasterKey, now: Time) -> Result<Vec<stored::Sealed>, Error> {
        let made = [random(PEPPER, 1), random(CHAIN, 1), random(SIGNING, 1), random(MAIL, 1)];
        let chain = ChainKey::new(&made[1].bytes);
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
    pub(crate) fn signing_key(&self) -> Option<&SigningKey> {
        self.signing.first()
    }

    /// Every key tokens are checked with.
    pub(crate) fn signing_keys(&self) -> &[SigningKey] {
        &self.signing
    }

    /// How new keys are digested.
    pub(crate) fn making(&self) -> Option<Making> {
        self.current().map(|pepper| Making { pepper: pepper.version(), form: Form::Plain })
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

    /// Digests a presented key in another way than the current one.
    pub(crate) fn digest_as(&self, making: Making, key: &[u8]) -> Option<Digest> {
        let pepper = self.peppers.iter().find(|pepper| pepper.version() == making.pepper)?;
        Some(match making.form {
            Form::Plain => pepper.digest(key),
            Form::Sha256 => pepper.digest_hash(&sha256(key)),
        })
    }
}

fn sha256(key: &[u8]) -> [u8; 32] {
    <sha2::Sha256 as sha2::Digest>::digest(key).into()
}

/// A secret that a keyring lacks.
struct Lacking {
    purpose: &'static str,
    action: &'static str,
    name: &'static str,
}

impl Lacking {
    async fn add(
        self,
        db: &Db,
        master: &MasterKey,
        rows: &[stored::Sealed],
        now: Time,
    ) -> Result<Vec<stored::Sealed>, Error> {
        let chain = rows.iter().find(|row| row.purpose == CHAIN).ok_or_else(incomplete)?;
        let bytes = open(master, CHAIN, chain.version, &chain.sealed).ok_or_else(wrong_master)?;
        let sealed = random(self.purpose, 1).seal(master, now);
        write_alone(db, &ChainKey::new(&bytes), now, move |tx| {
            Box::pin(async move {
                stored::insert_keyring(tx, &sealed).await?;
                let detail = json!({ "version": sealed.version });
                let target = format!("{} {}", self.name, sealed.version);
                Ok(AuditEvent { action: self.action, target, account: None, detail })
            })
        })
        .await?;
        Ok(stored::list_keyring(db).await?)
    }
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
    AuditEvent { action, target: format!("pepper {pepper}"), account: None, detail: json!({ "pepper": pepper }) }
}

fn open(master: &MasterKey, purpose: &str, version: i64, sealed: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = master.open(&aad(purpose, version), sealed)?;
    bytes.first_chunk::<32>().filter(|_| bytes.len() == 32).map(|bytes| Zeroizing::new(*bytes))
}

fn aad(purpose: &str, version: i64) -> String {
    format!("keywright {purpose} {version}")
}

fn incomplete() -> Error {
    Error::Internal("the keyring is incomplete".into())
}

fn wrong_master() -> Error {
    Error::Internal("the master key is not the one this data was sealed under: use the one from the same data folder, or from its backup".into())
}
