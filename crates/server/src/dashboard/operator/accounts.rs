//! Accounts: the list, and one of them with what an operator may change of it.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use keywright_app::error::Error;
use keywright_core::account::{Account, AccountChange, Standing, Subscription};
use keywright_core::id::AccountId;
use keywright_core::time::Time;
use keywright_store::accounts::AccountFilter;
use serde::Deserialize;

use super::{Form, Frame, Operator, asked, cut, one_more, page, query, see};
use crate::Server;
use crate::dashboard::look::{Mistakes, Moment};
use crate::extract::Id;
use crate::problem::Problem;

/// Keys are counted no further than this.
const MOST_COUNTED: u32 = 1_000;
/// The most members that are shown.
const MEMBERS: u32 = 100;

/// What is asked for; what cannot be read asks for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    find: String,
    status: String,
    cursor: String,
}

impl Asked {
    fn is_filtered(&self) -> bool {
        !self.find.is_empty() || !self.status.is_empty()
    }
}

/// An account as lists and pages show it.
struct AccountLook {
    id: String,
    name: String,
    email: String,
    email_verified: bool,
    person: String,
    company: String,
    customer_type: &'static str,
    status: &'static str,
    subscription: &'static str,
    credits: i64,
    created: Moment,
    updated: Moment,
}

impl AccountLook {
    fn new(account: Account, now: Time) -> Self {
        let profile = account.profile;
        Self {
            id: account.id.to_string(),
            name: account.name,
            email: profile.email,
            email_verified: profile.email_verified,
            person: format!("{} {}", profile.first_name, profile.last_name).trim().to_owned(),
            company: profile.company,
            customer_type: profile.customer_type.name(),
            status: account.standing.name(),
            subscription: account.subscription.name(),
            credits: account.credits,
            created: Moment::new(account.created_at, now),
            updated: Moment::new(account.updated_at, now),
        }
    }
}

#[derive(Template)]
#[template(path = "dashboard/operator/accounts.html")]
struct List {
    frame: Frame,
    asked: Asked,
    statuses: [&'static str; 2],
    accounts: Vec<AccountLook>,
    /// The next page; empty on the last.
    next: String,
}

/// `GET /dashboard/operator/accounts`
pub(crate) async fn list(
    State(server): State<Server>,
    operator: Operator,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let asked: Asked = asked(text.as_deref());
    let now = server.app.now();
    let filter = AccountFilter {
        standing: Standing::from_name(&asked.status),
        words: Some(asked.find.trim().to_owned()).filter(|find| !find.is_empty()),
        after: asked.cursor.parse().ok(),
        limit: one_more(),
    };
    let (accounts, is_more) = cut(server.app.list_accounts(&operator.caller, filter).await?);
    let next = match accounts.last() {
        Some(last) if is_more => {
            query(&[("find", &asked.find), ("status", &asked.status), ("cursor", &last.id.to_string())])
        }
        Some(_) | None => String::new(),
    };
    let list = List {
        frame: operator.frame(&server, "operator/accounts", ""),
        statuses: [Standing::Active, Standing::Suspended].map(Standing::name),
        accounts: accounts.into_iter().map(|account| AccountLook::new(account, now)).collect(),
        next,
        asked,
    };
    page(StatusCode::OK, &list)
}

struct MemberLook {
    id: String,
    email: String,
    role: &'static str,
    is_shut_out: bool,
}

#[derive(Template)]
#[template(path = "dashboard/operator/account.html")]
struct One {
    frame: Frame,
    account: AccountLook,
    subscriptions: Vec<&'static str>,
    /// How many of its keys are neither revoked nor expired; empty where the operator may not know.
    keys: String,
    members: Vec<MemberLook>,
    may_see_members: bool,
    may_see_users: bool,
    may_see_audit: bool,
    may_write: bool,
    /// What was typed, where it was wrong.
    credits: String,
    mistakes: Mistakes,
}

async fn about(server: &Server, operator: &Operator, id: &str, notice: &'static str) -> Result<One, Error> {
    let (id, app, now) = (account_id(id)?, &server.app, server.app.now());
    let account = app.get_account(&operator.caller, id).await?;
    let keys = match operator.may(server, "keys:read") {
        true => match app.count_keys(&operator.caller, id, MOST_COUNTED).await? {
            count if count >= i64::from(MOST_COUNTED) => format!("{MOST_COUNTED} or more"),
            count => count.to_string(),
        },
        false => String::new(),
    };
    let may_see_members = operator.may(server, "members:read");
    let members = match may_see_members {
        true => app.list_members(&operator.caller, id, None, MEMBERS).await?,
        false => Vec::new(),
    };
    let members = members.into_iter().map(|member| MemberLook {
        id: member.user.to_string(),
        email: member.email.unwrap_or_else(|| member.user.to_string()),
        role: member.role.name(),
        is_shut_out: member.disabled_at.is_some(),
    });
    Ok(One {
        frame: operator.frame(server, "operator/accounts", notice),
        credits: account.credits.to_string(),
        account: AccountLook::new(account, now),
        subscriptions: Subscription::ALL.iter().map(|subscription| subscription.name()).collect(),
        keys,
        members: members.collect(),
        may_see_members,
        may_see_users: operator.may(server, "users:read"),
        may_see_audit: operator.may(server, "audit:read"),
        may_write: operator.may(server, "accounts:write"),
        mistakes: Mistakes::default(),
    })
}

/// `GET /dashboard/operator/accounts/{id}`
pub(crate) async fn show(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let notice = match text.as_deref() {
        Some("done=suspended") => "The account is suspended. None of its keys is accepted, and nobody acts in it.",
        Some("done=resumed") => "The account is active. Its keys are accepted again.",
        Some("done=billing") => "Subscription and credits are as you wrote them.",
        Some(_) | None => "",
    };
    page(StatusCode::OK, &about(&server, &operator, &id, notice).await?)
}

/// `POST /dashboard/operator/accounts/{id}/suspend`
pub(crate) async fn suspend(
    server: State<Server>,
    operator: Operator,
    id: Id,
    form: Form,
) -> Result<Response, Problem> {
    set_standing(server, operator, id, form, Standing::Suspended, "suspended").await
}

/// `POST /dashboard/operator/accounts/{id}/resume`
pub(crate) async fn resume(server: State<Server>, operator: Operator, id: Id, form: Form) -> Result<Response, Problem> {
    set_standing(server, operator, id, form, Standing::Active, "resumed").await
}

async fn set_standing(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    _form: Form,
    to: Standing,
    done: &str,
) -> Result<Response, Problem> {
    let change = AccountChange { status: Some(to), ..AccountChange::default() };
    let account = server.app.update_account(&operator.caller, account_id(&id)?, change).await?;
    Ok(see(&format!("/dashboard/operator/accounts/{}?done={done}", account.id)))
}

/// `POST /dashboard/operator/accounts/{id}/billing`
pub(crate) async fn set_billing(
    State(server): State<Server>,
    operator: Operator,
    Id(id): Id,
    form: Form,
) -> Result<Response, Problem> {
    operator.caller.must(&server.app.world().policy.catalog, "accounts:write")?;
    let error = match billing(&form) {
        Ok(change) => match server.app.update_account(&operator.caller, account_id(&id)?, change).await {
            Ok(account) => {
                return Ok(see(&format!("/dashboard/operator/accounts/{}?done=billing", account.id)));
            }
            Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => error,
            Err(other) => return Err(other.into()),
        },
        Err(error) => error,
    };
    let mistakes = Mistakes::new(&error, &["credits", "subscription"]);
    let again = One { mistakes, credits: form.text("credits").into(), ..about(&server, &operator, &id, "").await? };
    page(Problem::from(error).status(), &again)
}

fn billing(form: &Form) -> Result<AccountChange, Error> {
    let credits = form.text("credits").trim().parse();
    let credits: i64 = credits.map_err(|_| Error::invalid("credits", "is a whole number, as in 500"))?;
    let subscription = Subscription::from_name(form.text("subscription"));
    let subscription = subscription.ok_or_else(|| Error::invalid("subscription", "is none there is"))?;
    Ok(AccountChange { credits: Some(credits), subscription: Some(subscription), ..AccountChange::default() })
}

fn account_id(text: &str) -> Result<AccountId, Error> {
    text.parse().map_err(|_| Error::NotFound("account"))
}
