//! Who belongs to the account, and who is asked to.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::member::MemberRole;

use super::kept::Sent;
use super::look::{Mistakes, Moment};
use super::{Form, Frame, Visitor, page, see};
use crate::Server;
use crate::extract::Id;
use crate::problem::Problem;

/// The most of each that are shown.
const ROWS: u32 = 200;

struct MemberLook {
    id: String,
    email: String,
    role: MemberRole,
    is_this: bool,
    second_factor: bool,
    is_shut_out: bool,
    since: Moment,
    /// Whether the visitor may change them.
    may_change: bool,
}

struct InvitationLook {
    id: String,
    email: String,
    role: &'static str,
    ends: Moment,
}

#[derive(Template)]
#[template(path = "dashboard/members.html")]
struct List {
    frame: Frame,
    members: Vec<MemberLook>,
    invitations: Vec<InvitationLook>,
    /// What the visitor may give.
    roles: Vec<MemberRole>,
    may_write: bool,
    email: String,
    mistakes: Mistakes,
}

async fn show(server: &Server, visitor: &Visitor, notice: &'static str) -> Result<List, Error> {
    let (app, account, now) = (&server.app, visitor.account.id, server.app.now());
    let may_write = visitor.may(server, "members:write");
    let members = app.list_members(&visitor.caller, account, None, ROWS).await?.into_iter().map(|member| {
        let is_this = visitor.caller.person().is_ok_and(|user| user == member.user);
        MemberLook {
            id: member.user.to_string(),
            email: member.email.unwrap_or_else(|| member.user.to_string()),
            role: member.role,
            is_this,
            second_factor: member.second_factor_at.is_some(),
            is_shut_out: member.disabled_at.is_some(),
            since: Moment::new(member.since, now),
            may_change: may_write && !is_this && visitor.role <= member.role,
        }
    });
    let members = members.collect();
    let invitations = app.list_invitations(&visitor.caller, account, None, ROWS).await?.into_iter();
    let invitations = invitations.map(|invitation| InvitationLook {
        id: invitation.id.to_string(),
        email: invitation.email,
        role: invitation.role.name(),
        ends: Moment::new(invitation.expires_at, now),
    });
    Ok(List {
        frame: visitor.frame(server, "members", notice),
        members,
        invitations: invitations.collect(),
        roles: MemberRole::ALL.into_iter().filter(|role| visitor.role <= *role).collect(),
        may_write,
        email: String::new(),
        mistakes: Mistakes::default(),
    })
}

/// `GET /dashboard/members`
pub(crate) async fn list(
    State(server): State<Server>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let notice = match query.as_deref() {
        Some("done=invited") => "The invitation is on its way. Its link is good for seven days.",
        Some("done=withdrawn") => "The invitation is withdrawn. Its link leads nowhere now.",
        Some("done=changed") => "The role is changed, from their next request on.",
        Some("done=removed") => "They are out. Their sessions and their own tokens here have ended.",
        _ => "",
    };
    page(StatusCode::OK, &show(&server, &visitor, notice).await?)
}

/// The list as it is, or again with what is wrong.
async fn done(
    server: &Server,
    visitor: &Visitor,
    outcome: Result<(), Error>,
    word: &str,
    email: &str,
) -> Result<Response, Problem> {
    let error = match outcome {
        Ok(()) => return Ok(see(&format!("/dashboard/members?done={word}"))),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_) | Error::Forbidden(_) | Error::Limited(_))) => error,
        Err(other) => return Err(other.into()),
    };
    let mistakes = Mistakes::new(&error, &["email"]);
    let again = List { mistakes, email: email.into(), ..show(server, visitor, "").await? };
    page(Problem::from(error).status(), &again)
}

fn role(form: &Form) -> Result<MemberRole, Error> {
    MemberRole::from_name(form.text("role")).ok_or_else(|| Error::invalid("role", "is none there is"))
}

/// `POST /dashboard/members/invite`
pub(crate) async fn invite(State(server): State<Server>, Sent { visitor, form }: Sent) -> Result<Response, Problem> {
    let (email, role) = (form.text("email"), role(&form)?);
    let invited = server.app.invite(&visitor.caller, visitor.account.id, email, role).await.map(drop);
    done(&server, &visitor, invited, "invited", email).await
}

/// `POST /dashboard/members/{id}/role`
pub(crate) async fn set_role(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    let (user, role) = (id.parse().map_err(|_| Error::NotFound("member"))?, role(&form)?);
    let changed = server.app.set_member_role(&visitor.caller, visitor.account.id, user, role).await.map(drop);
    done(&server, &visitor, changed, "changed", "").await
}

/// `POST /dashboard/members/{id}/remove`
pub(crate) async fn remove(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    _form: Form,
) -> Result<Response, Problem> {
    let user = id.parse().map_err(|_| Error::NotFound("member"))?;
    let removed = server.app.remove_member(&visitor.caller, visitor.account.id, user).await;
    done(&server, &visitor, removed, "removed", "").await
}

/// `POST /dashboard/invitations/{id}/withdraw`
pub(crate) async fn withdraw(
    State(server): State<Server>,
    visitor: Visitor,
    Id(id): Id,
    _form: Form,
) -> Result<Response, Problem> {
    let withdrawn = server.app.withdraw_invitation(&visitor.caller, visitor.account.id, id.parse().ok()).await;
    done(&server, &visitor, withdrawn, "withdrawn", "").await
}
