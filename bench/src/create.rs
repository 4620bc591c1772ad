//! Keys made by many at once on SQLite with `synchronous=FULL`, against flushing the disk for every row.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keywright_app::caller::Caller;
use keywright_app::core::draft::Draft;
use keywright_bench::measure::{Goal, Side, compare};
use keywright_bench::table::Table;

use crate::house::House;
use crate::report::{Figures, Scale, nanoseconds, ratio};

const WRITERS: usize = 64;
/// Keys each of them makes in a slice: in all so many that the log is folded into the file while they are made.
const EACH: usize = 128;
/// Flushes a slice makes.
const FLUSHES: usize = 192;
/// How long the disk rests before them: what is still folded of the keys made before must not hold them up.
const REST: Duration = Duration::from_millis(200);

/// The rows of making keys.
pub(crate) fn run(scale: &Scale, table: &mut Table, figures: &mut Figures) -> Result<()> {
    let house = House::open(100_000, true)?;
    let mut file = File::create(house.folder().join("flushed"))?;
    let mut failed = None;
    let mut flushes = Vec::new();
    let found = compare(scale.rounds.min(15), |side| {
        let before = device_flushes(house.folder());
        let slice = match side {
            Side::A => {
                std::thread::sleep(REST);
                flush(&mut file)
            }
            Side::B => create(&house),
        };
        let after = device_flushes(house.folder());
        if let (Side::B, Some(before), Some(after)) = (side, before, after) {
            flushes.push(after - before);
        }
        slice.unwrap_or_else(|error| {
            failed.get_or_insert(error);
            f64::NAN
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let rows = found.map_or(0.0, |found| 1e9 / found.b);
    ratio(table, "a key made, 64 writers / one fdatasync, elapsed time", found, Goal::AtMost(0.15), nanoseconds)?;
    figures.row("keys made a second, 64 writers", format!("{rows:.0}"), Goal::Open, 0.0);
    flushes.sort_unstable();
    if let Some(median) = flushes.get(flushes.len() / 2).filter(|median| **median > 0) {
        let each = float(*median) / float((WRITERS * EACH) as u64);
        figures.row("flushes of the disk a key made", format!("{each:.3}"), Goal::AtMost(0.15), each);
    }
    Ok(())
}

/// What one flush costs after a page was appended, which is the least a row of its own would cost.
fn flush(file: &mut File) -> Result<f64> {
    let begun = Instant::now();
    for _ in 0..FLUSHES {
        file.write_all(&[0x5a; 4_096])?;
        file.sync_data()?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e9 / float(FLUSHES as u64))
}

fn create(house: &House) -> Result<f64> {
    let begun = Instant::now();
    house.runtime.block_on(async {
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let (app, account) = (Arc::clone(&house.app), house.account);
            writers.push(tokio::spawn(async move {
                let caller = Caller::local(&app.world().policy.catalog);
                for number in 0..EACH {
                    let draft = Draft { name: format!("key {number}"), ..Draft::default() };
                    app.create_key(&caller, Some(account), None, draft, None).await?;
                }
                anyhow::Ok(())
            }));
        }
        for writer in writers {
            writer.await.context("a writer died")??;
        }
        anyhow::Ok(())
    })?;
    Ok(begun.elapsed().as_secs_f64() * 1e9 / float((WRITERS * EACH) as u64))
}

/// Flushes the folder's device has completed, for whomever (Linux, `Documentation/block/stat.rst`).
fn device_flushes(folder: &Path) -> Option<u64> {
    let device = std::fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    stat.split_ascii_whitespace().nth(15)?.parse().ok()
}

#[allow(clippy::cast_precision_loss, reason = "no figure here comes near the 53 bits a f64 counts exactly")]
fn float(count: u64) -> f64 {
    count as f64
}
