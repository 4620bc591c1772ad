//! Use cases on the link on which the first operator is made.
//!
//! What must stay true: the link makes one person, and nobody once an operator can log in; it is known here by its digest;
//! whoever guesses at it meets the one limiter, and without it no password is hashed.

use keywright_core::account::{User, normal_email};
use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, UserId};
use keywright_core::secret::{Digest, PlainKey};
use keywright_core::session::{Method, Session};
use keywright_core::setup::{self, SetupLink, SetupState};
use keywright_core::time::Time;
use keywright_store::{StoreError, sessions, setup as stored, users};
use serde_json::json;

use crate::caller::Caller;
use crate::error::Error;
use crate::logins::{Place, event};
use crate::users::chosen;
use crate::write::Author;
use crate::{App, clock};

/// What the first operator may do.
const EVERYTHING: &str = "*";

/// A link, this once.
pub struct Issued {
    /// What its holder shows.
    pub token: PlainKey,
    /// Where it leads, as far as it is known where people find this server.
    pub url: Option<PlainKey>,
    /// When it ends by itself.
    pub expires_at: Time,
}

/// What using a link comes to.
pub enum SetUp {
    /// The first operator is there, and logged in.
    Done(Box<Session>),
    /// It makes nobody: how it stands; none where it is none of ours.
    Closed(Option<SetupState>),
}

impl App {
    /// Makes a link in place of the one before.
    ///
    /// # Errors
    /// The caller may do less than the operator who is made on it, or there is an operator who can log in.
    pub async fn issue_setup_link(&self, caller: &Caller) -> Result<Issued, Error> {
        let catalog = &self.world().policy.catalog;
        caller.must_be_operator()?;
        caller.must(catalog, EVERYTHING)?;
        self.make_link(caller).await
    }

    /// The link of the first start; none where there is an operator who can log in, or where a link was made before.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn first_setup_link(&self) -> Result<Option<Issued>, Error> {
        if self.has_operator().await? || stored::find_setup_link(&self.db).await?.is_some() {
            return Ok(None);
        }
        self.make_link(Author::system()).await.map(Some)
    }

    /// Whether there is an operator who can log in.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn has_operator(&self) -> Result<bool, Error> {
        Ok(users::count_operators(&self.db).await? > 0)
    }

    async fn make_link(&self, author: impl Into<Author>) -> Result<Issued, Error> {
        let token = setup::token(&mut clock::rng());
        let digest = self.keyring.digests_of(token.reveal()).into_iter().next();
        let digest = digest.ok_or_else(|| Error::Internal("there is no pepper".into()))?;
        let link = SetupLink::new(self.clock.now());
        let made = self.write(author, move |tx| {
            Box::pin(async move {
                if users::count_operators(tx).await? > 0 {
                    return Err(is_set_up());
                }
                stored::put_setup_link(tx, &digest, &link).await?;
                let detail = json!({ "expires_at": link.expires_at });
                let (action, target) = ("setup.issue_link", "setup".into());
                Ok(((), AuditEvent { action, target, account: None, detail: detail.into() }))
            })
        });
        made.await?;
        let at = |site: &str| PlainKey::new(format!("{}/setup?token={}", site.trim_end_matches('/'), token.reveal()));
        Ok(Issued { url: self.site.as_deref().map(at), token, expires_at: link.expires_at })
    }

    /// How the link stands that somebody shows; none where it is none of ours, or a newer one took its place. That counts as
    /// a guess.
    ///
    /// # Errors
    /// Too many were wrong.
    pub async fn setup_state(&self, token: &str, place: &Place) -> Result<Option<SetupState>, Error> {
        Ok(self.shown_link(token, place).await?.map(|(_, state)| state))
    }

    async fn shown_link(&self, token: &str, place: &Place) -> Result<Option<(Digest, SetupState)>, Error> {
        self.lease.must_hold()?;
        let now = self.clock.now();
        if let Some(wait) = self.login_locked_for(None, place.ip, now).await? {
            return Err(Error::Limited(wait));
        }
        let digests = if setup::is_token(token) { self.keyring.digests_of(token) } else { Vec::new() };
        let held = if digests.is_empty() { None } else { stored::find_setup_link(&self.db).await? };
        let Some((digest, link)) = held.filter(|(digest, _)| digests.contains(digest)) else {
            return match self.count_login(None, place.ip, now) {
                Some(wait) => Err(Error::Limited(wait)),
                None => Ok(None),
            };
        };
        // Somebody may have become an operator in another way.
        let state = match link.state(now) {
            SetupState::Open if self.has_operator().await? => SetupState::Used,
            state @ (SetupState::Open | SetupState::Used | SetupState::Over) => state,
        };
        Ok(Some((digest, state)))
    }

    /// Makes the first operator, and begins their session, where the link is open.
    ///
    /// # Errors
    /// The address or the password will not do, or too many links were wrong.
    pub async fn set_up(&self, token: &str, email: &str, password: &str, place: &Place) -> Result<SetUp, Error> {
        let digest = match self.shown_link(token, place).await? {
            Some((digest, SetupState::Open)) => digest,
            closed => return Ok(SetUp::Closed(closed.map(|(_, state)| state))),
        };
        let now = self.clock.now();
        let email =
            normal_email(email).ok_or_else(|| Error::invalid("email", "is no address, as in ann@example.com"))?;
        let user = User {
            email_verified_at: Some(now),
            operator: Some(vec![EVERYTHING.into()]),
            ..User::new(UserId::new(now, &mut clock::rng()), Some(email), now)
        };
        let hash = self.hasher.hash(chosen("password", password, &user)?).await?;
        let created_by = format!("user:{}", user.id);
        let session = self.new_session(user.id, AccountId::OPERATOR, created_by, Method::Password, place, now);
        let author = Author::person(user.id, place.request_id.clone());
        let set_up = self.write_all(author, move |tx| {
            Box::pin(async move {
                // Of any number that come at once, one is first.
                if users::count_operators(tx).await? > 0 || !stored::use_setup_link(tx, &digest, now).await? {
                    return Ok((SetUp::Closed(Some(SetupState::Used)), Vec::new()));
                }
                users::insert_user(tx, &user, &hash).await.map_err(|error| match error {
                    StoreError::Conflict => Error::invalid(
                        "email",
                        "is somebody's already: take another, or make that person an operator with `keywright users promote`",
                    ),
                    other @ (StoreError::Unavailable(_) | StoreError::Unanswered | StoreError::Corrupt(_)) => other.into(),
                })?;
                sessions::insert_session(tx, &session).await?;
                let detail = json!({ "email": user.email, "operator_permissions": user.operator });
                let (action, target) = ("user.set_up", user.id.to_string());
                let events = vec![
                    AuditEvent { action, target, account: None, detail: detail.into() },
                    event("session.create", &session),
                ];
                Ok((SetUp::Done(Box::new(session)), events))
            })
        });
        set_up.await
    }
}

fn is_set_up() -> Error {
    Error::Conflict(
        "there is an operator who can log in: another is made with `keywright users create --operator`, or of somebody \
         there is with `keywright users promote`"
            .into(),
    )
}
