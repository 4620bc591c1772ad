//! Letters, from the change that causes them to whoever takes them.

#![expect(clippy::disallowed_methods, reason = "these tests wait for other processes by a clock")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use keywright_core::audit::AuditRow;
use keywright_core::policy::Policy;
use keywright_core::secret::MasterKey;
use keywright_store::Db;
use keywright_store::audit::{AuditFilter, list_audit};
use keywright_store::testing::{self, Fresh};

use super::*;
use crate::{Settings, Tasks};

mod smtp;

/// A Keywright on a database of its own, and the folder its letters go to.
struct Desk {
    fresh: Fresh,
    folder: tempfile::TempDir,
    clock: Clock,
    master: MasterKey,
}

impl Desk {
    async fn new() -> Self {
        Self {
            fresh: testing::sqlite().await,
            folder: tempfile::tempdir().unwrap(),
            clock: Clock::standing_at(Time::from_millis(1_795_000_000_000)),
            master: MasterKey::generate(&mut clock::rng()),
        }
    }

    fn folder_post(&self) -> Post {
        let from = "Keywright <no-reply@example.com>".parse().unwrap();
        Post::Folder { path: self.folder.path().join("mail"), from, shows_links: false }
    }

    async fn start(&self, post: Post) -> (Arc<App>, Tasks) {
        let policy = Policy::parse(Policy::DEV).unwrap();
        let settings =
            Settings { policy, clock: self.clock.clone(), cached_keys: 1_000, issuer: None, site: None, post };
        App::start(self.fresh.db.clone(), &self.master, settings).await.unwrap()
    }

    /// As [`Desk::start`], with nobody who delivers by himself.
    async fn start_still(&self, post: Post) -> (Arc<App>, Tasks) {
        let (app, tasks) = self.start(post).await;
        tasks.postman.abort();
        (app, tasks)
    }

    fn letters(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("mail")).into_iter().flatten();
        entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

fn letter(to: &str) -> Letter {
    let text = "Hello,\n\nthis link works once:\n\nhttps://keys.example.com/reset?token=s3cr3t-canary-that-is-longer-than-a-line-of-quoted-printable-may-be\n";
    Letter::new(to, "Your new password", text.into()).unwrap()
}

/// A change that queues a letter, and fails after it where `fails`.
async fn change(app: &App, to: &str, fails: bool) -> Result<MailId, Error> {
    let outbox = app.outbox()?;
    let letter = letter(to);
    app.write(Author::system(), move |tx| {
        Box::pin(async move {
            let id = outbox.put(tx, &letter).await?;
            if fails {
                return Err(Error::Conflict("changed its mind".into()));
            }
            let event =
                AuditEvent { action: "test.change", target: id.to_string(), account: None, detail: json!({}).into() };
            Ok((id, event))
        })
    })
    .await
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(std::time::Instant::now() < deadline, "waited a minute, and still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn waiting(db: &Db) -> Vec<Queued> {
    stored::list_due_letters(db, Time::MAX, 100).await.unwrap()
}

async fn audit(db: &Db, action: &str) -> Vec<AuditRow> {
    let action = Some(action.to_owned());
    let filter = AuditFilter { account: None, target: None, action, actor: None, before: None, limit: 10 };
    list_audit(db, &filter).await.unwrap()
}

#[tokio::test]
async fn a_letter_goes_out_once_its_change_has_committed_and_nobody_has_to_ask() {
    let desk = Desk::new().await;
    let (app, tasks) = desk.start(desk.folder_post()).await;
    let id = change(&app, "ada@example.com", false).await.unwrap();
    until("the letter is written", async || !desk.letters().is_empty()).await;
    until("it is struck off", async || waiting(&desk.fresh.db).await.is_empty()).await;
    let letters = desk.letters();
    let [written] = letters.as_slice() else { panic!("{letters:?}") };
    for line in [
        "From: Keywright <no-reply@example.com>",
        "To: ada@example.com",
        "Subject: Your new password",
        "Date: Wed, 18 Nov 2026 11:06:40 +0000",
        &format!("Message-ID: <{id}@example.com>"),
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain; charset=utf-8",
        "https://keys.example.com/reset?token=s3cr3t-canary-that-is-longer-than-a-line-of-quoted-printable-may-be",
    ] {
        assert!(written.split("\r\n").any(|written| written == line), "no `{line}` in {written}");
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = desk.folder.path().join("mail");
    assert_eq!((mode(&folder), mode(&folder.join(format!("{id}.eml")))), (0o700, 0o600));
    tasks.stop().await.unwrap();
}

#[tokio::test]
async fn a_letter_of_a_change_that_failed_is_never_sent() {
    let desk = Desk::new().await;
    let (app, tasks) = desk.start_still(desk.folder_post()).await;
    change(&app, "ada@example.com", true).await.unwrap_err();
    assert_eq!(app.deliver_mail().await, Ok(0));
    // Beside one that did commit, in the same batch or not.
    let (failed, made) = tokio::join!(change(&app, "ada@example.com", true), change(&app, "bob@example.com", false));
    assert!(failed.is_err() && made.is_ok());
    assert_eq!(app.deliver_mail().await, Ok(1));
    assert_eq!(desk.letters().len(), 1);
    assert!(desk.letters()[0].contains("To: bob@example.com"));
    drop(tasks);
}

#[tokio::test]
async fn a_letter_outlives_a_process_that_died_before_it_was_delivered_or_struck_off() {
    let desk = Desk::new().await;
    let (app, tasks) = desk.start_still(desk.folder_post()).await;
    change(&app, "ada@example.com", false).await.unwrap();
    desk.clock.advance(Span::seconds(1));
    change(&app, "bob@example.com", false).await.unwrap();
    // One was taken when the process died; whether the server had it nobody knows.
    let taken = app.take_due_letter().await.unwrap().unwrap();
    assert_eq!(taken.recipient, "ada@example.com");
    drop((app, tasks));

    let (app, tasks) = desk.start_still(desk.folder_post()).await;
    assert_eq!(app.deliver_mail().await, Ok(1), "the other is held for whoever had it");
    desk.clock.advance(HELD);
    assert_eq!(app.deliver_mail().await, Ok(1));
    assert_eq!((desk.letters().len(), app.deliver_mail().await), (2, Ok(0)));
    drop(tasks);
}

#[tokio::test]
async fn what_a_letter_says_is_nowhere_in_the_database() {
    let desk = Desk::new().await;
    let (app, tasks) = desk.start_still(desk.folder_post()).await;
    change(&app, "ada@example.com", false).await.unwrap();
    tasks.stop().await.unwrap_err();
    desk.fresh.db.close().await;
    let file = std::fs::read(desk.fresh.url.strip_prefix("sqlite:").unwrap()).unwrap();
    let holds = |needle: &str| file.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(holds("ada@example.com") && !holds("s3cr3t-canary") && !holds("new password"));
}

#[tokio::test]
async fn a_row_that_was_changed_is_given_up_and_sends_nobody_a_link() {
    let desk = Desk::new().await;
    let (app, _tasks) = desk.start_still(desk.folder_post()).await;
    let (ada, bob) =
        (change(&app, "ada@example.com", false).await.unwrap(), change(&app, "bob@example.com", false).await.unwrap());
    // Whoever can write to the database lays one person's letter into another's row.
    let rows = waiting(&desk.fresh.db).await;
    let of = |id| rows.iter().find(|row| row.id == id).unwrap().clone();
    let forged = Queued { sealed: of(ada).sealed, ..of(bob) };
    app.meter(move |tx| {
        Box::pin(async move {
            stored::delete_letter(tx, bob).await?;
            Ok(stored::insert_letter(tx, &forged).await?)
        })
    })
    .await
    .unwrap();
    assert_eq!(app.deliver_mail().await, Ok(1));
    assert!(desk.letters()[0].contains("To: ada@example.com"));
    assert_eq!(audit(&desk.fresh.db, "mail.undeliverable").await[0].target, bob.to_string());
}

#[tokio::test]
async fn a_letter_that_never_arrives_is_tried_for_two_days_and_then_said_to_be_undeliverable() {
    let desk = Desk::new().await;
    let (app, _tasks) = desk.start_still(desk.folder_post()).await;
    // Where the folder should be is a file.
    std::fs::write(desk.folder.path().join("mail"), "").unwrap();
    let id = change(&app, "ada@example.com", false).await.unwrap();
    let begun = desk.clock.now();
    for attempt in 1.. {
        assert_eq!(app.deliver_mail().await, Ok(0));
        let rows = waiting(&desk.fresh.db).await;
        let Some(row) = rows.first() else { break };
        assert_eq!(row.attempts, attempt);
        assert!(!row.last_error.is_empty() && !row.last_error.contains("canary"), "{}", row.last_error);
        assert_eq!(app.deliver_mail().await, Ok(0), "it is not due");
        desk.clock.advance(Span::from_millis(row.next_at.since(desk.clock.now())));
    }
    let days = desk.clock.now().since(begun) / 3_600_000;
    assert!((36..60).contains(&days), "{days} hours");
    let rows = audit(&desk.fresh.db, "mail.undeliverable").await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.target.as_str(), row.actor.as_str()), (id.to_string().as_str(), "system"));
    assert_eq!(row.detail, r#"{"attempts":16,"to":"ada@example.com"}"#);
}

#[tokio::test]
async fn without_mail_nothing_is_queued_and_what_waits_keeps_waiting() {
    let desk = Desk::new().await;
    let (app, tasks) = desk.start_still(desk.folder_post()).await;
    change(&app, "ada@example.com", false).await.unwrap();
    drop((app, tasks));
    let (app, tasks) = desk.start(Post::None).await;
    assert!(!app.sends_mail());
    assert!(matches!(app.outbox(), Err(Error::Conflict(_))));
    assert_eq!(app.waiting_mail().await.unwrap().letters, 1);
    tasks.stop().await.unwrap();
    assert_eq!(waiting(&desk.fresh.db).await[0].attempts, 0);
}

#[tokio::test]
async fn a_keyring_from_before_there_was_a_vault_is_given_one_also_where_it_is_rekeyed_first() {
    use keywright_store::keyring::list_keyring;
    for rekeyed_first in [false, true] {
        let desk = Desk::new().await;
        let now = desk.clock.now();
        Keyring::open(&desk.fresh.db, &desk.master, now).await.unwrap();
        desk.fresh.db.run_raw("delete from keyring where purpose in ('vault', 'token-signing')").await.unwrap();
        let master = MasterKey::generate(&mut clock::rng());
        if rekeyed_first {
            Keyring::rekey(&desk.fresh.db, &desk.master, &master, now).await.unwrap();
        }
        let desk = Desk { master: if rekeyed_first { master } else { desk.master }, ..desk };
        let (app, tasks) = desk.start_still(desk.folder_post()).await;
        assert_eq!(audit(&desk.fresh.db, "keyring.complete").await.len(), 1);
        assert_eq!(list_keyring(&desk.fresh.db).await.unwrap().iter().filter(|row| row.purpose == "vault").count(), 1);

        // What waits is read under the next master key, too.
        change(&app, "ada@example.com", false).await.unwrap();
        drop((app, tasks));
        let next = MasterKey::generate(&mut clock::rng());
        Keyring::rekey(&desk.fresh.db, &desk.master, &next, now).await.unwrap();
        let desk = Desk { master: next, ..desk };
        let (app, _tasks) = desk.start_still(desk.folder_post()).await;
        assert_eq!(app.deliver_mail().await, Ok(1));
    }
}
