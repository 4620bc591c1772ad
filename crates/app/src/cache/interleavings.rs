//! Every interleaving a scheduler can come up with, of verifies, loads and a revocation of the same key.
//!
//! `cargo test -p keywright-app --features shuttle`. The database is a flag: what a load reads of it may be stale by the
//! time it is inserted, and that is the race.

#![cfg(feature = "shuttle")]

use std::sync::Arc;

use keywright_core::secret::Digest;
use keywright_core::time::Time;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use super::{Cache, Facts, Lookup, flag};
use crate::record::Record;

const RUNS: usize = 20_000;

/// What the app does: look, and on a miss load from the database and insert. `true` where the key is accepted.
fn verify(cache: &Cache, digest: &Digest, revoked: &AtomicBool, record: &Record) -> bool {
    let tag = cache.tag_of(b"a key");
    match cache.find(tag) {
        Lookup::Known(hit) => hit.facts().flags & flag::REVOKED == 0,
        Lookup::Absent => false,
        Lookup::Unknown => {
            let ticket = cache.ticket(digest);
            let is_revoked = revoked.load(Ordering::SeqCst);
            thread::yield_now();
            let flags = if is_revoked { flag::REVOKED } else { 0 };
            cache.insert(tag, ticket, Facts { flags, deadline_ms: i64::MAX, ..Facts::default() }, record.clone());
            !is_revoked
        }
    }
}

fn digest(byte: u8) -> Digest {
    Digest::from_slice(&[byte; 32]).unwrap_or_else(|| unreachable!("it is 32 bytes long"))
}

#[test]
fn a_revoked_key_is_refused_once_the_revocation_has_returned() {
    shuttle::check_random(
        || {
            let cache = Arc::new(Cache::new(16, 1));
            let revoked = Arc::new(AtomicBool::new(false));
            let returned = Arc::new(AtomicBool::new(false));
            let record = Record::for_test(1);
            let verifiers: Vec<_> = (0..2)
                .map(|_| {
                    let (cache, revoked, returned) = (Arc::clone(&cache), Arc::clone(&revoked), Arc::clone(&returned));
                    let record = record.clone();
                    thread::spawn(move || {
                        for _ in 0..3 {
                            let was_over = returned.load(Ordering::SeqCst);
                            let accepted = verify(&cache, &digest(7), &revoked, &record);
                            assert!(!(was_over && accepted), "accepted after the revocation had returned");
                        }
                    })
                })
                .collect();
            let revoker = thread::spawn(move || {
                revoked.store(true, Ordering::SeqCst);
                cache.evict(&digest(7));
                returned.store(true, Ordering::SeqCst);
            });
            verifiers
                .into_iter()
                .chain([revoker])
                .for_each(|thread| thread.join().unwrap_or_else(|_| unreachable!("it said why")));
        },
        RUNS,
    );
}

#[test]
fn a_revoked_key_is_refused_also_where_others_take_its_slot_meanwhile() {
    shuttle::check_random(
        || {
            // One slot's worth of room.
            let cache = Arc::new(Cache::new(1, 1));
            let revoked = Arc::new(AtomicBool::new(false));
            let record = Record::for_test(1);
            verify(&cache, &digest(7), &revoked, &record);
            let (other_cache, other) = (Arc::clone(&cache), Record::for_test(2));
            let others = thread::spawn(move || {
                let tag = other_cache.tag_of(b"another");
                other_cache.insert(tag, other_cache.ticket(&digest(8)), Facts::default(), other);
            });
            let (loading, reading) = (Arc::clone(&cache), Arc::clone(&revoked));
            let loader = thread::spawn(move || _ = verify(&loading, &digest(7), &reading, &record));
            revoked.store(true, Ordering::SeqCst);
            cache.evict(&digest(7));
            let found = cache.find(cache.tag_of(b"a key"));
            assert!(!matches!(found, Lookup::Known(hit) if hit.facts().flags & flag::REVOKED == 0));
            [others, loader]
                .into_iter()
                .for_each(|thread| thread.join().unwrap_or_else(|_| unreachable!("it said why")));
            let found = cache.find(cache.tag_of(b"a key"));
            assert!(!matches!(found, Lookup::Known(hit) if hit.facts().flags & flag::REVOKED == 0));
            cache.evict(&digest(8));
            assert!(!matches!(cache.find(cache.tag_of(b"another")), Lookup::Known(_)), "whoever is kept is found");
        },
        RUNS,
    );
}

#[test]
fn a_created_key_is_accepted_once_its_creation_has_returned() {
    shuttle::check_random(
        || {
            let cache = Arc::new(Cache::new(16, 1));
            let exists = Arc::new(AtomicBool::new(false));
            let record = Record::for_test(1);
            let (early_cache, early_exists) = (Arc::clone(&cache), Arc::clone(&exists));
            let early = thread::spawn(move || {
                let tag = early_cache.tag_of(b"a key");
                let ticket = early_cache.ticket(&digest(7));
                if !early_exists.load(Ordering::SeqCst) {
                    early_cache.insert_absent(tag, ticket);
                }
            });
            exists.store(true, Ordering::SeqCst);
            cache.forget_absence(&digest(7));
            assert!(verify(&cache, &digest(7), &AtomicBool::new(false), &record), "its absence was remembered");
            early.join().unwrap_or_else(|_| unreachable!("it said why"));
        },
        RUNS,
    );
}

/// Of all but the first more is told than fits a line.
fn told(who: u8) -> Record {
    Record::named(who.into(), &who.to_string().repeat(if who > 1 { 30 } else { 3 }))
}

#[test]
fn a_reader_never_sees_half_of_one_key_and_half_of_another() {
    shuttle::check_random(
        || {
            // One slot's worth of room: every insert makes the one before it go.
            let cache = Arc::new(Cache::new(1, 1));
            let threads: Vec<_> = (1..=3u8)
                .map(|who| {
                    let cache = Arc::clone(&cache);
                    thread::spawn(move || {
                        for _ in 0..2 {
                            let tag = cache.tag_of(&[who]);
                            match cache.find(tag) {
                                Lookup::Known(hit) => {
                                    assert_eq!(hit.facts().account, u32::from(who));
                                    assert_eq!(hit.facts().deadline_ms, i64::from(who));
                                    if let Some(record) = cache.record(&hit) {
                                        let [expected, seen] = [told(who), record]
                                            .map(|record| (record.id, record.secret, record.name.as_str().to_owned()));
                                        assert_eq!(seen, expected);
                                    }
                                    cache.count_use(&hit, Time::from_millis(5));
                                }
                                Lookup::Absent => unreachable!("nothing says it is absent"),
                                Lookup::Unknown => {
                                    let facts =
                                        Facts { account: who.into(), deadline_ms: who.into(), ..Facts::default() };
                                    let ticket = cache.ticket(&digest(who));
                                    cache.insert(tag, ticket, facts, told(who));
                                }
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap_or_else(|_| unreachable!("it said why")));
            for used in cache.drain_uses() {
                assert!((1..=3).contains(&used.key.bits()), "a use was counted for nobody");
            }
        },
        RUNS,
    );
}
