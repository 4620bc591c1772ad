//! Whatever is presented as a key: it is read without a panic, what may be shown lies within it, and flipping a bit of a
//! key with a checksum makes it malformed.
#![no_main]

use std::sync::LazyLock;

use keywright_core::policy::Policy;
use keywright_core::time::Time;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::parse(Policy::DEV).expect("the built-in policy is sound"));

fuzz_target!(|data: &[u8]| {
    for imported in [false, true] {
        if let Some((_, reading)) = POLICY.read(data, imported) {
            assert!(reading.shown <= data.len());
        }
    }
    let (_, kind) = POLICY.kind("default").expect("it is there");
    let seed = data.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let issued = kind.format.issue(Some("test"), None, Time::from_millis(0), &mut StdRng::seed_from_u64(seed));
    let mut key = issued.key.reveal().as_bytes().to_vec();
    assert!(kind.format.read(&key).is_some());
    assert!(issued.date.is_some() && kind.format.date(&key) == issued.date);
    if let Some((place, bit)) = data.get(8).zip(data.get(9)) {
        let place = usize::from(*place) % key.len();
        key[place] ^= 1 << (bit % 8);
        assert!(kind.format.read(&key).is_none());
    }
});
