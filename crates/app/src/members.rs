//! Use cases on who belongs to an account: see them, give another role, take out, leave.
//!
//! What must stay true: whoever is taken out has no session and no key of their own in the account once the call has
//! returned; keys made for the account stay; an account that has an owner keeps one.

use std::sync::Arc;

use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, UserId};
use keywright_core::member::{Changer, Member, MemberRole, Unfit, check_change};
use keywright_core::time::Time;
use keywright_store::{Read, StoreError, Tx, accounts, members, sessions, users};
use serde_json::{Value, json};

use crate::App;
use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::personal::end_personal_keys;
use crate::world::World;

impl App {
    /// An account's members, by their ids.
    ///
    /// # Errors
    /// The caller may not see them, or there is no such account.
    pub async fn list_members(
        &self,
        caller: &Caller,
        account: AccountId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, Error> {
        caller.must(&self.world().policy.catalog, "members:read")?;
        must_be_there(&self.db, caller, account).await?;
        Ok(members::list_members(&self.db, account, after, limit.into()).await?)
    }

    /// Makes somebody there is a member of an account, as an operator. Others are invited.
    ///
    /// # Errors
    /// The caller is no operator, there is no such person or account, or they belong to it already.
    pub async fn add_member(
        &self,
        caller: &Caller,
        account: AccountId,
        user: UserId,
        role: MemberRole,
    ) -> Result<Member, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "users:write")?;
        let (now, author) = (self.clock.now(), caller.clone());
        self.write(caller, move |tx| {
            Box::pin(async move {
                must_be_there(tx, &author, account).await?;
                if users::find_user(tx, user).await?.is_none() {
                    return Err(Error::invalid("user_id", "is nobody there is"));
                }
                let member = join(tx, account, user, role, now).await?;
                let event = event("member.add", &member, json!({ "role": role }));
                Ok((member, event))
            })
        })
        .await
    }

    /// Gives a member another role, in force on their next request. Keys of their own that may do more end.
    ///
    /// # Errors
    /// The caller may not, or is less than what they would give or take; there is no such member; or the account would be
    /// left without an owner.
    pub async fn set_member_role(
        &self,
        caller: &Caller,
        account: AccountId,
        user: UserId,
        role: MemberRole,
    ) -> Result<Member, Error> {
        caller.must(&self.world().policy.catalog, "members:write")?;
        let (now, author, world) = (self.clock.now(), caller.clone(), Arc::clone(self.world()));
        self.write_all(caller, move |tx| {
            Box::pin(async move {
                must_be_there(tx, &author, account).await?;
                let by = changer(tx, &author, account).await?;
                let before = find(tx, account, user).await?;
                check(tx, by, &before, Some(role)).await?;
                members::update_member(tx, account, user, role).await?;
                let grant = world.policy.member_grant(role);
                let ended = end_personal_keys(tx, &world.policy, Some(account), user, Some(&grant), now).await?;
                let detail = json!({ "role": role, "before": before.role });
                let changed = event("member.update", &before, detail);
                Ok((Member { role, ..before }, [changed].into_iter().chain(ended).collect()))
            })
        })
        .await
    }

    /// Takes a member out of an account: their sessions and their own keys there end at once.
    ///
    /// # Errors
    /// As [`App::set_member_role`].
    pub async fn remove_member(&self, caller: &Caller, account: AccountId, user: UserId) -> Result<(), Error> {
        caller.must(&self.world().policy.catalog, "members:write")?;
        let (now, author, world) = (self.clock.now(), caller.clone(), Arc::clone(self.world()));
        self.write_all(caller, move |tx| {
            Box::pin(async move {
                must_be_there(tx, &author, account).await?;
                let by = changer(tx, &author, account).await?;
                let member = find(tx, account, user).await?;
                check(tx, by, &member, None).await?;
                take_out(tx, &world, "member.remove", &member, now).await
            })
        })
        .await
    }

    /// Takes the person who asks out of an account they belong to.
    ///
    /// # Errors
    /// They do not belong to it, or are its last owner.
    pub async fn leave_account(&self, caller: &Caller, account: AccountId) -> Result<(), Error> {
        let user = caller.person()?;
        let (now, world) = (self.clock.now(), Arc::clone(self.world()));
        self.write_all(caller, move |tx| {
            Box::pin(async move {
                let member = members::find_member(tx, account, user).await?.ok_or(Error::NotFound("account"))?;
                check(tx, Changer::Member(member.role), &member, None).await?;
                take_out(tx, &world, "member.leave", &member, now).await
            })
        })
        .await
    }
}

async fn take_out(
    tx: &mut Tx,
    world: &World,
    action: &'static str,
    member: &Member,
    now: Time,
) -> Result<((), Vec<AuditEvent>), Error> {
    let Member { account, user, role, .. } = member;
    members::delete_member(tx, *account, *user).await?;
    let sessions = sessions::end_account_sessions(tx, *user, *account, now).await?;
    let ended = end_personal_keys(tx, &world.policy, Some(*account), *user, None, now).await?;
    let detail = json!({ "role": role, "sessions_ended": sessions, "keys_revoked": ended.len() });
    Ok(((), [event(action, member, detail)].into_iter().chain(ended).collect()))
}

/// Makes somebody a member.
pub(crate) async fn join(
    tx: &mut Tx,
    account: AccountId,
    user: UserId,
    role: MemberRole,
    now: Time,
) -> Result<Member, Error> {
    members::insert_member(tx, account, user, role, now).await.map_err(|error| match error {
        StoreError::Conflict => Error::Conflict("this person belongs to the account already".into()),
        other @ (StoreError::Unavailable(_) | StoreError::Unanswered | StoreError::Corrupt(_)) => other.into(),
    })?;
    find(tx, account, user).await
}

/// As what the caller changes who belongs to this account.
pub(crate) async fn changer(on: &impl Read, caller: &Caller, account: AccountId) -> Result<Changer, Error> {
    if caller.reach == Reach::Everything {
        return Ok(Changer::Operator);
    }
    // They may have been taken out since they were recognised.
    let member = members::find_member(on, account, caller.person()?).await?;
    member.map(|member| Changer::Member(member.role)).ok_or(Error::Unauthenticated)
}

/// Requires an account that the caller reaches, and that people can belong to.
pub(crate) async fn must_be_there(on: &impl Read, caller: &Caller, account: AccountId) -> Result<(), Error> {
    if !caller.reaches(account) || accounts::find_account(on, account).await?.is_none() {
        return Err(Error::NotFound("account"));
    }
    if [AccountId::OPERATOR, AccountId::TRIALS].contains(&account) {
        return Err(Error::Conflict("this account is the server's own, and has no members".into()));
    }
    Ok(())
}

async fn find(on: &impl Read, account: AccountId, user: UserId) -> Result<Member, Error> {
    members::find_member(on, account, user).await?.ok_or(Error::NotFound("member"))
}

async fn check(on: &impl Read, by: Changer, member: &Member, to: Option<MemberRole>) -> Result<(), Error> {
    let others = members::count_other_owners(on, member.account, member.user).await?;
    check_change(by, Some(member.role), to, others).map_err(refused)
}

pub(crate) fn refused(unfit: Unfit) -> Error {
    match unfit {
        Unfit::Outranked => Error::Forbidden("nobody gives or takes a role above their own".into()),
        Unfit::LastOwner => {
            Error::Conflict("this is the account's last owner: make somebody else an owner first".into())
        }
    }
}

fn event(action: &'static str, member: &Member, detail: Value) -> AuditEvent {
    AuditEvent { action, target: member.user.to_string(), account: Some(member.account), detail: detail.into() }
}
