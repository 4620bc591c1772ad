//! The policy file's shape, as written: unknown fields refused, and enough kept to name the line of a mistake.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::HeaderRule;
use crate::external::Provisioning;
use crate::forward_auth::Proxy;
use crate::key::Refill;
use crate::limit::{Rate, RateLimit};
use crate::lockout::Rule;
use crate::member::MemberRole;
use crate::route::ErrorShape;
use crate::time::Span;

pub(super) type Named<T> = BTreeMap<Spanned<String>, T>;
pub(super) type Names = Vec<Spanned<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    #[serde(default)]
    pub(super) permission: Named<RawPermission>,
    #[serde(default)]
    pub(super) service: Named<RawService>,
    #[serde(default)]
    pub(super) role: Named<RawRole>,
    #[serde(default)]
    pub(super) member: BTreeMap<Spanned<MemberRole>, RawRole>,
    #[serde(default)]
    pub(super) issuer: Named<RawIssuer>,
    #[serde(default)]
    pub(super) kind: Named<RawKind>,
    #[serde(default)]
    pub(super) route: Named<RawRoute>,
    pub(super) forward_auth: Option<RawForwardAuth>,
    #[serde(default)]
    pub(super) brand: RawBrand,
    #[serde(default)]
    pub(super) login: RawLogin,
    #[serde(default)]
    pub(super) tokens: RawTokens,
    #[serde(default)]
    pub(super) letters: RawLetters,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLetters {
    pub(super) ending_keys: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBrand {
    pub(super) logo: Option<Spanned<String>>,
    pub(super) accent: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTokens {
    pub(super) algorithm: Option<Spanned<String>>,
    pub(super) exchanged: Option<Spanned<Span>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogin {
    pub(super) name: Option<Spanned<String>>,
    pub(super) session: Option<Spanned<Span>>,
    pub(super) idle: Option<Spanned<Span>>,
    pub(super) open: Option<bool>,
    pub(super) verify_link: Option<Spanned<String>>,
    pub(super) reset_link: Option<Spanned<String>>,
    pub(super) join_link: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) lockout: RawLoginLockout,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLoginLockout {
    pub(super) person: Option<Rule>,
    pub(super) ip: Option<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    pub(super) url: Spanned<String>,
    pub(super) audience: Option<Spanned<Vec<String>>>,
    pub(super) algorithms: Option<Spanned<Names>>,
    pub(super) types: Option<Spanned<Names>>,
    pub(super) account_claim: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) provisioning: Provisioning,
    #[serde(default = "developer")]
    pub(super) role: MemberRole,
}

fn developer() -> MemberRole {
    MemberRole::Developer
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPermission {
    #[serde(default)]
    pub(super) implies: Names,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawService {
    #[serde(default)]
    pub(super) permissions: Names,
    #[serde(default)]
    pub(super) aliases: Names,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRole {
    pub(super) permissions: Names,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKind {
    #[serde(default)]
    pub(super) about: String,
    pub(super) format: Spanned<String>,
    pub(super) shown: Option<Spanned<usize>>,
    #[serde(default)]
    pub(super) environments: Names,
    #[serde(default)]
    pub(super) services: Names,
    #[serde(default)]
    pub(super) roles: Names,
    #[serde(default)]
    pub(super) permissions: Names,
    #[serde(default)]
    pub(super) open_permissions: bool,
    pub(super) service_permissions: Option<Names>,
    #[serde(default)]
    pub(super) personal: bool,
    #[serde(default = "strict_bearer")]
    pub(super) header: HeaderRule,
    #[serde(default)]
    pub(super) rotation: RawRotation,
    #[serde(default)]
    pub(super) expiry: RawExpiry,
    #[serde(default)]
    pub(super) limit: RawLimit,
    pub(super) lockout: Option<RawLockout>,
    pub(super) ratelimits: Option<Spanned<Vec<RateLimit>>>,
    pub(super) credits: Option<Spanned<i64>>,
    pub(super) refill: Option<Spanned<Refill>>,
    pub(super) issue: Option<RawIssue>,
}

fn strict_bearer() -> HeaderRule {
    HeaderRule::Bearer
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRotation {
    pub(super) grace: Option<Span>,
    pub(super) due: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpiry {
    pub(super) default: Option<Span>,
    pub(super) longest: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimit {
    pub(super) live_keys_per_account: Option<Spanned<u32>>,
    pub(super) counted_as: Option<Spanned<String>>,
    pub(super) made_per_person: Option<Spanned<Rate>>,
    #[serde(default)]
    pub(super) requires: Names,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssue {
    pub(super) per_ip: Spanned<Rate>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLockout {
    pub(super) key: Option<Rule>,
    pub(super) ip: Option<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    #[serde(default)]
    pub(super) about: String,
    pub(super) host: Option<Spanned<String>>,
    pub(super) path: Spanned<String>,
    #[serde(default)]
    pub(super) strip: bool,
    pub(super) upstream: Option<Spanned<OneOrMore>>,
    pub(super) methods: Spanned<BTreeMap<Spanned<String>, Spanned<RawToll>>>,
    pub(super) kinds: Option<Spanned<Names>>,
    #[serde(default)]
    pub(super) people: bool,
    #[serde(default)]
    pub(super) errors: ErrorShape,
    #[serde(default)]
    pub(super) timeout: RawTimeouts,
    pub(super) body_limit: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) preflight: bool,
    #[serde(default)]
    pub(super) websocket: bool,
    #[serde(default)]
    pub(super) forward_credential: bool,
    pub(super) assertion: Option<Spanned<RawAssertion>>,
}

/// Whether an upstream is given a signed word on each request, and whom it is for.
#[derive(Deserialize)]
#[serde(untagged, expecting = "true, false, or a text that says whom it is for")]
pub(super) enum RawAssertion {
    Is(bool),
    For(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawForwardAuth {
    pub(super) dialects: Spanned<Vec<Spanned<Proxy>>>,
    pub(super) peers: Spanned<Names>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimeouts {
    pub(super) connect: Option<Spanned<Span>>,
    pub(super) header: Option<Spanned<Span>>,
    pub(super) idle: Option<Spanned<Span>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(texts) => texts,
        }
    }
}

/// What a method asks for.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a permission, a list of which any will do, or { permissions = [...], cost = 1 }")]
pub(super) enum RawToll {
    Any(OneOrMore),
    Toll(RawTollTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTollTable {
    pub(super) permissions: OneOrMore,
    pub(super) cost: Option<u32>,
}
