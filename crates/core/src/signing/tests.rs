//! Tokens as somebody could forge them: every confusion there is, and every key's own algorithm.

use serde_json::{Value, json};

use super::*;
use crate::id::{AccountId, SessionId, UserId};
use crate::session::tests::{ISSUER, NOW, session};
use crate::session::{Claims, Session, TOKEN_LIFE, verify};

fn key(seed: u8) -> Arc<SigningKey> {
    key_of(seed, Algorithm::EdDSA)
}

fn key_of(seed: u8, algorithm: Algorithm) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(&[seed; 32], algorithm, NOW).unwrap())
}

fn claims() -> Value {
    serde_json::to_value(Claims::of(&session(), ISSUER, NOW)).unwrap()
}

fn header(of: &SigningKey) -> Value {
    json!({ "alg": of.algorithm.name(), "typ": TYPE, "kid": of.kid })
}

/// A token as somebody who knows the key could make it: any header, any claims, a right signature.
fn forge(by: &SigningKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &by.sign, by.algorithm.of_library()).unwrap();
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
    let mut null = header(&key(1));
    null["crit"] = Value::Null;
    assert_eq!(check(&forge(&key(1), &null, &claims())), Err(Refused::Foreign));
    let token = forge(&key(1), &header(&key(1)), &claims());
    assert!(check(&token).is_ok());
    let unsigned = with(header(&key(1)), "alg", json!("none"));
    let message = forge(&key(1), &unsigned, &claims());
    assert_eq!(check(&message[..=message.rfind('.').unwrap()]), Err(Refused::Foreign));
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let public = key(1).jwk().unwrap()["x"].as_str().map(|x| URL_SAFE_NO_PAD.decode(x).unwrap()).unwrap();
    let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
    (header.typ, header.kid) = (Some(TYPE.into()), Some(key(1).kid.clone()));
    let token = encode(&header, &claims(), &EncodingKey::from_secret(&public)).unwrap();
    assert_eq!(check(&token), Err(Refused::Foreign));
}

#[test]
fn a_key_a_token_brings_along_is_not_its_key() {
    let mut brought = header(&key(1));
    brought["jwk"] = key(3).jwk().unwrap().clone();
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
fn a_token_lives_as_long_as_one_of_its_sort_and_from_when_it_says() {
    let (iat, exp) = (NOW.millis() / 1_000, NOW.after(TOKEN_LIFE).millis() / 1_000);
    for (field, value, expected) in [
        ("exp", json!(exp), Ok(())),
        ("exp", json!(exp + 1), Err(Refused::Foreign)),
        ("exp", json!(i64::MAX), Err(Refused::Foreign)),
        ("iat", json!(i64::MIN), Err(Refused::Foreign)),
        ("nbf", json!(iat + 5), Ok(())),
        ("nbf", json!(iat + 6), Err(Refused::Untimely)),
        ("nbf", json!("soon"), Err(Refused::Foreign)),
    ] {
        let token = forge(&key(1), &header(&key(1)), &with(claims(), field, value.clone()));
        assert_eq!(check(&token).map(drop), expected, "{field}: {value}");
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

#[test]
fn a_key_checks_by_its_own_algorithm_whatever_a_token_names() {
    let keys = Algorithm::ALL.map(|algorithm| key_of(7, algorithm));
    for by in &keys {
        let token = by.sign(&Claims::of(&session(), ISSUER, NOW)).unwrap();
        assert!(verify(token.as_bytes(), &keys, ISSUER, NOW).is_ok(), "{by:?}");
        for other in keys.iter().filter(|other| other.algorithm != by.algorithm) {
            // One key's signature under another's name, and another's algorithm under one key's name.
            for (kid, alg) in [(&other.kid, by.algorithm), (&other.kid, other.algorithm), (&by.kid, other.algorithm)] {
                let header = json!({ "alg": alg.name(), "typ": TYPE, "kid": kid });
                let forged = forge(by, &header, &claims());
                let refused = verify(forged.as_bytes(), &keys, ISSUER, NOW).unwrap_err();
                assert_ne!(refused, Refused::Untimely, "{by:?} as {other:?}");
            }
        }
    }
    let secret = &keys[2];
    assert!(secret.jwk().is_none() && secret.kid != URL_SAFE_NO_PAD.encode([7; 32]));
}

#[test]
fn a_key_retires_when_another_of_its_algorithm_has_taken_its_place() {
    let later = NOW.after(Span::days(1));
    let next = Arc::new(SigningKey::from_seed(&[2; 32], Algorithm::EdDSA, later).unwrap());
    let keys = [Arc::clone(&next), key(1), key_of(3, Algorithm::Es256)];
    assert_eq!(keys.each_ref().map(|key| key.retires_at(&keys)), [None, Some(later.after(RETIRES_AFTER)), None]);
    let made = Session { expires_at: later.after(Span::days(9)), ..session() };
    let token = key(1).sign(&Claims::of(&made, ISSUER, later)).unwrap();
    let at = |time| verify(token.as_bytes(), &keys, ISSUER, time);
    assert!(at(later.after(Span::minutes(59))).is_ok(), "nobody is logged out");
    // One it goes on signing with, wherever that is, is worth nothing then.
    let token = key(1).sign(&Claims::of(&made, ISSUER, later.after(Span::minutes(60)))).unwrap();
    assert_eq!(verify(token.as_bytes(), &keys, ISSUER, later.after(RETIRES_AFTER)), Err(Refused::Foreign));
}
