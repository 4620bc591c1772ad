//! Any bytes as an access token of ours, and our own with any of its text changed: refused without a panic, and never
//! taken for what we did not sign.
#![no_main]

use std::sync::{Arc, LazyLock};

use keywright_core::exchange::Exchanged;
use keywright_core::id::{AccountId, SessionId, UserId};
use keywright_core::session::{Claims, verify};
use keywright_core::signing::{Algorithm, SigningKey, looks_like_a_token, read};
use keywright_core::time::Time;
use libfuzzer_sys::fuzz_target;

const NOW: Time = Time::from_millis(1_795_000_000_000);
const ISSUER: &str = "https://keys.example";

static KEYS: LazyLock<[Arc<SigningKey>; 3]> = LazyLock::new(|| {
    Algorithm::ALL.map(|algorithm| Arc::new(SigningKey::from_seed(&[7; 32], algorithm, NOW).expect("it is a key")))
});

fn claims() -> Claims {
    Claims {
        iss: ISSUER.into(),
        aud: ISSUER.into(),
        sub: UserId::from_bits(1),
        sid: SessionId::from_bits(2),
        account_id: AccountId::from_bits(3),
        iat: 1_795_000_000,
        exp: 1_795_003_600,
    }
}

static OURS: LazyLock<[Vec<u8>; 3]> =
    LazyLock::new(|| KEYS.each_ref().map(|key| key.sign(&claims()).expect("it signs").into_bytes()));

fuzz_target!(|data: &[u8]| {
    let _ = looks_like_a_token(data);
    assert!(verify(data, KEYS.as_slice(), ISSUER, NOW).is_err() || OURS.iter().any(|ours| same(ours, data)));
    assert!(read::<Exchanged>(data, KEYS.as_slice(), ISSUER, None, NOW).is_err());
    let Some((which, place, rest)) = data.split_first_chunk::<3>().map(|([which, high, low], rest)| {
        (usize::from(*which) % OURS.len(), usize::from(u16::from_be_bytes([*high, *low])), rest)
    }) else {
        return;
    };
    // Ours with some of it replaced, cut off or added to.
    let ours = &OURS[which];
    let at = place % ours.len();
    let mut changed = ours[..at].to_vec();
    changed.extend(rest);
    changed.extend(ours.get(at + rest.len()..).unwrap_or_default());
    if let Ok(said) = verify(&changed, KEYS.as_slice(), ISSUER, NOW) {
        assert_eq!(said, claims());
        assert!(same(ours, &changed));
    }
});

/// Whether a token says what ours says: its header and claims letter for letter. An ECDSA signature has two spellings.
fn same(ours: &[u8], other: &[u8]) -> bool {
    let message = |token: &[u8]| token.iter().rposition(|byte| *byte == b'.').map(|end| token[..end].to_vec());
    message(ours) == message(other)
}
