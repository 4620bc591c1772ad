//! Mail: whether it is configured, whether the mail server answers, what waits, and a letter to try it with.

use keywright_app::caller::Caller;
use keywright_app::clock::{self, Clock};
use keywright_app::error::Error;
use keywright_app::mail::{Failure, Post, test_letter};
use keywright_core::id::MailId;
use keywright_core::time::Span;
use keywright_store::Db;
use keywright_store::mail::count_letters;

use super::Findings;
use crate::folder::Lock;
use crate::place::Place;

/// How long a letter may wait before somebody should look.
const LONG: Span = Span::minutes(60);

const MEND: &str = "check smtp, the password and the firewall; the message is the mail server's own";

/// Checks the way letters go out, and sends one where asked to.
pub(super) async fn check(place: &Place, to: Option<&str>, held: Option<Lock>, found: &mut Findings) {
    let post = match place.mail.post() {
        Ok(post) => post,
        Err(error) => {
            found.wrong("mail", format!("{error:#}"), "write what the line says into [mail]");
            return;
        }
    };
    match (&post, post.check().await) {
        (Post::None, _) if to.is_some() => {
            found.wrong("mail", "none is configured", "write [mail] into keywright.toml")
        }
        (Post::None, _) => found.ok("mail", "none is configured: no letters go out"),
        (Post::Folder { .. }, Ok(())) => found.ok("mail", format!("letters are written to {}", post.describe())),
        (Post::Smtp(_), Ok(())) => found.ok("mail", format!("{} answers", post.describe())),
        (_, Err(reason)) => found.wrong("mail", format!("{}: {reason}", post.describe()), MEND),
    }
    if let Some(to) = to.filter(|_| found.is_ok("mail")) {
        match send(place, &post, to, held).await {
            Ok(how) => found.ok("test letter", format!("{} took one for {to}{how}", post.describe())),
            Err(reason) => found.wrong("test letter", reason, MEND),
        }
    }
}

/// Through the queue, as every letter goes, where the database is ours; else straight to the mail server.
async fn send(place: &Place, post: &Post, to: &str, held: Option<Lock>) -> Result<&'static str, String> {
    let Some(lock) = held else {
        let letter = test_letter(to).map_err(|error| error.to_string())?;
        let now = Clock::System.now();
        let sent = post.send(MailId::new(now, &mut clock::rng()), &letter, now).await;
        return sent.map(|()| ", without the queue").map_err(|failure| match failure {
            Failure::Refused(reason) | Failure::Later(reason) => reason,
        });
    };
    let house = place.open_briefly(lock).await.map_err(|error| format!("{error:#}"))?;
    let caller = Caller::local(&house.app.world().policy.catalog);
    let sent = house.app.send_test_letter(&caller, to).await;
    house.close().await.map_err(|error| format!("{error:#}"))?;
    sent.map(|_| ", through the queue").map_err(|error| match error {
        Error::Conflict(reason) | Error::Unavailable(reason) => reason,
        Error::Unauthenticated
        | Error::LoginFailed
        | Error::CodeWrong
        | Error::SessionOver
        | Error::Unanswered
        | Error::NotFound(_)
        | Error::LacksPermission(_)
        | Error::Forbidden(_)
        | Error::Invalid(_)
        | Error::Limited(_)
        | Error::Internal(_) => error.to_string(),
    })
}

/// What waits.
pub(super) async fn queue(db: &Db, found: &mut Findings) {
    let waiting = match count_letters(db).await {
        Ok(waiting) => waiting,
        Err(error) => return found.wrong("mail queue", error.to_string(), "restore the database from its backup"),
    };
    let detail = format!("{} letters wait", waiting.letters);
    if waiting.letters > 0 && Clock::System.now().since(waiting.oldest_at) > LONG.millis() {
        let detail = format!("{detail}, the oldest since {}", waiting.oldest_at);
        found.warn("mail queue", detail, "read in the server's log what the mail server says");
    } else {
        found.ok("mail queue", detail);
    }
}
