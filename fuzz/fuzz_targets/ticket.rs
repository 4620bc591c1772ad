//! Any text as a refresh token, a ticket, a code or an id: read without a panic, in one spelling, and proved only where it
//! was made here.
#![no_main]

use std::sync::LazyLock;

use keywright_core::id::SessionId;
use keywright_core::proof::ProofKey;
use keywright_core::refresh::{self, SALT_BYTES, Shown};
use keywright_core::ticket::{Good, Ticket, ticket};
use keywright_core::time::Time;
use keywright_core::totp::{Code, Secret, normal_backup_code};
use libfuzzer_sys::fuzz_target;

const NOW: Time = Time::from_millis(1_795_000_000_000);
const SALT: &[u8] = &[3; SALT_BYTES];

static KEY: LazyLock<ProofKey> = LazyLock::new(|| ProofKey::new(&[7; 32]));
static REFRESH: LazyLock<String> =
    LazyLock::new(|| refresh::token(&KEY, SessionId::from_bits(5), SALT, 12).reveal().to_owned());
static TICKETS: LazyLock<[(Good, String); 4]> = LazyLock::new(|| {
    [Good::LogIn, Good::VerifyEmail, Good::ResetPassword, Good::Join]
        .map(|good| (good, ticket(&KEY, good, 6, "bound", NOW).0.reveal().to_owned()))
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    all_of(text);
    // What is ours with some of it replaced.
    let Some((first, rest)) = text.split_at_checked(1) else { return };
    let at = usize::from(first.as_bytes()[0]);
    for ours in std::iter::once(REFRESH.as_str()).chain(TICKETS.iter().map(|(_, text)| text.as_str())) {
        let at = at % ours.len();
        let end = ours.get(at + rest.len()..).unwrap_or_default();
        all_of(&format!("{}{rest}{end}", &ours[..at]));
    }
});

fn all_of(text: &str) {
    if let Some(shown) = Shown::read(text) {
        assert!(shown.turn >= 0);
        assert!(!shown.is_proved(&KEY, SALT) || text == *REFRESH, "forged: {text}");
    }
    for (good, ours) in TICKETS.iter() {
        if let Some(shown) = Ticket::read(*good, text) {
            assert!(!shown.holds(&KEY, "bound", NOW) || text == ours, "forged: {text}");
        }
    }
    codes(text);
}

fn codes(text: &str) {
    let secret = Secret::from_bytes(b"12345678901234567890").expect("it is as long");
    let is_six_digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    assert_eq!(matches!(Code::read(text), Code::Totp(_)), is_six_digits);
    if let Some(step) = secret.step_of(text, NOW) {
        assert!(is_six_digits && (step - NOW.millis() / 30_000).abs() <= 1);
    }
    if let Some(normal) = normal_backup_code(text) {
        assert_eq!(normal_backup_code(&normal).as_deref(), Some(&*normal));
    }
    if let Some(url) = secret.url(text, text) {
        assert!(url.starts_with("otpauth://totp/") && url.is_ascii());
    }
}
