//! SSH public keys, as OpenSSH writes them in one line (RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4).
//!
//! What is taken is what a machine may safely be opened with: RSA of 2048 bits and more, Ed25519, ECDSA on the three NIST
//! curves. The line's type must be the blob's own: OpenSSH goes by the blob, a person who reads the line by the text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::Digest as _;

use crate::id::{AccountId, SshKeyId};
use crate::time::Time;

/// SSH keys an account may have.
pub const MOST_SSH_KEYS: i64 = 100;
/// The longest line; a key of [`MOST_RSA_BITS`] takes a sixth of it.
const LONGEST_LINE: usize = 16 * 1_024;
const LONGEST_COMMENT: usize = 255;
const LEAST_RSA_BITS: usize = 2_048;
/// What OpenSSH itself bears.
const MOST_RSA_BITS: usize = 16_384;

/// Types that are taken.
const TYPES: [&str; 5] =
    ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
/// What a machine may be opened with, for people.
const TAKEN: &str = "use an RSA (2048 bits or more), Ed25519 or ECDSA key";

/// A public key that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key_type: &'static str,
    blob: Vec<u8>,
    comment: String,
}

/// A public key an account has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    /// Its id.
    pub id: SshKeyId,
    /// The account it belongs to.
    pub account: AccountId,
    /// What people call it.
    pub name: String,
    /// As in `ssh-ed25519`.
    pub key_type: String,
    /// As `ssh-keygen -lf` prints it.
    pub fingerprint: String,
    /// The whole line: type, key, comment.
    pub public_key: String,
    /// When it was registered.
    pub created_at: Time,
}

/// Why a text is not taken for a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// There is nothing.
    #[error("is required: paste the line of your .pub file, as in `ssh-ed25519 AAAA… you@machine`")]
    Empty,
    /// It is longer than any key.
    #[error("is longer than {LONGEST_LINE} characters: paste one public key")]
    TooLong,
    /// It is a private key.
    #[error("is a private key, which nobody else is to see: paste the .pub file beside it, and make a new pair")]
    Private,
    /// There are several lines.
    #[error("has several lines: add one key at a time")]
    SeveralLines,
    /// There are options before the type.
    #[error("begins with options, as in authorized_keys: begin with the key's type, as in ssh-ed25519")]
    Options,
    /// A certificate.
    #[error("is a certificate: add the key it is for")]
    Certificate,
    /// A key kept in a security key.
    #[error("is a key of a FIDO security key, which is not taken: {TAKEN}")]
    SecurityKey,
    /// DSA.
    #[error("is a DSA key, which OpenSSH no longer takes: {TAKEN}")]
    Dsa,
    /// A short RSA key.
    #[error("is an RSA key of fewer than {LEAST_RSA_BITS} bits, which can be broken: {TAKEN}")]
    ShortRsa,
    /// A huge RSA key.
    #[error("is an RSA key of more than {MOST_RSA_BITS} bits, which OpenSSH does not take: use one of 4096")]
    LongRsa,
    /// Some other type, or none.
    #[error("does not begin with a type of key that is taken: {TAKEN}")]
    UnknownType,
    /// What follows the type is no base64.
    #[error("is cut short or not whole: the second word is the key in base64")]
    NotBase64,
    /// The blob is of another type than the text says.
    #[error("says one type and holds a key of another: paste the line as ssh-keygen wrote it")]
    TypeMismatch,
    /// The blob is not what its type says.
    #[error("holds no whole key: paste the line as ssh-keygen wrote it")]
    Malformed,
    /// The comment is too long or cannot be printed.
    #[error("has a comment that is longer than {LONGEST_COMMENT} characters or has control characters: shorten it")]
    Comment,
}

impl PublicKey {
    /// Reads one line. White space around it is no part of it.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn parse(text: &str) -> Result<Self, NotTaken> {
        if text.len() > LONGEST_LINE {
            return Err(NotTaken::TooLong);
        }
        let line = text.trim();
        if line.is_empty() {
            return Err(NotTaken::Empty);
        }
        if line.contains("PRIVATE KEY") {
            return Err(NotTaken::Private);
        }
        if line.contains(['\n', '\r']) {
            return Err(NotTaken::SeveralLines);
        }
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let key_type = TYPES.into_iter().find(|known| *known == word).ok_or_else(|| refused_type(word, rest))?;
        let rest = rest.trim_start();
        let (encoded, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let blob = STANDARD.decode(encoded).map_err(|_| NotTaken::NotBase64)?;
        check_blob(key_type, &blob)?;
        let comment = comment.trim();
        if comment.chars().count() > LONGEST_COMMENT || comment.chars().any(char::is_control) {
            return Err(NotTaken::Comment);
        }
        Ok(Self { key_type, blob, comment: comment.to_owned() })
    }

    /// As in `ssh-ed25519`.
    #[must_use]
    pub const fn key_type(&self) -> &'static str {
        self.key_type
    }

    /// `SHA256:` and the digest of the blob, as `ssh-keygen -lf` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(sha2::Sha256::digest(&self.blob)))
    }

    /// The line, as `authorized_keys` takes it.
    #[must_use]
    pub fn line(&self) -> String {
        let line = format!("{} {} {}", self.key_type, STANDARD.encode(&self.blob), self.comment);
        line.trim_end().to_owned()
    }
}

/// Why a line that begins with this word is not taken.
fn refused_type(word: &str, rest: &str) -> NotTaken {
    let is_type =
        |word: &str| TYPES.contains(&word) || word == "ssh-dss" || word.starts_with("sk-") || word.contains("-cert-v0");
    if word.contains("-cert-v0") {
        NotTaken::Certificate
    } else if word.starts_with("sk-") {
        NotTaken::SecurityKey
    } else if word == "ssh-dss" {
        NotTaken::Dsa
    } else if rest.split([' ', '\t']).any(is_type) {
        NotTaken::Options
    } else {
        NotTaken::UnknownType
    }
}

/// Checks that a blob is a whole key of its type and nothing more.
fn check_blob(key_type: &str, blob: &[u8]) -> Result<(), NotTaken> {
    let mut rest = blob;
    if field(&mut rest).ok_or(NotTaken::Malformed)? != key_type.as_bytes() {
        return Err(NotTaken::TypeMismatch);
    }
    let first = field(&mut rest).ok_or(NotTaken::Malformed)?;
    match key_type {
        "ssh-ed25519" => must(first.len() == 32)?,
        "ssh-rsa" => check_rsa(first, field(&mut rest).ok_or(NotTaken::Malformed)?)?,
        _ => {
            let point = field(&mut rest).ok_or(NotTaken::Malformed)?;
            let (curve, bytes) = match key_type {
                "ecdsa-sha2-nistp256" => ("nistp256", 32),
                "ecdsa-sha2-nistp384" => ("nistp384", 48),
                _ => ("nistp521", 66),
            };
            // An uncompressed point, the only form OpenSSH writes.
            must(first == curve.as_bytes() && point.first() == Some(&4) && point.len() == 1 + 2 * bytes)?;
        }
    }
    must(rest.is_empty())
}

fn check_rsa(exponent: &[u8], modulus: &[u8]) -> Result<(), NotTaken> {
    let (exponent, modulus) = (magnitude(exponent)?, magnitude(modulus)?);
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    must(is_odd(exponent) && exponent != [1] && is_odd(modulus))?;
    match bits(modulus) {
        ..LEAST_RSA_BITS => Err(NotTaken::ShortRsa),
        LEAST_RSA_BITS..=MOST_RSA_BITS => Ok(()),
        _ => Err(NotTaken::LongRsa),
    }
}

const fn must(holds: bool) -> Result<(), NotTaken> {
    if holds { Ok(()) } else { Err(NotTaken::Malformed) }
}

/// A string of RFC 4251, 5: four bytes of length, then so many.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (field, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(field)
}

/// A positive mpint of RFC 4251, 5, without the zero byte that keeps it positive. It has one spelling.
fn magnitude(mpint: &[u8]) -> Result<&[u8], NotTaken> {
    match mpint {
        [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 128) => Ok(rest),
        [1..128, ..] => Ok(mpint),
        _ => Err(NotTaken::Malformed),
    }
}

fn bits(magnitude: &[u8]) -> usize {
    let unused = magnitude.first().map_or(0, |byte| byte.leading_zeros());
    (magnitude.len() * 8).saturating_sub(usize::try_from(unused).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@workstation";

    fn blob(fields: &[&[u8]]) -> Vec<u8> {
        let field = |field: &&[u8]| [&u32::try_from(field.len()).unwrap().to_be_bytes(), *field].concat();
        fields.iter().flat_map(field).collect()
    }

    fn line(key_type: &str, fields: &[&[u8]]) -> String {
        format!("{key_type} {}", STANDARD.encode(blob(fields)))
    }

    /// An RSA key with a modulus of so many bits.
    fn rsa(bits: usize) -> String {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] = u8::try_from((1_u32 << ((bits - 1) % 8 + 1)) - 1).unwrap();
        if modulus[0] >= 128 {
            modulus.insert(0, 0);
        }
        line("ssh-rsa", &[b"ssh-rsa", &[1, 0, 1], &modulus])
    }

    fn refused(text: &str) -> NotTaken {
        PublicKey::parse(text).unwrap_err()
    }

    #[test]
    fn a_key_is_read_whatever_white_space_is_around_it() {
        let key = PublicKey::parse(ED25519).unwrap();
        // As `ssh-keygen -lf` prints it.
        assert_eq!(key.fingerprint(), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
        assert_eq!((key.key_type(), key.line().as_str()), ("ssh-ed25519", ED25519));
        let spaced = format!("  {}\r\n", ED25519.replacen(' ', " \t ", 1));
        assert_eq!(PublicKey::parse(&spaced).unwrap(), key);
        let bare = ED25519.rsplit_once(' ').unwrap().0;
        assert_eq!(PublicKey::parse(bare).unwrap().line(), bare);
    }

    #[test]
    fn rsa_is_taken_from_2048_bits() {
        for (bits, expected) in [
            (1_024, Err(NotTaken::ShortRsa)),
            (2_047, Err(NotTaken::ShortRsa)),
            (2_048, Ok(())),
            (3_071, Ok(())),
            (4_096, Ok(())),
            (16_384, Ok(())),
            (16_385, Err(NotTaken::LongRsa)),
        ] {
            assert_eq!(PublicKey::parse(&rsa(bits)).map(drop), expected, "{bits}");
        }
    }

    #[test]
    fn an_rsa_number_is_positive_odd_and_spelled_in_one_way() {
        let whole = [[0].as_slice(), &[0xff; 256]].concat();
        let with = |exponent: &[u8], modulus: &[u8]| line("ssh-rsa", &[b"ssh-rsa", exponent, modulus]);
        let mut even = whole.clone();
        even[256] = 0xfe;
        for text in [
            with(&[], &whole),
            with(&[1], &whole),
            with(&[4], &whole),
            with(&[0, 3], &whole),
            with(&[3], &whole[1..]),
            with(&[3], &[&[0], whole.as_slice()].concat()),
            with(&[3], &even),
            with(&[3], &[]),
        ] {
            assert_eq!(refused(&text), NotTaken::Malformed, "{text}");
        }
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let key = ED25519.split(' ').nth(1).unwrap();
        for (text, reason) in [
            (String::new(), NotTaken::Empty),
            (" \n".into(), NotTaken::Empty),
            ("x".repeat(LONGEST_LINE + 1), NotTaken::TooLong),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n".into(), NotTaken::Private),
            ("-----BEGIN RSA PRIVATE KEY-----".into(), NotTaken::Private),
            (format!("{ED25519}\n{ED25519}"), NotTaken::SeveralLines),
            (format!("{ED25519}\rcommand"), NotTaken::SeveralLines),
            (format!("no-pty {ED25519}"), NotTaken::Options),
            (format!("command=\"a b\" {ED25519}"), NotTaken::Options),
            (format!("ssh-ed25519-cert-v01@openssh.com {key}"), NotTaken::Certificate),
            (format!("sk-ssh-ed25519-cert-v01@openssh.com {key}"), NotTaken::Certificate),
            (format!("sk-ssh-ed25519@openssh.com {key}"), NotTaken::SecurityKey),
            (format!("ssh-dss {key}"), NotTaken::Dsa),
            (format!("SSH-ED25519 {key}"), NotTaken::UnknownType),
            (format!("rsa-sha2-256 {key}"), NotTaken::UnknownType),
            (key.to_owned(), NotTaken::UnknownType),
            ("ssh-ed25519".into(), NotTaken::Malformed),
            ("ssh-ed25519 !!!".into(), NotTaken::NotBase64),
            (format!("ssh-ed25519 {}=", &key[..40]), NotTaken::NotBase64),
            (format!("ssh-rsa {key}"), NotTaken::TypeMismatch),
            (line("ssh-ed25519", &[b"ssh-rsa", &[1, 0, 1], &[0xff; 256]]), NotTaken::TypeMismatch),
            (line("ssh-ed25519", &[b"ssh-ed25519", &[7; 31]]), NotTaken::Malformed),
            (line("ssh-ed25519", &[b"ssh-ed25519", &[7; 32], b"more"]), NotTaken::Malformed),
            (line("ecdsa-sha2-nistp256", &[b"ecdsa-sha2-nistp256", b"nistp384", &[4; 97]]), NotTaken::Malformed),
            (line("ecdsa-sha2-nistp256", &[b"ecdsa-sha2-nistp256", b"nistp256", &[2; 33]]), NotTaken::Malformed),
            (format!("{ED25519}{}", "x".repeat(300)), NotTaken::Comment),
            (format!("{ED25519}\u{7}"), NotTaken::Comment),
        ] {
            assert_eq!(refused(&text), reason, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_refused(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublicKey::parse(&text);
            for key_type in TYPES {
                let _ = PublicKey::parse(&format!("{key_type} {}", STANDARD.encode(&bytes)));
                let begun = [blob(&[key_type.as_bytes()]), bytes.clone()].concat();
                let _ = PublicKey::parse(&format!("{key_type} {}", STANDARD.encode(begun)));
            }
        }

        #[test]
        fn what_is_taken_reads_back_as_it_was_written(
            key in proptest::collection::vec(any::<u8>(), 32),
            comment in "[a-z@. ]{0,40}",
        ) {
            let written = PublicKey::parse(&format!("{} {comment}", line("ssh-ed25519", &[b"ssh-ed25519", &key]))).unwrap();
            prop_assert_eq!(PublicKey::parse(&written.line()), Ok(written));
        }
    }
}
