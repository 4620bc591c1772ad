//! Any text as a row of an import: refused with a reason, or a key that its kind can be asked about.
#![no_main]

use keywright_core::import::ImportRow;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(fields) = serde_json::from_str(text) else { return };
    match ImportRow::read(fields) {
        Ok(row) => assert!(row.prefix.len() <= 40),
        Err(reason) => assert!(!reason.is_empty()),
    }
});
