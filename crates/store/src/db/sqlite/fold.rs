//! Folding the log into the file, beside whoever writes.
//!
//! SQLite adds what is written to a log, and copies that into the file by and by. Left to itself it has the commit that
//! fills the log do so, and everybody behind it wait. Here a task does it on a connection of its own, while others write.
//! Only the end of a log that never rests is copied while the writer pauses: the log can begin anew only where all of it
//! is folded, so it would otherwise grow for as long as somebody writes.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{Lane, Open, Role, aside, lock};
use crate::db::PATIENCE;

/// How long after a transaction the log is looked at: once for many of them.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes worth folding: a page that changed often until then is written to the file once.
const ENOUGH: i64 = 16 << 20;
/// Bytes of a log that is to begin anew even if the writer has to pause.
const MUCH: i64 = 48 << 20;
/// Bytes the writer may be kept waiting for.
const FEW: i64 = 2 << 20;
/// How often what was added meanwhile is folded before the rest is left for the next time.
const ROUNDS: usize = 8;

/// The task that folds, for as long as there is a writer.
#[derive(Debug)]
pub(super) struct Folder(Mutex<Option<JoinHandle<()>>>);

impl Folder {
    pub(super) fn of(writer: &Arc<Lane>) -> Self {
        let task = run(Arc::downgrade(writer), Arc::clone(&writer.returned));
        Self(Mutex::new(Some(tokio::spawn(task))))
    }

    /// Waits until it has ended, after its writer has.
    pub(super) async fn end(&self) {
        let task = lock(&self.0).take();
        if let Some(task) = task {
            drop(tokio::time::timeout(PATIENCE, task).await);
        }
    }
}

async fn run(writer: Weak<Lane>, returned: Arc<Notify>) {
    let mut kept = None;
    loop {
        returned.notified().await;
        tokio::time::sleep(PAUSE).await;
        let Some(lane) = writer.upgrade().filter(|lane| !lane.turns.is_closed()) else { break };
        // What goes wrong here goes wrong for the writer, too, which tells; the connection is opened anew.
        kept = fold(&lane, kept).await;
    }
    // The last connection to be closed folds the log, however short.
    drop(tokio::task::spawn_blocking(move || drop(kept)).await);
}

/// Folds the log where it is long enough, and hands the connection back.
async fn fold(lane: &Lane, kept: Option<Open>) -> Option<Open> {
    let path = lane.path.clone();
    let beside = move || {
        let open = kept.map_or_else(|| Open::new(&path, Role::Folder), Ok)?;
        let rest_is_short = open.limited(fold_beside)?;
        Ok((open, rest_is_short))
    };
    let (open, rest_is_short) = aside(beside).await.ok()?;
    if !rest_is_short {
        return Some(open);
    }
    let turn = lane.turns.acquire().await.ok()?;
    let rest = aside(move || open.limited(fold_once).map(|()| open)).await.ok();
    drop(turn);
    rest
}

/// Folds while others write. Says whether a long log is now so nearly folded that the writer may wait for the rest.
fn fold_beside(open: &Open) -> rusqlite::Result<bool> {
    let log = Log::of(open)?;
    if log.left() < ENOUGH {
        return Ok(false);
    }
    fold_once(open)?;
    if log.all < MUCH {
        return Ok(false);
    }
    for _ in 0..ROUNDS {
        // Less each time, for it takes less long, unless somebody still reads an old state.
        if Log::of(open)?.left() < FEW {
            return Ok(true);
        }
        fold_once(open)?;
    }
    Ok(false)
}

/// Folds what nobody reads an older state of, and waits for nobody.
fn fold_once(open: &Open) -> rusqlite::Result<()> {
    open.connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
}

/// How long the log is, in bytes of pages.
struct Log {
    all: i64,
    folded: i64,
}

impl Log {
    fn of(open: &Open) -> rusqlite::Result<Self> {
        let page: i64 = open.connection.query_row("pragma page_size", [], |row| row.get(0))?;
        let pages = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(|pages| pages * page);
        let log = |row: &rusqlite::Row<'_>| Ok(Self { all: pages(row, 1)?, folded: pages(row, 2)? });
        open.connection.query_row("pragma wal_checkpoint(noop)", [], log)
    }

    const fn left(&self) -> i64 {
        self.all - self.folded
    }
}
