//! Letters that say that a key is about to end: to the owners and admins of its account, or to the person whose own it is.
//!
//! Looked for every minute or so, and at the first such minute after a start. What must stay true: that people were told is
//! noted in the transaction that queues the letters, so each gets one for an end and a notice, whatever crashes. A letter
//! holds nothing secret; its links lead to pages that ask who one is.

use std::sync::Arc;

use keywright_core::account::User;
use keywright_core::audit::AuditEvent;
use keywright_core::ending::{NOTICES, due_notice};
use keywright_core::key::{Key, Status};
use keywright_core::mail::Letter;
use keywright_core::member::MemberRole;
use keywright_core::policy::Policy;
use keywright_core::time::Time;
use keywright_store::ending::{list_ending_keys, set_ending_told};
use keywright_store::{Tx, accounts, keys, members, users};
use serde_json::json;

use crate::App;
use crate::error::Error;
use crate::keys::event;
use crate::mail::Outbox;
use crate::registration::letter;
use crate::write::Author;

/// Keys told of in one change.
const BATCH: i64 = 100;
/// Members looked at for owners and admins.
const MEMBERS: i64 = 1_000;

/// What a letter is written from.
#[derive(Clone)]
struct Desk {
    outbox: Outbox,
    /// What the service is called.
    name: String,
    /// Where its pages are.
    site: String,
}

impl App {
    /// Tells people of every key that is about to end, where mail goes out and the policy wants it. Says of how many keys.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn tell_ending_keys(&self) -> Result<usize, Error> {
        let world = Arc::clone(self.world());
        let Some(site) = self.site().filter(|_| self.sends_mail() && world.policy.tells_of_ends) else { return Ok(0) };
        let (name, site) = (world.policy.login.name.clone(), site.trim_end_matches('/').to_owned());
        let desk = Desk { outbox: self.outbox()?, name, site };
        let mut told = 0;
        // The later notice first: of a key that both are due for, people are told once.
        for days in NOTICES {
            loop {
                let found = list_ending_keys(&self.db, days, self.clock.now(), BATCH).await?;
                let count = self.tell_of_ends(&world.policy, &desk, found).await?;
                told += count;
                if count == 0 {
                    break;
                }
            }
        }
        Ok(told)
    }

    async fn tell_of_ends(&self, policy: &Policy, desk: &Desk, found: Vec<Key>) -> Result<usize, Error> {
        let is_personal = |key: &Key| policy.kind(&key.kind).is_some_and(|(_, kind)| kind.personal);
        let found: Vec<_> = found.into_iter().map(|key| (key.id, is_personal(&key))).collect();
        let (desk, now) = (desk.clone(), self.clock.now());
        self.write_all(Author::system(), move |tx| {
            Box::pin(async move {
                let mut events = Vec::new();
                for (id, is_personal) in found {
                    // It may have been changed since it was found.
                    let Some(key) = keys::find_key(tx, id).await? else { continue };
                    events.extend(tell(tx, &desk, &key, is_personal, now).await?);
                }
                Ok((events.len(), events))
            })
        })
        .await
    }
}

/// Tells people of a key's end, where a notice of it is due and was not given.
async fn tell(tx: &mut Tx, desk: &Desk, key: &Key, is_personal: bool, now: Time) -> Result<Option<AuditEvent>, Error> {
    let Some(ends_at) = key.expires_at.filter(|_| key.status(now) == Status::Active) else { return Ok(None) };
    let Some(days) = due_notice(key.created_at, ends_at, now) else { return Ok(None) };
    if !set_ending_told(tx, key.id, ends_at, days).await? {
        return Ok(None);
    }
    let account = accounts::find_account(tx, key.account).await?.map(|account| account.name).unwrap_or_default();
    let mut told = Vec::new();
    for person in recipients(tx, key, is_personal).await? {
        let Some(email) = &person.email else { continue };
        match desk.letter(email, key, &account, ends_at, now) {
            Ok(letter) => desk.outbox.put(tx, &letter).await.map(drop)?,
            Err(error) => tracing::warn!(%error, user = %person.id, "somebody could not be told that a key ends"),
        }
        told.push(person.id);
    }
    let detail = json!({ "expires_at": ends_at, "days": days, "told": told });
    Ok(Some(event("key.ending", key, detail)))
}

/// Who is told: people who showed that mail reaches them, and are not shut out.
async fn recipients(tx: &Tx, key: &Key, is_personal: bool) -> Result<Vec<User>, Error> {
    let own = key.created_by.strip_prefix("user:").filter(|_| is_personal).and_then(|id| id.parse().ok());
    let ids = match own {
        Some(id) => members::find_member(tx, key.account, id).await?.map(|member| member.user).into_iter().collect(),
        None => {
            let mut listed = members::list_members(tx, key.account, None, MEMBERS).await?;
            listed.retain(|member| matches!(member.role, MemberRole::Owner | MemberRole::Admin));
            listed.into_iter().map(|member| member.user).collect::<Vec<_>>()
        }
    };
    let mut people = Vec::with_capacity(ids.len());
    for id in ids {
        let found = users::find_user(tx, id).await?;
        people.extend(found.filter(|user| user.disabled_at.is_none() && user.email_verified_at.is_some()));
    }
    Ok(people)
}

impl Desk {
    fn letter(&self, to: &str, key: &Key, account: &str, ends_at: Time, now: Time) -> Result<Letter, Error> {
        let page = format!("{}/dashboard/keys/{}", self.site, key.id);
        let subject = format!("A key ends {}", within(ends_at, now));
        let called = if key.name.is_empty() { String::new() } else { format!("\n    {}", one_line(&key.name)) };
        let text = format!(
            "Hello,\n\nthis key of {} ends at {ends_at}, and is refused everywhere from then on:\n{called}\n    \
             {}…{}\n\nIf it is still needed, give it another end:\n\n{page}/edit\n\nA new secret for it, with a while in \
             which the old one works, too:\n",
            one_line(account),
            key.prefix,
            key.last_four,
        );
        letter(&self.name, to, &subject, &text, Some(&format!("{page}/rotate")))
    }
}

/// How long it is until then, in days as they are counted.
fn within(ends_at: Time, now: Time) -> String {
    match ends_at.since(now).div_euclid(86_400_000) {
        0 => "within a day".into(),
        1 => "in a day".into(),
        days => format!("in {days} days"),
    }
}

/// What people named something, as a line of its own.
fn one_line(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}
