//! Any text as an SSH public key: refused, or one that reads back as it is written, with the same fingerprint.
#![no_main]

use keywright_core::ssh::PublicKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(key) = PublicKey::parse(text) else { return };
    let line = key.line();
    assert!(!line.contains(['\n', '\r']), "{line}");
    assert_eq!(PublicKey::parse(&line).as_ref(), Ok(&key), "{line}");
    assert!(key.fingerprint().starts_with("SHA256:"));
});
