//! The policy: what kinds of key there are and what their keys may do. Declared in TOML, checked whole at start.
//!
//! Everything that differs between providers is here, never in code. A [`Policy`] that exists is sound: formats do not
//! overlap, every name resolves, every wildcard reaches something.

mod compile;
mod forward_auth;
mod issuers;
mod login;
mod raw;
mod routes;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::account::Requirement;
use crate::brand::Brand;
use crate::external::Issuer;
use crate::format::{Format, Reading, SEVERAL_SERVICES};
use crate::forward_auth::ForwardAuth;
use crate::key::{Key, Refill};
use crate::limit::{Rate, RateLimit};
use crate::lockout::Rule;
use crate::login::Login;
use crate::member::MemberRole;
use crate::permission::{Catalog, Grant, Need};
use crate::route::Route;
use crate::secret::Date;
use crate::signing::Algorithm;
use crate::time::Span;

/// The kind a request means where it names none.
pub const DEFAULT_KIND: &str = "default";
/// The built-in kind of the operators' keys.
pub const OPERATOR_KIND: &str = "operator";
/// What an operator's key can be permitted. A customer's own credential may hold these too; it then reaches its own
/// account alone.
pub const MANAGEMENT: [(&str, &str); 18] = [
    ("accounts:read", "see accounts"),
    ("accounts:write", "make and change accounts"),
    ("audit:read", "read the audit log"),
    ("keys:explain", "see every check of a verification and its result"),
    ("keys:import", "bring in keys by their hashes"),
    ("keys:read", "see keys and their use"),
    ("keys:verify", "verify and introspect keys"),
    ("keys:write", "make, change, rotate and revoke keys"),
    ("lockouts:read", "see who is locked out after too many wrong keys"),
    ("lockouts:write", "lift a lockout"),
    ("members:read", "see who belongs to an account, and who is invited"),
    ("members:write", "invite people, change their role, take them out"),
    ("metrics:read", "scrape the server's metrics"),
    ("policy:read", "see the policy in force"),
    ("signing-keys:read", "see the keys tokens are signed with"),
    ("signing-keys:write", "have another key sign tokens"),
    ("users:read", "see people and their sessions"),
    ("users:write", "make people, begin and end their sessions"),
];

/// A sound policy.
#[derive(Debug)]
pub struct Policy {
    /// Every permission it names.
    pub catalog: Catalog,
    /// What whoever verifies keys must be permitted: compiled beforehand, for it is asked all the time.
    pub verifying: Need,
    /// How its pages look.
    pub brand: Brand,
    /// How people log in.
    pub login: Login,
    /// How access tokens are signed.
    pub algorithm: Algorithm,
    /// How long a token lives that was had for a key.
    pub exchanged: Span,
    /// Whether people are told by mail that a key is about to end.
    pub tells_of_ends: bool,
    kinds: Vec<Kind>,
    /// Names of environments; an environment's number is its place.
    environments: Vec<String>,
    services: BTreeMap<String, Vec<String>>,
    aliases: BTreeMap<String, String>,
    roles: BTreeMap<String, Vec<String>>,
    members: BTreeMap<MemberRole, Vec<String>>,
    issuers: Vec<Issuer>,
    routes: Vec<Route>,
    forward_auth: ForwardAuth,
    /// By the first byte of a key: the kinds whose keys may begin with it.
    by_first_byte: Vec<Box<[u8]>>,
    open: Option<u8>,
}

/// A named template for keys.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// What its keys look like.
    pub format: Format,
    /// Environments its keys can be for; the first is meant where none is named.
    pub environments: Vec<String>,
    /// Services its keys can cover.
    pub services: Vec<String>,
    /// Roles its keys can have; the first is meant where none is named.
    pub roles: Vec<String>,
    /// What can be granted to its keys by name.
    pub permissions: Vec<String>,
    /// Whether permissions the policy does not declare can be granted, too.
    pub open_permissions: bool,
    /// What a service gives to this kind's keys, `{service}` standing for its name; `None` for what the service says.
    pub service_permissions: Option<Vec<String>>,
    /// Whether its keys are a person's own: one ends with its person's membership, and never does more than they may.
    pub personal: bool,
    /// How its keys are presented.
    pub header: HeaderRule,
    /// How long an old secret works after a rotation where the request does not say.
    pub grace: Span,
    /// When a secret is due for rotation.
    pub rotation_due: Option<Span>,
    /// How long a key lives where the request does not say.
    pub expires_in: Option<Span>,
    /// How long a key may live at most.
    pub longest_life: Option<Span>,
    /// Live keys an account may have.
    pub live_keys_per_account: Option<u32>,
    /// The kinds whose live keys are counted together with this kind's, itself among them.
    pub counted_kinds: Vec<String>,
    /// How many of its keys one person can make in a while.
    pub made_per_person: Option<Rate>,
    /// What an account must have for a key to be made for it.
    pub requires: Vec<Requirement>,
    /// When guessing at one key's secret locks it.
    pub key_lockout: Option<Rule>,
    /// When guessing from one address locks it.
    pub ip_lockout: Option<Rule>,
    /// Rate limits of a key that is made without any.
    pub ratelimits: Vec<RateLimit>,
    /// Credits of a key that is made without a word on them.
    pub credits: Option<i64>,
    /// How those come back.
    pub refill: Option<Refill>,
    /// How many of its keys anybody at one address can have without a credential; `None` where nobody can.
    pub issue_per_ip: Option<RateLimit>,
}

/// How a kind's keys are presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderRule {
    /// `Authorization: Bearer KEY`, spelled exactly so.
    Bearer,
    /// `Authorization: Bearer KEY` or `Authorization: KEY`.
    BearerOrBare,
    /// `X-API-Key: KEY`.
    XApiKey,
}

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.message)
    }
}

impl Policy {
    /// The permission to verify keys.
    pub const VERIFYING: &str = "keys:verify";
    /// The built-in policy of `keywright dev`: the native kind and those of the three reference providers.
    pub const DEV: &str = include_str!("../policies/dev.toml");
    /// The policy `keywright init` writes: the native kind, with a word on everything that can be set.
    pub const STARTER: &str = include_str!("../policies/starter.toml");

    /// Reads and checks a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, by line.
    pub fn parse(text: &str) -> Result<Self, Vec<PolicyError>> {
        compile::compile(text)
    }

    /// Every kind.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// A kind by its number.
    #[must_use]
    pub fn kind_at(&self, number: u8) -> Option<&Kind> {
        self.kinds.get(usize::from(number))
    }

    /// A kind by its name, with its number.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<(u8, &Kind)> {
        self.kinds.iter().zip(0..).find(|(kind, _)| kind.name == name).map(|(kind, number)| (number, kind))
    }

    /// An environment's number.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<u8> {
        self.environments.iter().zip(0..).find(|(known, _)| *known == name).map(|(_, number)| number)
    }

    /// An environment's name.
    #[must_use]
    pub fn environment_at(&self, number: u8) -> Option<&str> {
        self.environments.get(usize::from(number)).map(String::as_str)
    }

    /// A service by its own name or an alias of it.
    #[must_use]
    pub fn service<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        self.services.get_key_value(name).map(|(name, _)| name.as_str())
    }

    /// Which kind a presented key is of, and what it says about itself; `None` where it is malformed.
    ///
    /// The kind with an open format, made for imported keys, takes part only where `imported` says that such keys
    /// exist, and never takes what begins like a key of another kind.
    #[must_use]
    #[inline]
    pub fn read(&self, key: &[u8], imported: bool) -> Option<(u8, Reading)> {
        let near = self.by_first_byte.get(usize::from(*key.first()?))?;
        let read = |number: &u8| Some((*number, self.kinds.get(usize::from(*number))?.format.read(key)?));
        near.iter().find_map(read).or_else(|| if imported { self.read_open(key, near) } else { None })
    }

    /// What a presented key says of when it was issued.
    #[must_use]
    pub fn date(&self, key: &[u8]) -> Option<Date> {
        let (kind, _) = self.read(key, false)?;
        self.kind_at(kind)?.format.date(key)
    }

    /// Reads a key that is none of the kinds it could begin like.
    #[cold]
    fn read_open(&self, key: &[u8], near: &[u8]) -> Option<(u8, Reading)> {
        let begins = |kind: &Kind| key.starts_with(kind.format.literal_prefix().as_bytes());
        let is_alike = near.iter().filter_map(|number| self.kind_at(*number)).any(begins);
        let open = self.open.filter(|_| !is_alike)?;
        Some((open, self.kind_at(open)?.format.read(key)?))
    }

    /// Whether what [`Policy::read`] takes for a key of this kind where there are imported keys is one where there may be none.
    #[must_use]
    #[inline]
    pub fn takes(&self, kind: u8, imported: bool) -> bool {
        imported || self.open != Some(kind)
    }

    /// The kind a malformed key seems to be of: the one most of whose beginning it has, else the default one.
    #[must_use]
    pub fn seems(&self, key: &[u8]) -> u8 {
        let alike = (0..).zip(&self.kinds).filter_map(|(number, kind)| Some((kind.format.likeness(key)?, number)));
        // Of several that it begins like the first.
        let most = alike.max_by_key(|(likeness, number)| (*likeness, Reverse(*number))).map(|(_, number)| number);
        most.or_else(|| self.kind(DEFAULT_KIND).map(|(number, _)| number)).unwrap_or(0)
    }

    /// What a person of this role may do in an account.
    #[must_use]
    pub fn member_grant(&self, role: MemberRole) -> Grant {
        self.catalog.grant(self.members.get(&role).into_iter().flatten().map(String::as_str))
    }

    /// The patterns a person of this role is permitted by.
    #[must_use]
    pub fn member_permissions(&self, role: MemberRole) -> &[String] {
        self.members.get(&role).map_or(&[], Vec::as_slice)
    }

    /// Roles that keys can have, and what each is permitted.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.roles.iter().map(|(name, permissions)| (name.as_str(), permissions.as_slice()))
    }

    /// Services that keys can cover, and what each is permitted.
    pub fn services(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.services.iter().map(|(name, permissions)| (name.as_str(), permissions.as_slice()))
    }

    /// Providers whose access tokens are taken.
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The issuer whose identifier this is, byte for byte.
    #[must_use]
    pub fn issuer(&self, url: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.url == url)
    }

    /// Every route of the gate.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Which proxies may ask about requests of theirs.
    #[must_use]
    pub fn forward_auth(&self) -> &ForwardAuth {
        &self.forward_auth
    }

    /// The routes a plain path of a host takes: those of the longest path. There are several where several kinds of
    /// credential share it.
    #[must_use]
    pub fn routes_for(&self, host: &str, plain: &str) -> &[Route] {
        let fits = |route: &Route| route.serves(host) && route.covers(plain);
        let Some(first) = self.routes.iter().position(fits) else { return &[] };
        let from = self.routes.get(first..).unwrap_or_default();
        let alike =
            |route: &&Route| from.first().is_some_and(|one| (&one.host, &one.path) == (&route.host, &route.path));
        from.get(..from.iter().take_while(alike).count()).unwrap_or_default()
    }

    /// Everything a key is granted: by its role, its services and by name.
    #[must_use]
    pub fn grants(&self, key: &Key) -> Vec<String> {
        let role = key.role.as_ref().and_then(|role| self.roles.get(role));
        let kind = self.kind(&key.kind).map(|(_, kind)| kind);
        let mut patterns: Vec<String> = role.into_iter().flatten().cloned().collect();
        for service in &key.services {
            match kind.and_then(|kind| kind.service_permissions.as_ref()) {
                Some(templates) => patterns.extend(templates.iter().map(|text| text.replace("{service}", service))),
                None => patterns.extend(self.services.get(service).into_iter().flatten().cloned()),
            }
        }
        patterns.extend(key.permissions.iter().cloned());
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    }

    /// [`Policy::grants`], compiled.
    #[must_use]
    pub fn grant(&self, key: &Key) -> Grant {
        self.catalog.grant(self.grants(key).iter().map(String::as_str))
    }
}

impl Kind {
    /// What stands for a key's services in its text.
    #[must_use]
    pub fn service_part<'a>(&self, services: &'a [String]) -> Option<&'a str> {
        match services {
            [] => None,
            [only] => Some(only),
            _ => Some(SEVERAL_SERVICES),
        }
    }
}

#[cfg(test)]
mod tests;
