//! Letters over SMTP, taken by aiosmtpd, which shares no line with ours.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use keywright_core::mail::Relay;
use zeroize::Zeroizing;

use super::*;

/// A mail server, gone with its test.
struct Sink {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Sink {
    /// One on this port, or on a free one for 0. None where there is no Python for it, which is a failure in CI.
    fn start(port: u16, mode: &str) -> Option<Self> {
        let Ok(python) = std::env::var("KEYWRIGHT_TEST_PYTHON") else {
            let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
            assert!(!ci, "KEYWRIGHT_TEST_PYTHON must name a Python with aiosmtpd in CI");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(python)
            .args(["-c", include_str!("sink.py")])
            .arg(folder.path())
            .args([port.to_string().as_str(), mode])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let port = u16::try_from(said["port"].as_u64().unwrap()).unwrap();
        Some(Self { child, folder, port })
    }

    /// What it has taken.
    fn taken(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("mail/new")).into_iter().flatten();
        entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }

    fn authority(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("authority.pem")).unwrap()
    }
}

fn post(address: &str, password: Option<&str>, authority: Option<&[u8]>) -> Post {
    let relay: Relay = address.parse().unwrap();
    let password = password.map(|password| Zeroizing::new(password.to_owned()));
    Post::smtp(relay, password, authority, "Keywright <no-reply@example.com>".parse().unwrap()).unwrap()
}

fn plain(port: u16) -> Post {
    post(&format!("smtp://127.0.0.1:{port}?tls=none"), None, None)
}

#[tokio::test]
async fn a_mail_server_takes_a_letter_with_all_it_says() {
    let Some(sink) = Sink::start(0, "plain") else { return };
    let desk = Desk::new().await;
    let (app, tasks) = desk.start(plain(sink.port)).await;
    let id = change(&app, "ada@example.com", false).await.unwrap();
    until("the letter arrives", async || !sink.taken().is_empty()).await;
    until("it is struck off", async || waiting(&desk.fresh.db).await.is_empty()).await;
    let taken = sink.taken();
    let [letter] = taken.as_slice() else { panic!("{taken:?}") };
    for line in [
        "From: Keywright <no-reply@example.com>",
        "To: ada@example.com",
        "X-RcptTo: ada@example.com",
        &format!("Message-ID: <{id}@example.com>"),
        "Auto-Submitted: auto-generated",
        "https://keys.example.com/reset?token=s3cr3t-canary-that-is-longer-than-a-line-of-quoted-printable-may-be",
    ] {
        assert!(letter.lines().any(|written| written == line), "no `{line}` in {letter}");
    }
    tasks.stop().await.unwrap();
}

#[tokio::test]
async fn many_letters_arrive_once_each() {
    let Some(sink) = Sink::start(0, "plain") else { return };
    let desk = Desk::new().await;
    let (app, tasks) = desk.start(plain(sink.port)).await;
    for number in 0..30 {
        change(&app, &format!("person{number}@example.com"), number % 3 == 0).await.ok();
    }
    until("the queue is empty", async || waiting(&desk.fresh.db).await.is_empty()).await;
    tasks.stop().await.unwrap();
    let mut ids: Vec<String> = sink
        .taken()
        .iter()
        .flat_map(|letter| letter.lines())
        .filter(|line| line.starts_with("To: "))
        .map(Into::into)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), sink.taken().len()), (20, 20));
}

#[tokio::test]
async fn a_recipient_who_is_refused_is_not_tried_again_and_one_put_off_is() {
    let Some(sink) = Sink::start(0, "plain") else { return };
    let desk = Desk::new().await;
    let (app, _tasks) = desk.start_still(plain(sink.port)).await;
    let refused = change(&app, "refused@example.com", false).await.unwrap();
    let busy = change(&app, "busy@example.com", false).await.unwrap();
    assert_eq!(app.deliver_mail().await, Ok(0));
    let rows = waiting(&desk.fresh.db).await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.id, row.attempts), (busy, 1));
    assert!(row.last_error.contains("451") && !row.last_error.contains("canary"), "{}", row.last_error);
    let given_up = audit(&desk.fresh.db, "mail.undeliverable").await;
    let [row] = given_up.as_slice() else { panic!("{given_up:?}") };
    assert_eq!(
        (row.target.clone(), row.detail.as_str()),
        (refused.to_string(), r#"{"attempts":1,"to":"refused@example.com"}"#)
    );
    assert!(sink.taken().is_empty());
}

#[tokio::test]
async fn letters_wait_for_a_mail_server_that_is_down() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let desk = Desk::new().await;
    let (app, _tasks) = desk.start_still(plain(port)).await;
    change(&app, "ada@example.com", false).await.unwrap();
    assert_eq!(app.deliver_mail().await, Ok(0));
    let row = waiting(&desk.fresh.db).await.remove(0);
    assert!(!row.last_error.is_empty(), "{row:?}");
    assert!(app.mail.post.check().await.is_err());
    let Some(sink) = Sink::start(port, "plain") else { return };
    assert_eq!(app.mail.post.check().await, Ok(()));
    desk.clock.advance(Span::from_millis(row.next_at.since(desk.clock.now())));
    assert_eq!((app.deliver_mail().await, sink.taken().len()), (Ok(1), 1));
}

#[tokio::test]
async fn a_password_goes_to_the_right_server_over_tls_alone() {
    for (mode, scheme) in [("starttls", "smtp"), ("tls", "smtps")] {
        let Some(sink) = Sink::start(0, mode) else { return };
        let (address, authority) = (format!("{scheme}://me@127.0.0.1:{}", sink.port), sink.authority());
        let desk = Desk::new().await;
        let (app, tasks) = desk.start_still(post(&address, Some("hunter2"), Some(&authority))).await;
        change(&app, "ada@example.com", false).await.unwrap();
        assert_eq!(
            (app.deliver_mail().await, sink.taken().len()),
            (Ok(1), 1),
            "{mode}: {:?}",
            waiting(&desk.fresh.db).await
        );
        drop((app, tasks));
        // Letters wait until the mistake is mended: a wrong password, a server nobody vouches for.
        for (password, authority, says) in
            [("wrong", Some(authority.as_slice()), "535"), ("hunter2", None, "certificate")]
        {
            let (app, tasks) = desk.start_still(post(&address, Some(password), authority)).await;
            let id = change(&app, "bob@example.com", false).await.unwrap();
            assert_eq!(app.deliver_mail().await, Ok(0));
            let row = waiting(&desk.fresh.db).await.into_iter().find(|row| row.id == id).unwrap();
            assert!(row.last_error.to_lowercase().contains(says), "{mode}: {}", row.last_error);
            assert!(!row.last_error.contains("hunter2"));
            drop((app, tasks));
        }
        assert_eq!(sink.taken().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_offers_no_starttls_is_told_nothing() {
    let Some(sink) = Sink::start(0, "plain") else { return };
    let desk = Desk::new().await;
    let (app, _tasks) = desk.start_still(post(&format!("smtp://127.0.0.1:{}", sink.port), None, None)).await;
    change(&app, "ada@example.com", false).await.unwrap();
    assert_eq!(app.deliver_mail().await, Ok(0));
    assert!(waiting(&desk.fresh.db).await[0].last_error.to_lowercase().contains("starttls"));
    assert!(sink.taken().is_empty());
}

#[test]
fn a_user_without_a_password_is_a_mistake() {
    let from = || "no-reply@example.com".parse().unwrap();
    for password in [None, Some(Zeroizing::new(String::new()))] {
        let relay = "smtps://me@mail.example.com".parse().unwrap();
        assert!(Post::smtp(relay, password, None, from()).is_err_and(|reason| reason.contains("no password")));
    }
    let relay: Relay = "smtps://mail.example.com".parse().unwrap();
    assert!(Post::smtp(relay, None, Some(b"no certificate"), from()).is_err());
}
