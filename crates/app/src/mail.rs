//! Mail that goes out. A letter is queued in the transaction of the change that causes it, and delivered after.
//!
//! What must stay true: no letter is lost by a crash, and none is sent for a change that did not commit. A letter is
//! struck off once a mail server has taken it, so one whose server answered and whose process died before it could
//! strike it off goes out again: at least once, with the same Message-ID. While it waits it is sealed, for it may hold
//! a link that lets somebody in.

mod post;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use keywright_core::audit::AuditEvent;
use keywright_core::id::MailId;
use keywright_core::mail::{Letter, next_attempt};
use keywright_core::secret::Vault;
use keywright_core::time::{Span, Time};
use keywright_store::Tx;
use keywright_store::mail::{self as stored, Queued, Waiting};
use rand::Rng as _;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

pub use post::{Failure, Post, Sender};

use crate::caller::Caller;
use crate::clock::{self, Clock};
use crate::error::Error;
use crate::write::Author;
use crate::{App, Keyring};

/// Letters under way at once.
const AT_ONCE: usize = 4;
/// How often letters that have become due are looked for where nothing was queued.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a mail server may take for one letter, from the connection to its last word.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a letter is kept from others while it is under way. Longer than a server may take.
const HELD: Span = Span::minutes(1);
/// How long letters under way may take when we stop. One that is cut off goes out again.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(5);

/// How letters go out, and the bell that says there are some.
pub(crate) struct Mail {
    post: Post,
    queued: Notify,
}

impl Mail {
    pub(crate) fn new(post: Post) -> Self {
        Self { post, queued: Notify::new() }
    }

    /// Says that letters were queued.
    pub(crate) fn wake(&self) {
        self.queued.notify_one();
    }
}

/// Where a change puts its letters. Cheap to clone, so that a change can take it along.
#[derive(Clone)]
pub struct Outbox {
    vault: Vault,
    clock: Clock,
}

impl Outbox {
    fn new(keyring: &Keyring, clock: &Clock) -> Self {
        Self { vault: keyring.vault.clone(), clock: clock.clone() }
    }

    /// Queues a letter: it goes out once, and only where, the transaction commits.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn put(&self, tx: &mut Tx, letter: &Letter) -> Result<MailId, Error> {
        let queued = self.seal(letter, self.clock.now());
        stored::insert_letter(tx, &queued).await?;
        Ok(queued.id)
    }

    fn seal(&self, letter: &Letter, now: Time) -> Queued {
        let id = MailId::new(now, &mut clock::rng());
        Queued {
            id,
            recipient: letter.to().into(),
            sealed: self.vault.seal(&sealed_for(id), &letter.to_bytes(), &mut clock::rng()),
            created_at: now,
            attempts: 0,
            next_at: now,
            last_error: String::new(),
        }
    }
}

impl App {
    /// Whether letters can go out.
    #[must_use]
    pub fn sends_mail(&self) -> bool {
        !matches!(self.mail.post, Post::None)
    }

    /// Where a change puts its letters: take it before the change, and [`Outbox::put`] in it.
    ///
    /// # Errors
    /// Conflict: no mail is configured.
    pub fn outbox(&self) -> Result<Outbox, Error> {
        if self.sends_mail() {
            Ok(Outbox::new(&self.keyring, &self.clock))
        } else {
            Err(Error::Conflict("this server sends no mail: its operator has to configure [mail]".into()))
        }
    }

    /// How many letters wait.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn waiting_mail(&self) -> Result<Waiting, Error> {
        Ok(stored::count_letters(&self.db).await?)
    }

    /// Queues a letter that says that mail works, delivers it, and says how that went. It is tried once.
    ///
    /// # Errors
    /// The recipient is no address, no mail is configured, or the letter did not go out.
    pub async fn send_test_letter(&self, caller: &Caller, to: &str) -> Result<MailId, Error> {
        caller.must_be_operator()?;
        let letter = test_letter(to)?;
        let now = self.clock.now();
        // Taken already as it is queued: nobody else delivers it meanwhile, and it is this attempt that counts.
        let held = Queued { attempts: 1, next_at: now.after(HELD), ..self.outbox()?.seal(&letter, now) };
        let id = held.id;
        self.write(caller, move |tx| {
            Box::pin(async move {
                stored::insert_letter(tx, &held).await?;
                Ok(((), event("mail.test", &held)))
            })
        })
        .await?;
        let sent = self.post(id, &letter).await;
        self.strike_off(id).await?;
        match sent {
            Ok(()) => Ok(id),
            Err(Failure::Refused(reason)) => Err(Error::Conflict(reason)),
            Err(Failure::Later(reason)) => Err(Error::Unavailable(reason)),
        }
    }

    /// Delivers every letter that is due, one after another. Says how many were taken by a mail server. A running
    /// Keywright does this by itself.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn deliver_mail(&self) -> Result<usize, Error> {
        let mut delivered = 0;
        while let Some(letter) = self.take_due_letter().await? {
            delivered += usize::from(self.deliver_letter(letter).await?);
        }
        Ok(delivered)
    }

    /// Takes a letter that is due, so that nobody else does.
    async fn take_due_letter(&self) -> Result<Option<Queued>, Error> {
        let now = self.clock.now();
        let until = now.after(HELD);
        // As many as others may be about to take.
        for letter in stored::list_due_letters(&self.db, now, 2 * AT_ONCE as i64).await? {
            let (id, due) = (letter.id, letter.next_at);
            let take =
                self.meter(move |tx| Box::pin(async move { Ok(stored::take_letter(tx, id, due, until).await?) }));
            if take.await? {
                return Ok(Some(Queued { attempts: letter.attempts + 1, next_at: until, ..letter }));
            }
        }
        Ok(None)
    }

    /// Delivers a letter that was taken, and writes down how that went. Says whether it went out.
    async fn deliver_letter(&self, taken: Queued) -> Result<bool, Error> {
        let opened = self.keyring.vault.open(&sealed_for(taken.id), &taken.sealed);
        let sent = match opened.and_then(|bytes| Letter::from_bytes(&bytes)) {
            Some(letter) => self.post(taken.id, &letter).await,
            None => Err(Failure::Refused("its row was changed, or is of another keyring".into())),
        };
        let (reason, next) = match sent {
            Ok(()) => {
                self.strike_off(taken.id).await?;
                return Ok(true);
            }
            Err(Failure::Later(reason)) => (reason, next_attempt(taken.attempts, clock::rng().next_u32())),
            Err(Failure::Refused(reason)) => (reason, None),
        };
        let Queued { id, next_at: until, attempts, .. } = taken;
        let Some(wait) = next else {
            tracing::warn!(%id, attempts, reason, "a letter was given up");
            return self.give_up(taken).await.map(|()| false);
        };
        tracing::warn!(%id, attempts, reason, again_in = %Span::seconds(wait.seconds_up()), "a letter was not taken");
        let next = self.clock.now().after(wait);
        self.meter(move |tx| Box::pin(async move { Ok(stored::put_off_letter(tx, id, until, next, &reason).await?) }))
            .await?;
        Ok(false)
    }

    async fn post(&self, id: MailId, letter: &Letter) -> Result<(), Failure> {
        let sent = tokio::time::timeout(PATIENCE, self.mail.post.send(id, letter, self.clock.now())).await;
        sent.unwrap_or_else(|_| Err(Failure::Later(format!("the mail server took longer than {PATIENCE:?}"))))
    }

    async fn strike_off(&self, id: MailId) -> Result<(), Error> {
        self.meter(move |tx| Box::pin(async move { Ok(stored::delete_letter(tx, id).await?) })).await.map(drop)
    }

    /// Forgets a letter that will not be delivered, and says so in the audit log.
    async fn give_up(&self, letter: Queued) -> Result<(), Error> {
        self.write_all(Author::system(), move |tx| {
            Box::pin(async move {
                let is_there = stored::delete_letter(tx, letter.id).await?;
                let events = if is_there { vec![event("mail.undeliverable", &letter)] } else { Vec::new() };
                Ok(((), events))
            })
        })
        .await
    }
}

/// Whose letter a sealed one is: it opens in its own row alone.
fn sealed_for(id: MailId) -> String {
    format!("letter {id}")
}

/// A letter that says that mail works.
///
/// # Errors
/// The recipient is no address.
pub fn test_letter(to: &str) -> Result<Letter, Error> {
    let text = "This letter was sent by `keywright doctor --mail-to`: mail from Keywright arrives.\n";
    Letter::new(to, "Keywright can send mail", text.into()).map_err(|wrong| Error::invalid("to", wrong.to_string()))
}

fn event(action: &'static str, letter: &Queued) -> AuditEvent {
    let detail = json!({ "to": letter.recipient, "attempts": letter.attempts });
    AuditEvent { action, target: letter.id.to_string(), account: None, detail: detail.into() }
}

/// Delivers letters until told to stop: at once where a change has queued one, and else every few seconds what is due.
pub(crate) async fn deliver(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    if !app.sends_mail() {
        return;
    }
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = app.mail.queued.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(_) = under_way.join_next() => {}
        }
        while under_way.len() < AT_ONCE {
            match app.take_due_letter().await {
                Ok(Some(letter)) => drop(under_way.spawn(deliver_one(Arc::clone(&app), letter))),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "letters that are due could not be looked for");
                    break;
                }
            }
        }
    }
    let ended = async { while under_way.join_next().await.is_some() {} };
    if tokio::time::timeout(PATIENCE_AT_THE_END, ended).await.is_err() {
        tracing::warn!(letters = under_way.len(), "letters under way were cut off: they go out at the next start");
    }
}

async fn deliver_one(app: Arc<App>, letter: Queued) {
    let id = letter.id;
    if let Err(error) = app.deliver_letter(letter).await {
        tracing::warn!(%id, %error, "how a letter fared could not be written down: it may go out again");
    }
}
