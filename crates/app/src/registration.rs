//! Use cases on a person's own account: register, show that mail arrives, choose another password by mail, another address.
//!
//! What must stay true (security.md 19, 20, 47 to 49): whether an address is somebody's shows in no answer; mail goes to
//! the stored address and is queued with the change; its links lead where the operator said; a reset takes the second
//! factor, too.

use std::sync::Arc;
use std::time::Duration;

use keywright_core::account::{Account, AccountChange, User, normal_email};
use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, UserId};
use keywright_core::limit::RateLimit;
use keywright_core::mail::Letter;
use keywright_core::member::MemberRole;
use keywright_core::password::Password;
use keywright_core::ticket::{Good, Ticket, ticket};
use keywright_core::time::{Span, Time};
use keywright_core::totp::Code;
use keywright_store::users::Credentials;
use keywright_store::{StoreError, Tx, accounts, members, sessions, users};
use serde_json::json;

use crate::caller::Caller;
use crate::error::Error;
use crate::factors::Factor;
use crate::logins::Place;
use crate::mail::Outbox;
use crate::users::chosen;
use crate::write::Author;
use crate::{App, clock};

/// Registrations and resets asked for from one address.
const ASKED_PER_IP: u32 = 20;
/// Letters one address is sent at the wish of people who have not shown who they are; as many again with which its person
/// chooses another password.
pub(crate) const LETTERS_PER_ADDRESS: u32 = 5;
const WINDOW: Span = Span::minutes(60);
/// What an answer takes at least where it must not show whether an address is somebody's: what is then done takes longer, or less
/// long, and holds up what is answered meanwhile.
const LEAST: Duration = Duration::from_millis(100);

impl App {
    /// Registers a person with an account of their own, and has them show that mail reaches them. An address that is
    /// somebody's is told so by mail, and by nothing else.
    ///
    /// # Errors
    /// Registration is closed, the address or the password will not do, or too many registered from here.
    pub async fn register(
        &self,
        email: &str,
        password: &str,
        account_name: Option<&str>,
        place: Place,
    ) -> Result<(), Error> {
        if !self.world().policy.login.is_open {
            return Err(Error::Forbidden("nobody registers here: ask whoever runs this server for an account".into()));
        }
        self.outbox()?;
        let email = address(email)?;
        let now = self.clock.now();
        let user = User::new(UserId::new(now, &mut clock::rng()), Some(email.clone()), now);
        let mut account = Account::new(AccountId::new(now, &mut clock::rng()), email.clone(), now);
        let name = account_name.filter(|name| !name.trim().is_empty()).unwrap_or(&email).to_owned();
        let change = AccountChange { name: Some(name), email: Some(email.clone()), ..AccountChange::default() };
        account.change(change, now).map_err(renamed)?;
        // Counted before the password is weighed, which takes long of one that was made for it.
        self.ask("registrations", place.ip, ASKED_PER_IP, now)?;
        let password = chosen("password", password, &user)?;
        let registered = self.register_new(user, account, email, password, place.request_id);
        tokio::join!(registered, tokio::time::sleep(LEAST)).0
    }

    /// Makes the account, or writes to whoever has one already.
    async fn register_new(
        &self,
        user: User,
        account: Account,
        email: String,
        password: Password,
        request_id: Option<String>,
    ) -> Result<(), Error> {
        // As slow as it is for somebody new.
        let hash = self.hasher.hash(password).await?;
        let (outbox, now) = (self.outbox()?, user.created_at);
        let may_write = self.may_write_to(&email, now);
        let verify = self.verification(&user, now)?;
        let known = self.letter(&email, "You have an account already", KNOWN, None)?;
        let author = Author::person(user.id, request_id);
        self.write_all(author, move |tx| {
            Box::pin(async move {
                if users::find_credentials_by_email(tx, &email).await?.is_some() {
                    if may_write {
                        outbox.put(tx, &known).await?;
                    }
                    return Ok(((), Vec::new()));
                }
                users::insert_user(tx, &user, &hash).await?;
                accounts::insert_account(tx, &account).await?;
                members::insert_member(tx, account.id, user.id, MemberRole::Owner, now).await?;
                if may_write {
                    outbox.put(tx, &verify).await?;
                }
                let detail = json!({ "email": email, "role": MemberRole::Owner });
                let (target, id) = (user.id.to_string(), Some(account.id));
                let registered = AuditEvent { action: "user.register", target, account: id, detail: detail.into() };
                Ok(((), vec![crate::accounts::event("account.create", &account), registered]))
            })
        })
        .await
    }

    /// Takes what a person was mailed: mail to their address, or to the one they want to have, arrives.
    ///
    /// # Errors
    /// The ticket is none, or is over.
    pub async fn verify_email(&self, token: &str, place: Place) -> Result<(), Error> {
        let now = self.clock.now();
        let shown = self.presented(Good::VerifyEmail, token, &place, now).await?;
        let user = users::find_user(&self.db, shown.user()).await?.ok_or_else(over)?;
        let pending = users::find_pending_email(&self.db, shown.user()).await?;
        let candidates = pending.clone().into_iter().chain(user.email.clone());
        let proved = candidates.into_iter().find(|email| shown.holds(&self.keyring.proofs, email, now));
        let Some(proved) = proved else { return Err(self.no_ticket(&place, now)) };
        let is_another = user.email.as_ref() != Some(&proved);
        self.write(Author::person(user.id, place.request_id), move |tx| {
            Box::pin(async move {
                users::update_email(tx, user.id, &proved, now).await.map_err(|error| match error {
                    StoreError::Conflict => Error::Conflict("this address has become somebody else's".into()),
                    other @ (StoreError::Unavailable(_) | StoreError::Unanswered | StoreError::Corrupt(_)) => {
                        other.into()
                    }
                })?;
                let ended = if is_another { sessions::end_other_sessions(tx, user.id, None, now).await? } else { 0 };
                verify_accounts(tx, &user, &proved, now).await?;
                let detail = json!({ "email": proved, "before": user.email, "sessions_ended": ended });
                let target = user.id.to_string();
                Ok(((), AuditEvent { action: "user.verify_email", target, account: None, detail: detail.into() }))
            })
        })
        .await
    }

    /// Mails the person who asks another link to verify their address by.
    ///
    /// # Errors
    /// Their address is verified, or they were sent too many.
    pub async fn resend_verification(&self, caller: &Caller) -> Result<(), Error> {
        let (outbox, now) = (self.outbox()?, self.clock.now());
        let user = users::find_user(&self.db, caller.person()?).await?.ok_or(Error::NotFound("user"))?;
        if user.email_verified_at.is_some() || user.email.is_none() {
            return Err(Error::Conflict("there is no address of yours to verify".into()));
        }
        self.ask(&format!("mail {}", user.address()), None, LETTERS_PER_ADDRESS, now)?;
        let letter = self.verification(&user, now)?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                outbox.put(tx, &letter).await?;
                let (action, target) = ("user.resend_verification", user.id.to_string());
                Ok(((), AuditEvent { action, target, account: None, detail: json!({}).into() }))
            })
        })
        .await
    }

    /// Has the person who asks be mailed at another address, which becomes theirs once they follow the link. The present
    /// one is told.
    ///
    /// # Errors
    /// The password or the code is wrong, or the address will not do.
    pub async fn change_email(
        &self,
        caller: &Caller,
        email: &str,
        password: &str,
        code: Option<&str>,
        place: &Place,
    ) -> Result<(), Error> {
        let (outbox, email) = (self.outbox()?, address(email)?);
        let (found, factor) = self.reauthenticate(caller, password, code, place).await?;
        let (user, now) = (found.user.clone(), self.clock.now());
        self.ask(&format!("mail {email}"), None, LETTERS_PER_ADDRESS, now)?;
        let wanted = User { email: Some(email.clone()), ..user.clone() };
        let verify = self.verification(&wanted, now)?;
        let notice = self.letter(user.address(), "Your address is about to change", &moving(&email), None)?;
        let changed = self.write(caller, move |tx| {
            Box::pin(async move {
                if !factor.take(tx, user.id, now).await? {
                    return Err(Error::CodeWrong);
                }
                users::update_pending_email(tx, user.id, Some(&email)).await?;
                // Whose address it is shows in nothing: somebody else's is told nothing, and the link is never made.
                if users::find_credentials_by_email(tx, &email).await?.is_none() {
                    outbox.put(tx, &verify).await?;
                }
                outbox.put(tx, &notice).await?;
                let detail = json!({ "to": email });
                let target = user.id.to_string();
                Ok(((), AuditEvent { action: "user.change_email", target, account: None, detail: detail.into() }))
            })
        });
        self.counted(changed.await, &found, place)
    }

    /// The address that becomes the caller's once they follow the link that was mailed there.
    ///
    /// # Errors
    /// The caller is no person.
    pub async fn pending_email(&self, caller: &Caller) -> Result<Option<String>, Error> {
        Ok(users::find_pending_email(&self.db, caller.person()?).await?)
    }

    /// Mails a person a link to choose another password by, in a moment: whether there is such a person shows in nothing.
    ///
    /// # Errors
    /// The address is none, or too many were asked for from here.
    pub async fn forgot_password(self: &Arc<Self>, email: &str, place: Place) -> Result<(), Error> {
        let (outbox, email, now) = (self.outbox()?, address(email)?, self.clock.now());
        self.ask("password resets", place.ip, ASKED_PER_IP, now)?;
        // Counted apart from other letters: those a stranger has somebody sent keep none of these from them.
        if self.ask(&format!("reset mail {email}"), None, LETTERS_PER_ADDRESS, now).is_err() {
            return Ok(());
        }
        let app = Arc::clone(self);
        drop(tokio::spawn(async move {
            if let Err(error) = app.mail_reset(outbox, &email, place, now).await {
                tracing::warn!(%error, "a letter to reset a password could not be queued");
            }
        }));
        tokio::time::sleep(LEAST).await;
        Ok(())
    }

    async fn mail_reset(&self, outbox: Outbox, email: &str, place: Place, now: Time) -> Result<(), Error> {
        let found = users::find_credentials_by_email(&self.db, email).await?;
        let Some(found) = found.filter(|found| found.user.disabled_at.is_none()) else { return Ok(()) };
        let user = found.user.id;
        let (token, _) = ticket(&self.keyring.proofs, Good::ResetPassword, user.bits(), &bound(&found), now);
        let link = self.link(Good::ResetPassword, token.reveal())?;
        let letter = self.letter(email, "Choose another password", RESET, Some(&link))?;
        self.write(Author::person(user, place.request_id), move |tx| {
            Box::pin(async move {
                outbox.put(tx, &letter).await?;
                let (action, target) = ("user.forgot_password", user.to_string());
                Ok(((), AuditEvent { action, target, account: None, detail: json!({}).into() }))
            })
        })
        .await
    }

    /// Gives a person another password by what they were mailed, and by a code where their second factor is on. Every
    /// session of theirs ends.
    ///
    /// # Errors
    /// The ticket is none, or is over; the code is missing or wrong; the password is too weak.
    pub async fn reset_password(&self, token: &str, next: &str, code: Option<&str>, place: Place) -> Result<(), Error> {
        let now = self.clock.now();
        let shown = self.presented(Good::ResetPassword, token, &place, now).await?;
        let found = users::find_credentials(&self.db, shown.user())
            .await?
            .filter(|found| found.user.disabled_at.is_none() && shown.holds(&self.keyring.proofs, &bound(found), now));
        let Some(found) = found else { return Err(self.no_ticket(&place, now)) };
        if let Some(wait) = self.login_locked_for(found.user.email.as_deref(), place.ip, now).await? {
            return Err(Error::Limited(wait));
        }
        let password: Password = chosen("new_password", next, &found.user)?;
        let factor = match (found.user.second_factor_at, code) {
            (None, _) => Factor::None,
            (Some(_), None) => return Err(Error::invalid("code", "is required: your second factor is on")),
            (Some(_), Some(code)) => {
                let factor = self.factor(&found, Code::read(code), now);
                self.counted(factor, &found, &place)?
            }
        };
        let hash = self.hasher.hash(password).await?;
        let (user, held) = (found.user.clone(), found.password_hash.clone());
        let author = Author::person(user.id, place.request_id.clone());
        let reset = self.write(author, move |tx| {
            Box::pin(async move {
                if !factor.take(tx, user.id, now).await? {
                    return Err(Error::CodeWrong);
                }
                if !users::update_password(tx, user.id, &held, &hash, now).await? {
                    return Err(over());
                }
                // The link came by mail, so mail arrives.
                users::update_email(tx, user.id, user.address(), now).await?;
                verify_accounts(tx, &user, user.address(), now).await?;
                let ended = sessions::end_other_sessions(tx, user.id, None, now).await?;
                let detail = json!({ "sessions_ended": ended });
                let target = user.id.to_string();
                Ok(((), AuditEvent { action: "user.reset_password", target, account: None, detail: detail.into() }))
            })
        });
        self.counted(reset.await, &found, &place)
    }

    /// Reads a ticket; what is none counts as a guess.
    pub(crate) async fn presented<'t>(
        &self,
        good: Good,
        token: &'t str,
        place: &Place,
        now: Time,
    ) -> Result<Ticket<'t>, Error> {
        if let Some(wait) = self.login_locked_for(None, place.ip, now).await? {
            return Err(Error::Limited(wait));
        }
        Ticket::read(good, token).ok_or_else(|| self.no_ticket(place, now))
    }

    pub(crate) fn no_ticket(&self, place: &Place, now: Time) -> Error {
        self.count_login(None, place.ip, now).map_or_else(over, Error::Limited)
    }

    /// Counts what somebody asks for without a credential.
    pub(crate) fn ask(&self, what: &str, ip: Option<std::net::IpAddr>, most: u32, now: Time) -> Result<(), Error> {
        let limit = RateLimit { name: what.into(), limit: most, window: WINDOW };
        self.issued.take(what, ip, &limit, now)
    }

    /// Whether an address may be written to once more at a stranger's wish. It shows in nothing where not.
    fn may_write_to(&self, email: &str, now: Time) -> bool {
        self.ask(&format!("mail {email}"), None, LETTERS_PER_ADDRESS, now).is_ok()
    }

    fn verification(&self, user: &User, now: Time) -> Result<Letter, Error> {
        let (token, _) = ticket(&self.keyring.proofs, Good::VerifyEmail, user.id.bits(), user.address(), now);
        let link = self.link(Good::VerifyEmail, token.reveal())?;
        self.letter(user.address(), "Confirm your address", VERIFY, Some(&link))
    }

    /// Where the outside reaches this server, as far as is known.
    #[must_use]
    pub fn site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    /// Where a ticket is taken to: what the policy says, or a page of ours at the public address (security.md 47).
    pub(crate) fn link(&self, good: Good, token: &str) -> Result<String, Error> {
        let login = &self.world().policy.login;
        let (template, page) = match good {
            Good::VerifyEmail => (&login.verify_link, "verify-email"),
            Good::ResetPassword | Good::LogIn => (&login.reset_link, "reset-password"),
            Good::Join => (&login.join_link, "join"),
        };
        match (template, &self.site) {
            (Some(template), _) => Ok(template.replace("{token}", token)),
            (None, Some(site)) => Ok(format!("{}/{page}?token={token}", site.trim_end_matches('/'))),
            (None, None) => {
                Err(Error::Conflict("links in mails lead to public_url, which this server has none of".into()))
            }
        }
    }

    pub(crate) fn letter(&self, to: &str, subject: &str, text: &str, link: Option<&str>) -> Result<Letter, Error> {
        let name = &self.world().policy.login.name;
        letter(name, to, subject, &text.replace("{name}", name), link)
    }
}

/// A letter of a service of this name, as they all look.
pub(crate) fn letter(name: &str, to: &str, subject: &str, text: &str, link: Option<&str>) -> Result<Letter, Error> {
    let link = link.map(|link| format!("\n{link}\n")).unwrap_or_default();
    Letter::new(to, &format!("{name}: {subject}"), format!("{text}{link}\n-- \n{name}\n"))
        .map_err(|wrong| Error::Internal(format!("a letter could not be written: {wrong}")))
}

const VERIFY: &str = "Hello,\n\nfollow this link to confirm that this address is yours at {name}. It is good for three \
    days. If it was not you who asked for it, do nothing: without the link nothing happens.\n";
const KNOWN: &str = "Hello,\n\nsomebody, perhaps you, tried to register at {name} with this address. You have an account \
    already: log in with it, or choose another password if you have forgotten yours. If it was not you, you need not do \
    anything.\n";
const RESET: &str = "Hello,\n\nfollow this link to choose another password at {name}. It is good for an hour and works \
    once. If it was not you who asked for it, do nothing: your password stays as it is.\n";

fn moving(to: &str) -> String {
    format!(
        "Hello,\n\nsomebody with your password asked that your address at {{name}} become {to}. If it was not you, change \
         your password now: the address changes only once the link in the other letter is followed.\n"
    )
}

/// What a reset is bound to: with another password, or another address, it is void.
fn bound(found: &Credentials) -> String {
    format!("{} {}", found.user.address(), found.password_hash)
}

fn address(text: &str) -> Result<String, Error> {
    normal_email(text).ok_or_else(|| Error::invalid("email", "is no address, as in ann@example.com"))
}

pub(crate) fn over() -> Error {
    Error::invalid("token", "is no such link, was used before, or is over: ask for another one")
}

/// An account's fields, in the words of a registration.
fn renamed(mut errors: Vec<keywright_core::draft::FieldError>) -> Error {
    errors.iter_mut().filter(|error| error.field == "name").for_each(|error| error.field = "account_name".into());
    Error::Invalid(errors)
}

/// Whoever owns an account speaks for its address, where the two are one.
async fn verify_accounts(tx: &mut Tx, user: &User, email: &str, now: Time) -> Result<(), Error> {
    for (id, role) in members::list_memberships(tx, user.id).await? {
        let Some(mut account) = accounts::find_account(tx, id).await? else { continue };
        let is_theirs = [Some(email), user.email.as_deref()].contains(&Some(account.profile.email.as_str()));
        if role != MemberRole::Owner || !is_theirs || account.profile.email.is_empty() {
            continue;
        }
        let change =
            AccountChange { email: Some(email.to_owned()), email_verified: Some(true), ..AccountChange::default() };
        account.change(change, now).map_err(Error::Invalid)?;
        accounts::update_account(tx, &account).await?;
    }
    Ok(())
}
