//! Any text as a policy: refused with lines that exist, or sound, in which case each kind reads the keys it issues.
#![no_main]

use keywright_core::policy::Policy;
use keywright_core::time::Time;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

fuzz_target!(|text: &str| match Policy::parse(text) {
    Ok(policy) => {
        let mut rng = StdRng::seed_from_u64(1);
        for kind in policy.kinds().iter().filter(|kind| !kind.format.is_open()) {
            let environment = kind.environments.first().map(String::as_str);
            let service = kind.services.first().map(String::as_str);
            let issued = kind.format.issue(environment, service, Time::from_millis(0), &mut rng);
            let (number, _) = policy.read(issued.key.reveal().as_bytes(), true).expect("a kind reads what it issues");
            assert_eq!(policy.kind_at(number).map(|found| &found.name), Some(&kind.name));
        }
    }
    Err(errors) => {
        assert!(!errors.is_empty());
        let lines = text.matches('\n').count() + 1;
        assert!(errors.iter().all(|error| (1..=lines).contains(&error.line) && !error.message.is_empty()));
    }
});
