//! Any bytes as an access token, and any as the keys it is checked with: refused without a panic, or somebody with a name.
#![no_main]

use std::sync::LazyLock;

use keywright_core::external::{Keys, claimed_issuer, is_subject, verify};
use keywright_core::policy::Policy;
use keywright_core::time::Time;
use libfuzzer_sys::fuzz_target;

const ISSUER: &str = "[kind.default]\nformat = \"kw_{secret:26}\"\n[issuer.main]\nurl = \"https://id.example\"\n\
    audience = [\"keywright\"]\naccount_claim = \"realm.org\"\ntypes = [\"JWT\", \"at+jwt\"]";

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::parse(ISSUER).expect("the policy is sound"));

fuzz_target!(|data: (&[u8], &[u8])| {
    let (token, keys) = data;
    let keys = Keys::parse(keys).unwrap_or_default();
    let issuer = POLICY.issuer("https://id.example").expect("it is there");
    let _ = claimed_issuer(token);
    let _ = issuer.keys_url(token);
    if let Ok(identity) = verify(token, &keys, issuer, Time::from_millis(1_795_000_000_000)) {
        assert!(is_subject(&identity.subject));
    }
});
