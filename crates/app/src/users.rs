//! Use cases on people: made by operators until they can register themselves.

use keywright_core::account::{User, normal_email};
use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, UserId};
use keywright_core::member::MemberRole;
use keywright_store::{StoreError, accounts, users};
use serde_json::json;

use crate::caller::Caller;
use crate::error::Error;
use crate::{App, clock};

/// A person and the accounts they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The person.
    pub user: User,
    /// Their accounts, and what they are in each.
    pub memberships: Vec<(AccountId, MemberRole)>,
}

impl App {
    /// Makes a person who belongs to an account. Without a password they cannot log in.
    ///
    /// # Errors
    /// The caller is no operator, or the address is none or taken.
    pub async fn create_user(
        &self,
        caller: &Caller,
        account: AccountId,
        email: &str,
        password: Option<&str>,
        role: MemberRole,
    ) -> Result<Person, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        let email =
            normal_email(email).ok_or_else(|| Error::invalid("email", "is no address, as in ann@example.com"))?;
        if account == AccountId::OPERATOR {
            return Err(Error::Conflict("the operators' own account has no members".into()));
        }
        let now = self.clock.now();
        let user = User { id: UserId::new(now, &mut clock::rng()), email: Some(email), created_at: now };
        let hash = password.map(crate::password::hash).transpose()?.unwrap_or_default();
        self.write(caller, move |tx| {
            Box::pin(async move {
                if accounts::find_account(tx, account).await?.is_none() {
                    return Err(Error::invalid("account_id", "is no account there is"));
                }
                users::insert_user(tx, &user, &hash).await.map_err(|error| match error {
                    StoreError::Conflict => Error::Conflict("there is a person with this email already".into()),
                    other @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)) => other.into(),
                })?;
                users::insert_member(tx, account, user.id, role, now).await?;
                let detail = json!({ "email": user.email, "role": role });
                let target = user.id.to_string();
                let event = AuditEvent { action: "user.create", target, account: Some(account), detail };
                Ok((Person { user, memberships: vec![(account, role)] }, event))
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
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Person>, Error> {
        self.must_see_users(caller)?;
        let found = match email.map(normal_email) {
            None => users::list_users(&self.db, after, limit.into()).await?,
            Some(None) => Vec::new(),
            Some(Some(email)) => {
                users::find_user_by_email(&self.db, &email).await?.map(|(user, _)| user).into_iter().collect()
            }
        };
        let mut people = Vec::with_capacity(found.len());
        for user in found {
            people.push(self.person(user).await?);
        }
        Ok(people)
    }

    fn must_see_users(&self, caller: &Caller) -> Result<(), Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:read")
    }

    async fn person(&self, user: User) -> Result<Person, Error> {
        let memberships = users::list_memberships(&self.db, user.id).await?;
        Ok(Person { user, memberships })
    }
}
