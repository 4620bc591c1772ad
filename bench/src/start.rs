//! Starting: how long it takes, what it takes of memory and disk, and the first verification with a million keys stored.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use keywright_app::core::draft::Draft;
use keywright_app::core::import::ImportRow;
use keywright_app::core::verify::Outcome;
use keywright_app::verify::Ask;
use keywright_bench::cpu::{process_ns, resident_bytes_of};
use keywright_bench::measure::{Goal, Quartiles};
use keywright_bench::table::Table;
use sha2::{Digest as _, Sha256};

use crate::house::House;
use crate::report::{Figures, Scale, nanoseconds};
use crate::server::{Server, keywright};

/// Keys an import brings at once.
const PART: usize = 1_000;
const STARTS: usize = 11;

/// The figures of starting.
pub(crate) fn run(scale: &Scale, _: &mut Table, figures: &mut Figures) -> Result<()> {
    processes(figures)?;
    first_verification(scale, figures)
}

fn processes(figures: &mut Figures) -> Result<()> {
    let bytes = std::fs::metadata(keywright()?)?.len();
    figures.row("size of the binary", mebibytes(bytes), Goal::Open, 0.0);
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    drop(Server::keywright(folder.path())?);
    figures.row("first start, with all that `keywright dev` makes", elapsed(begun), Goal::Open, 0.0);
    let (mut each, mut spent, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let begun = Instant::now();
        let server = Server::keywright(folder.path())?;
        each.push(begun.elapsed().as_secs_f64() * 1e9);
        spent.push(float(process_ns(server.pid())?));
        resident.push(float(resident_bytes_of(server.pid())?) / 1_048_576.0);
    }
    let median = |values: &[f64]| Quartiles::of(values).map(|found| found.median).context("no starts");
    figures.row("start to ready, one core", nanoseconds(median(&each)?), Goal::Open, 0.0);
    figures.row("CPU of a start", nanoseconds(median(&spent)?), Goal::Open, 0.0);
    figures.row("memory of an idle server", format!("{:.1} MiB", median(&resident)?), Goal::Open, 0.0);
    Ok(())
}

fn first_verification(scale: &Scale, figures: &mut Figures) -> Result<()> {
    let house = House::open(scale.million, true)?;
    let (_, plain) = house.runtime.block_on(house.create("the one".into()))?;
    let begun = Instant::now();
    for part in 0..scale.million / PART {
        let rows = (0..PART).map(|number| {
            let number = part * PART + number;
            let sha256 = Sha256::digest(format!("imported-key-{number}")).into();
            let draft = Draft { name: format!("key {number}"), ..Draft::default() };
            Ok(ImportRow { sha256, prefix: String::new(), draft })
        });
        house.runtime.block_on(house.app.import_keys(&house.caller(), Some(house.account), None, rows.collect()))?;
    }
    let million = scale.million;
    figures.row(&format!("importing {million} keys by their hashes"), elapsed(begun), Goal::Open, 0.0);
    let begun = Instant::now();
    let house = house.restart(million)?;
    figures.row(&format!("opening the app, {million} keys stored"), elapsed(begun), Goal::Open, 0.0);
    let verify = || house.runtime.block_on(house.app.verify(plain.as_bytes(), &Ask::default()));
    for what in ["first verification after it", "second"] {
        let begun = Instant::now();
        let verdict = verify()?;
        figures.row(what, elapsed(begun), Goal::Open, 0.0);
        ensure!(verdict.outcome == Outcome::Valid, "the key is {:?}", verdict.outcome);
    }
    Ok(())
}

fn elapsed(since: Instant) -> String {
    nanoseconds(since.elapsed().as_secs_f64() * 1e9)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", float(bytes) / 1_048_576.0)
}

#[allow(clippy::cast_precision_loss, reason = "no figure here comes near the 53 bits a f64 counts exactly")]
fn float(count: u64) -> f64 {
    count as f64
}
