//! Who visits: somebody who is logged in, a member of an account, an operator; and what stands around every page of theirs.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use keywright_app::caller::Caller;
use keywright_app::error::Error;
use keywright_core::account::Account;
use keywright_core::member::MemberRole;

use super::brand::{Service, service};
use super::operator::HOME as OPERATORS_HOME;
use super::{HOME, cookie, query, see};
use crate::Server;
use crate::extract::Origin;
use crate::problem::Problem;

/// Somebody who is logged in.
pub(crate) struct Person {
    pub(super) caller: Caller,
    pub(super) email: String,
    /// Whether their second factor is on.
    pub(super) has_factor: bool,
    /// Whether they proved not long ago who they are.
    pub(super) is_proved: bool,
    /// The account they act in, and what they are in it; none of an operator who is in none.
    own: Option<(Account, MemberRole)>,
    /// All the accounts they belong to.
    accounts: Vec<Account>,
    /// Who they are as an operator, where they are one.
    operator: Option<Caller>,
}

/// Somebody who is logged in, in one of their accounts.
pub(crate) struct Visitor {
    person: Person,
    pub(super) role: MemberRole,
    pub(super) account: Account,
}

/// An operator at a browser.
pub(crate) struct Operator {
    person: Person,
    /// Who they are as one.
    pub(super) caller: Caller,
}

impl Deref for Visitor {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl FromRequestParts<Server> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        match person(parts, server).await {
            Ok(person) => Ok(person),
            Err(Error::Unauthenticated) => {
                let path = parts.uri.path_and_query().map_or(HOME, |path| path.as_str());
                let next = if parts.method == http::Method::GET { path } else { HOME };
                Err(see(&format!("/dashboard/login?{}", query(&[("next", next)]))))
            }
            Err(other) => Err(Problem::from(other).into_response()),
        }
    }
}

async fn person(parts: &mut Parts, server: &Server) -> Result<Person, Error> {
    let shown = cookie::read(&parts.headers).ok_or(Error::Unauthenticated)?.to_owned();
    let Ok(Origin(place)) = Origin::from_request_parts(parts, server).await else { return Err(Error::Unauthenticated) };
    let at = server.app.authenticate_browser(&shown, &place).await?;
    let (found, _) = server.app.get_self(&at.caller).await?;
    let accounts = server.app.list_own_accounts(&at.caller).await?;
    let own = match at.role {
        Some(role) => {
            let id = at.caller.own_account()?;
            let account = accounts.iter().find(|account| account.id == id).cloned().ok_or(Error::Unauthenticated)?;
            Some((account, role))
        }
        None => None,
    };
    let email = found.user.email.unwrap_or_else(|| found.user.id.to_string());
    let has_factor = found.user.second_factor_at.is_some();
    Ok(Person { caller: at.caller, email, has_factor, is_proved: at.is_proved, own, accounts, operator: at.operator })
}

impl FromRequestParts<Server> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        let person = Person::from_request_parts(parts, server).await?;
        match person.own.clone() {
            Some((account, role)) => Ok(Self { person, role, account }),
            // An operator who is in no account: what is theirs is elsewhere.
            None => Err(see(OPERATORS_HOME)),
        }
    }
}

impl FromRequestParts<Server> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        let person = Person::from_request_parts(parts, server).await?;
        match person.operator.clone() {
            Some(caller) => Ok(Self { person, caller }),
            None => Err(Problem::not_found().into_response()),
        }
    }
}

/// What is around every page.
pub(super) struct Frame {
    pub(super) service: Service,
    /// The account's name; empty where the person acts in none.
    pub(super) account: String,
    /// Other accounts to go over to: their ids and names.
    pub(super) others: Vec<(String, String)>,
    pub(super) email: String,
    /// What the navigation leads to, beside what everybody sees.
    pub(super) entries: Vec<(&'static str, &'static str)>,
    /// What it leads an operator to.
    pub(super) desk: Vec<(&'static str, &'static str)>,
    /// The entry of the navigation that is open.
    pub(super) section: &'static str,
    /// What has just been done.
    pub(super) notice: &'static str,
}

/// An operator's pages: what each takes, its path and its name.
const DESK: [(&str, &str, &str); 8] = [
    ("metrics:read", "operator/health", "Health"),
    ("accounts:read", "operator/accounts", "Accounts"),
    ("users:read", "operator/users", "Users"),
    ("lockouts:read", "operator/lockouts", "Lockouts"),
    ("keys:explain", "operator/explain", "Explain"),
    ("policy:read", "operator/policy", "Policy"),
    ("policy:read", "operator/proxies", "Proxies"),
    ("audit:read", "operator/audit", "Audit log"),
];

impl Person {
    pub(super) fn frame(&self, server: &Server, section: &'static str, notice: &'static str) -> Frame {
        let own = self.own.as_ref().map(|(account, _)| account);
        let others = self.accounts.iter().filter(|account| own.is_none_or(|own| own.id != account.id));
        Frame {
            service: service(server),
            account: own.map(|account| account.name.clone()).unwrap_or_default(),
            others: others.map(|account| (account.id.to_string(), account.name.clone())).collect(),
            email: self.email.clone(),
            entries: if own.is_some() { self.entries(server) } else { Vec::new() },
            desk: self.desk(server),
            section,
            notice,
        }
    }

    /// Pages that are shown to whoever may see what is on them.
    fn entries(&self, server: &Server) -> Vec<(&'static str, &'static str)> {
        let has_tokens = server.app.world().policy.kinds().iter().any(|kind| kind.personal);
        let tokens = has_tokens.then_some(("keys:read", "tokens", "Personal Tokens"));
        let all = [
            ("members:read", "members", "Members"),
            ("ssh_keys:read", "ssh-keys", "SSH Keys"),
            ("services:read", "services", "Services"),
            ("audit:read", "audit", "Audit"),
        ];
        let all = tokens.into_iter().chain(all);
        let seen = all.filter(|(needs, ..)| self.may(server, needs)).map(|(_, path, name)| (path, name));
        [("keys", "API Keys")].into_iter().chain(seen).collect()
    }

    fn desk(&self, server: &Server) -> Vec<(&'static str, &'static str)> {
        let Some(caller) = &self.operator else { return Vec::new() };
        let catalog = &server.app.world().policy.catalog;
        let seen = DESK.into_iter().filter(|(needs, ..)| caller.must(catalog, needs).is_ok());
        seen.map(|(_, path, name)| (path, name)).collect()
    }

    /// Whether the person may do this in their account.
    pub(super) fn may(&self, server: &Server, permission: &str) -> bool {
        self.caller.must(&server.app.world().policy.catalog, permission).is_ok()
    }
}

impl Operator {
    pub(super) fn frame(&self, server: &Server, section: &'static str, notice: &'static str) -> Frame {
        self.person.frame(server, section, notice)
    }

    /// Whether they may do this as an operator.
    pub(super) fn may(&self, server: &Server, permission: &str) -> bool {
        self.caller.must(&server.app.world().policy.catalog, permission).is_ok()
    }

    /// The person they are.
    pub(super) const fn person(&self) -> &Person {
        &self.person
    }
}
