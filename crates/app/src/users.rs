//! Use cases on people: made and shut out by operators; their own password.

use std::sync::Arc;

use keywright_core::account::{User, normal_email};
use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, UserId};
use keywright_core::member::MemberRole;
use keywright_core::password::Password;
use keywright_store::users::UserFilter;
use keywright_store::{StoreError, accounts, factors, members, sessions, users};
use serde_json::json;

use crate::caller::Caller;
use crate::error::Error;
use crate::logins::Place;
use crate::personal::end_personal_keys;
use crate::{App, clock};

/// A person and the accounts they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The person.
    pub user: User,
    /// Their accounts, and what they are in each.
    pub memberships: Vec<(AccountId, MemberRole)>,
}

/// Somebody to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewPerson<'a> {
    /// Their address.
    pub email: &'a str,
    /// Without one they cannot log in.
    pub password: Option<&'a str>,
    /// The account they belong to, and what they are in it. Only an operator can do without.
    pub member: Option<(AccountId, MemberRole)>,
    /// What they may do as an operator, where they are to be one.
    pub operator: Option<&'a [String]>,
}

impl App {
    /// Makes a person who belongs to an account, or is an operator, or both. An operator vouches for the address.
    ///
    /// # Errors
    /// The caller is no operator or may do less than the new one, the address is none or taken, or the password is too weak.
    pub async fn create_user(&self, caller: &Caller, new: NewPerson<'_>) -> Result<Person, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        caller.must_be_proved()?;
        let NewPerson { email, password, member, operator } = new;
        let email =
            normal_email(email).ok_or_else(|| Error::invalid("email", "is no address, as in ann@example.com"))?;
        match member {
            Some((AccountId::OPERATOR, _)) => {
                return Err(Error::Conflict("the operators' own account has no members".into()));
            }
            None if operator.is_none() => {
                return Err(Error::invalid(
                    "account_id",
                    "is required of whoever is no operator, with their role in it",
                ));
            }
            Some(_) | None => {}
        }
        let operator = operator.map(|permissions| self.permissions_to_give(caller, permissions)).transpose()?;
        let now = self.clock.now();
        let user = User::new(UserId::new(now, &mut clock::rng()), Some(email), now);
        let user = User { email_verified_at: Some(now), operator, ..user };
        let hash = match password {
            Some(password) => self.hasher.hash(chosen("password", password, &user)?).await?,
            None => String::new(),
        };
        self.write(caller, move |tx| {
            Box::pin(async move {
                if let Some((account, _)) = member
                    && !accounts::has_account(tx, account).await?
                {
                    return Err(Error::invalid("account_id", "is no account there is"));
                }
                users::insert_user(tx, &user, &hash).await.map_err(|error| match error {
                    StoreError::Conflict => Error::Conflict("there is a person with this email already".into()),
                    other @ (StoreError::Unavailable(_) | StoreError::Unanswered | StoreError::Corrupt(_)) => {
                        other.into()
                    }
                })?;
                if let Some((account, role)) = member {
                    members::insert_member(tx, account, user.id, role, now).await?;
                }
                let role = member.map(|(_, role)| role);
                let detail = json!({ "email": user.email, "role": role, "operator_permissions": user.operator });
                let (target, account) = (user.id.to_string(), member.map(|(account, _)| account));
                let event = AuditEvent { action: "user.create", target, account, detail: detail.into() };
                Ok((Person { user, memberships: member.into_iter().collect() }, event))
            })
        })
        .await
    }

    /// A person.
    ///
    /// # Errors
    /// The caller is no operator, or there is no such person.
    pub async fn get_user(&self, caller: &Caller, id: UserId) -> Result<Person, Error> {
        self.must_see_users(caller)?;
        self.person(users::find_user(&self.db, id).await?.ok_or(Error::NotFound("user"))?).await
    }

    /// People in order of their ids; with an address, the one it belongs to.
    ///
    /// # Errors
    /// The caller is no operator.
    pub async fn list_users(
        &self,
        caller: &Caller,
        email: Option<&str>,
        filter: &UserFilter,
    ) -> Result<Vec<Person>, Error> {
        self.must_see_users(caller)?;
        let found = match email.map(normal_email) {
            None => users::list_users(&self.db, filter).await?,
            Some(None) => Vec::new(),
            Some(Some(email)) => {
                users::find_credentials_by_email(&self.db, &email).await?.map(|found| found.user).into_iter().collect()
            }
        };
        let mut people = Vec::with_capacity(found.len());
        for user in found {
            people.push(self.person(user).await?);
        }
        Ok(people)
    }

    /// Shuts a person out of everything, on their next request, or lets them in again. Keys that were their own, of kinds the
    /// policy calls personal, are revoked with it.
    ///
    /// # Errors
    /// The caller is no operator, or there is no such person.
    pub async fn set_user_disabled(&self, caller: &Caller, id: UserId, disabled: bool) -> Result<Person, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        caller.must_be_proved()?;
        if disabled {
            must_be_another(caller, id)?;
        }
        let (now, world, by) = (self.clock.now(), Arc::clone(self.world()), caller.clone());
        let user = self
            .write_all(caller, move |tx| {
                Box::pin(async move {
                    let user = users::find_user(tx, id).await?.ok_or(Error::NotFound("user"))?;
                    by.must_hold_all(&world.policy.catalog, user.operator.as_deref().unwrap_or_default())?;
                    let since = disabled.then(|| user.disabled_at.unwrap_or(now));
                    users::update_disabled(tx, id, since).await?;
                    let ended = match disabled {
                        true => end_personal_keys(tx, &world.policy, None, id, None, now).await?,
                        false => Vec::new(),
                    };
                    let action = if disabled { "user.disable" } else { "user.enable" };
                    let event = AuditEvent { action, target: id.to_string(), account: None, detail: json!({}).into() };
                    Ok((User { disabled_at: since, ..user }, [event].into_iter().chain(ended).collect()))
                })
            })
            .await?;
        self.person(user).await
    }

    /// Turns a person's second factor off, for one who has lost it and their codes on paper. Their sessions end.
    ///
    /// # Errors
    /// The caller is no operator, or there is no such person, or none of theirs is on.
    pub async fn reset_factor(&self, caller: &Caller, id: UserId) -> Result<(), Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        caller.must_be_proved()?;
        let (now, world, by) = (self.clock.now(), Arc::clone(self.world()), caller.clone());
        self.write(caller, move |tx| {
            Box::pin(async move {
                let user = users::find_user(tx, id).await?.ok_or(Error::NotFound("user"))?;
                by.must_hold_all(&world.policy.catalog, user.operator.as_deref().unwrap_or_default())?;
                if !factors::stop_totp(tx, id).await? {
                    return Err(Error::Conflict("this person's second factor is off".into()));
                }
                let ended = sessions::end_other_sessions(tx, id, None, now).await?;
                let detail = json!({ "sessions_ended": ended });
                let event =
                    AuditEvent { action: "factor.reset", target: id.to_string(), account: None, detail: detail.into() };
                Ok(((), event))
            })
        })
        .await
    }

    /// The person who asks.
    ///
    /// # Errors
    /// A key was shown.
    pub async fn get_self(&self, caller: &Caller) -> Result<(Person, i64), Error> {
        let user = users::find_user(&self.db, caller.person()?).await?.ok_or(Error::NotFound("user"))?;
        let codes = factors::count_backup_codes(&self.db, user.id).await?;
        Ok((self.person(user).await?, codes))
    }

    /// Gives the person who asks another password. Their other sessions end.
    ///
    /// # Errors
    /// The present password or the code is wrong, or the new one is too weak.
    pub async fn change_password(
        &self,
        caller: &Caller,
        present: &str,
        code: Option<&str>,
        next: &str,
        place: &Place,
    ) -> Result<(), Error> {
        let (found, factor) = self.reauthenticate(caller, present, code, place).await?;
        let hash = self.hasher.hash(chosen("new_password", next, &found.user)?).await?;
        let (user, but, now) = (found.user.id, caller.session, self.clock.now());
        let held = found.password_hash.clone();
        let changed = self.write(caller, move |tx| {
            Box::pin(async move {
                if !factor.take(tx, user, now).await? {
                    return Err(Error::CodeWrong);
                }
                if !users::update_password(tx, user, &held, &hash, now).await? {
                    return Err(StoreError::Conflict.into());
                }
                // Whoever knew the password before may have asked for another address: its link leads nowhere now.
                users::update_pending_email(tx, user, None).await?;
                let ended = sessions::end_other_sessions(tx, user, but, now).await?;
                let detail = json!({ "sessions_ended": ended });
                let event = AuditEvent {
                    action: "user.password",
                    target: user.to_string(),
                    account: None,
                    detail: detail.into(),
                };
                Ok(((), event))
            })
        });
        self.counted(changed.await, &found, place)
    }

    fn must_see_users(&self, caller: &Caller) -> Result<(), Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:read")
    }

    pub(crate) async fn person(&self, user: User) -> Result<Person, Error> {
        let memberships = members::list_memberships(&self.db, user.id).await?;
        Ok(Person { user, memberships })
    }
}

/// Nobody shuts themselves out by mistake.
pub(crate) fn must_be_another(caller: &Caller, id: UserId) -> Result<(), Error> {
    match caller.person() {
        Ok(own) if own == id => Err(Error::Conflict("this is you: another operator can do it".into())),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A password somebody chooses, where it is strong enough.
pub(crate) fn chosen(field: &str, text: &str, by: &User) -> Result<Password, Error> {
    let name = by.address().split('@').next().unwrap_or_default();
    Password::chosen(text, &[by.address(), name], by.second_factor_at.is_some())
        .map_err(|weak| Error::invalid(field, weak.to_string()))
}
