//! Verifying inside the process, against the bare HMAC that any keyed digest of a key costs.

use std::hint::black_box;
use std::io::Write as _;
use std::process::Command;

use anyhow::{Result, ensure};
use hmac::{Hmac, Mac};
use keywright_app::App;
use keywright_app::batch::AT_ONCE;
use keywright_app::core::verify::Outcome;
use keywright_app::verify::{Ask, Verdict};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::Sha256;

use keywright_bench::cpu::{displace_caches, resident_bytes, thread_ns_of};
use keywright_bench::measure::{Comparison, Goal, Side, compare};
use keywright_bench::table::Table;

use crate::house::{House, Plaintexts, mistyped};
use crate::report::{Figures, Scale, nanoseconds, ratio};

/// Verifications a slice makes.
const SLICE: usize = 8_000;
const HOT: usize = 1_000;
const BATCH: usize = 100;
/// What a malformed key may take of its parse: a hash, or its place in memory asked for, takes it above that.
const BARELY_MORE: Goal = Goal::AtMost(1.3);

/// The rows of verification in-process.
pub(crate) fn run(scale: &Scale, table: &mut Table, figures: &mut Figures) -> Result<()> {
    hot(scale, table)?;
    malformed(scale, table)?;
    unknown(scale, table, figures)?;
    cold(scale, table, figures)
}

fn hot(scale: &Scale, table: &mut Table) -> Result<()> {
    let house = House::open(HOT * 2, false)?;
    let texts = house.runtime.block_on(async {
        let mut texts = Vec::new();
        for number in 0..HOT {
            let (_, plain) = house.create(format!("key {number}")).await?;
            house.app.verify(plain.as_bytes(), &Ask::default()).await?;
            texts.push(plain);
        }
        anyhow::Ok(texts)
    })?;
    let keys = Plaintexts::of(&texts);
    let mut rng = StdRng::seed_from_u64(1);
    let found = against_hmac(scale, &keys, &mut rng, |key| is_valid(&house.app, key));
    ratio(table, "verify, hot, 1,000 keys / HMAC of the same bytes", found, Goal::AtMost(1.3), nanoseconds)
}

/// What `verify` takes of keys that were used a moment ago, against the HMAC of the same bytes.
fn against_hmac(
    scale: &Scale,
    keys: &Plaintexts,
    rng: &mut StdRng,
    verify: impl Fn(&[u8]) -> bool,
) -> Option<Comparison> {
    let mac = mac();
    compare(scale.rounds, |side| {
        let sample = keys.sample(SLICE, rng);
        match side {
            Side::A => per_key(&sample, |key| hmac(&mac, key)),
            Side::B => per_key(&sample, &verify),
        }
    })
}

fn malformed(scale: &Scale, table: &mut Table) -> Result<()> {
    let house = House::open(HOT, false)?;
    let issued = Plaintexts::issue(&house.app.world().policy, HOT, 2)?;
    let texts = issued.iter().map(|key| Ok(mistyped(std::str::from_utf8(key)?))).collect::<Result<Vec<_>>>()?;
    let (keys, ask) = (Plaintexts::of(&texts), Ask::default());
    let mut rng = StdRng::seed_from_u64(3);
    let found = compare(scale.rounds, |side| {
        let sample = keys.sample(SLICE, &mut rng);
        match side {
            Side::A => per_key(&sample, |key| house.app.world().policy.read(black_box(key), false).is_none()),
            Side::B => per_key(&sample, |key| {
                outcome(&house.app.verify_at_once(black_box(key), black_box(&ask))) == Some(Outcome::Malformed)
            }),
        }
    });
    ratio(table, "verify of a malformed key / its parse alone", found, BARELY_MORE, nanoseconds)
}

fn unknown(scale: &Scale, table: &mut Table, figures: &mut Figures) -> Result<()> {
    let house = House::open(HOT, false)?;
    let few = Plaintexts::issue(&house.app.world().policy, HOT, 4)?;
    let ask = Ask::default();
    let unheard_of = few.iter().filter(|key| house.app.verify_at_once(key, &ask).is_none()).count();
    ensure!(unheard_of == HOT, "a key nobody has heard of needs the database");
    let (_, first) = thread_ns_of(|| verify_each(&house, &few));
    let heard_of =
        few.iter().filter(|key| outcome(&house.app.verify_at_once(key, &ask)) == Some(Outcome::NotFound)).count();
    figures.row(
        "unknown key, first time: the caller's thread, one lookup",
        nanoseconds(ns(first) / ns(HOT as u64)),
        Goal::Open,
        0.0,
    );
    figures.row(
        "unknown keys the second time: answered with no lookup",
        format!("{heard_of} of {HOT}"),
        Goal::AtLeast(0.95),
        ns(heard_of as u64) / ns(HOT as u64),
    );
    let mut rng = StdRng::seed_from_u64(5);
    let is_refused = |key: &[u8]| outcome(&house.app.verify_at_once(black_box(key), &ask)) == Some(Outcome::NotFound);
    let found = against_hmac(scale, &few, &mut rng, is_refused);
    ratio(table, "verify of an unknown key, again / HMAC", found, Goal::Open, nanoseconds)?;

    let before = resident_bytes()?;
    let mut each = Vec::new();
    for part in 0..scale.random / 1_000 {
        let random = Plaintexts::issue(&house.app.world().policy, 1_000, 100 + part as u64)?;
        each.push(thread_ns_of(|| verify_each(&house, &random)).0);
    }
    ensure!(each.into_iter().all(|outcome| outcome.is_ok()), "a random key was not verified");
    let grown = resident_bytes()?.saturating_sub(before);
    figures.row(
        &format!("memory gained by verifying {} random keys", scale.random),
        format!("{:.1} MiB", ns(grown) / 1_048_576.0),
        Goal::AtMost(16.0),
        ns(grown) / 1_048_576.0,
    );
    Ok(())
}

fn verify_each(house: &House, keys: &Plaintexts) -> Result<()> {
    house.runtime.block_on(async {
        for key in keys.iter() {
            let verdict = house.app.verify(key, &Ask::default()).await?;
            ensure!(verdict.outcome == Outcome::NotFound, "a random key is {:?}", verdict.outcome);
        }
        Ok(())
    })
}

/// A filled cache and what it was filled with.
struct Filled {
    house: House,
    keys: Plaintexts,
    cached: f64,
}

impl Filled {
    /// With room for as many keys as there are.
    fn new(count: usize, seed: u64) -> Result<Self> {
        let house = House::open(count, false)?;
        let (template, _) = house.runtime.block_on(house.create("template".into()))?;
        let keys = Plaintexts::issue(&house.app.world().policy, count, seed)?;
        keys.preload(&house.app, &template);
        let ask = Ask::default();
        let cached =
            keys.iter().filter(|key| outcome(&house.app.verify_at_once(key, &ask)) == Some(Outcome::Valid)).count();
        Ok(Self { house, keys, cached: ns(cached as u64) / ns(count as u64) })
    }

    /// Keys picked at random, none of which the processor's caches know anything of.
    fn sample(&self, rng: &mut StdRng) -> Plaintexts {
        // That looks at the neighbours of every key that was used, which then are near.
        self.house.app.forget_uses();
        displace_caches();
        self.keys.sample(SLICE, rng)
    }

    fn each(&self, rng: &mut StdRng, verify: impl Fn(&App, &[u8]) -> bool) -> f64 {
        per_key(&self.sample(rng), |key| verify(&self.house.app, key))
    }

    /// What `verify` takes of each key where it is given so many at once, and says how many are valid.
    fn batches(&self, rng: &mut StdRng, verify: impl Fn(&App, &[&[u8]]) -> usize) -> f64 {
        let sample = self.sample(rng);
        let keys: Vec<&[u8]> = sample.iter().collect();
        let batches = || keys.chunks(BATCH).map(|batch| verify(&self.house.app, black_box(batch))).sum();
        let (valid, spent) = thread_ns_of(batches);
        cost(valid, SLICE, spent)
    }
}

fn cold(scale: &Scale, table: &mut Table, figures: &mut Figures) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(6);
    let mac = mac();
    let million = Filled::new(scale.million, 7)?;
    let name = |count: usize| {
        if count >= 1_000_000 { format!("{} million keys", count / 1_000_000) } else { format!("{count} keys") }
    };
    let few = name(scale.million);
    let hashed = |rng: &mut StdRng| per_key(&million.sample(rng), |key| hmac(&mac, key));
    let found = compare(scale.rounds, |side| match side {
        Side::A => hashed(&mut rng),
        Side::B => million.each(&mut rng, is_valid),
    });
    ratio(table, &format!("verify, cold, {few} / HMAC"), found, Goal::AtMost(2.7), nanoseconds)?;
    let found = compare(scale.rounds, |side| match side {
        Side::A => hashed(&mut rng),
        Side::B => million.batches(&mut rng, count_valid),
    });
    ratio(table, &format!("batches of 100, cold, {few} / HMAC, a key"), found, Goal::AtMost(1.4), nanoseconds)?;
    let tens = Filled::new(scale.million * 10, 8)?;
    let many = name(scale.million * 10);
    let found = compare(scale.rounds, |side| match side {
        Side::A => million.each(&mut rng, is_valid),
        Side::B => tens.each(&mut rng, is_valid),
    });
    ratio(table, &format!("verify, cold, {many} / {few}"), found, Goal::AtMost(1.4), nanoseconds)?;
    for (filled, name) in [(&million, few), (&tens, many)] {
        let bytes = memory_of(filled.keys.count())? / (filled.cached * ns(filled.keys.count() as u64));
        figures.row(&format!("memory a cached key, {name}"), format!("{bytes:.0} bytes"), Goal::AtMost(200.0), bytes);
        figures.row(
            &format!("found in a cache with room for {name}, {name} later"),
            format!("{:.2} %", filled.cached * 100.0),
            Goal::Open,
            0.0,
        );
    }
    Ok(())
}

/// How this program is told to fill a cache and say what that took.
pub(crate) const MEMORY: &str = "memory-of";

/// Memory that a cache of so many keys takes, in bytes: in a process of its own, which has nothing to reuse.
fn memory_of(count: usize) -> Result<f64> {
    let output = Command::new(std::env::current_exe()?).args([MEMORY, &count.to_string()]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The other end of [`memory_of`].
pub(crate) fn print_memory(count: &str) -> Result<()> {
    let house = House::open(count.parse()?, false)?;
    let (template, _) = house.runtime.block_on(house.create("template".into()))?;
    let keys = Plaintexts::issue(&house.app.world().policy, count.parse()?, 7)?;
    let before = resident_bytes()?;
    keys.preload(&house.app, &template);
    let bytes = resident_bytes()?.saturating_sub(before);
    Ok(writeln!(std::io::stdout().lock(), "{bytes}")?)
}

/// What one call of `verify` costs, in nanoseconds; nothing where more than a few fail, for then the figure is of
/// something else.
fn per_key(keys: &Plaintexts, verify: impl Fn(&[u8]) -> bool) -> f64 {
    let (valid, spent) = thread_ns_of(|| keys.iter().filter(|key| verify(key)).count());
    cost(valid, keys.count(), spent)
}

fn cost(valid: usize, count: usize, spent: u64) -> f64 {
    if valid * 100 < count * 90 { f64::NAN } else { ns(spent) / ns(count as u64) }
}

#[inline]
fn hmac(mac: &Hmac<Sha256>, key: &[u8]) -> bool {
    black_box(mac.clone().chain_update(black_box(key)).finalize().into_bytes());
    true
}

/// Whether a key is valid, by what the server calls, which also brings what its callers are told of it.
#[inline]
fn is_valid(app: &App, key: &[u8]) -> bool {
    tells(&app.verify_at_once(black_box(key), &Ask::default()))
}

/// How many of a batch are, by what the server does with one.
fn count_valid(app: &App, keys: &[&[u8]]) -> usize {
    let mut valid = 0;
    for some in keys.chunks(AT_ONCE) {
        for (key, recognised) in some.iter().zip(&app.recognise_all(some.iter().copied())) {
            valid += usize::from(tells(&app.verify_recognised(recognised, key, &Ask::default())));
        }
    }
    valid
}

/// Whether a verdict is that a key is valid, and tells of it. The verdict was made, whatever becomes of it here.
fn tells(verdict: &Option<Verdict>) -> bool {
    black_box(verdict).as_ref().is_some_and(|verdict| verdict.is_valid() && verdict.key.is_some())
}

fn outcome(verdict: &Option<Verdict>) -> Option<Outcome> {
    black_box(verdict).as_ref().map(|verdict| verdict.outcome)
}

fn mac() -> Hmac<Sha256> {
    <Hmac<Sha256> as hmac::KeyInit>::new(&[0x5a; 64].into())
}

#[allow(clippy::cast_precision_loss, reason = "no figure here comes near the 53 bits a f64 counts exactly")]
fn ns(count: u64) -> f64 {
    count as f64
}
