//! Use cases on people who are operators: make one of somebody, take it back, and have one prove again who they are.
//!
//! What must stay true: nobody gives or takes more than they have; what a person may do as an operator is read with their
//! session on every request, and counts at a browser alone: their tokens reach their account and no further.

use std::sync::Arc;

use keywright_core::audit::AuditEvent;
use keywright_core::id::UserId;
use keywright_core::permission::check_pattern;
use keywright_store::{sessions, users};
use serde_json::json;

use crate::App;
use crate::caller::Caller;
use crate::error::Error;
use crate::logins::Place;
use crate::users::{Person, must_be_another};

/// The most permissions an operator is given by name.
const MOST_PERMISSIONS: usize = 50;

impl App {
    /// Makes a person an operator, or gives an operator other permissions.
    ///
    /// # Errors
    /// The caller is no operator, or may do less than the person may or is to; there is no such person or permission.
    pub async fn promote_user(&self, caller: &Caller, id: UserId, permissions: &[String]) -> Result<Person, Error> {
        self.must_change_operators(caller)?;
        let permissions = self.permissions_to_give(caller, permissions)?;
        self.set_operator(caller, id, Some(permissions)).await
    }

    /// Makes an operator a person like others.
    ///
    /// # Errors
    /// The caller is no operator, may do less than the person, or is the person; there is no such person, or they are none.
    pub async fn demote_user(&self, caller: &Caller, id: UserId) -> Result<Person, Error> {
        self.must_change_operators(caller)?;
        must_be_another(caller, id)?;
        self.set_operator(caller, id, None).await
    }

    fn must_change_operators(&self, caller: &Caller) -> Result<(), Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        caller.must_be_proved()
    }

    async fn set_operator(&self, caller: &Caller, id: UserId, to: Option<Vec<String>>) -> Result<Person, Error> {
        let (world, by) = (Arc::clone(self.world()), caller.clone());
        let user = self
            .write(caller, move |tx| {
                Box::pin(async move {
                    let mut user = users::find_user(tx, id).await?.ok_or(Error::NotFound("user"))?;
                    if to.is_none() && user.operator.is_none() {
                        return Err(Error::Conflict("this person is no operator".into()));
                    }
                    by.must_hold_all(&world.policy.catalog, user.operator.as_deref().unwrap_or_default())?;
                    users::update_operator(tx, id, to.as_deref()).await?;
                    let action = if to.is_some() { "user.promote" } else { "user.demote" };
                    let detail = json!({ "operator_permissions": to, "before": user.operator });
                    user.operator = to;
                    Ok((user, AuditEvent { action, target: id.to_string(), account: None, detail: detail.into() }))
                })
            })
            .await?;
        self.person(user).await
    }

    /// What an operator is to be permitted, in order.
    pub(crate) fn permissions_to_give(&self, caller: &Caller, permissions: &[String]) -> Result<Vec<String>, Error> {
        const FIELD: &str = "operator_permissions";
        let catalog = &self.world().policy.catalog;
        if !(1..=MOST_PERMISSIONS).contains(&permissions.len()) {
            return Err(Error::invalid(FIELD, format!("has from 1 to {MOST_PERMISSIONS} entries; `*` is everything")));
        }
        for permission in permissions {
            check_pattern(permission).map_err(|reason| Error::invalid(FIELD, reason))?;
            if !catalog.reaches(permission) {
                return Err(Error::invalid(FIELD, format!("`{permission}` is no permission the policy knows")));
            }
        }
        caller.must_hold_all(catalog, permissions)?;
        let mut sorted = permissions.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        Ok(sorted)
    }

    /// Has the person at a browser prove again who they are: for a while they may do what takes a recent proof.
    ///
    /// # Errors
    /// The password or the code is wrong, or too many were.
    pub async fn prove_session(
        &self,
        caller: &Caller,
        password: &str,
        code: Option<&str>,
        place: &Place,
    ) -> Result<(), Error> {
        let shown = caller.session.ok_or(Error::Unauthenticated)?;
        let (found, factor) = self.reauthenticate(caller, password, code, place).await?;
        let (user, now) = (found.user.id, self.clock.now());
        let proved = self.write(caller, move |tx| {
            Box::pin(async move {
                if !factor.take(tx, user, now).await? {
                    return Err(Error::CodeWrong);
                }
                if !sessions::prove_session(tx, shown, now).await? {
                    return Err(Error::Unauthenticated);
                }
                let (action, target) = ("session.prove", shown.to_string());
                Ok(((), AuditEvent { action, target, account: None, detail: json!({ "user": user }).into() }))
            })
        });
        self.counted(proved.await, &found, place)
    }
}
