//! Plaintext, digest and the keys they are made with: three kinds of type that cannot be mistaken for each other.
//!
//! A key is stored only as HMAC-SHA-256 under a pepper. Peppers and the audit chain's key are random, sealed under the
//! master key and kept beside the data, so a new master key reseals them and no credential has to be reissued.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// A whole key in plaintext: zeroized when dropped, and neither `Debug`, `Display` nor `Serialize`.
pub struct PlainKey(Zeroizing<String>);

impl PlainKey {
    /// Takes the text of a key.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The plaintext: for the one answer that issues it, and for digesting.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A keyed digest of a key: what is stored and looked up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// From 32 stored bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its second eight bytes: all that is kept of it in memory. The first may be a date.
    #[must_use]
    #[inline]
    pub fn word(&self) -> u64 {
        self.0.as_chunks().0.get(1).map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Digest(…)")
    }
}

/// What a stored digest was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The key's own text.
    Plain,
    /// The SHA-256 of the key's text, for keys imported by their hashes.
    Sha256,
    /// The key's own text, too, but only 24 bytes are left of that. Before them stand eight letters of the key's public part
    /// that say when it was issued: such digests are stored side by side where the keys were issued one after the other.
    Dated,
}

impl Form {
    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Plain => 0,
            Self::Sha256 => 1,
            Self::Dated => 2,
        }
    }

    /// From its number in the database.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Plain),
            1 => Some(Self::Sha256),
            2 => Some(Self::Dated),
            _ => None,
        }
    }
}

/// Eight letters of a key's public part that say when it was issued: of two keys, the later one's sort later.
pub type Date = [u8; 8];

/// Says which pepper a digest was made with, and from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making {
    /// The pepper's version.
    pub pepper: i64,
    /// What was digested.
    pub form: Form,
}

/// One version of the secret every key is digested under. The keyed state is kept, so that a digest costs a block
/// for the key and one for the digest.
#[derive(Clone)]
pub struct Pepper {
    version: i64,
    mac: Hmac<Sha256>,
}

impl Pepper {
    /// From its version and its bytes.
    #[must_use]
    pub fn new(version: i64, bytes: &[u8; 32]) -> Self {
        Self { version, mac: keyed(bytes) }
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// The digest of a key's text.
    #[must_use]
    pub fn digest(&self, key: &[u8]) -> Digest {
        Digest(self.mac.clone().chain_update(key).finalize().into_bytes().into())
    }

    /// The digest of a key's text that is stored by when the key was issued. Of an HMAC 192 bits do (RFC 2104, section 5).
    #[must_use]
    pub fn digest_dated(&self, date: Date, key: &[u8]) -> Digest {
        let mut digest = self.digest(key).0;
        digest.rotate_right(date.len());
        if let Some(first) = digest.first_chunk_mut() {
            *first = date;
        }
        Digest(digest)
    }

    /// The digest of a key known only by its SHA-256. Set apart from every key's text by a byte no key may contain.
    #[must_use]
    pub fn digest_hash(&self, sha256: &[u8; 32]) -> Digest {
        Digest(self.mac.clone().chain_update([0]).chain_update(sha256).finalize().into_bytes().into())
    }
}

/// The key that links the audit log's rows.
#[derive(Clone)]
pub struct ChainKey(Hmac<Sha256>);

impl ChainKey {
    /// From its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(keyed(bytes))
    }

    /// The link of a row to the one before it.
    #[must_use]
    pub fn link(&self, previous: &[u8; 32], row: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(previous).chain_update(row).finalize().into_bytes().into()
    }
}

fn keyed(bytes: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC pads a key shorter than the hash's block with zeros.
    let mut block = Zeroizing::new([0; 64]);
    for (padded, byte) in block.iter_mut().zip(bytes) {
        *padded = *byte;
    }
    Hmac::new((&*block).into())
}

/// The one secret an operator has to keep: 32 bytes in a file of mode 0600.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// Reads the text of a master key file: 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        let (pairs, rest) = text.trim().as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digits = std::str::from_utf8(pair).ok().filter(|digits| !digits.starts_with('+'))?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The text for a master key file.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(65));
        for byte in self.0.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
        text
    }

    /// Seals `plain` for `purpose`: a random nonce, then the ciphertext, which only the same purpose opens.
    #[must_use]
    pub fn seal(&self, purpose: &str, plain: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        let mut nonce = [0; 24];
        rng.fill_bytes(&mut nonce);
        let payload = Payload { msg: plain, aad: purpose.as_bytes() };
        let sealed = self.cipher(purpose).encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`MasterKey::seal`] sealed for the same purpose; `None` under another key or where a byte has changed.
    #[must_use]
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<24>()?;
        let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
        self.cipher(purpose).decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }

    fn cipher(&self, purpose: &str) -> XChaCha20Poly1305 {
        let mut key = Zeroizing::new([0; 32]);
        // HKDF refuses only outputs longer than 8,160 bytes; a zero key is never used for one of 32.
        let expanded = Hkdf::<Sha256>::new(None, self.0.as_ref()).expand(purpose.as_bytes(), key.as_mut());
        debug_assert!(expanded.is_ok());
        XChaCha20Poly1305::new((&*key).into())
    }
}

/// What the server seals its own data under: random, and itself sealed under the master key.
#[derive(Clone)]
pub struct Vault(MasterKey);

impl Vault {
    /// From its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(MasterKey(Zeroizing::new(*bytes)))
    }

    /// Seals what belongs to `owner`; for anybody else it does not open.
    #[must_use]
    pub fn seal(&self, owner: &str, plain: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        self.0.seal(owner, plain, rng)
    }

    /// Opens what was sealed for the same owner.
    #[must_use]
    pub fn open(&self, owner: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.0.open(owner, sealed)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn digests_are_hmac_sha_256() {
        // RFC 4231 pads its keys with zeros to the block; 32 bytes of key with the rest zero is the same HMAC key.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let digest = Pepper::new(1, &key).digest(b"what do ya want for nothing?");
        assert_eq!(digest.bytes()[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        assert_eq!(digest.word() >> 32, 0x6a04_2426);
    }

    #[test]
    fn a_dated_digest_is_a_date_and_the_beginning_of_the_plain_one() {
        let pepper = Pepper::new(1, &[7; 32]);
        let (plain, dated) = (pepper.digest(b"kw_live_x"), pepper.digest_dated(*b"0VhmK3aB", b"kw_live_x"));
        assert_eq!(dated.bytes()[..8], *b"0VhmK3aB");
        assert_eq!(dated.bytes()[8..], plain.bytes()[..24]);
    }

    #[test]
    fn a_hash_and_a_text_of_the_same_bytes_differ() {
        let pepper = Pepper::new(1, &[7; 32]);
        assert_ne!(pepper.digest_hash(&[9; 32]), pepper.digest(&[9; 32]));
    }

    #[test]
    fn a_sealed_secret_opens_for_its_purpose_and_key_alone() {
        let mut rng = StdRng::seed_from_u64(1);
        let master = MasterKey::generate(&mut rng);
        let sealed = master.seal("pepper 1", b"secret", &mut rng);
        assert_eq!(master.open("pepper 1", &sealed).as_deref().map(Vec::as_slice), Some(b"secret".as_slice()));
        assert!(master.open("pepper 2", &sealed).is_none());
        assert!(MasterKey::generate(&mut rng).open("pepper 1", &sealed).is_none());
        let mut changed = sealed.clone();
        changed[30] ^= 1;
        assert!(master.open("pepper 1", &changed).is_none());
        assert!(master.open("pepper 1", b"short").is_none());
    }

    #[test]
    fn a_master_key_survives_its_file() {
        let master = MasterKey::generate(&mut StdRng::seed_from_u64(2));
        let again = MasterKey::parse(&master.text()).unwrap();
        assert_eq!(*again.0, *master.0);
        for bad in ["", "abc", &"g".repeat(64), &"0".repeat(63), &"+1".repeat(32)] {
            assert!(MasterKey::parse(bad).is_none(), "{bad} was taken");
        }
    }
}
