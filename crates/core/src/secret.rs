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

use crate::id::MailId;

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

    /// Its first 128 bits: enough to tell any two keys apart, and all the cache keeps.
    #[must_use]
    #[inline]
    pub fn words(&self) -> [u64; 2] {
        let mut words = [0; 2];
        for (word, bytes) in words.iter_mut().zip(self.0.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        words
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
}

impl Form {
    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Plain => 0,
            Self::Sha256 => 1,
        }
    }

    /// From its number in the database.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Plain),
            1 => Some(Self::Sha256),
            _ => None,
        }
    }
}

/// Says which pepper a digest was made with, and from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making {
    /// The pepper's version.
    pub pepper: i64,
    /// What was digested.
    pub form: Form,
}

/// One version of the secret every key is digested under. The keyed state is kept, so a digest costs two blocks.
#[derive(Clone)]
pub struct Pepper {
    version: i64,
    mac: Hmac<Sha256>,
    short: ShortMac,
}

impl Pepper {
    /// From its version and its bytes.
    #[must_use]
    pub fn new(version: i64, bytes: &[u8; 32]) -> Self {
        Self { version, mac: keyed(bytes), short: ShortMac::new(bytes) }
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// The digest of a key's text.
    #[must_use]
    #[inline]
    pub fn digest(&self, key: &[u8]) -> Digest {
        Digest(self.short.digest(key).unwrap_or_else(|| self.digest_long(key)))
    }

    #[cold]
    fn digest_long(&self, key: &[u8]) -> [u8; 32] {
        self.mac.clone().chain_update(key).finalize().into_bytes().into()
    }

    /// The digest of a key known only by its SHA-256. Set apart from every key's text by a byte no key may contain.
    #[must_use]
    pub fn digest_hash(&self, sha256: &[u8; 32]) -> Digest {
        Digest(self.mac.clone().chain_update([0]).chain_update(sha256).finalize().into_bytes().into())
    }
}

/// HMAC-SHA-256 of texts that fit into one block with their padding, as nearly every key does: two compressions and
/// nothing else. The general one spends a quarter of its time on its buffers.
#[derive(Clone)]
struct ShortMac {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl ShortMac {
    /// The longest text: one byte marks its end and eight hold its length.
    const LONGEST: usize = 64 - 9;
    /// What SHA-256 begins with (FIPS 180-4, 5.3.3).
    const BEGIN: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

    fn new(bytes: &[u8; 32]) -> Self {
        let state = |pad: u8| {
            let mut block = Zeroizing::new([pad; 64]);
            block.iter_mut().zip(bytes).for_each(|(padded, byte)| *padded ^= byte);
            after(Self::BEGIN, &block)
        };
        // RFC 2104's ipad and opad.
        Self { inner: state(0x36), outer: state(0x5c) }
    }

    #[inline]
    fn digest(&self, text: &[u8]) -> Option<[u8; 32]> {
        if text.len() > Self::LONGEST {
            return None;
        }
        let mut block = [0; 64];
        if let (Some(first), Some(last)) = (text.first_chunk::<32>(), text.last_chunk::<32>()) {
            // Two copies of a known length, which may overlap, cost a tenth of one of an unknown length.
            *block.first_chunk_mut()? = *first;
            *block.get_mut(text.len() - 32..)?.first_chunk_mut()? = *last;
        } else {
            block.get_mut(..text.len())?.copy_from_slice(text);
        }
        let inner = after(self.inner, &ended(block, text.len()));
        let mut block = [0; 64];
        block.as_chunks_mut::<4>().0.iter_mut().zip(inner).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
        let outer = after(self.outer, &ended(block, 32));
        let mut digest = [0; 32];
        digest.as_chunks_mut::<4>().0.iter_mut().zip(outer).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
        Some(digest)
    }
}

/// The state after a block.
#[inline]
fn after(mut state: [u32; 8], block: &[u8; 64]) -> [u32; 8] {
    sha2::block_api::compress256(&mut state, std::slice::from_ref(block));
    state
}

/// The second and last block of a text, of which it holds `length` bytes (FIPS 180-4, 5.1.1).
#[inline]
fn ended(mut block: [u8; 64], length: usize) -> [u8; 64] {
    if let Some(end) = block.get_mut(length) {
        *end = 0x80;
    }
    if let Some(bits) = block.last_chunk_mut() {
        *bits = ((64 + length as u64) * 8).to_be_bytes();
    }
    block
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
        seal(&self.0, purpose, plain, rng)
    }

    /// Opens what [`MasterKey::seal`] sealed for the same purpose; `None` under another key or where a byte has changed.
    #[must_use]
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open(&self.0, purpose, sealed)
    }
}

/// The key that letters are sealed with while they wait. It is random, and itself sealed under the master key.
#[derive(Clone)]
pub struct LetterKey(Zeroizing<[u8; 32]>);

impl LetterKey {
    /// From its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Seals a letter for its row alone.
    #[must_use]
    pub fn seal(&self, id: MailId, letter: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        seal(&self.0, &format!("keywright letter {id}"), letter, rng)
    }

    /// Opens what was sealed for this row; `None` where it was another's or a byte has changed.
    #[must_use]
    pub fn open(&self, id: MailId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open(&self.0, &format!("keywright letter {id}"), sealed)
    }
}

fn seal(key: &[u8; 32], purpose: &str, plain: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    let payload = Payload { msg: plain, aad: purpose.as_bytes() };
    let sealed = cipher(key, purpose).encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
    [nonce.as_slice(), &sealed].concat()
}

fn open(key: &[u8; 32], purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<24>()?;
    let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
    cipher(key, purpose).decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
}

fn cipher(key: &[u8; 32], purpose: &str) -> XChaCha20Poly1305 {
    let mut derived = Zeroizing::new([0; 32]);
    // HKDF refuses only outputs longer than 8,160 bytes; a zero key is never used for one of 32.
    let expanded = Hkdf::<Sha256>::new(None, key).expand(purpose.as_bytes(), derived.as_mut());
    debug_assert!(expanded.is_ok());
    XChaCha20Poly1305::new((&*derived).into())
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
        assert_eq!(digest.words()[0] >> 32, 0x5bdc_c146);
    }

    #[test]
    fn short_texts_are_digested_as_all_are() {
        let pepper = Pepper::new(1, &[0xa7; 32]);
        let text: Vec<u8> = (0..=255).collect();
        for length in 0..text.len() {
            let text = &text[..length];
            assert_eq!(pepper.digest(text).bytes(), &pepper.digest_long(text), "{length} bytes");
        }
        assert!(pepper.short.digest(&text[..55]).is_some() && pepper.short.digest(&text[..56]).is_none());
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
    fn a_sealed_letter_opens_in_its_own_row_alone() {
        let mut rng = StdRng::seed_from_u64(1);
        let (key, id) = (LetterKey::new(&[1; 32]), MailId::from_bits(1));
        let sealed = key.seal(id, b"letter", &mut rng);
        assert_eq!(key.open(id, &sealed).as_deref().map(Vec::as_slice), Some(b"letter".as_slice()));
        assert!(key.open(MailId::from_bits(2), &sealed).is_none());
        assert!(LetterKey::new(&[2; 32]).open(id, &sealed).is_none());
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
