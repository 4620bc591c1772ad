//! Use cases on the second factor: set it up, turn it on with a code, new codes on paper, and off again.
//!
//! What must stay true (security.md 21 to 27): a step or a code is taken in the transaction of what it is shown for; it
//! counts only once it was shown to work; what turns it off, or shows codes, takes the password and a code.

use keywright_core::audit::AuditEvent;
use keywright_core::id::UserId;
use keywright_core::password::{Password, SHORTEST_ALONE};
use keywright_core::secret::Digest;
use keywright_core::session::Method;
use keywright_core::time::Time;
use keywright_core::totp::{self, Code, Secret, normal_backup_code};
use keywright_store::users::Credentials;
use keywright_store::{Tx, factors, users};
use serde_json::json;
use zeroize::Zeroizing;

use crate::caller::Caller;
use crate::error::Error;
use crate::logins::Place;
use crate::{App, clock};

/// What a second factor comes to, before it is taken.
pub(crate) enum Factor {
    /// There is none.
    None,
    /// A code of this step.
    Step(i64),
    /// A code on paper, as every digest it may be stored under.
    Backup(Vec<Digest>),
}

impl Factor {
    /// Takes it. `false` where it was taken before, or is none.
    pub(crate) async fn take(&self, tx: &mut Tx, user: UserId, now: Time) -> Result<bool, Error> {
        match self {
            Self::None => Ok(true),
            Self::Step(step) => Ok(factors::take_step(tx, user, *step).await?),
            Self::Backup(digests) => {
                for digest in digests {
                    if factors::take_backup_code(tx, user, digest, now).await? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// How a session begins that is begun by it.
    pub(crate) const fn method(&self) -> Method {
        match self {
            Self::None => Method::Password,
            Self::Step(_) => Method::Totp,
            Self::Backup(_) => Method::BackupCode,
        }
    }
}

/// What an authenticator is loaded with.
pub struct Enrolment {
    /// The secret, in base 32.
    pub secret: Zeroizing<String>,
    /// The same as an address, `otpauth://totp/…`.
    pub url: Zeroizing<String>,
}

impl App {
    /// Begins to set up the second factor of the person who asks. It does not count until a code was shown.
    ///
    /// # Errors
    /// The caller is no person, their address is not confirmed, or their second factor is on.
    pub async fn set_up_factor(&self, caller: &Caller) -> Result<Enrolment, Error> {
        let found = self.own_credentials(caller).await?;
        // A reset takes the second factor, too: whoever registered with somebody else's address would keep it by one.
        if found.user.email_verified_at.is_none() {
            return Err(unconfirmed());
        }
        let user = found.user.id;
        let secret = Secret::generate(&mut clock::rng());
        let sealed = self.keyring.vault.seal(&sealed_for(user), secret.bytes(), &mut clock::rng());
        let enrolment = self.enrolment(&secret, found.user.address())?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                if !factors::set_up_totp(tx, user, &sealed).await? {
                    return Err(is_on());
                }
                Ok((enrolment, event("factor.set_up", user)))
            })
        })
        .await
    }

    /// What is set up and does not count yet, for the picture of it.
    ///
    /// # Errors
    /// The caller is no person, nothing is set up, or it is on: its secret is never shown again.
    pub async fn pending_factor(&self, caller: &Caller) -> Result<Enrolment, Error> {
        let found = self.own_credentials(caller).await?;
        if found.user.second_factor_at.is_some() {
            return Err(is_on());
        }
        let secret = self.secret_of(&found)?.ok_or_else(nothing_set_up)?;
        self.enrolment(&secret, found.user.address())
    }

    /// Turns the second factor on by a code of it. Answers with codes on paper, this once.
    ///
    /// # Errors
    /// The code is wrong, nothing is set up, or it is on.
    pub async fn start_factor(
        &self,
        caller: &Caller,
        code: &str,
        place: &Place,
    ) -> Result<Vec<Zeroizing<String>>, Error> {
        let found = self.own_credentials(caller).await?;
        let now = self.clock.now();
        let email = found.user.address();
        if let Some(wait) = self.login_locked_for(Some(email), place.ip, now).await? {
            return Err(Error::Limited(wait));
        }
        if found.user.second_factor_at.is_some() {
            return Err(is_on());
        }
        let secret = self.secret_of(&found)?.ok_or_else(nothing_set_up)?;
        let Some(step) = secret.step_of(code, now) else {
            return self.counted(Err(Error::CodeWrong), &found, place);
        };
        let (user, sealed) = (found.user.id, found.totp_sealed);
        let (codes, digests) = self.new_backup_codes(user);
        self.write(caller, move |tx| {
            Box::pin(async move {
                // Set up anew in the meantime: the code was of another secret.
                let held = users::find_credentials(tx, user).await?;
                if held.is_none_or(|held| held.totp_sealed != sealed) {
                    return Err(Error::CodeWrong);
                }
                if !factors::start_totp(tx, user, step, now).await? {
                    return Err(is_on());
                }
                factors::replace_backup_codes(tx, user, &digests).await?;
                Ok((codes, event("factor.start", user)))
            })
        })
        .await
    }

    /// Replaces the codes on paper. Answers with the new ones, this once.
    ///
    /// # Errors
    /// The password or the code is wrong, or the second factor is off.
    pub async fn renew_backup_codes(
        &self,
        caller: &Caller,
        password: &str,
        code: Option<&str>,
        place: &Place,
    ) -> Result<Vec<Zeroizing<String>>, Error> {
        let (found, factor) = self.reauthenticate(caller, password, code, place).await?;
        if found.user.second_factor_at.is_none() {
            return Err(is_off());
        }
        let (user, now) = (found.user.id, self.clock.now());
        let (codes, digests) = self.new_backup_codes(user);
        let renewed = self.write(caller, move |tx| {
            Box::pin(async move {
                if !factor.take(tx, user, now).await? {
                    return Err(Error::CodeWrong);
                }
                factors::replace_backup_codes(tx, user, &digests).await?;
                Ok((codes, event("factor.renew_codes", user)))
            })
        });
        self.counted(renewed.await, &found, place)
    }

    /// Turns the second factor off.
    ///
    /// # Errors
    /// The password or the code is wrong, the second factor is off, or the password is too short to stand alone.
    pub async fn stop_factor(
        &self,
        caller: &Caller,
        password: &str,
        code: Option<&str>,
        place: &Place,
    ) -> Result<(), Error> {
        let (found, factor) = self.reauthenticate(caller, password, code, place).await?;
        if found.user.second_factor_at.is_none() {
            return Err(is_off());
        }
        if Password::given(password).is_none_or(|password| password.length() < SHORTEST_ALONE) {
            return Err(Error::Conflict(format!(
                "without a second factor a password has at least {SHORTEST_ALONE} characters: change it first"
            )));
        }
        let (user, now) = (found.user.id, self.clock.now());
        let stopped = self.write(caller, move |tx| {
            Box::pin(async move {
                if !factor.take(tx, user, now).await? {
                    return Err(Error::CodeWrong);
                }
                if !factors::stop_totp(tx, user).await? {
                    return Err(is_off());
                }
                Ok(((), event("factor.stop", user)))
            })
        });
        self.counted(stopped.await, &found, place)
    }

    /// Has the person who asks prove again who they are. The factor is to be taken with what they prove it for.
    pub(crate) async fn reauthenticate(
        &self,
        caller: &Caller,
        password: &str,
        code: Option<&str>,
        place: &Place,
    ) -> Result<(Credentials, Factor), Error> {
        let own = self.own_credentials(caller).await?;
        let found = self.check_password(own.user.address(), password, place.ip).await?;
        let factor = match (found.user.second_factor_at, code) {
            (None, _) => Factor::None,
            (Some(_), None) => return Err(Error::invalid("code", "is required: your second factor is on")),
            (Some(_), Some(code)) => {
                let factor = self.factor(&found, Code::read(code), self.clock.now());
                self.counted(factor, &found, place)?
            }
        };
        Ok((found, factor))
    }

    /// Counts a wrong code, which its own transaction has forgotten (security.md 27).
    pub(crate) fn counted<T>(&self, outcome: Result<T, Error>, of: &Credentials, place: &Place) -> Result<T, Error> {
        if !matches!(outcome, Err(Error::CodeWrong)) {
            return outcome;
        }
        let wait = self.count_login(of.user.email.as_deref(), place.ip, self.clock.now());
        Err(wait.map_or(Error::CodeWrong, Error::Limited))
    }

    /// What a code comes to.
    pub(crate) fn factor(&self, of: &Credentials, code: Code<'_>, now: Time) -> Result<Factor, Error> {
        match code {
            Code::Totp(code) => {
                let step = self.secret_of(of)?.and_then(|secret| secret.step_of(code, now));
                step.map(Factor::Step).ok_or(Error::CodeWrong)
            }
            Code::Backup(text) => {
                let code = normal_backup_code(text).ok_or(Error::CodeWrong)?;
                Ok(Factor::Backup(self.keyring.digests_of(&written(of.user.id, &code))))
            }
        }
    }

    pub(crate) async fn own_credentials(&self, caller: &Caller) -> Result<Credentials, Error> {
        let found = users::find_credentials(&self.db, caller.person()?).await?.ok_or(Error::NotFound("user"))?;
        if found.password_hash.is_empty() {
            let reason = "you have no password here: whoever you log in with keeps it, and your second factor";
            return Err(Error::Conflict(reason.into()));
        }
        Ok(found)
    }

    fn secret_of(&self, of: &Credentials) -> Result<Option<Secret>, Error> {
        let Some(sealed) = &of.totp_sealed else { return Ok(None) };
        let opened = self.keyring.vault.open(&sealed_for(of.user.id), sealed);
        let secret = opened.and_then(|bytes| Secret::from_bytes(&bytes));
        secret.map(Some).ok_or_else(|| Error::Internal("a second factor's secret does not open".into()))
    }

    fn enrolment(&self, secret: &Secret, email: &str) -> Result<Enrolment, Error> {
        let url = secret.url(&self.world().policy.login.name, email);
        let url = url.ok_or_else(|| Error::Internal("a second factor has no address".into()))?;
        Ok(Enrolment { secret: secret.text(), url })
    }

    fn new_backup_codes(&self, user: UserId) -> (Vec<Zeroizing<String>>, Vec<Digest>) {
        let codes = totp::backup_codes(&mut clock::rng());
        let normal = codes.iter().filter_map(|code| normal_backup_code(code));
        let digest = |code: Zeroizing<String>| self.keyring.digests_of(&written(user, &code)).into_iter().next();
        let digests = normal.filter_map(digest).collect();
        (codes, digests)
    }
}

/// Whose secret a sealed one is: it opens for nobody else.
fn sealed_for(user: UserId) -> String {
    format!("totp {user}")
}

/// What is digested of a code on paper. It is no key, and nobody else's code.
fn written(user: UserId, code: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("backup code {user} {code}"))
}

fn event(action: &'static str, user: UserId) -> AuditEvent {
    AuditEvent { action, target: user.to_string(), account: None, detail: json!({}).into() }
}

fn is_on() -> Error {
    Error::Conflict("your second factor is on: turn it off first".into())
}

fn is_off() -> Error {
    Error::Conflict("your second factor is off".into())
}

/// What takes an address that mail has been shown to reach.
pub(crate) fn unconfirmed() -> Error {
    Error::Conflict("confirm your own address first, by the link you were mailed".into())
}

fn nothing_set_up() -> Error {
    Error::Conflict("nothing is set up: begin with POST /v1/auth/2fa/setup".into())
}
