//! The only place that commits.
//!
//! Every change is a closure over a transaction that must return its value *and* an audit event, so an unaudited change
//! does not compile. One task runs them, as many to a transaction as there are when it comes to the end of those before:
//! each can be undone alone, all have one commit and one disk flush. After the commit, and before any caller hears of it,
//! everything the transaction touched is evicted.
//!
//! A caller that goes away changes nothing: its closure runs whole or not at all.
//! Where the database holds up its thread (SQLite), batches run on one that may wait, one after the other for as long as there
//! are any.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywright_core::audit::{ANCHOR, Actor, AuditEvent, AuditRow};
use keywright_core::secret::ChainKey;
use keywright_core::time::Time;
use keywright_store::{Db, Tx};
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};

use crate::App;
use crate::caller::Caller;
use crate::error::Error;
use crate::sync::lock_std as lock;

/// The most changes one commit carries.
const BATCH: usize = 256;
/// Changes that may wait; more are told to come back.
const QUEUE: usize = 4_096;
/// What part of as many as the last time a batch waits for: the others come while those are made.
const PART: usize = 4;
/// How often the thread that runs batches lets others run while it waits for a change.
const YIELDS: usize = 300;
/// How long it then sleeps at a time where it has none at all.
const PAUSE: Duration = Duration::from_micros(50);
/// How often it does before it goes.
const PAUSES: usize = 10;
/// How long a caller waits for a change. A disk that does not answer holds up the writer for as long as it likes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a change does inside its transaction.
pub(crate) type Doing<'t, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 't>>;

/// Who makes a change, as the audit log will say.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    actor: Actor,
    request_id: Option<String>,
}

impl From<&Caller> for Author {
    fn from(caller: &Caller) -> Self {
        Self { actor: caller.actor.clone(), request_id: caller.request_id.clone() }
    }
}

impl Author {
    pub(crate) const fn person(id: keywright_core::id::UserId, request_id: Option<String>) -> Self {
        Self { actor: Actor::User(id), request_id }
    }

    pub(crate) const fn system() -> Self {
        Self { actor: Actor::System, request_id: None }
    }

    /// Keywright itself, because of a request.
    pub(crate) const fn system_in(request_id: Option<String>) -> Self {
        Self { actor: Actor::System, request_id }
    }
}

/// A change on its way through the writer.
trait Change: Send {
    /// Runs it and returns what the audit log is to say.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> Doing<'t, Vec<(Author, AuditEvent)>>;
    /// Tells its caller how it ended.
    fn answer(self: Box<Self>, outcome: Result<(), Error>);
}

struct Audited<F, T> {
    author: Author,
    work: Option<F>,
    value: Option<T>,
    caller: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Change for Audited<F, T>
where
    F: for<'t> FnOnce(&'t mut Tx) -> Doing<'t, (T, Vec<AuditEvent>)> + Send,
    T: Send,
{
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> Doing<'t, Vec<(Author, AuditEvent)>> {
        Box::pin(async move {
            let work = self.work.take().ok_or_else(|| Error::Internal("a change was run twice".into()))?;
            let (value, events) = work(tx).await?;
            self.value = Some(value);
            Ok(events.into_iter().map(|event| (self.author.clone(), event)).collect())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<(), Error>) {
        let value = self.value.ok_or_else(|| Error::Internal("a change left no value".into()));
        // A caller that has gone away needs no answer.
        drop(self.caller.send(outcome.and(value)));
    }
}

/// The way to the writer.
pub(crate) struct Writer(Mutex<Option<mpsc::Sender<Box<dyn Change>>>>);

/// The writer's end: to be run as one task.
pub(crate) struct Queue(Waiting);

type Waiting = mpsc::Receiver<Box<dyn Change>>;
type Batch = Vec<Box<dyn Change>>;

pub(crate) fn channel() -> (Writer, Queue) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Writer(Mutex::new(Some(sender))), Queue(receiver))
}

impl App {
    /// Makes a change, with the events the audit log keeps of it: one, or one for each thing changed.
    pub(crate) async fn write_all<F, T>(&self, author: impl Into<Author>, work: F) -> Result<T, Error>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Doing<'t, (T, Vec<AuditEvent>)> + Send + 'static,
        T: Send + 'static,
    {
        // What a change takes along may be large, and is handed on a few times.
        let work = Box::new(work);
        in_time(self.submit(author.into(), work)).await
    }

    /// Has the writer make a change, and waits for it.
    async fn submit<F, T>(&self, author: Author, work: F) -> Result<T, Error>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Doing<'t, (T, Vec<AuditEvent>)> + Send + 'static,
        T: Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let change = Audited { author, work: Some(work), value: None, caller };
        let closed = || Error::Unavailable("the server is shutting down".into());
        let full = |_| Error::Unavailable("too many changes are waiting: try again in a moment".into());
        let writer = lock(&self.writer.0).clone().ok_or_else(closed)?;
        writer.try_send(Box::new(change)).map_err(full)?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Makes a change, with the one event the audit log keeps of it.
    pub(crate) async fn write<F, T>(&self, author: impl Into<Author>, work: F) -> Result<T, Error>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Doing<'t, (T, AuditEvent)> + Send + 'static,
        T: Send + 'static,
    {
        let work = Box::new(work);
        self.write_all(author, move |tx| {
            Box::pin(async move {
                let (value, event) = work(tx).await?;
                Ok((value, vec![event]))
            })
        })
        .await
    }

    /// Writes down what was measured: counts of uses, leases of credits and how far a letter has come, which are not
    /// changes anybody made. It is waited for as long as it takes: what is given up on may still be made, and would then be
    /// counted twice.
    pub(crate) async fn meter<F, T>(&self, work: F) -> Result<T, Error>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Doing<'t, T> + Send + 'static,
        T: Send + 'static,
    {
        self.submit(Author::system(), move |tx| Box::pin(async move { Ok((work(tx).await?, Vec::new())) })).await
    }

    /// Takes no more changes; those on their way are still made.
    pub(crate) fn close_writer(&self) {
        drop(lock(&self.writer.0).take());
    }

    /// Runs changes until every way to the writer is gone.
    pub(crate) async fn run_writer(self: Arc<Self>, queue: Queue) {
        // Lent to the thread that runs batches, and given back even where that one panics.
        let queue = Arc::new(tokio::sync::Mutex::new(queue.0));
        loop {
            let mut waiting = Arc::clone(&queue).lock_owned().await;
            let Some(batch) = next_batch(&mut waiting).await else { return };
            if self.db.blocks() {
                let (app, runtime) = (Arc::clone(&self), Handle::current());
                let run = move || runtime.block_on(app.run_batches(batch, waiting));
                if tokio::task::spawn_blocking(run).await.is_err() {
                    tracing::error!("a batch of changes ended before its time");
                }
            } else {
                self.run_batch(batch, &mut waiting, 0).await;
            }
        }
    }

    /// Runs a batch, and those that come soon after it: to wake this thread takes longer than many a change.
    async fn run_batches(&self, mut batch: Batch, mut waiting: OwnedMutexGuard<Waiting>) {
        let mut enough = 0;
        while !batch.is_empty() {
            let asked_for = self.run_batch(batch, &mut waiting, enough).await;
            enough = asked_for.div_ceil(PART);
            // Nobody asked for what was measured, so nobody is about to ask again.
            batch = if asked_for == 0 { Batch::new() } else { next_soon(&mut waiting) };
        }
    }

    /// Runs a batch in one transaction, with what comes meanwhile, tells every caller, and says how many of them somebody asked
    /// for. Each change fails alone; a failed commit fails them all. A batch of fewer than `enough` waits a little for more.
    async fn run_batch(&self, mut changes: Batch, waiting: &mut Waiting, enough: usize) -> usize {
        let mut outcomes = Vec::with_capacity(changes.len());
        let tried = self.try_batch(&mut changes, waiting, enough, &mut outcomes).await;
        let asked_for = tried.unwrap_or_else(|error| {
            tracing::warn!(%error, "a commit failed");
            outcomes = vec![Err(error); changes.len()];
            changes.len()
        });
        for (change, outcome) in changes.into_iter().zip(outcomes) {
            change.answer(outcome);
        }
        asked_for
    }

    async fn try_batch(
        &self,
        changes: &mut Batch,
        waiting: &mut Waiting,
        enough: usize,
        outcomes: &mut Vec<Result<(), Error>>,
    ) -> Result<usize, Error> {
        let mut tx = self.db.begin().await?;
        let (mut events, mut measured) = (Vec::new(), 0);
        for at in 0..BATCH {
            if at == changes.len() {
                changes.extend(next_at_once(waiting, if at < enough { YIELDS } else { 0 }));
            }
            let Some(change) = changes.get_mut(at) else { break };
            tx.begin_job()?;
            match change.run(&mut tx).await {
                Ok(mut made) => {
                    measured += usize::from(made.is_empty());
                    events.append(&mut made);
                    outcomes.push(Ok(()));
                }
                Err(error) => {
                    tx.undo_job().await?;
                    outcomes.push(Err(error));
                }
            }
        }
        let (changes, asked_for) = (u64::from(!events.is_empty()), outcomes.len() - measured);
        self.append_audit(&mut tx, events).await?;
        let touched = std::mem::take(&mut tx.touched);
        let mut standings = Vec::new();
        for account in &touched.accounts {
            standings.extend(keywright_store::accounts::find_account(&tx, *account).await?);
        }
        self.lease.must_hold()?;
        // A commit may have happened even where its answer is lost, so what it touched is evicted either way.
        let committed = tx.commit().await;
        touched.digests.iter().for_each(|digest| self.cache.evict(digest));
        touched.added.iter().for_each(|digest| self.cache.forget_absence(digest));
        if touched.imported {
            self.cache.forget_absences();
        }
        for account in standings {
            self.accounts.set_suspended(account.id, account.standing == keywright_core::account::Standing::Suspended);
        }
        self.changes.fetch_add(changes, Ordering::Release);
        if touched.mail {
            self.mail.wake();
        }
        committed?;
        Ok(asked_for)
    }

    async fn append_audit(&self, tx: &mut Tx, events: Vec<(Author, AuditEvent)>) -> Result<(), Error> {
        append(tx, &self.keyring.chain, events, self.clock.now()).await
    }
}

/// The changes that wait, once there are any; `None` where there will be no more.
async fn next_batch(waiting: &mut Waiting) -> Option<Batch> {
    let mut changes = Vec::new();
    (waiting.recv_many(&mut changes, BATCH).await > 0).then_some(changes)
}

/// The next change where there is one, or comes while others run a few times. It holds up its thread.
fn next_at_once(waiting: &mut Waiting, yields: usize) -> Option<Box<dyn Change>> {
    for _ in 0..yields {
        if let Ok(change) = waiting.try_recv() {
            return Some(change);
        }
        std::thread::yield_now();
    }
    waiting.try_recv().ok()
}

/// The first change of the next batch, for whoever was answered by the last one may be about to ask again; nothing where
/// nobody does. It holds up its thread, and asks no runtime for the time: that one may be ending.
fn next_soon(waiting: &mut Waiting) -> Batch {
    let mut change = next_at_once(waiting, YIELDS);
    for _ in 0..PAUSES {
        if change.is_some() {
            break;
        }
        std::thread::sleep(PAUSE);
        change = waiting.try_recv().ok();
    }
    change.into_iter().collect()
}

/// What somebody waits for, but not for ever.
pub(crate) async fn in_time<T>(change: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(PATIENCE, change).await.unwrap_or(Err(Error::Unanswered))
}

/// Links events to the audit log.
async fn append(tx: &mut Tx, chain: &ChainKey, events: Vec<(Author, AuditEvent)>, at: Time) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let (mut seq, mut previous) = keywright_store::audit::audit_head(tx).await?;
    let mut rows = Vec::with_capacity(events.len());
    for (author, event) in events {
        seq += 1;
        let mut row = AuditRow {
            seq,
            at,
            actor: author.actor.name(),
            action: event.action.into(),
            target: event.target,
            account: event.account,
            request_id: author.request_id,
            detail: event.detail.into(),
            link: ANCHOR,
        };
        row.link = row.link_after(&previous, chain);
        previous = row.link;
        rows.push(row);
    }
    Ok(keywright_store::audit::append_audit(tx, &rows, (seq, previous)).await?)
}

/// Makes a change where there is no running [`App`]: where the keyring itself is made or sealed anew.
pub(crate) async fn write_alone<F>(db: &Db, chain: &ChainKey, now: Time, work: F) -> Result<(), Error>
where
    F: for<'t> FnOnce(&'t mut Tx) -> Doing<'t, AuditEvent> + Send,
{
    let mut tx = db.begin().await?;
    let event = work(&mut tx).await?;
    append(&mut tx, chain, vec![(Author { actor: Actor::Local, request_id: None }, event)], now).await?;
    Ok(tx.commit().await?)
}
