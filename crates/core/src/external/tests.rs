//! Forged tokens, one for each way to confuse whoever checks them.

use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::json;

use super::*;
use crate::policy::Policy;

const NOW: Time = Time::from_millis(1_795_000_000_000);
const SECOND: i64 = 1_795_000_000;
const URL: &str = "https://id.example/realms/main";
/// What comes before an Ed25519 seed, and before a P-256 scalar, in PKCS #8.
const ED_HEAD: &str = "MC4CAQAwBQYDK2VwBCIEIA";
const EC_HEAD: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
];

/// A key of the issuer's: what signs, and what it publishes.
struct Pair {
    sign: EncodingKey,
    algorithm: Algorithm,
    jwk: Value,
}

impl Pair {
    fn ed(seed: u8, kid: &str) -> Self {
        let head = URL_SAFE_NO_PAD.decode(ED_HEAD).unwrap();
        Self::new(EncodingKey::from_ed_der(&[head, vec![seed; 32]].concat()), Algorithm::EdDSA, kid)
    }

    fn ec(seed: u8, kid: &str) -> Self {
        let der = [EC_HEAD.as_slice(), &[seed; 32]].concat();
        Self::new(EncodingKey::from_ec_der(&der), Algorithm::ES256, kid)
    }

    fn new(sign: EncodingKey, algorithm: Algorithm, kid: &str) -> Self {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&sign, algorithm).unwrap()).unwrap();
        let more = [("kid", kid), ("use", "sig")].map(|(name, value)| (name.to_owned(), json!(value)));
        jwk.as_object_mut().unwrap().extend(more);
        Self { sign, algorithm, jwk }
    }

    fn header(&self) -> Value {
        let name = ALGORITHMS.into_iter().find(|(_, algorithm)| *algorithm == self.algorithm).unwrap().0;
        json!({ "alg": name, "typ": "at+jwt", "kid": self.jwk["kid"] })
    }

    /// A token with any header and any claims, rightly signed.
    fn forge(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.sign, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    fn token(&self, claims: &Value) -> String {
        self.forge(&self.header(), claims)
    }
}

fn keys(all: &[&Pair]) -> Keys {
    let set = json!({ "keys": all.iter().map(|pair| pair.jwk.clone()).collect::<Vec<_>>() });
    Keys::parse(set.to_string().as_bytes()).unwrap()
}

fn issuer(more: &str) -> Issuer {
    let text = format!(
        "[kind.default]\nformat = \"kw_{{secret:26}}\"\n[issuer.main]\nurl = \"{URL}\"\naudience = [\"keywright\", \"kw\"]\n{more}"
    );
    Policy::parse(&text).unwrap_or_else(|errors| panic!("{errors:?}")).issuer(URL).unwrap().clone()
}

fn claims() -> Value {
    json!({ "iss": URL, "aud": "keywright", "sub": "ann", "iat": SECOND, "exp": SECOND + 300 })
}

fn with(mut value: Value, field: &str, to: Value) -> Value {
    value[field] = to;
    value
}

fn without(mut value: Value, field: &str) -> Value {
    value.as_object_mut().unwrap().remove(field);
    value
}

fn check(token: &str) -> Result<Identity, Refused> {
    let keys = keys(&[&Pair::ed(1, "one"), &Pair::ed(2, "two"), &Pair::ec(3, "three")]);
    verify(token.as_bytes(), &keys, &issuer(""), NOW)
}

#[test]
fn a_token_says_who_somebody_is() {
    let ann = Identity { subject: "ann".into(), email: None, account: None };
    for pair in [Pair::ed(1, "one"), Pair::ec(3, "three")] {
        let token = pair.token(&claims());
        assert_eq!(check(&token), Ok(ann.clone()));
        assert_eq!(claimed_issuer(token.as_bytes()).as_deref(), Some(URL));
    }
    for aud in [json!("kw"), json!(["kw"]), json!(["another", "keywright"])] {
        assert_eq!(check(&Pair::ed(1, "one").token(&with(claims(), "aud", aud))), Ok(ann.clone()));
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let header = with(Pair::ed(1, "one").header(), "typ", json!(typ));
        assert_eq!(check(&Pair::ed(1, "one").forge(&header, &claims())), Ok(ann.clone()));
    }
}

#[test]
fn the_issuer_names_algorithm_and_type_and_the_token_does_not() {
    let one = Pair::ed(1, "one");
    for (field, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("alg", json!("ES256")),
        ("alg", json!("ES384")),
        ("alg", json!(["EdDSA"])),
        ("alg", Value::Null),
        ("typ", json!("JWT")),
        ("typ", json!("id+jwt")),
        ("typ", json!("ID")),
        ("typ", json!("text/at+jwt")),
        ("typ", Value::Null),
        ("kid", Value::Null),
        ("kid", json!(1)),
        ("crit", json!(["exp"])),
        ("crit", Value::Null),
    ] {
        let token = one.forge(&with(one.header(), field, value.clone()), &claims());
        assert_eq!(check(&token), Err(Refused::Foreign), "{field}: {value}");
    }
    let token = one.token(&claims());
    let set = keys(&[&one]);
    let under = |more: &str| verify(token.as_bytes(), &set, &issuer(more), NOW).map(drop);
    assert_eq!(under("algorithms = [\"RS256\", \"ES256\"]"), Err(Refused::Foreign));
    assert_eq!(under("types = [\"JWT\"]"), Err(Refused::Foreign));
    assert_eq!(under("algorithms = [\"EdDSA\"]\ntypes = [\"JWT\", \"at+jwt\"]"), Ok(()));
}

#[test]
fn an_unsigned_token_is_none() {
    let one = Pair::ed(1, "one");
    let unsigned = one.forge(&with(one.header(), "alg", json!("none")), &claims());
    assert_eq!(check(&unsigned[..=unsigned.rfind('.').unwrap()]), Err(Refused::Foreign));
    let cut = one.token(&claims());
    assert_eq!(check(&cut[..=cut.rfind('.').unwrap()]), Err(Refused::Forged));
    assert_eq!(check(&cut[..cut.rfind('.').unwrap()]), Err(Refused::Foreign));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let one = Pair::ed(1, "one");
    let public = URL_SAFE_NO_PAD.decode(one.jwk["x"].as_str().unwrap()).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&with(one.header(), "alg", json!("HS256"))), part(&claims()));
    for secret in [public.as_slice(), one.jwk["x"].as_str().unwrap().as_bytes(), one.jwk.to_string().as_bytes()] {
        let key = EncodingKey::from_secret(secret);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(check(&format!("{message}.{signature}")), Err(Refused::Foreign));
    }
}

#[test]
fn a_shared_secret_among_the_keys_is_passed_over() {
    let secret = json!({ "kty": "oct", "kid": "one", "k": "c2VjcmV0", "alg": "HS256" });
    assert_eq!(Keys::parse(json!({ "keys": [secret] }).to_string().as_bytes()).unwrap().count(), 0);
}

#[test]
fn a_key_a_token_brings_along_is_not_its_key() {
    let (mine, evil) = (Pair::ed(1, "one"), Pair::ed(9, "one"));
    for (field, value) in [
        ("jwk", evil.jwk.clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/chain.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
    ] {
        let header = with(mine.header(), field, value);
        assert_eq!(check(&evil.forge(&header, &claims())), Err(Refused::Forged), "{field}");
        assert!(check(&mine.forge(&header, &claims())).is_ok(), "{field} is not looked at");
    }
    assert_eq!(check(&Pair::ed(2, "two").forge(&mine.header(), &claims())), Err(Refused::Forged));
    assert_eq!(check(&Pair::ed(4, "four").token(&claims())), Err(Refused::UnknownKey));
}

#[test]
fn a_key_signs_only_what_it_is_meant_for() {
    let one = Pair::ed(1, "one");
    let ec = Pair::ec(3, "one");
    for (pair, field, value, taken) in [
        (&one, "use", json!("sig"), true),
        (&one, "use", json!("enc"), false),
        (&one, "use", json!(7), false),
        (&one, "key_ops", json!(["verify"]), true),
        (&one, "key_ops", json!(["sign"]), false),
        (&one, "key_ops", json!([]), false),
        (&one, "alg", json!("EdDSA"), true),
        (&one, "alg", json!("ES256"), false),
        (&one, "alg", json!("HS256"), false),
        (&one, "alg", json!("none"), false),
        (&one, "kty", json!("RSA"), false),
        (&one, "kty", json!("EC"), false),
        (&one, "crv", json!("X25519"), false),
        (&one, "crv", json!("Ed448"), false),
        (&one, "kid", json!("another"), false),
        (&ec, "alg", json!("ES256"), true),
        (&ec, "alg", json!("ES384"), false),
        (&ec, "crv", json!("P-384"), false),
        (&ec, "crv", json!("secp256k1"), false),
        (&ec, "kty", json!("OKP"), false),
    ] {
        let set = json!({ "keys": [with(pair.jwk.clone(), field, value.clone())] });
        let set = Keys::parse(set.to_string().as_bytes()).unwrap();
        let found = verify(pair.token(&claims()).as_bytes(), &set, &issuer(""), NOW);
        assert_eq!(found.is_ok(), taken, "{field}: {value} {found:?}");
    }
    // Two keys may share an id where they are of different sorts (RFC 7517, 4.5).
    let both = keys(&[&ec, &one]);
    for pair in [&ec, &one] {
        assert!(verify(pair.token(&claims()).as_bytes(), &both, &issuer(""), NOW).is_ok());
    }
}

#[test]
fn weak_keys_and_what_is_no_set_of_keys_are_refused() {
    let rsa =
        |bytes: usize| json!({ "kty": "RSA", "kid": "r", "n": URL_SAFE_NO_PAD.encode(vec![0xc1; bytes]), "e": "AQAB" });
    let count = |keys: Value| Keys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap().count();
    assert_eq!((count(json!([rsa(255)])), count(json!([rsa(256)]))), (0, 1));
    let padded = json!({ "kty": "RSA", "kid": "r", "n": URL_SAFE_NO_PAD.encode([vec![0; 200], vec![0xc1; 128]].concat()), "e": "AQAB" });
    assert_eq!(count(json!([padded, {}, 7, null, { "kty": "RSA" }, rsa(256)])), 1);
    for wrong in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":null}", "<html>"] {
        assert!(Keys::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn every_claim_is_there_and_of_its_type() {
    let one = Pair::ed(1, "one");
    for (field, value) in [
        ("iss", json!("https://id.example/realms/other")),
        ("iss", json!("https://id.example/realms/main/")),
        ("iss", json!("https://ID.example/realms/main")),
        ("iss", json!([URL])),
        ("aud", json!("another")),
        ("aud", json!("keywright2")),
        ("aud", json!("")),
        ("aud", json!([])),
        ("aud", json!(["keywright", 7])),
        ("aud", json!([["keywright"]])),
        ("aud", json!({ "keywright": true })),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!(["ann"])),
        ("sub", json!("ann\n")),
        ("sub", json!("a".repeat(256))),
        ("exp", json!("1895000000")),
        ("exp", json!(null)),
        ("exp", json!(1e300)),
        ("exp", json!(-1)),
        ("exp", json!(u64::MAX)),
        ("exp", json!([SECOND + 300])),
        ("nbf", json!("1795000000")),
        ("iat", json!("1795000000")),
        ("iat", json!(true)),
    ] {
        let token = one.token(&with(claims(), field, value.clone()));
        assert_eq!(check(&token), Err(Refused::Foreign), "{field}: {value}");
    }
    for field in ["iss", "aud", "sub", "exp"] {
        assert_eq!(check(&one.token(&without(claims(), field))), Err(Refused::Foreign), "without {field}");
    }
    for claims in [json!([]), json!("x"), json!(null)] {
        assert_eq!(check(&one.token(&claims)), Err(Refused::Foreign), "{claims}");
    }
}

#[test]
fn an_id_token_and_one_bound_to_a_key_are_no_access_tokens() {
    let one = Pair::ed(1, "one");
    let lenient = issuer("types = [\"at+jwt\", \"JWT\"]");
    let header = with(one.header(), "typ", json!("JWT"));
    let said = |claims: &Value| verify(one.forge(&header, claims).as_bytes(), &keys(&[&one]), &lenient, NOW).map(drop);
    assert_eq!(said(&claims()), Ok(()));
    assert_eq!(said(&with(claims(), "typ", json!("Bearer"))), Ok(()));
    for (field, value) in [
        ("nonce", json!("n-0S6_WzA2Mj")),
        ("nonce", Value::Null),
        ("at_hash", json!("x")),
        ("c_hash", json!("x")),
        ("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })),
        ("cnf", json!({ "jkt": "x" })),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!("DPoP")),
        ("typ", json!(7)),
    ] {
        assert_eq!(said(&with(claims(), field, value.clone())), Err(Refused::Foreign), "{field}: {value}");
    }
}

#[test]
fn time_is_ours_give_or_take_five_seconds() {
    let one = Pair::ed(1, "one");
    for (claims, offset, said) in [
        (json!({ "exp": SECOND }), 4, Ok(())),
        (json!({ "exp": SECOND }), 5, Err(Refused::Untimely)),
        (json!({ "exp": SECOND - 300 }), 0, Err(Refused::Untimely)),
        (json!({ "iat": SECOND + 5 }), 0, Ok(())),
        (json!({ "iat": SECOND + 6 }), 0, Err(Refused::Untimely)),
        (json!({ "nbf": SECOND + 5 }), 0, Ok(())),
        (json!({ "nbf": SECOND + 6 }), 0, Err(Refused::Untimely)),
        (json!({ "nbf": SECOND + 6, "iat": SECOND }), 0, Err(Refused::Untimely)),
        (json!({ "exp": 1_795_000_000.9 }), 4, Ok(())),
        (json!({ "exp": 1_795_000_000.9 }), 5, Err(Refused::Untimely)),
    ] {
        let mut all = self::claims();
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let now = NOW.after(Span::seconds(offset));
        let found = verify(one.token(&all).as_bytes(), &keys(&[&one]), &issuer(""), now).map(drop);
        assert_eq!(found, said, "{claims} {offset}");
    }
}

#[test]
fn an_address_counts_only_where_the_issuer_verified_it() {
    let one = Pair::ed(1, "one");
    for (verified, email, said) in [
        (json!(true), json!(" Ann@Example.com"), Some("ann@example.com")),
        (json!(true), json!("ann"), None),
        (json!(true), json!(7), None),
        (json!(false), json!("ann@example.com"), None),
        (json!("true"), json!("ann@example.com"), None),
        (Value::Null, json!("ann@example.com"), None),
    ] {
        let token = one.token(&with(with(claims(), "email", email), "email_verified", verified));
        assert_eq!(check(&token).unwrap().email.as_deref(), said);
    }
}

#[test]
fn an_account_is_named_where_the_policy_says() {
    let one = Pair::ed(1, "one");
    let main = issuer("account_claim = \"realm.org\"");
    let said = |realm: Value| {
        let token = one.token(&with(claims(), "realm", realm));
        verify(token.as_bytes(), &keys(&[&one]), &main, NOW).map(|identity| identity.account)
    };
    assert_eq!(said(json!({ "org": "acme" })), Ok(Some("acme".into())));
    assert_eq!(said(json!({ "org": ["acme"] })), Ok(Some("acme".into())));
    for none in [json!({}), json!({ "org": null })] {
        assert_eq!(said(none), Ok(None));
    }
    for wrong in [json!("acme"), json!(null), json!({ "org": 7 }), json!({ "org": [] }), json!({ "org": ["a", "b"] })] {
        assert_eq!(said(wrong.clone()), Err(Refused::Foreign), "{wrong}");
    }
    assert_eq!(said(json!({ "org": "" })), Err(Refused::Foreign));
    assert_eq!(verify(one.token(&claims()).as_bytes(), &keys(&[&one]), &main, NOW).unwrap().account, None);
    let unasked = one.token(&with(claims(), "realm", json!({ "org": "acme" })));
    assert_eq!(check(&unasked).unwrap().account, None);
}

#[test]
fn a_changed_byte_is_seen_anywhere_and_nothing_longer_is_looked_at() {
    let one = Pair::ed(1, "one");
    let token = one.token(&claims());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(check(str::from_utf8(&bytes).unwrap()).is_err(), "at {at}");
    }
    let padded = |length: usize| one.token(&with(claims(), "pad", json!("x".repeat(length))));
    assert!(padded(5_900).len() <= LONGEST_TOKEN && check(&padded(5_900)).is_ok());
    let long = padded(6_100);
    assert!(long.len() > LONGEST_TOKEN);
    assert_eq!((check(&long), claimed_issuer(long.as_bytes())), (Err(Refused::Foreign), None));
    for wrong in ["", ".", "..", "...", "a.b.c", "\u{e9}.e30.", "e30.e30.e30.e30"] {
        assert_eq!(check(wrong), Err(Refused::Foreign), "{wrong}");
    }
}

#[test]
fn a_discovery_document_is_the_issuers_own_and_names_a_safe_place() {
    let main = issuer("");
    assert_eq!(main.discovery_url(), "https://id.example/realms/main/.well-known/openid-configuration");
    let said = |issuer: &str, keys: &str| {
        main.keys_url(json!({ "issuer": issuer, "jwks_uri": keys, "more": 1 }).to_string().as_bytes())
    };
    assert_eq!(said(URL, "https://keys.example/jwks"), Ok("https://keys.example/jwks".into()));
    for (issuer, keys) in [
        ("https://id.example/realms/main/", "https://id.example/jwks"),
        ("https://evil.example", "https://id.example/jwks"),
        (URL, "http://id.example/jwks"),
        (URL, "http://127.0.0.1/jwks"),
        (URL, "file:///etc/passwd"),
        (URL, "https://ann@id.example/jwks"),
    ] {
        assert!(said(issuer, keys).is_err(), "{issuer} {keys}");
    }
    let local = Issuer { url: "http://127.0.0.1:9000/".into(), ..main.clone() };
    assert_eq!(local.discovery_url(), "http://127.0.0.1:9000/.well-known/openid-configuration");
    let document = json!({ "issuer": local.url, "jwks_uri": "http://127.0.0.1:9000/jwks" });
    assert!(local.keys_url(document.to_string().as_bytes()).is_ok());
    for wrong in ["", "{}", "<html>", "{\"issuer\":\"https://id.example/realms/main\"}"] {
        assert!(main.keys_url(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
