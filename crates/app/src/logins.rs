//! Use cases on logging in: a password, a second factor where it is on, and going on with a session.
//!
//! What must stay true: everything that is guessed at goes through the one limiter, before and after the slow hash, so
//! that a burst learns nothing once it is locked; whether there is such a person shows in nothing, not even in time
//! (security.md 48); a turn, a step and a code are taken in the transaction that begins the session.

use std::net::IpAddr;

use keywright_core::account::{Standing, User, normal_email};
use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, SessionId, UserId};
use keywright_core::password::Password;
use keywright_core::refresh::{self, Turn};
use keywright_core::secret::PlainKey;
use keywright_core::session::{Claims, Method, Session};
use keywright_core::ticket::{Good, Ticket, ticket};
use keywright_core::time::Time;
use keywright_core::totp::Code;
use keywright_store::users::Credentials;
use keywright_store::{Tx, accounts, members, sessions, users};
use rand::Rng as _;
use serde_json::json;

use crate::error::Error;
use crate::factors::Factor;
use crate::usage::clean_agent;
use crate::write::Author;
use crate::{App, clock, password};

/// Where somebody without a credential is calling from.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Their address.
    pub ip: Option<IpAddr>,
    /// What they call with.
    pub user_agent: Option<String>,
    /// The request they make, for the audit log.
    pub request_id: Option<String>,
}

/// What somebody logs in with.
pub enum Attempt<'a> {
    /// An address and a password.
    Password {
        /// The address.
        email: &'a str,
        /// The password.
        password: &'a str,
    },
    /// What a login was answered with that lacked its second factor.
    Challenge(&'a str),
}

/// Where a login leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// To the account they name, else to the first of theirs that is active.
    Account(Option<AccountId>),
    /// To pages: as before, and for an operator who is in no account to the operators' own.
    Pages,
}

/// How a login ends that does not fail.
pub enum LoggedIn {
    /// They are in.
    In(Box<Tokens>),
    /// The password is right, and a code is missing.
    NeedsCode {
        /// What the login goes on with.
        challenge: PlainKey,
        /// Until when.
        expires_at: Time,
    },
}

/// A session with the tokens that show it, this once.
pub struct Tokens {
    /// The session.
    pub session: Session,
    /// Its access token.
    pub access: String,
    /// What the next tokens are had for.
    pub refresh: PlainKey,
    /// How long the access token lives, in seconds.
    pub expires_in: i64,
}

impl App {
    /// Logs a person in.
    ///
    /// # Errors
    /// The address, password, challenge or code is wrong, too many were, or the person belongs to no active account.
    pub async fn log_in(
        &self,
        attempt: Attempt<'_>,
        code: Option<&str>,
        into: Entry,
        place: Place,
    ) -> Result<LoggedIn, Error> {
        self.lease.must_hold()?;
        let credentials = match attempt {
            Attempt::Password { email, password } => self.check_password(email, password, place.ip).await?,
            Attempt::Challenge(text) => self.check_challenge(text, place.ip).await?,
        };
        let now = self.clock.now();
        let factor = match (credentials.user.second_factor_at, code) {
            (None, _) => Factor::None,
            (Some(_), Some(code)) => {
                let factor = self.factor(&credentials, Code::read(code), now);
                self.counted(factor, &credentials, &place)?
            }
            (Some(_), None) => {
                let (user, hash) = (credentials.user.id, &credentials.password_hash);
                let (challenge, expires_at) = ticket(&self.keyring.proofs, Good::LogIn, user.bits(), hash, now);
                return Ok(LoggedIn::NeedsCode { challenge, expires_at });
            }
        };
        let account = match into {
            Entry::Account(named) => self.account_to_enter(credentials.user.id, named).await?,
            Entry::Pages => self.pages_to_enter(&credentials.user).await?,
        };
        // A password that was hashed weakly once is hashed as others are, now that it is known.
        let stronger = match attempt {
            Attempt::Password { password, .. } if password::is_weak(&credentials.password_hash) => {
                let password = Password::given(password).ok_or(Error::LoginFailed)?;
                Some(self.hasher.hash(password).await?)
            }
            Attempt::Password { .. } | Attempt::Challenge(_) => None,
        };
        let begun = self.begin_login(&credentials, factor, stronger, account, &place, now).await;
        let begun = self.counted(begun, &credentials, &place)?;
        self.forgive_logins(credentials.user.address(), place.ip);
        Ok(LoggedIn::In(Box::new(begun)))
    }

    /// How many passwords were hashed since the start, to be stored or compared: each costs 19 MiB and tens of
    /// milliseconds.
    #[must_use]
    pub fn password_hashes(&self) -> u64 {
        self.hasher.count()
    }

    async fn begin_login(
        &self,
        credentials: &Credentials,
        factor: Factor,
        stronger: Option<String>,
        account: AccountId,
        place: &Place,
        now: Time,
    ) -> Result<Tokens, Error> {
        let (user, weaker) = (credentials.user.id, credentials.password_hash.clone());
        let author = Author::person(user, place.request_id.clone());
        let created_by = format!("user:{user}");
        let session = self.new_session(user, account, created_by, factor.method(), place, now);
        let tokens = self.tokens_of(session, now)?;
        self.write(author, move |tx| {
            Box::pin(async move {
                if !factor.take(tx, user, now).await? {
                    return Err(Error::CodeWrong);
                }
                if let Some(stronger) = stronger {
                    users::update_password(tx, user, &weaker, &stronger, now).await?;
                }
                sessions::insert_session(tx, &tokens.session).await?;
                let event = event("session.create", &tokens.session);
                Ok((tokens, event))
            })
        })
        .await
    }

    /// Whose address and password these are.
    pub(crate) async fn check_password(
        &self,
        email: &str,
        password: &str,
        ip: Option<IpAddr>,
    ) -> Result<Credentials, Error> {
        let email =
            normal_email(email).ok_or_else(|| Error::invalid("email", "is no address, as in ann@example.com"))?;
        let locked = async || match self.login_locked_for(Some(&email), ip, self.clock.now()).await? {
            Some(wait) => Err(Error::Limited(wait)),
            None => Ok(()),
        };
        locked().await?;
        let found = users::find_credentials_by_email(&self.db, &email).await?;
        let hash = found.as_ref().map(|found| found.password_hash.as_str());
        // What is too long to be a password takes as long as one.
        let is_right = match Password::given(password).or_else(|| Password::given("")) {
            Some(password) => self.hasher.is(password, hash).await?,
            None => false,
        };
        // Others may have used up the tries while this one was hashed: then it was none.
        locked().await?;
        match found.filter(|found| is_right && found.user.disabled_at.is_none()) {
            Some(found) => Ok(found),
            None => {
                let wait = self.count_login(Some(&email), ip, self.clock.now());
                Err(wait.map_or(Error::LoginFailed, Error::Limited))
            }
        }
    }

    /// Whose login this goes on with.
    async fn check_challenge(&self, text: &str, ip: Option<IpAddr>) -> Result<Credentials, Error> {
        let now = self.clock.now();
        let shown = Ticket::read(Good::LogIn, text);
        let found = match shown {
            Some(shown) => users::find_credentials(&self.db, shown.user()).await?,
            None => None,
        };
        let holds = |found: &Credentials| {
            let is_proved = shown.is_some_and(|shown| shown.holds(&self.keyring.proofs, &found.password_hash, now));
            is_proved && found.user.disabled_at.is_none()
        };
        let found = found.filter(holds);
        let email = found.as_ref().and_then(|found| found.user.email.as_deref());
        if let Some(wait) = self.login_locked_for(email, ip, now).await? {
            return Err(Error::Limited(wait));
        }
        found.ok_or_else(|| self.count_login(None, ip, now).map_or(Error::LoginFailed, Error::Limited))
    }

    /// An operator need belong to no account: then the operators' own is where they are.
    async fn pages_to_enter(&self, user: &User) -> Result<AccountId, Error> {
        match self.account_to_enter(user.id, None).await {
            Err(Error::Forbidden(_)) if user.operator.is_some() => Ok(AccountId::OPERATOR),
            entered => entered,
        }
    }

    pub(crate) async fn account_to_enter(&self, user: UserId, named: Option<AccountId>) -> Result<AccountId, Error> {
        for (account, _) in members::list_memberships(&self.db, user).await? {
            let found = accounts::find_account(&self.db, account).await?;
            let is_active = found.is_some_and(|found| found.standing == Standing::Active);
            match named {
                None if is_active => return Ok(account),
                Some(named) if named == account && is_active => return Ok(account),
                Some(named) if named == account => return Err(Error::Forbidden("this account is suspended".into())),
                _ => {}
            }
        }
        Err(match named {
            Some(_) => Error::NotFound("account"),
            None => Error::Forbidden("you belong to no active account".into()),
        })
    }

    /// Goes on with a session: its next tokens for the last ones.
    ///
    /// # Errors
    /// The token is none of ours, its session is over, or it was spent before: then its session ends.
    pub async fn refresh(&self, token: &str, place: Place) -> Result<Tokens, Error> {
        self.lease.must_hold()?;
        let now = self.clock.now();
        if let Some(wait) = self.login_locked_for(None, place.ip, now).await? {
            return Err(Error::Limited(wait));
        }
        let shown = refresh::Shown::read(token);
        let access = match shown {
            Some(shown) => sessions::find_access(&self.db, shown.session).await?,
            None => None,
        };
        let is_ours = |shown: &refresh::Shown<'_>| {
            access.as_ref().is_some_and(|access| shown.is_proved(&self.keyring.proofs, &access.session.salt))
        };
        let Some((shown, access)) = shown.filter(is_ours).zip(access.as_ref()) else {
            return Err(self.count_login(None, place.ip, now).map_or(Error::SessionOver, Error::Limited));
        };
        if access.standing != Standing::Active || access.role.is_none() {
            return Err(Error::SessionOver);
        }
        let (id, turn, author) =
            (shown.session, shown.turn, Author::person(access.session.user, place.request_id.clone()));
        let idle = self.world().policy.login.idle;
        let session = self
            .write_all(author, move |tx| Box::pin(async move { take_turn(tx, id, turn, place, idle, now).await }))
            .await?;
        self.tokens_of(session.ok_or(Error::SessionOver)?, now)
    }

    /// A session that begins now.
    pub(crate) fn new_session(
        &self,
        user: UserId,
        account: AccountId,
        created_by: String,
        method: Method,
        place: &Place,
        now: Time,
    ) -> Session {
        let login = &self.world().policy.login;
        let mut salt = [0; refresh::SALT_BYTES];
        clock::rng().fill_bytes(&mut salt);
        Session {
            id: SessionId::new(now, &mut clock::rng()),
            user,
            account,
            created_by,
            created_at: now,
            expires_at: now.after(login.idle),
            ends_at: now.after(login.session),
            ended_at: None,
            method,
            ip: place.ip,
            user_agent: place.user_agent.as_deref().map(clean_agent),
            salt,
            turn: 0,
            refreshed_at: None,
            proved_at: Some(now),
        }
    }

    pub(crate) fn tokens_of(&self, session: Session, now: Time) -> Result<Tokens, Error> {
        let claims = Claims::of(&session, &self.issuer, now);
        let access = self.sign(&claims)?;
        let refresh = refresh::token(&self.keyring.proofs, session.id, &session.salt, session.turn);
        Ok(Tokens { session, access, refresh, expires_in: claims.exp - claims.iat })
    }
}

/// What showing a turn's token does to its session. None where the session is over, or ends by this.
async fn take_turn(
    tx: &mut Tx,
    id: SessionId,
    turn: i64,
    place: Place,
    idle: keywright_core::time::Span,
    now: Time,
) -> Result<(Option<Session>, Vec<AuditEvent>), Error> {
    let Some(session) = sessions::find_session(tx, id).await? else { return Ok((None, Vec::new())) };
    match session.turn(turn, now) {
        Turn::Next => {
            let next = Session {
                turn: turn + 1,
                refreshed_at: Some(now),
                expires_at: now.after(idle).min(session.ends_at),
                ip: place.ip.or(session.ip),
                user_agent: place.user_agent.as_deref().map(clean_agent).or_else(|| session.user_agent.clone()),
                ..session
            };
            // Another node may have been quicker: whoever asks again is answered with what that one made.
            if !sessions::take_turn(tx, &next, now).await? {
                return Err(Error::Conflict("this session was gone on with at the same moment: try again".into()));
            }
            let event = event("session.refresh", &next);
            Ok((Some(next), vec![event]))
        }
        Turn::Again => Ok((Some(session), Vec::new())),
        Turn::Reused => {
            sessions::end_session(tx, id, now).await?;
            tracing::warn!(session = %id, "a refresh token was used twice: its session has ended");
            Ok((None, vec![event("session.reuse", &session)]))
        }
        Turn::Over => Ok((None, Vec::new())),
    }
}

pub(crate) fn event(action: &'static str, session: &Session) -> AuditEvent {
    let Session { id, user, account, method, ip, expires_at, .. } = session;
    let detail = json!({ "user": user, "method": method, "ip": ip, "expires_at": expires_at });
    AuditEvent { action, target: id.to_string(), account: Some(*account), detail: detail.into() }
}
