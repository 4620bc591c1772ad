//! Sessions: a person's access to one account, for a while; and the tokens that show it.
//!
//! An access token is a JWT (RFC 9068) signed with Ed25519. It says who and until when; what it is worth is decided by
//! the session's row on every request, so that an ended session is refused at once.
//!
//! What must stay true (RFC 8725; security.md 1 to 5): one algorithm, which the token does not choose; keys only from our
//! own keyring, by `kid`; `typ` is `at+jwt`; `iss`, `aud`, `sub`, `exp`, `iat` and `sid` are all there and of their types.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::id::{AccountId, SessionId, UserId};
use crate::refresh::SALT_BYTES;
use crate::time::{Span, Time};

/// How long an access token lives (security.md 5).
pub const TOKEN_LIFE: Span = Span::minutes(60);
/// The longest token that is looked at, in bytes.
pub const LONGEST_TOKEN: usize = 4_096;
/// How far into the future a token may claim to be issued: clocks of several nodes differ.
const LEEWAY: Span = Span::seconds(5);
const TYPE: &str = "at+jwt";
/// What comes before an Ed25519 seed in PKCS #8 (RFC 8410, 7).
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A person's access to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The account they act in.
    pub account: AccountId,
    /// Who began it: an actor's name.
    pub created_by: String,
    /// When it began.
    pub created_at: Time,
    /// When it ends by itself, unless it is used before.
    pub expires_at: Time,
    /// When it ends however much it is used.
    pub ends_at: Time,
    /// When it was ended.
    pub ended_at: Option<Time>,
    /// How its person proved who they are.
    pub method: Method,
    /// Where it was last begun or gone on with.
    pub ip: Option<IpAddr>,
    /// What it was last begun or gone on with.
    pub user_agent: Option<String>,
    /// What its refresh tokens are salted with.
    pub salt: [u8; SALT_BYTES],
    /// How often it was gone on with.
    pub turn: i64,
    /// When it was last gone on with.
    pub refreshed_at: Option<Time>,
}

/// How a person proved who they are when a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// An operator began it.
    Operator,
    /// By their password.
    Password,
    /// By their password and a code from their authenticator.
    Totp,
    /// By their password and a code on paper.
    BackupCode,
}

impl Method {
    /// Its name, as stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Password => "password",
            Self::Totp => "totp",
            Self::BackupCode => "backup_code",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Operator, Self::Password, Self::Totp, Self::BackupCode].into_iter().find(|method| method.name() == name)
    }
}

impl Session {
    /// Whether it still holds.
    #[must_use]
    pub fn is_live(&self, now: Time) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// Whose it is.
    pub sub: UserId,
    /// The session it belongs to.
    pub sid: SessionId,
    /// The account they act in.
    pub account_id: AccountId,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
}

impl Claims {
    /// What a token for this session says, from now on: never longer than the session.
    #[must_use]
    pub fn of(session: &Session, issuer: &str, now: Time) -> Self {
        let ends = now.after(TOKEN_LIFE).min(session.expires_at);
        Self {
            iss: issuer.into(),
            aud: issuer.into(),
            sub: session.user,
            sid: session.id,
            account_id: session.account,
            iat: now.millis().div_euclid(1_000),
            exp: ends.millis().div_euclid(1_000),
        }
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
    sign: EncodingKey,
    verify: DecodingKey,
    jwk: Value,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({})", self.kid)
    }
}

impl SigningKey {
    /// From an Ed25519 seed; its id is the public key's thumbprint (RFC 7638).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let mut der = Zeroizing::new([0; 48]);
        let (head, tail) = der.split_at_mut(PKCS8_HEAD.len());
        head.copy_from_slice(&PKCS8_HEAD);
        tail.copy_from_slice(seed);
        let sign = EncodingKey::from_ed_der(der.as_ref());
        let jwk = Jwk::from_encoding_key(&sign, Algorithm::EdDSA).ok()?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        let verify = DecodingKey::from_jwk(&jwk).ok()?;
        let mut shown = serde_json::to_value(&jwk).ok()?;
        shown.as_object_mut()?.extend([("kid".to_owned(), json!(kid)), ("use".to_owned(), json!("sig"))]);
        Some(Self { kid, sign, verify, jwk: shown })
    }

    /// The public key, as a JWK (RFC 8037).
    #[must_use]
    pub const fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// Signs a token.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.sign).ok()
    }
}

/// Whether a credential looks like a token rather than a key: three parts, of which the first is a JWT's header.
#[must_use]
pub fn looks_like_a_token(credential: &[u8]) -> bool {
    let mut parts = credential.split(|byte| *byte == b'.');
    let (Some(head), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    // `{"` in base64 begins so: nothing is decoded for what cannot be one.
    let header = head.starts_with(b"ey").then(|| URL_SAFE_NO_PAD.decode(head).ok()).flatten();
    header
        .is_some_and(|header| serde_json::from_slice::<Value>(&header).is_ok_and(|header| header.get("alg").is_some()))
}

/// Checks a token against the keys there are.
///
/// # Errors
/// Why it is not taken.
pub fn verify(token: &[u8], keys: &[SigningKey], issuer: &str, now: Time) -> Result<Claims, Refused> {
    if token.len() > LONGEST_TOKEN {
        return Err(Refused::Foreign);
    }
    let header = decode_header(token).map_err(|_| Refused::Foreign)?;
    let typ = header.typ.as_deref().unwrap_or_default();
    let is_ours = header.alg == Algorithm::EdDSA && typ.eq_ignore_ascii_case(TYPE) && header.crit.is_none();
    let kid = header.kid.filter(|_| is_ours).ok_or(Refused::Foreign)?;
    let key = keys.iter().find(|key| key.kid == kid).ok_or(Refused::Foreign)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[issuer]);
    // By our own clock, below: the library asks the machine's.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims: Claims = match decode(token, &key.verify, &validation) {
        Ok(token) => token.claims,
        Err(error) if matches!(error.kind(), jsonwebtoken::errors::ErrorKind::InvalidSignature) => {
            return Err(Refused::Forged);
        }
        Err(_) => return Err(Refused::Foreign),
    };
    let starts = Time::from_millis(claims.iat.saturating_mul(1_000));
    let is_due = starts <= now.after(LEEWAY) && now < Time::from_millis(claims.exp.saturating_mul(1_000));
    if is_due { Ok(claims) } else { Err(Refused::Untimely) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_795_000_000_000);
    const ISSUER: &str = "https://keys.example";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap()
    }

    pub(crate) fn session() -> Session {
        Session {
            id: SessionId::from_bits(1),
            user: UserId::from_bits(2),
            account: AccountId::from_bits(3),
            created_by: "local".into(),
            created_at: NOW,
            expires_at: NOW.after(Span::days(1)),
            ends_at: NOW.after(Span::days(30)),
            ended_at: None,
            method: Method::Password,
            ip: None,
            user_agent: None,
            salt: [0; SALT_BYTES],
            turn: 0,
            refreshed_at: None,
        }
    }

    fn claims() -> Value {
        serde_json::to_value(Claims::of(&session(), ISSUER, NOW)).unwrap()
    }

    fn header(of: &SigningKey) -> Value {
        json!({ "alg": "EdDSA", "typ": TYPE, "kid": of.kid })
    }

    /// A token as somebody who knows the key could make it: any header, any claims, a right signature.
    fn forge(by: &SigningKey, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &by.sign, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    fn with(mut value: Value, field: &str, to: Value) -> Value {
        if to.is_null() {
            value.as_object_mut().unwrap().remove(field);
        } else {
            value[field] = to;
        }
        value
    }

    fn check(token: &str) -> Result<Claims, Refused> {
        verify(token.as_bytes(), &[key(1), key(2)], ISSUER, NOW)
    }

    #[test]
    fn a_token_reads_back_and_lives_exactly_an_hour() {
        let token = key(1).sign(&Claims::of(&session(), ISSUER, NOW)).unwrap();
        let read = check(&token).unwrap();
        assert_eq!(
            (read.sub, read.sid, read.account_id),
            (UserId::from_bits(2), SessionId::from_bits(1), AccountId::from_bits(3))
        );
        assert_eq!(read.exp - read.iat, 3_600);
        assert!(looks_like_a_token(token.as_bytes()));
        let at = |time: Time| verify(token.as_bytes(), &[key(1)], ISSUER, time);
        assert!(at(NOW.after(Span::from_millis(3_599_999))).is_ok());
        assert_eq!(at(NOW.after(TOKEN_LIFE)), Err(Refused::Untimely));
        assert_eq!(at(Time::from_millis(NOW.millis() - 6_000)), Err(Refused::Untimely));
    }

    #[test]
    fn a_token_never_outlives_its_session() {
        let short = Session { expires_at: NOW.after(Span::minutes(5)), ..session() };
        assert_eq!(Claims::of(&short, ISSUER, NOW).exp, NOW.after(Span::minutes(5)).millis() / 1_000);
    }

    #[test]
    fn no_header_but_ours_is_taken() {
        for (field, value) in [
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("ES256")),
            ("typ", json!("JWT")),
            ("typ", json!("id+jwt")),
            ("typ", Value::Null),
            ("kid", Value::Null),
            ("kid", json!("another")),
            ("kid", json!(key(3).kid)),
            ("crit", json!(["exp"])),
        ] {
            let token = forge(&key(1), &with(header(&key(1)), field, value.clone()), &claims());
            assert_eq!(check(&token), Err(Refused::Foreign), "{field}: {value}");
        }
        let token = forge(&key(1), &header(&key(1)), &claims());
        assert!(check(&token).is_ok());
        let unsigned = with(header(&key(1)), "alg", json!("none"));
        let message = forge(&key(1), &unsigned, &claims());
        assert_eq!(check(&message[..=message.rfind('.').unwrap()]), Err(Refused::Foreign));
    }

    #[test]
    fn the_public_key_is_no_shared_secret() {
        let public = key(1).jwk["x"].as_str().map(|x| URL_SAFE_NO_PAD.decode(x).unwrap()).unwrap();
        let mut header = Header::new(Algorithm::HS256);
        (header.typ, header.kid) = (Some(TYPE.into()), Some(key(1).kid));
        let token = encode(&header, &claims(), &EncodingKey::from_secret(&public)).unwrap();
        assert_eq!(check(&token), Err(Refused::Foreign));
    }

    #[test]
    fn a_key_a_token_brings_along_is_not_its_key() {
        let mut brought = header(&key(1));
        brought["jwk"] = key(3).jwk.clone();
        brought["jku"] = "https://evil.example/jwks.json".into();
        assert_eq!(check(&forge(&key(3), &brought, &claims())), Err(Refused::Forged));
        assert_eq!(check(&forge(&key(2), &header(&key(1)), &claims())), Err(Refused::Forged));
    }

    #[test]
    fn every_claim_is_there_and_of_its_type() {
        for (field, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!([ISSUER])),
            ("aud", json!("another")),
            ("aud", json!([ISSUER])),
            ("aud", json!(7)),
            ("sub", json!(7)),
            ("sub", json!("acc_00000000000000000000000000")),
            ("sid", json!("")),
            ("exp", json!("1895000000")),
            ("exp", json!(1e300)),
            ("iat", Value::Null),
            ("iss", Value::Null),
            ("aud", Value::Null),
            ("sub", Value::Null),
            ("sid", Value::Null),
            ("exp", Value::Null),
            ("account_id", Value::Null),
        ] {
            let token = forge(&key(1), &header(&key(1)), &with(claims(), field, value.clone()));
            assert_eq!(check(&token), Err(Refused::Foreign), "{field}: {value}");
        }
    }

    #[test]
    fn a_changed_byte_is_seen_anywhere() {
        let token = key(1).sign(&Claims::of(&session(), ISSUER, NOW)).unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(verify(&bytes, &[key(1)], ISSUER, NOW).is_err(), "at {at}");
        }
        assert!(verify(&[b'e'; LONGEST_TOKEN + 1], &[key(1)], ISSUER, NOW).is_err());
    }

    #[test]
    fn keys_do_not_look_like_tokens() {
        for key in ["kw_live_abc", "a.b.c", "eyA.b.c", "ey", "", "..", "eyJhIjoxfQ.b.c", "wvs_live_00.11.22"] {
            assert!(!looks_like_a_token(key.as_bytes()), "{key}");
        }
    }
}
