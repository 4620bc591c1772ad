//! Access tokens of identity providers the operator trusts: which are taken, and who they say somebody is.
//!
//! An issuer is declared in the policy (`[issuer.NAME]`). Its tokens are JWTs signed under keys it publishes; fetching
//! those is the app's, deciding by them is here. Who somebody is in an account is never taken from a token but read from
//! the database on every request, as with our own.
//!
//! What must stay true (RFC 8725, RFC 9068; security.md 1 to 8): the issuer's allow-list names the algorithm and the type,
//! not the token; keys are the configured issuer's alone, by `kid`, and fit by `kty`, `crv`, `use`, `key_ops` and `alg`; no
//! key, chain or address in a token's header is looked at; `iss`, `aud`, `sub` and `exp` are there and of their types; an ID
//! token, and one that is bound to a key its bearer would have to prove, is no access token; a person is (issuer,
//! subject) and never an address.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::account::normal_email;
use crate::id::{IdentityId, UserId};
use crate::member::MemberRole;
use crate::time::{Span, Time};

/// The longest token that is looked at, in bytes.
pub const LONGEST_TOKEN: usize = 8_192;
/// The longest subject, in bytes (OpenID Connect Core, 2).
pub const LONGEST_SUBJECT: usize = 255;
/// By how much an issuer's clock may differ from ours.
const LEEWAY: Span = Span::seconds(5);
/// The shortest RSA modulus that is taken, in bytes: 2048 bits (RFC 7518, 3.3).
const SHORTEST_MODULUS: usize = 256;
/// Claims that say a token is something else: an ID token, a logout token, one bound to a key (RFC 9449, RFC 8705).
const OTHER_KINDS: [&str; 5] = ["nonce", "at_hash", "c_hash", "events", "cnf"];

/// Every algorithm that can be allowed: all with a key pair, none with a shared secret.
pub const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
];

/// An algorithm by its name (RFC 7518, 3.1), which is spelled in one way.
#[must_use]
pub fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
}

/// Who can come with a token of an issuer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provisioning {
    /// Identities that an operator has linked to a person beforehand.
    #[default]
    Invited,
    /// Anybody: who is unknown becomes a person.
    Automatic,
}

/// A provider whose access tokens are taken.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Its name in the policy.
    pub name: String,
    /// Its issuer identifier: what `iss` says, byte for byte.
    pub url: String,
    /// Of which a token must be for one.
    pub audience: Vec<String>,
    /// The algorithms its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// The types its access tokens may be of.
    pub types: Vec<String>,
    /// Where a token names the account, a step a name.
    pub account_claim: Vec<String>,
    /// Who can come with its tokens.
    pub provisioning: Provisioning,
    /// What somebody who becomes a person by a token is in their account.
    pub role: MemberRole,
}

impl Issuer {
    /// Where it publishes what it is (OpenID Connect Discovery, 4).
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.url.trim_end_matches('/'))
    }

    /// Where its keys are, by its discovery document.
    ///
    /// # Errors
    /// The document is none, is another issuer's, or names an address that keys are not fetched from.
    pub fn keys_url(&self, document: &[u8]) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        let Document { issuer, jwks_uri } = serde_json::from_slice(document)
            .map_err(|_| "its discovery document is no JSON with an issuer and a jwks_uri".to_owned())?;
        if issuer != self.url {
            return Err(format!("its discovery document is of `{}`, not of `{}`", crate::clip(&issuer), self.url));
        }
        check_url(&jwks_uri).map_err(|reason| format!("its jwks_uri {reason}"))?;
        // A provider elsewhere has no keys on this machine.
        if is_plain(&jwks_uri) && !is_plain(&self.url) {
            return Err("its jwks_uri is not https".into());
        }
        Ok(jwks_uri)
    }
}

/// Whether an address is one keys are fetched from: of https, or of http on this machine.
///
/// # Errors
/// What to write instead.
pub fn check_url(url: &str) -> Result<(), String> {
    let rest = match url.split_once("://") {
        Some(("https" | "http", rest)) => rest,
        _ => return Err("is no address: write https://host/path".into()),
    };
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains(['?', '#', '"', '<', '>', '\\']) {
        return Err("has more than a host and a path: leave out queries, fragments and spaces".into());
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("has a name or password in it: leave it out".into());
    }
    let host = host(authority).ok_or("is no address: write https://host/path")?;
    if is_plain(url) && !is_loopback(host) {
        return Err("is http: write https, or keys could be changed on the way (http is for 127.0.0.1)".into());
    }
    Ok(())
}

fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// The host of an authority, without its port and brackets.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    (!host.is_empty() && is_port).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Keys an issuer publishes (RFC 7517): those that signatures can be checked with.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: String,
    /// What it can have signed.
    algorithms: Vec<Algorithm>,
    verify: DecodingKey,
}

/// The members of a key that are looked at. What is not of its type makes it no key.
#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    meant: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads a set of keys. Those nothing can be done with are passed over, as RFC 7517, 5 asks: an encryption key, one
    /// without an id, one of a sort not known here, a shared secret, an RSA key under 2048 bits.
    ///
    /// # Errors
    /// It is no set of keys.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).map_err(|_| "its keys are no JSON with a list of keys")?;
        Ok(Self(set.keys.into_iter().filter_map(Key::read).collect()))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn knows(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid == kid)
    }

    fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&Key> {
        self.0.iter().find(|key| key.kid == kid && key.algorithms.contains(&algorithm))
    }
}

impl Key {
    fn read(from: Value) -> Option<Self> {
        let raw: RawKey = serde_json::from_value(from).ok()?;
        let is_meant = raw.meant.as_deref().is_none_or(|meant| meant == "sig");
        let can = raw.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
        if !is_meant || !can {
            return None;
        }
        let (mut algorithms, verify) = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", None) => {
                use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
                let modulus = URL_SAFE_NO_PAD.decode(raw.n?).ok()?;
                let bits = modulus.iter().skip_while(|byte| **byte == 0).count();
                let exponent = URL_SAFE_NO_PAD.decode(raw.e?).ok()?;
                let verify = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
                (bits >= SHORTEST_MODULUS).then_some((vec![PS256, PS384, PS512, RS256, RS384, RS512], verify))?
            }
            ("EC", Some("P-256")) => (vec![Algorithm::ES256], DecodingKey::from_ec_components(&raw.x?, &raw.y?).ok()?),
            ("EC", Some("P-384")) => (vec![Algorithm::ES384], DecodingKey::from_ec_components(&raw.x?, &raw.y?).ok()?),
            ("OKP", Some("Ed25519")) => (vec![Algorithm::EdDSA], DecodingKey::from_ed_components(&raw.x?).ok()?),
            _ => return None,
        };
        if let Some(only) = &raw.alg {
            let only = algorithm(only)?;
            algorithms.retain(|known| *known == only);
        }
        Some(Self { kid: raw.kid, algorithms, verify })
    }
}

/// Who a token says somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What their issuer calls them: with the issuer, who they are.
    pub subject: String,
    /// Their address, where their issuer says it is verified. It says nothing about who they are.
    pub email: Option<String>,
    /// The account they act in, as their issuer names it.
    pub account: Option<String>,
}

/// An identity that is a person's here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// Its id.
    pub id: IdentityId,
    /// The issuer's identifier.
    pub issuer: String,
    /// What the issuer calls them.
    pub subject: String,
    /// Whose it is.
    pub user: UserId,
    /// The address the issuer had verified when they first came.
    pub email: Option<String>,
    /// When it was linked.
    pub created_at: Time,
}

/// Why a token is not taken. Nobody outside is told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no access token of this issuer's for us.
    #[error("not an access token of the issuer's for us")]
    Foreign,
    /// It names a key that is not among the known ones: the issuer may have a new one.
    #[error("signed by a key that is not known")]
    UnknownKey,
    /// It is not signed by the key it names.
    #[error("the signature is wrong")]
    Forged,
    /// Its time is over, or has not come.
    #[error("out of its time")]
    Untimely,
}

/// The parts of a token, decoded and not yet believed.
pub(crate) struct Parts<'t> {
    pub(crate) head: Map<String, Value>,
    claims: Map<String, Value>,
    message: &'t str,
    signature: &'t str,
}

impl<'t> Parts<'t> {
    pub(crate) fn read(token: &'t [u8]) -> Option<Self> {
        let token = str::from_utf8(token).ok().filter(|token| token.len() <= LONGEST_TOKEN)?;
        let (message, signature) = token.rsplit_once('.')?;
        let (head, claims) = message.split_once('.')?;
        let object = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let (Members(head), Members(claims)) = (object(head)?, object(claims)?);
        Some(Self { head, claims, message, signature })
    }
}

/// An object that names nothing twice: of two values readers of the same token would believe different ones (RFC 7515,
/// 4; RFC 7519, 4).
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Members, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = all.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name stands there twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each)
    }
}

/// Whose token this claims to be. Nothing about it has been checked: it only says which issuer's rules to hold it to.
#[must_use]
pub fn claimed_issuer(token: &[u8]) -> Option<String> {
    match Parts::read(token)?.claims.remove("iss")? {
        Value::String(issuer) => Some(issuer),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Checks a token against an issuer's rules and the keys it has published.
///
/// # Errors
/// Why it is not taken.
pub fn verify(token: &[u8], keys: &Keys, issuer: &Issuer, now: Time) -> Result<Identity, Refused> {
    let Parts { head, claims, message, signature } = Parts::read(token).ok_or(Refused::Foreign)?;
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    let algorithm = text("alg").and_then(algorithm).filter(|named| issuer.algorithms.contains(named));
    // What `crit` names would have to be understood (RFC 7515, 4.1.11), and nothing of the sort is.
    let is_plain = !head.contains_key("crit") && text("typ").is_some_and(|typ| is_type(typ, &issuer.types));
    let (algorithm, kid) = algorithm.zip(text("kid")).filter(|_| is_plain).ok_or(Refused::Foreign)?;
    if !keys.knows(kid) {
        return Err(Refused::UnknownKey);
    }
    let key = keys.find(kid, algorithm).ok_or(Refused::Foreign)?;
    let holds = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.verify, algorithm);
    if !matches!(holds, Ok(true)) {
        return Err(Refused::Forged);
    }
    read(&claims, issuer, now)
}

/// Whether a type is one of these, in the short form or the long one (RFC 7515, 4.1.9).
fn is_type(typ: &str, types: &[String]) -> bool {
    let long =
        typ.split_at_checked("application/".len()).filter(|(start, _)| start.eq_ignore_ascii_case("application/"));
    let short = long.map_or(typ, |(_, rest)| rest);
    types.iter().any(|known| known.eq_ignore_ascii_case(short))
}

/// What the claims of a rightly signed token come to.
fn read(claims: &Map<String, Value>, issuer: &Issuer, now: Time) -> Result<Identity, Refused> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is_other = OTHER_KINDS.iter().any(|name| claims.contains_key(*name));
    // Keycloak says in a claim of its own whether a token is an ID token.
    let is_access = claims.get("typ").is_none_or(|typ| {
        typ.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("Bearer") || is_type(typ, &issuer.types))
    });
    let is_meant = text("iss") == Some(&issuer.url) && is_for(claims.get("aud"), &issuer.audience);
    let subject = text("sub").filter(|subject| is_subject(subject)).ok_or(Refused::Foreign)?;
    if is_other || !is_access || !is_meant {
        return Err(Refused::Foreign);
    }
    let ends = time(claims, "exp")?.ok_or(Refused::Foreign)?;
    let begins = time(claims, "nbf")?.max(time(claims, "iat")?);
    if now >= ends.after(LEEWAY) || begins.is_some_and(|begins| begins > now.after(LEEWAY)) {
        return Err(Refused::Untimely);
    }
    let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    Ok(Identity {
        subject: subject.to_owned(),
        email: text("email").filter(|_| is_verified).and_then(normal_email),
        account: account(claims, &issuer.account_claim)?,
    })
}

/// Whether a text can be a subject.
#[must_use]
pub fn is_subject(text: &str) -> bool {
    (1..=LONGEST_SUBJECT).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether a token is for one of these: `aud` is a text or a list of texts (RFC 7519, 4.1.3).
fn is_for(aud: Option<&Value>, ours: &[String]) -> bool {
    let is_ours = |one: &str| ours.iter().any(|our| our == one);
    match aud {
        Some(Value::String(one)) => is_ours(one),
        Some(Value::Array(all)) => {
            all.iter().all(Value::is_string) && all.iter().filter_map(Value::as_str).any(is_ours)
        }
        _ => false,
    }
}

/// A claim in seconds since the Unix epoch, which may have a fraction (RFC 7519, 2).
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Time>, Refused> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_i64().or_else(|| whole_seconds(value.as_f64()?));
    let seconds = whole.filter(|seconds| (0..=LATEST_SECOND).contains(seconds)).ok_or(Refused::Foreign)?;
    Ok(Some(Time::from_millis(seconds * 1_000)))
}

/// The year 9999: later is nobody's time, and likelier milliseconds.
const LATEST_SECOND: i64 = 253_402_300_799;

fn whole_seconds(seconds: f64) -> Option<i64> {
    // Digits are cut off rather than a float converted, which has edges of its own.
    format!("{:.0}", seconds.trunc()).parse().ok()
}

/// The account a token names, where the issuer has a claim for it: a text, or a list of just one.
fn account(claims: &Map<String, Value>, path: &[String]) -> Result<Option<String>, Refused> {
    let Some((first, rest)) = path.split_first() else { return Ok(None) };
    let value = rest.iter().try_fold(claims.get(first), |value, step| match value {
        None => Ok(None),
        Some(Value::Object(fields)) => Ok(fields.get(step)),
        Some(_) => Err(Refused::Foreign),
    })?;
    let named = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(name)) => name,
        Some(Value::Array(all)) => match all.as_slice() {
            [Value::String(name)] => name,
            _ => return Err(Refused::Foreign),
        },
        Some(_) => return Err(Refused::Foreign),
    };
    if is_subject(named) { Ok(Some(named.clone())) } else { Err(Refused::Foreign) }
}

#[cfg(test)]
mod tests;
