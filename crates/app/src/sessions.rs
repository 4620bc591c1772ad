//! Use cases on sessions: begin one, see them, end one; and who a token is.
//!
//! What must stay true: a token is worth what its session's row says at the moment of the request, so that an ended
//! session, a lost membership or a suspended account is refused on the very next one (security.md 13).

use std::net::IpAddr;
use std::sync::Arc;

use keywright_core::account::{Account, Standing};
use keywright_core::audit::{Actor, AuditEvent};
use keywright_core::browser;
use keywright_core::id::{AccountId, SessionId, UserId};
use keywright_core::member::MemberRole;
use keywright_core::secret::PlainKey;
use keywright_core::session::{self, Method, Session, TOKEN_LIFE};
use keywright_core::signing::Refused;
use keywright_core::time::Span;
use keywright_store::sessions::Access;
use keywright_store::{accounts, members, sessions, users};
use serde_json::json;

use crate::App;
use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::logins::{Place, Tokens, event};
use crate::usage::clean_agent;
use crate::write::in_time;

/// How long a session that is over for good is still known.
const KEPT: Span = Span::days(30);

/// A session that was just begun, with the token that shows it.
pub struct Begun {
    /// The session.
    pub session: Session,
    /// Its access token, this once.
    pub token: String,
    /// How long the token lives, in seconds.
    pub expires_in: i64,
}

/// Somebody at a browser.
pub struct AtBrowser {
    /// Who they are in the account they act in: nobody who may do anything, where they are in none.
    pub caller: Caller,
    /// What they are in it.
    pub role: Option<MemberRole>,
    /// Who they are as an operator, where they are one.
    pub operator: Option<Caller>,
    /// Whether they proved not long ago who they are.
    pub is_proved: bool,
}

impl App {
    /// Begins a session for a person, as an operator: what a login will do.
    ///
    /// # Errors
    /// The caller is no operator, the person does not belong to the account, or belongs to several and none is named.
    pub async fn begin_session(
        &self,
        caller: &Caller,
        user: Option<UserId>,
        account: Option<AccountId>,
        lasts: Option<Span>,
    ) -> Result<Begun, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        caller.must_be_proved()?;
        let lasts = lasts.unwrap_or(TOKEN_LIFE);
        if !(1_000..=TOKEN_LIFE.millis()).contains(&lasts.millis()) {
            return Err(Error::invalid("expires_in", format!("is from 1s to {TOKEN_LIFE}")));
        }
        let user = self.user_to_change(caller, user).await?;
        let account = self.membership(user, account).await?;
        let now = self.clock.now();
        let begun = self.new_session(user, account, caller.actor.name(), Method::Operator, &Place::default(), now);
        let session = Session { expires_at: now.after(lasts), ends_at: now.after(lasts), proved_at: None, ..begun };
        // It is begun for a while, and nobody is given what would go on with it.
        let Tokens { session, access, expires_in, .. } = self.tokens_of(session, now)?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                sessions::insert_session(tx, &session).await?;
                let event = event("session.create", &session);
                Ok((Begun { session, token: access, expires_in }, event))
            })
        })
        .await
    }

    /// A person's sessions that still hold, newest first.
    ///
    /// # Errors
    /// The caller is no operator, or there is no such person.
    pub async fn list_sessions(
        &self,
        caller: &Caller,
        user: Option<UserId>,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:read")?;
        let user = self.find_user(user).await?;
        Ok(sessions::list_sessions(&self.db, user, before, self.clock.now(), limit.into()).await?)
    }

    /// The caller's own sessions that still hold, newest first.
    ///
    /// # Errors
    /// The caller shows no session.
    pub async fn list_own_sessions(
        &self,
        caller: &Caller,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, Error> {
        let user = caller.person()?;
        Ok(sessions::list_sessions(&self.db, user, before, self.clock.now(), limit.into()).await?)
    }

    /// Ends a session; its token is refused from the next request on.
    ///
    /// # Errors
    /// The caller is no operator, or there is no such session of this person that still holds.
    pub async fn end_session(&self, caller: &Caller, user: Option<UserId>, id: Option<SessionId>) -> Result<(), Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        caller.must_be_proved()?;
        let user = self.user_to_change(caller, user).await?;
        self.end(caller, Some(user), id).await
    }

    /// Ends one of the caller's own sessions.
    ///
    /// # Errors
    /// The caller shows no session, or has no such one that still holds.
    pub async fn end_own_session(&self, caller: &Caller, id: Option<SessionId>) -> Result<(), Error> {
        let user = caller.person()?;
        self.end(caller, Some(user), id).await
    }

    /// Ends the session that is shown.
    ///
    /// # Errors
    /// The caller shows no session.
    pub async fn log_out(&self, caller: &Caller) -> Result<(), Error> {
        let user = caller.person()?;
        self.end(caller, Some(user), caller.session).await
    }

    /// Ends all of the caller's sessions but the one that is shown.
    ///
    /// # Errors
    /// The caller shows no session.
    pub async fn end_other_sessions(&self, caller: &Caller) -> Result<(), Error> {
        let (user, but, now) = (caller.person()?, caller.session, self.clock.now());
        self.write(caller, move |tx| {
            Box::pin(async move {
                let ended = sessions::end_other_sessions(tx, user, but, now).await?;
                let detail = json!({ "ended": ended });
                Ok((
                    (),
                    AuditEvent {
                        action: "session.end_others",
                        target: user.to_string(),
                        account: None,
                        detail: detail.into(),
                    },
                ))
            })
        })
        .await
    }

    /// Forgets sessions that are over for good.
    pub(crate) async fn forget_sessions(&self) -> Result<(), Error> {
        let before = self.clock.now().before(KEPT);
        self.meter(move |tx| Box::pin(async move { Ok(sessions::forget_sessions(tx, before).await.map(drop)?) })).await
    }

    async fn end(&self, caller: &Caller, user: Option<UserId>, id: Option<SessionId>) -> Result<(), Error> {
        let (user, id) = user.zip(id).ok_or(Error::NotFound("session"))?;
        let now = self.clock.now();
        self.write(caller, move |tx| {
            Box::pin(async move {
                let held = sessions::find_session(tx, id).await?;
                let held = held.filter(|session| session.user == user && session.is_live(now));
                let session = held.ok_or(Error::NotFound("session"))?;
                sessions::end_session(tx, id, now).await?;
                Ok(((), event("session.end", &session)))
            })
        })
        .await
    }

    /// Who a presented token is, and in which account.
    ///
    /// # Errors
    /// It does not work, or too many that do not have come from this address.
    pub(crate) async fn authenticate_session(
        &self,
        token: &[u8],
        ip: Option<IpAddr>,
        request_id: Option<String>,
    ) -> Result<Caller, Error> {
        self.lease.must_hold()?;
        let now = self.clock.now();
        let world = self.world();
        if let Some(wait) = self.locked_for(world, token, ip, now) {
            return Err(Error::Limited(wait));
        }
        let claims = match session::verify(token, &self.checking_keys(now), &self.issuer, now) {
            Ok(claims) => claims,
            Err(refused) => {
                // One of ours that is over is no guess.
                if refused != Refused::Untimely {
                    self.count_guess(world, token, ip, now);
                }
                return Err(Error::Unauthenticated);
            }
        };
        let access = sessions::find_access(&self.db, claims.sid).await?;
        let is_meant = |session: &Session| {
            (session.user, session.account) == (claims.sub, claims.account_id) && session.is_live(now)
        };
        let access = access.filter(|access| is_meant(&access.session) && access.standing == Standing::Active);
        let access = access.ok_or(Error::Unauthenticated)?;
        // Who is in no account has no use for a token: what an operator may do, a browser or a key of theirs does.
        let role = access.role.ok_or(Error::Unauthenticated)?;
        Ok(self.member(&access, Some(role), request_id))
    }

    /// Whoever acts in a session, in its account.
    fn member(&self, access: &Access, role: Option<MemberRole>, request_id: Option<String>) -> Caller {
        let policy = &self.world().policy;
        Caller {
            actor: Actor::User(access.session.user),
            reach: Reach::Account(access.session.account),
            grant: Arc::new(role.map(|role| policy.member_grant(role)).unwrap_or_default()),
            environment: None,
            session: Some(access.session.id),
            must_prove: false,
            request_id,
            noting: None,
        }
    }

    /// Who a browser is, by what its cookie has.
    ///
    /// # Errors
    /// It is none of ours, or its session is over.
    pub async fn authenticate_browser(&self, cookie: &str, place: &Place) -> Result<AtBrowser, Error> {
        self.lease.must_hold()?;
        let now = self.clock.now();
        if let Some(wait) = self.login_locked_for(None, place.ip, now).await? {
            return Err(Error::Limited(wait));
        }
        let shown = browser::Shown::read(cookie).ok_or(Error::Unauthenticated)?;
        let access = sessions::find_access(&self.db, shown.session).await?.ok_or(Error::Unauthenticated)?;
        if !shown.is_proved(&self.keyring.proofs, &access.session) {
            return Err(self.count_login(None, place.ip, now).map_or(Error::Unauthenticated, Error::Limited));
        }
        if !access.session.is_live(now) || access.standing != Standing::Active {
            return Err(Error::Unauthenticated);
        }
        if let Some(expires_at) = access.session.prolonged(self.world().policy.login.idle, now) {
            let used = Session {
                expires_at,
                ip: place.ip.or(access.session.ip),
                user_agent: place.user_agent.as_deref().map(clean_agent).or_else(|| access.session.user_agent.clone()),
                ..access.session.clone()
            };
            in_time(self.meter(move |tx| {
                Box::pin(async move { Ok(sessions::touch_session(tx, &used, now).await.map(drop)?) })
            }))
            .await?;
        }
        let caller = self.member(&access, access.role, place.request_id.clone());
        let operator = access.operator.as_ref().map(|permissions| Caller {
            reach: Reach::Everything,
            grant: Arc::new(self.world().policy.catalog.grant(permissions.iter().map(String::as_str))),
            must_prove: !access.session.is_proved(now),
            ..caller.clone()
        });
        Ok(AtBrowser { caller, role: access.role, operator, is_proved: access.session.is_proved(now) })
    }

    /// Goes over to another account of the person who asks: a session there takes the place of the one that is shown, and ends
    /// when that one would have.
    ///
    /// # Errors
    /// The caller shows no session, or does not belong to an active account of this id.
    pub async fn switch_account(&self, caller: &Caller, account: AccountId, place: &Place) -> Result<Session, Error> {
        let (user, shown) = (caller.person()?, caller.session.ok_or(Error::Unauthenticated)?);
        let held = sessions::find_session(&self.db, shown).await?.ok_or(Error::Unauthenticated)?;
        let account = self.account_to_enter(user, Some(account)).await?;
        let now = self.clock.now();
        let next = self.new_session(user, account, caller.actor.name(), held.method, place, now);
        let (ends_at, proved_at) = (held.ends_at, held.proved_at);
        let next = Session { expires_at: next.expires_at.min(ends_at), ends_at, proved_at, ..next };
        self.write_all(caller, move |tx| {
            Box::pin(async move {
                // They may have been taken out, or have logged out, in the meantime.
                if members::find_member(tx, account, user).await?.is_none()
                    || !sessions::end_session(tx, shown, now).await?
                {
                    return Err(Error::Unauthenticated);
                }
                sessions::insert_session(tx, &next).await?;
                let events = vec![event("session.end", &held), event("session.switch", &next)];
                Ok((next, events))
            })
        })
        .await
    }

    /// The accounts the person who asks belongs to, by name.
    ///
    /// # Errors
    /// The caller is no person.
    pub async fn list_own_accounts(&self, caller: &Caller) -> Result<Vec<Account>, Error> {
        let mut own = Vec::new();
        for (id, _) in members::list_memberships(&self.db, caller.person()?).await? {
            own.extend(accounts::find_account(&self.db, id).await?.filter(|found| found.standing == Standing::Active));
        }
        own.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(own)
    }

    /// What the browser is given that a session was begun in.
    #[must_use]
    pub fn browser_cookie(&self, session: &Session) -> PlainKey {
        browser::cookie(&self.keyring.proofs, session)
    }

    /// A person an operator acts on, who may do no more than they.
    pub(crate) async fn user_to_change(&self, caller: &Caller, id: Option<UserId>) -> Result<UserId, Error> {
        let id = id.ok_or(Error::NotFound("user"))?;
        let user = users::find_user(&self.db, id).await?.ok_or(Error::NotFound("user"))?;
        caller.must_hold_all(&self.world().policy.catalog, user.operator.as_deref().unwrap_or_default())?;
        Ok(id)
    }

    pub(crate) async fn find_user(&self, id: Option<UserId>) -> Result<UserId, Error> {
        let id = id.ok_or(Error::NotFound("user"))?;
        Ok(users::find_user(&self.db, id).await?.ok_or(Error::NotFound("user"))?.id)
    }

    /// The account a person is to act in: the one they name, else the only one they belong to.
    async fn membership(&self, user: UserId, named: Option<AccountId>) -> Result<AccountId, Error> {
        let memberships = members::list_memberships(&self.db, user).await?;
        match (named, memberships.as_slice()) {
            (Some(named), all) if all.iter().any(|(account, _)| *account == named) => Ok(named),
            (Some(_), _) => Err(Error::invalid("account_id", "is no account this person belongs to")),
            (None, [(only, _)]) => Ok(*only),
            (None, []) => Err(Error::Conflict("this person belongs to no account".into())),
            (None, _) => Err(Error::invalid("account_id", "is required: this person belongs to several accounts")),
        }
    }
}
