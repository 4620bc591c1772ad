//! Any text as an allow-list: refused, or one that prints as it reads and allows its own addresses.
#![no_main]

use keywright_core::ip::IpAllowlist;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(list) = text.parse::<IpAllowlist>() else { return };
    let printed = list.to_string();
    assert_eq!(printed.parse::<IpAllowlist>().as_ref(), Ok(&list), "{printed}");
    for entry in list.entries() {
        let address = entry.split('/').next().unwrap_or_default().parse().expect("an entry begins with an address");
        assert!(list.allows(Some(address)));
    }
    assert_eq!(list.allows(None), list.is_everywhere());
});
