//! The cache alone: what it keeps, forgets and counts.

#![cfg(not(feature = "shuttle"))]

use std::sync::Arc;

use keywright_core::id::KeyId;
use keywright_core::time::Time;

use super::*;
use crate::record::More;

fn digest(number: u64) -> Digest {
    keywright_core::secret::Pepper::new(1, &[0; 32]).digest(&number.to_be_bytes())
}

fn look(cache: &Cache, number: u64) -> Lookup {
    cache.find(tag(cache, number))
}

fn tag(cache: &Cache, number: u64) -> Tag {
    cache.tag_of(&number.to_be_bytes())
}

fn put(cache: &Cache, number: u64) {
    if let Lookup::Unknown = look(cache, number) {
        let facts = Facts { deadline_ms: number as i64, account: number as u32, environment: 3, flags: 2, access: 7 };
        cache.insert(tag(cache, number), cache.ticket(&digest(number)), facts, Record::for_test(number.into()));
    }
}

fn hit(cache: &Cache, number: u64) -> Option<Hit> {
    match look(cache, number) {
        Lookup::Known(hit) => Some(hit),
        Lookup::Absent | Lookup::Unknown => None,
    }
}

#[test]
fn what_is_put_in_comes_out_whole() {
    // Where keys lie is another place each time: with so much room, none has to make room for another.
    let cache = Cache::new(100_000, 16);
    (0..5_000).for_each(|number| put(&cache, number));
    for number in 0..5_000u64 {
        let hit = hit(&cache, number).unwrap();
        let expected =
            Facts { deadline_ms: number as i64, account: number as u32, environment: 3, flags: 2, access: 7 };
        assert_eq!(hit.facts(), expected);
        assert_eq!(cache.record(&hit).unwrap().id, KeyId::from_bits(number.into()));
    }
    assert!(hit(&cache, 5_001).is_none());
}

#[test]
fn what_is_told_of_a_key_comes_out_whole_however_much_it_is() {
    let cache = Cache::new(1_000, 4);
    let names = ["", "a", "production", "ключ для сервера", &"x".repeat(24), &"x".repeat(25), &"ж".repeat(100)];
    let told: Vec<Record> = (0..)
        .zip(names.iter().chain(&names))
        .map(|(number, name)| Record {
            more: (number >= names.len() as u128).then(Arc::default),
            ..Record::named(number << 64 | 7, name)
        })
        .collect();
    for (number, record) in (0..).zip(&told) {
        cache.insert(tag(&cache, number), cache.ticket(&digest(number)), Facts::default(), record.clone());
    }
    for (number, record) in (0..).zip(&told) {
        let found = cache.record(&hit(&cache, number).unwrap()).unwrap();
        assert_eq!((found.id, found.secret, found.name.as_str()), (record.id, record.secret, record.name.as_str()));
        assert_eq!(found.name.as_str(), names[number as usize % names.len()]);
        assert_eq!(found.more.is_some(), record.more.is_some());
    }
}

#[test]
fn what_was_told_of_a_key_that_made_room_is_kept_no_longer() {
    let cache = Cache::new(64, 2);
    let long = Arc::new(More::default());
    for number in 0..1_000 {
        // Most have more to tell than fits a line.
        let more = (number % 3 > 0).then(|| Arc::clone(&long));
        let record = Record { more, ..Record::for_test(number.into()) };
        cache.insert(tag(&cache, number), cache.ticket(&digest(number)), Facts::default(), record);
    }
    let kept = Arc::strong_count(&long) - 1;
    let found = (0..1_000).filter_map(|number| cache.record(&hit(&cache, number)?)?.more).count();
    assert_eq!(kept, found);
    assert!((1..=cache.room()).contains(&kept), "{kept}");
}

#[test]
fn an_evicted_digest_is_gone_and_its_place_is_used_again() {
    let cache = Cache::new(10_000, 4);
    (0..500).for_each(|number| put(&cache, number));
    let before = hit(&cache, 7).unwrap();
    cache.evict(&digest(7));
    assert!(hit(&cache, 7).is_none());
    assert!(cache.record(&before).is_none(), "a hit from before tells nothing any more");
    let kept = (0..500).filter(|number| hit(&cache, *number).is_some()).count();
    assert_eq!(kept, 499, "no other goes with it");
    let held = cache.held();
    cache.insert_absent(tag(&cache, 7), cache.ticket(&digest(7)));
    assert!(matches!(look(&cache, 7), Lookup::Absent), "that it is gone is remembered as of any other");
    cache.forget_absence(&digest(7));
    put(&cache, 7);
    assert!(hit(&cache, 7).is_some());
    assert_eq!(cache.held(), held, "it has its own slot again");
}

#[test]
fn every_key_that_is_kept_can_be_evicted_however_often_others_took_its_place() {
    // Small enough that nearly every key makes another go.
    let cache = Cache::new(256, 4);
    for round in 0..40u64 {
        let numbers = round * 100..round * 100 + 500;
        numbers.clone().for_each(|number| put(&cache, number));
        // Some are evicted and put in again, where they were or elsewhere.
        for number in numbers.clone().step_by(7) {
            cache.evict(&digest(number));
            put(&cache, number);
        }
        for number in numbers.step_by(3) {
            cache.evict(&digest(number));
            assert!(hit(&cache, number).is_none(), "{number} in round {round}");
        }
    }
    let listed = cache.places.listed();
    assert!(listed <= cache.room(), "what made room is listed no more: {listed}");
}

#[test]
fn digests_that_share_a_mark_are_evicted_together() {
    let cache = Cache::new(1_000, 4);
    let mut bytes = [[7; 32]; 2];
    bytes[1][31] = 8;
    let digests = bytes.map(|bytes| Digest::from_slice(&bytes).unwrap());
    for (number, digest) in (0..).zip(&digests) {
        cache.insert(tag(&cache, number), cache.ticket(digest), Facts::default(), Record::for_test(number.into()));
    }
    assert!(hit(&cache, 0).is_some() && hit(&cache, 1).is_some());
    cache.evict(&digests[1]);
    assert!(hit(&cache, 0).is_none() && hit(&cache, 1).is_none());
}

#[test]
fn a_load_that_began_before_an_eviction_is_not_kept() {
    let cache = Cache::new(1_000, 4);
    let ticket = cache.ticket(&digest(1));
    cache.evict(&digest(1));
    cache.insert(tag(&cache, 1), ticket, Facts::default(), Record::for_test(1));
    assert!(hit(&cache, 1).is_none());
    cache.forget_absence(&digest(1));
    cache.insert_absent(tag(&cache, 1), ticket);
    assert!(matches!(look(&cache, 1), Lookup::Unknown), "nor is an absence from before it was somebody's");
}

#[test]
fn absence_is_remembered_until_the_digest_is_somebodys() {
    let forgotten: [fn(&Cache); 3] =
        [|cache| cache.forget_absence(&digest(1)), Cache::forget_absences, Cache::evict_all];
    for forget in forgotten {
        let cache = Cache::new(1_000, 4);
        assert!(matches!(look(&cache, 1), Lookup::Unknown));
        cache.insert_absent(tag(&cache, 1), cache.ticket(&digest(1)));
        assert!(matches!(look(&cache, 1), Lookup::Absent));
        forget(&cache);
        put(&cache, 1);
        assert!(hit(&cache, 1).is_some());
    }
}

#[test]
fn a_flood_makes_room_and_memory_stays_where_it_is() {
    let cache = Cache::new(1_000, 4);
    (0..100_000).for_each(|number| put(&cache, number));
    let kept = (0..100_000).filter(|number| hit(&cache, *number).is_some()).count();
    assert!((1_000..=cache.room()).contains(&kept), "{kept}");
    assert!((kept..=cache.room()).contains(&cache.held()), "{}", cache.held());
    for number in 0..100_000 {
        cache.insert_absent(tag(&cache, number), cache.ticket(&digest(number)));
    }
    assert!(cache.shards.iter().all(|shard| lock(shard).absent.len() == ABSENT));
}

#[test]
fn every_use_is_counted_once_also_of_a_key_that_had_to_make_room() {
    let cache = Cache::new(64, 1);
    let now = Time::from_millis(1_000_000);
    let mut used = 0u32;
    for number in 0..1_000 {
        put(&cache, number);
        let hit = hit(&cache, number).unwrap();
        let count = (number % 3) as u32;
        let firsts = (0..count).filter(|_| cache.count_use(&hit, now).is_first).count();
        assert_eq!(firsts, usize::from(count > 0));
        used += count;
    }
    let drained = cache.drain_uses();
    assert_eq!(drained.iter().map(|used| used.count).sum::<u32>(), used);
    assert!(drained.iter().all(|used| used.last == now));
    assert!(cache.drain_uses().is_empty());
}

#[test]
fn uses_are_drained_whatever_becomes_of_other_keys() {
    let cache = Cache::new(1_000, 4);
    let now = Time::from_millis(1_000_000);
    (0..1_000).for_each(|number| put(&cache, number));
    let used =
        (0..1_000).filter_map(|number| hit(&cache, number)).filter(|hit| cache.count_use(hit, now).is_first).count();
    (0..1_000).step_by(3).for_each(|number| cache.evict(&digest(number)));
    (1_000..3_000).for_each(|number| put(&cache, number));
    assert_eq!(cache.drain_uses().iter().map(|used| used.count as usize).sum::<usize>(), used);
}

#[test]
fn keys_that_are_looked_for_in_one_place_are_told_apart() {
    let cache = Cache::new(1_000, 4);
    let texts = [1, 2].map(|number| format!("kw_{number}_{}", "0".repeat(40)));
    let tags = texts.each_ref().map(|text| cache.tag_of(text.as_bytes()));
    assert!(tags[0].spot == tags[1].spot && tags[0] != tags[1]);
    for (number, tag) in (1u64..).zip(tags) {
        assert!(matches!(cache.find(tag), Lookup::Unknown));
        let facts = Facts { account: number as u32, ..Facts::default() };
        cache.insert(tag, cache.ticket(&digest(number)), facts, Record::for_test(number.into()));
    }
    for (number, tag) in (1..).zip(tags) {
        assert!(matches!(cache.find(tag), Lookup::Known(hit) if hit.facts().account == number));
    }
}

/// Where a key is seen, as for several at once.
fn seek(cache: &Cache, number: u64) -> Option<Tag> {
    for pairs in 0..Cache::PAIRS {
        match cache.look(tag(cache, number), pairs) {
            Looked::Seen(tag) => return Some(tag),
            Looked::Missing => return None,
            Looked::Beyond => {}
        }
    }
    None
}

#[test]
fn keys_are_seen_where_they_lie_however_far_from_their_spot() {
    let cache = Cache::new(1_000, 1);
    (0..1_000).for_each(|number| put(&cache, number));
    let mut seen_at = [0; WINDOW];
    for number in 0..1_000 {
        match (hit(&cache, number), seek(&cache, number)) {
            (Some(found), Some(tag)) => {
                assert!(matches!(cache.find(tag), Lookup::Known(hit) if hit.slot == found.slot), "{number}");
                seen_at[tag.seen] += 1;
            }
            (found, seen) => assert!(found.is_none() && seen.is_none(), "{number}"),
        }
    }
    // A thousand keys in 1,450 slots: the first pair's two, the second's and those beyond.
    let [first, second, next @ .., _] = seen_at;
    assert!(first > 300 && second > 100 && next[..2].iter().sum::<i32>() > 50, "{seen_at:?}");
    assert!(next[2..].iter().sum::<i32>() > 20, "{seen_at:?}");
    assert!((5_000..6_000).all(|number| seek(&cache, number).is_none()));
}

#[test]
fn a_key_that_is_not_where_it_was_seen_is_looked_for_in_the_database() {
    let cache = Cache::new(1_000, 1);
    (0..1_000).for_each(|number| put(&cache, number));
    let seen: Vec<_> = (0..1_000).filter_map(|number| Some((number, seek(&cache, number)?))).collect();
    (0..1_000).step_by(2).for_each(|number| cache.evict(&digest(number)));
    (2_000..10_000).for_each(|number| put(&cache, number));
    for (number, tag) in seen {
        match (cache.find(tag), look(&cache, number)) {
            (Lookup::Known(seen), Lookup::Known(found)) => assert_eq!(seen.slot, found.slot),
            (Lookup::Unknown, Lookup::Unknown) => {}
            _ => panic!("{number} is not what it was"),
        }
    }
    // Its slot was another's when it was looked at, say, and it is at its spot by now.
    let at_its_spot = (2_000..10_000).filter_map(|number| seek(&cache, number)).find(|tag| tag.seen == 0).unwrap();
    assert!(matches!(cache.find(Tag { seen: 1, ..at_its_spot }), Lookup::Unknown));
}

#[test]
fn every_process_has_tags_of_its_own() {
    let [one, other] = [1, 2].map(|_| Cache::new(64, 1));
    assert!(tag(&one, 7) == tag(&one, 7) && tag(&one, 7) != tag(&other, 7));
}

#[test]
fn what_was_noted_stays_beside_the_last_use_and_goes_with_the_key() {
    let cache = Cache::new(64, 1);
    let now = Time::from_millis(1_795_000_000_000);
    put(&cache, 1);
    let found = hit(&cache, 1).unwrap();
    assert_eq!(cache.count_use(&found, now), uses::Counted { is_first: true, noted: 0 });
    cache.set_noted(&found, u16::MAX);
    let later = now.after(keywright_core::time::Span::days(1));
    assert_eq!(cache.count_use(&found, later), uses::Counted { is_first: false, noted: u16::MAX });
    assert_eq!(cache.drain_uses().iter().map(|used| (used.count, used.last)).collect::<Vec<_>>(), [(2, later)]);
    cache.evict(&digest(1));
    cache.set_noted(&found, 7);
    put(&cache, 1);
    let again = hit(&cache, 1).unwrap();
    assert_eq!(cache.count_use(&again, now).noted, 0, "what the key may do may be something else now");
    cache.set_noted(&found, 7);
    assert_eq!(cache.count_use(&again, now).noted, 0, "an old finding is about another key");
}

#[test]
fn forgetting_everything_forgets_everything() {
    let cache = Cache::new(1_000, 4);
    (0..500).for_each(|number| put(&cache, number));
    let ticket = cache.ticket(&digest(900));
    cache.evict_all();
    assert!((0..500).all(|number| hit(&cache, number).is_none()));
    cache.insert(tag(&cache, 900), ticket, Facts::default(), Record::for_test(900));
    assert!(hit(&cache, 900).is_none());
}

#[test]
fn a_slot_and_what_is_told_of_its_key_are_cache_lines_of_one_page_and_their_own() {
    let cache = Cache::new(1_000, 4);
    let address = |line: &Line| std::ptr::from_ref(line) as usize;
    let lines = (0..cache.room()).map(|number| {
        let [slot, told] = [address(cache.slot(number).unwrap()), address(cache.line(number).unwrap())];
        assert!(slot.is_multiple_of(64) && slot / 4_096 == told / 4_096, "{number}");
        [slot, told]
    });
    let mut lines: Vec<usize> = lines.flatten().collect();
    lines.sort_unstable();
    assert!(lines.array_windows().all(|[one, next]| next - one == 64));
}

#[test]
fn keys_stay_in_their_shard_also_those_whose_place_is_its_last() {
    let cache = Cache::new(1_000, 16);
    (0..20_000).for_each(|number| put(&cache, number));
    let mut beyond = 0;
    for number in 0..20_000 {
        let Some(found) = hit(&cache, number) else { continue };
        assert_eq!(found.slot / cache.slots_each, tag(&cache, number).spot.0 / cache.slots_each);
        beyond += usize::from(found.slot % cache.slots_each >= cache.homes * PAIR);
    }
    assert!(beyond > 100, "what lies beyond the places there are is used, too: {beyond}");
}
