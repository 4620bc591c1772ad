//! Use cases on invitations: ask somebody to belong to an account, by mail; take one; withdraw one.
//!
//! What must stay true: an invitation is worth what its row says, so that one that was withdrawn, or made anew with another
//! role, is void; whoever takes one has shown that mail to its address reaches them.

use std::net::IpAddr;

use keywright_core::account::{User, normal_email};
use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, InvitationId, UserId};
use keywright_core::mail::Letter;
use keywright_core::member::{INVITED_FOR, Invitation, Member, MemberRole, check_change};
use keywright_core::ticket::{Good, ticket};
use keywright_core::time::Time;
use keywright_store::{StoreError, Tx, accounts, factors, members, sessions, users};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::error::Error;
use crate::factors::unconfirmed;
use crate::logins::Place;
use crate::members::{changer, join, must_be_there, refused};
use crate::registration::{LETTERS_PER_ADDRESS, over};
use crate::users::chosen;
use crate::write::Author;
use crate::{App, clock};

/// How many invitations of an account hold at a time.
const MOST: i64 = 100;
/// How many letters of an account's go out in an hour.
const PER_ACCOUNT: u32 = 50;

/// Who takes an invitation.
struct Taker {
    user: User,
    /// Their new password's hash.
    hash: Option<String>,
    /// The hash it takes the place of, where there is somebody already of whom nobody knows whether the address is theirs.
    instead_of: Option<String>,
}

impl App {
    /// Asks somebody to belong to an account, by mail. Asking anew makes the invitation before void.
    ///
    /// # Errors
    /// The caller may not, or is less than the role; the person belongs already; too many are invited; or mail is not set up.
    pub async fn invite(
        &self,
        caller: &Caller,
        account: AccountId,
        email: &str,
        role: MemberRole,
    ) -> Result<Invitation, Error> {
        caller.must(&self.world().policy.catalog, "members:write")?;
        let outbox = self.outbox()?;
        must_be_there(&self.db, caller, account).await?;
        let by = changer(&self.db, caller, account).await?;
        check_change(by, None, Some(role), 0).map_err(refused)?;
        let email =
            normal_email(email).ok_or_else(|| Error::invalid("email", "is no address, as in ann@example.com"))?;
        let now = self.clock.now();
        self.must_have_shown_mail_arrives(caller).await?;
        self.ask(&format!("invitations {account}"), None::<IpAddr>, PER_ACCOUNT, now)?;
        self.ask(&format!("mail {email}"), None::<IpAddr>, LETTERS_PER_ADDRESS, now)?;
        let invitation = Invitation {
            id: InvitationId::new(now, &mut clock::rng()),
            account,
            email,
            role,
            invited_by: caller.actor.name(),
            created_at: now,
            expires_at: now.after(INVITED_FOR),
        };
        let letter = self.invitation_letter(&invitation, now).await?;
        let author = caller.clone();
        self.write(caller, move |tx| {
            Box::pin(async move {
                // They may have been taken out, or made less, since they were recognised.
                let by = changer(tx, &author, account).await?;
                check_change(by, None, Some(role), 0).map_err(refused)?;
                must_not_belong(tx, account, &invitation.email).await?;
                let is_again = members::delete_invitation_to(tx, account, &invitation.email).await?;
                if !is_again && members::count_invitations(tx, account, now).await? >= MOST {
                    return Err(Error::Conflict(format!(
                        "an account has at most {MOST} open invitations: withdraw some"
                    )));
                }
                members::insert_invitation(tx, &invitation).await?;
                outbox.put(tx, &letter).await?;
                let event = event("member.invite", &invitation, json!({}));
                Ok((invitation, event))
            })
        })
        .await
    }

    /// An account's invitations that still hold, oldest first.
    ///
    /// # Errors
    /// The caller may not see them, or there is no such account.
    pub async fn list_invitations(
        &self,
        caller: &Caller,
        account: AccountId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, Error> {
        caller.must(&self.world().policy.catalog, "members:read")?;
        must_be_there(&self.db, caller, account).await?;
        Ok(members::list_invitations(&self.db, account, after, self.clock.now(), limit.into()).await?)
    }

    /// Withdraws an invitation: the link in the letter leads nowhere from then on.
    ///
    /// # Errors
    /// The caller may not, or is less than the role; or there is no such invitation.
    pub async fn withdraw_invitation(
        &self,
        caller: &Caller,
        account: AccountId,
        id: Option<InvitationId>,
    ) -> Result<(), Error> {
        caller.must(&self.world().policy.catalog, "members:write")?;
        let id = id.ok_or(Error::NotFound("invitation"))?;
        let author = caller.clone();
        self.write(caller, move |tx| {
            Box::pin(async move {
                must_be_there(tx, &author, account).await?;
                let held = members::find_invitation(tx, id).await?.filter(|held| held.account == account);
                let held = held.ok_or(Error::NotFound("invitation"))?;
                let by = changer(tx, &author, account).await?;
                check_change(by, None, Some(held.role), 0).map_err(refused)?;
                members::delete_invitation(tx, id).await?;
                Ok(((), event("member.withdraw_invitation", &held, json!({}))))
            })
        })
        .await
    }

    /// Takes an invitation by what was mailed. Somebody new chooses a password with it; whoever has an account keeps theirs.
    ///
    /// # Errors
    /// It is none, or is over; a password is missing, too weak, or given where there is one.
    pub async fn accept_invitation(&self, token: &str, password: Option<&str>, place: Place) -> Result<Member, Error> {
        let now = self.clock.now();
        let shown = self.presented(Good::Join, token, &place, now).await?;
        let held = members::find_invitation(&self.db, shown.invitation()).await?;
        let held = held.filter(|held| shown.holds(&self.keyring.proofs, &held.bound(), now) && now < held.expires_at);
        let Some(held) = held else { return Err(self.no_ticket(&place, now)) };
        let taker = self.taker(&held, password, now).await?;
        let author = Author::person(taker.user.id, place.request_id);
        self.write_all(author, move |tx| Box::pin(async move { accept(tx, &held, taker, now).await })).await
    }

    /// Who takes an invitation. Of somebody whose address was never shown to be theirs, only the address is known: whoever
    /// registered with it may be another, so they choose a password anew, and what was there before counts no more.
    async fn taker(&self, held: &Invitation, password: Option<&str>, now: Time) -> Result<Taker, Error> {
        let known = users::find_credentials_by_email(&self.db, &held.email).await?;
        if known.as_ref().is_some_and(|known| known.user.disabled_at.is_some()) {
            return Err(Error::Forbidden("whoever has this address is shut out: ask whoever runs this server".into()));
        }
        let (user, instead_of) = match known {
            Some(known) if known.user.email_verified_at.is_some() => {
                if password.is_some() {
                    let reason = "is not asked for: you have an account here, and keep the password you have";
                    return Err(Error::invalid("password", reason));
                }
                return Ok(Taker { user: known.user, hash: None, instead_of: None });
            }
            Some(known) => (known.user, Some(known.password_hash)),
            None => (User::new(UserId::new(now, &mut clock::rng()), Some(held.email.clone()), now), None),
        };
        let user = User { email_verified_at: Some(now), second_factor_at: None, ..user };
        let password =
            password.ok_or_else(|| Error::invalid("password", "is required: choose one, you are new here"))?;
        let hash = self.hasher.hash(chosen("password", password, &user)?).await?;
        Ok(Taker { user, hash: Some(hash), instead_of })
    }

    /// Letters to strangers go out at the wish of people who can be written to themselves.
    async fn must_have_shown_mail_arrives(&self, caller: &Caller) -> Result<(), Error> {
        let Ok(id) = caller.person() else { return Ok(()) };
        let user = users::find_user(&self.db, id).await?.ok_or(Error::Unauthenticated)?;
        if user.email.is_some() && user.email_verified_at.is_none() {
            return Err(unconfirmed());
        }
        Ok(())
    }

    /// Forgets invitations that are over.
    pub(crate) async fn forget_invitations(&self) -> Result<(), Error> {
        let now = self.clock.now();
        self.meter(move |tx| Box::pin(async move { Ok(members::forget_invitations(tx, now).await.map(drop)?) })).await
    }

    async fn invitation_letter(&self, invitation: &Invitation, now: Time) -> Result<Letter, Error> {
        let account = accounts::find_account(&self.db, invitation.account).await?.ok_or(Error::NotFound("account"))?;
        let (token, _) = ticket(&self.keyring.proofs, Good::Join, invitation.id.bits(), &invitation.bound(), now);
        let link = self.link(Good::Join, token.reveal())?;
        let (name, role) = (&account.name, invitation.role.name());
        let text = format!(
            "Hello,\n\nyou are invited to \"{name}\" at {{name}}, as {role}. Follow this link to join; it is good for seven \
             days. If you do not know who invites you, do nothing.\n"
        );
        self.letter(&invitation.email, "You are invited", &text, Some(&link))
    }
}

async fn accept(tx: &mut Tx, held: &Invitation, taker: Taker, now: Time) -> Result<(Member, Vec<AuditEvent>), Error> {
    // It may have been withdrawn, made anew or taken while a password was hashed.
    let still = members::find_invitation(tx, held.id).await?.filter(|still| still == held);
    let held = still.ok_or_else(over)?;
    let (mut events, user) = (Vec::new(), taker.user.id);
    match (taker.hash, taker.instead_of) {
        (Some(hash), Some(before)) => {
            if !users::update_password(tx, user, &before, &hash, now).await? {
                return Err(StoreError::Conflict.into());
            }
            users::update_email(tx, user, &held.email, now).await?;
            factors::stop_totp(tx, user).await?;
            let ended = sessions::end_other_sessions(tx, user, None, now).await?;
            let detail = json!({ "email": held.email, "invitation": held.id, "sessions_ended": ended });
            events.push(AuditEvent {
                action: "user.take_over",
                target: user.to_string(),
                account: None,
                detail: detail.into(),
            });
        }
        (Some(hash), None) => {
            if users::find_credentials_by_email(tx, &held.email).await?.is_some() {
                return Err(StoreError::Conflict.into());
            }
            users::insert_user(tx, &taker.user, &hash).await?;
            let detail = json!({ "email": held.email, "role": held.role, "invitation": held.id });
            let target = user.to_string();
            events.push(AuditEvent {
                action: "user.create",
                target,
                account: Some(held.account),
                detail: detail.into(),
            });
        }
        (None, _) => {}
    }
    members::delete_invitation(tx, held.id).await?;
    let member = join(tx, held.account, user, held.role, now).await?;
    events.push(event("member.join", &held, json!({ "user": user })));
    Ok((member, events))
}

async fn must_not_belong(tx: &Tx, account: AccountId, email: &str) -> Result<(), Error> {
    let Some(found) = users::find_credentials_by_email(tx, email).await? else { return Ok(()) };
    match members::find_member(tx, account, found.user.id).await? {
        Some(_) => Err(Error::Conflict("this person belongs to the account already".into())),
        None => Ok(()),
    }
}

fn event(action: &'static str, invitation: &Invitation, more: Value) -> AuditEvent {
    let Invitation { id, account, email, role, .. } = invitation;
    let mut detail = json!({ "email": email, "role": role });
    if let (Some(detail), Value::Object(more)) = (detail.as_object_mut(), more) {
        detail.extend(more);
    }
    AuditEvent { action, target: id.to_string(), account: Some(*account), detail: detail.into() }
}
