//! Rows to test with, every field different from every other, so that no two can be mistaken for each other.

use keywright_core::account::{Account, CustomerType, Profile, Standing, Subscription, User};
use keywright_core::audit::AuditRow;
use keywright_core::id::{AccountId, KeyId, UserId};
use keywright_core::key::{Key, LastUse, Metadata, Refill, Secret};
use keywright_core::limit::RateLimit;
use keywright_core::secret::{Digest, Form, Making};
use keywright_core::time::{Span, Time};
use keywright_store::{Db, accounts, keys, secrets};

pub(crate) fn at(seconds: i64) -> Time {
    Time::from_millis(1_795_000_000_000 + seconds * 1_000)
}

pub(crate) fn account_id(number: u128) -> AccountId {
    AccountId::from_bits(number)
}

pub(crate) fn key_id(number: u128) -> KeyId {
    KeyId::from_bits(number)
}

pub(crate) fn digest(number: u64) -> Digest {
    let mut bytes = [0; 32];
    // Spread over the whole range, as keyed digests are.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Digest::from_slice(&bytes).unwrap()
}

pub(crate) fn metadata(text: &str) -> Metadata {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn account(number: u128) -> Account {
    Account {
        id: account_id(number),
        name: format!("account {number}"),
        standing: Standing::Active,
        profile: Profile {
            email: format!("account{number}@example.com"),
            email_verified: true,
            first_name: "Kristen".into(),
            last_name: "Nygaard".into(),
            company: "Simula Research Laboratory".into(),
            customer_type: CustomerType::Business,
        },
        subscription: Subscription::Trialing,
        credits: -7,
        metadata: metadata(r#"{"plan":"gold","seats":3}"#),
        created_at: at(1),
        updated_at: at(2),
        version: 1,
    }
}

pub(crate) fn user(number: u128) -> User {
    let id = UserId::from_bits(number);
    User { email_verified_at: Some(at(4)), ..User::new(id, Some(format!("person{number}@example.com")), at(3)) }
}

/// A key with every field filled.
pub(crate) fn key(number: u128, account: u128) -> Key {
    Key {
        id: key_id(number),
        account: account_id(account),
        kind: "service".into(),
        name: format!("key {number}"),
        description: "for the nightly job, “π”".into(),
        environment: Some("live".into()),
        role: Some("developer".into()),
        services: vec!["llm".into(), "storage".into()],
        permissions: vec!["keys:read".into(), "usage:read".into()],
        ip_allowlist: "203.0.113.0/24,2001:db8::1".parse().unwrap(),
        expires_at: Some(at(1_000)),
        credits: Some(100),
        refill: Some(Refill { amount: 500, every: Span::days(30) }),
        refill_at: Some(at(2_000)),
        ratelimits: vec![RateLimit { name: "requests".into(), limit: 60, window: Span::minutes(1) }],
        metadata: metadata(r#"{"team":"payments"}"#),
        enabled: true,
        revoked_at: None,
        prefix: format!("kw_live_{number}"),
        last_four: "w3Xy".into(),
        created_by: "key:key_00000000000000000000000001".into(),
        created_at: at(10),
        updated_at: at(11),
        rotated_at: Some(at(12)),
        last_use: Some(LastUse { at: at(13), ip: Some("203.0.113.9".into()), user_agent: Some("curl/8".into()) }),
        version: 1,
    }
}

/// A key with every field that may be empty left so.
pub(crate) fn bare_key(number: u128, account: u128) -> Key {
    Key {
        environment: None,
        role: None,
        services: Vec::new(),
        permissions: Vec::new(),
        ip_allowlist: keywright_core::ip::IpAllowlist::everywhere(),
        expires_at: None,
        credits: None,
        refill: None,
        refill_at: None,
        ratelimits: Vec::new(),
        metadata: Metadata::default(),
        enabled: false,
        revoked_at: Some(at(14)),
        last_four: String::new(),
        rotated_at: None,
        last_use: None,
        ..key(number, account)
    }
}

pub(crate) fn secret(number: u64, key: u128) -> Secret {
    Secret {
        key: key_id(key),
        digest: digest(number),
        making: Making { pepper: 1, form: Form::Plain },
        prefix: format!("kw_live_{number}"),
        last_four: "w3Xy".into(),
        created_at: at(i64::try_from(number).unwrap()),
        expires_at: None,
    }
}

pub(crate) fn audit_row(seq: i64) -> AuditRow {
    AuditRow {
        seq,
        at: at(seq),
        actor: "key:key_00000000000000000000000001".into(),
        action: "key.create".into(),
        target: format!("key_{seq}"),
        account: Some(account_id(7)),
        request_id: Some(format!("req_{seq}")),
        detail: r#"{"name":"a"}"#.into(),
        link: [u8::try_from(seq).unwrap(); 32],
    }
}

/// An account 1 with a key 1 that has a secret 1.
pub(crate) async fn with_key(db: &Db) -> Key {
    let mut tx = db.begin().await.unwrap();
    accounts::insert_account(&mut tx, &account(1)).await.unwrap();
    keys::insert_key(&mut tx, &key(1, 1)).await.unwrap();
    secrets::insert_secret(&mut tx, &secret(1, 1)).await.unwrap();
    tx.commit().await.unwrap();
    key(1, 1)
}

/// Accounts 1 to `count`.
pub(crate) async fn with_accounts(db: &Db, count: u128) {
    let mut tx = db.begin().await.unwrap();
    for number in 1..=count {
        accounts::insert_account(&mut tx, &account(number)).await.unwrap();
    }
    tx.commit().await.unwrap();
}
