//! Keys that tokens are signed with, and reading what they signed.
//!
//! What must stay true (RFC 8725; security.md 1 to 4): a key has one algorithm, and a token is checked by its key's, never
//! by the one it names; keys come from our own keyring, by `kid`; `typ`, `iss` and every claim are there and of their types.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::external::Parts;
use crate::proof::{ProofKey, Purpose};
use crate::time::{Span, Time};

/// The longest token that is looked at, in bytes.
pub const LONGEST_TOKEN: usize = 4_096;
/// How far into the future a token may claim to be issued: clocks of several nodes differ.
const LEEWAY: Span = Span::seconds(5);
/// How long a key still checks tokens when another has taken its place: longer than any token lives.
pub const RETIRES_AFTER: Span = Span::minutes(65);
/// What an access token says it is (RFC 9068, 2.1).
const TYPE: &str = "at+jwt";
/// What comes before an Ed25519 seed in PKCS #8 (RFC 8410, 7).
const ED25519_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// What comes before a P-256 scalar in PKCS #8 (RFC 5915, 3; RFC 5958, 2).
const P256_HEAD: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
];

/// How tokens are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519.
    #[default]
    EdDSA,
    /// ECDSA over P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// HMAC-SHA-256: whoever can check a token can make one.
    #[serde(rename = "HS256")]
    Hs256,
}

impl Algorithm {
    /// Every one there is.
    pub const ALL: [Self; 3] = [Self::EdDSA, Self::Es256, Self::Hs256];

    /// Its name (RFC 7518, 3.1; RFC 8037, 3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }

    const fn of_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDSA => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == text);
        found.ok_or_else(|| format!("`{text}` is no algorithm tokens are signed with: write EdDSA, ES256 or HS256"))
    }
}

/// Why a token is not taken. Nobody outside is told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no token, or not one of ours: another type, algorithm or key, or missing and mistyped claims.
    #[error("not a token of ours")]
    Foreign,
    /// It is not signed by the key it names.
    #[error("the signature is wrong")]
    Forged,
    /// Its time is over, or has not come.
    #[error("out of its time")]
    Untimely,
}

/// A key that tokens are signed with.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    created_at: Time,
    sign: EncodingKey,
    verify: DecodingKey,
    jwk: Option<Value>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({})", self.kid)
    }
}

impl SigningKey {
    /// From 32 random bytes. A public key's id is its thumbprint (RFC 7638). `None` for the one in 2^32 that is no scalar
    /// of P-256.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32], algorithm: Algorithm, created_at: Time) -> Option<Self> {
        let sign = match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&wrapped(&ED25519_HEAD, seed)),
            Algorithm::Es256 => EncodingKey::from_ec_der(&wrapped(&P256_HEAD, seed)),
            Algorithm::Hs256 => {
                // A thumbprint of a shared secret would be something to guess it by.
                let kid = ProofKey::new(seed).prove(Purpose::KeyId, &[]);
                let (sign, verify) = (EncodingKey::from_secret(seed), DecodingKey::from_secret(seed));
                return Some(Self { kid, algorithm, created_at, sign, verify, jwk: None });
            }
        };
        let jwk = Jwk::from_encoding_key(&sign, algorithm.of_library()).ok()?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        let verify = DecodingKey::from_jwk(&jwk).ok()?;
        let mut shown = serde_json::to_value(&jwk).ok()?;
        shown.as_object_mut()?.extend([("kid".to_owned(), json!(kid)), ("use".to_owned(), json!("sig"))]);
        Some(Self { kid, algorithm, created_at, sign, verify, jwk: Some(shown) })
    }

    /// Its id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// When it was made.
    #[must_use]
    pub const fn created_at(&self) -> Time {
        self.created_at
    }

    /// The public key, as a JWK (RFC 7517); none of a shared secret.
    #[must_use]
    pub const fn jwk(&self) -> Option<&Value> {
        self.jwk.as_ref()
    }

    /// Signs an access token.
    #[must_use]
    pub fn sign(&self, claims: &impl Serialize) -> Option<String> {
        self.sign_as(TYPE, claims)
    }

    /// Signs what is no access token, and says so.
    #[must_use]
    pub fn sign_as(&self, kind: &str, claims: &impl Serialize) -> Option<String> {
        let mut header = Header::new(self.algorithm.of_library());
        header.typ = Some(kind.into());
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.sign).ok()
    }

    /// When it checks no more, of these keys: another of its algorithm has taken its place.
    #[must_use]
    pub fn retires_at(&self, among: &[Arc<Self>]) -> Option<Time> {
        let successors = among.iter().filter(|key| key.algorithm == self.algorithm && key.created_at > self.created_at);
        successors.map(|key| key.created_at.after(RETIRES_AFTER)).min()
    }
}

fn wrapped(head: &[u8], seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([head, seed].concat())
}

/// When a token was issued, and when it ends: in seconds since the Unix epoch.
pub trait Timed {
    /// The longest that one of its sort lives.
    const LONGEST: Span;

    /// `iat` and `exp`.
    fn times(&self) -> (i64, i64);
}

/// What a token says, and from when on it does: none of ours says so, and one that did would mean it.
#[derive(Deserialize)]
struct Said<C> {
    #[serde(default)]
    nbf: i64,
    #[serde(flatten)]
    claims: C,
}

/// Whether a credential looks like a token rather than a key: three parts, of which the first is a JWT's header.
#[must_use]
pub fn looks_like_a_token(credential: &[u8]) -> bool {
    // `{"` in base64 begins so: nothing is looked at of what cannot be one.
    if !credential.starts_with(b"ey") {
        return false;
    }
    let mut parts = credential.split(|byte| *byte == b'.');
    let (Some(head), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let header = URL_SAFE_NO_PAD.decode(head).ok();
    header
        .is_some_and(|header| serde_json::from_slice::<Value>(&header).is_ok_and(|header| header.get("alg").is_some()))
}

/// Reads a token that one of these keys signed. Only for a named audience, where one is named.
///
/// # Errors
/// Why it is not taken.
pub fn read<C: DeserializeOwned + Timed>(
    token: &[u8],
    keys: &[Arc<SigningKey>],
    issuer: &str,
    audience: Option<&str>,
    now: Time,
) -> Result<C, Refused> {
    if token.len() > LONGEST_TOKEN {
        return Err(Refused::Foreign);
    }
    let header = decode_header(token).map_err(|_| Refused::Foreign)?;
    // Held against its plain text, too: the library passes over a `crit` that is null, and over what stands there twice.
    let is_plain = Parts::read(token).is_some_and(|parts| !parts.head.contains_key("crit"));
    let is_ours = header.typ.as_deref().unwrap_or_default().eq_ignore_ascii_case(TYPE) && is_plain;
    let kid = header.kid.filter(|_| is_ours).ok_or(Refused::Foreign)?;
    let key = keys.iter().find(|key| key.kid == kid).ok_or(Refused::Foreign)?;
    if key.retires_at(keys).is_some_and(|at| at <= now) {
        return Err(Refused::Foreign);
    }
    let mut validation = Validation::new(key.algorithm.of_library());
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[issuer]);
    match audience {
        Some(audience) => validation.set_audience(&[audience]),
        None => validation.validate_aud = false,
    }
    // By our own clock, below: the library asks the machine's.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let Said { nbf, claims } = match decode::<Said<C>>(token, &key.verify, &validation) {
        Ok(token) => token.claims,
        Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => return Err(Refused::Forged),
        Err(_) => return Err(Refused::Foreign),
    };
    let (iat, exp) = claims.times();
    if exp.saturating_sub(iat).saturating_mul(1_000) > C::LONGEST.millis() {
        return Err(Refused::Foreign);
    }
    let starts = Time::from_millis(iat.max(nbf).saturating_mul(1_000));
    let is_due = starts <= now.after(LEEWAY) && now < Time::from_millis(exp.saturating_mul(1_000));
    if is_due { Ok(claims) } else { Err(Refused::Untimely) }
}

#[cfg(test)]
mod tests;
