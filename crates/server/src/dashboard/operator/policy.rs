//! The policy in force, to be read: what kinds of key there are, what they may do, and where the gate leads.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keywright_core::member::MemberRole;
use keywright_core::policy::{HeaderRule, Kind, Policy};
use keywright_core::route::{Route, Upstream};

use super::{Frame, Operator, page};
use crate::Server;
use crate::dashboard::look::Moment;
use crate::problem::Problem;

/// A name, and what belongs to it.
struct Named {
    name: String,
    permissions: Vec<String>,
}

/// What is said of a thing: a word, and what stands for it.
type Said = (&'static str, String);

struct KindLook {
    name: String,
    about: String,
    said: Vec<Said>,
    permissions: Vec<String>,
}

impl KindLook {
    fn new(kind: &Kind) -> Self {
        let header = match kind.header {
            HeaderRule::Bearer => "Authorization: Bearer KEY",
            HeaderRule::BearerOrBare => "Authorization: Bearer KEY, or Authorization: KEY",
            HeaderRule::XApiKey => "X-API-Key: KEY",
        };
        let maybe = |text: Option<String>| text.unwrap_or_default();
        let limits = kind.ratelimits.iter().map(|limit| format!("{} {} in {}", limit.limit, limit.name, limit.window));
        let requires = kind.requires.iter().map(|requirement| requirement.name());
        let said = [
            ("Begins with", kind.format.literal_prefix().to_owned()),
            ("Shown as", header.to_owned()),
            ("Environments", kind.environments.join(", ")),
            ("Services", kind.services.join(", ")),
            ("Roles", kind.roles.join(", ")),
            ("Personal", if kind.personal { "ends with its person's membership".into() } else { String::new() }),
            ("Grace after a rotation", kind.grace.to_string()),
            ("Due for rotation after", maybe(kind.rotation_due.map(|span| span.to_string()))),
            ("Expires after", maybe(kind.expires_in.map(|span| span.to_string()))),
            ("Lives at most", maybe(kind.longest_life.map(|span| span.to_string()))),
            ("Live keys an account", maybe(kind.live_keys_per_account.map(|most| most.to_string()))),
            ("Made by a person", maybe(kind.made_per_person.map(|rate| format!("{} in {}", rate.most, rate.within)))),
            ("Requires of the account", requires.collect::<Vec<_>>().join(", ")),
            ("Lock on a key", maybe(kind.key_lockout.map(|rule| rule.to_string()))),
            ("Lock on an address", maybe(kind.ip_lockout.map(|rule| rule.to_string()))),
            ("Rate limits", limits.collect::<Vec<_>>().join(", ")),
            ("Credits", maybe(kind.credits.map(|credits| credits.to_string()))),
            (
                "Issued to anybody",
                maybe(
                    kind.issue_per_ip.as_ref().map(|limit| format!("{} in {} an address", limit.limit, limit.window)),
                ),
            ),
        ];
        let open = kind.open_permissions.then(|| "any of the account's own naming".to_owned());
        Self {
            name: kind.name.clone(),
            about: kind.about.clone(),
            said: said.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
            permissions: kind.permissions.iter().cloned().chain(open).collect(),
        }
    }
}

struct RouteLook {
    name: String,
    about: String,
    place: String,
    leads: String,
    kinds: String,
    methods: Vec<(String, String)>,
}

impl RouteLook {
    fn new(route: &Route) -> Self {
        let leads = route.upstreams.iter().map(|upstream| match upstream {
            Upstream::Named(name) => name.clone(),
            Upstream::At(address) => address.to_string(),
        });
        let leads: Vec<String> = leads.collect();
        let people = route.people.then(|| "people".to_owned());
        let kinds: Vec<String> = route.kinds.iter().cloned().chain(people).collect();
        let asks = |(method, toll): &(String, keywright_core::route::Toll)| {
            let asked = if toll.permissions.is_empty() { "nothing".into() } else { toll.permissions.join(" or ") };
            (method.clone(), if toll.cost == 1 { asked } else { format!("{asked}, costs {}", toll.cost) })
        };
        Self {
            name: route.name.clone(),
            about: route.about.clone(),
            place: format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path),
            leads: if leads.is_empty() { "nowhere: only proxies ask".into() } else { leads.join(", ") },
            kinds: kinds.join(", "),
            methods: route.methods.iter().map(asks).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "dashboard/operator/policy.html")]
struct Page {
    frame: Frame,
    since: Moment,
    kinds: Vec<KindLook>,
    roles: Vec<Named>,
    members: Vec<Named>,
    services: Vec<Named>,
    routes: Vec<RouteLook>,
    logins: Vec<Said>,
    issuers: Vec<(String, String)>,
    permissions: Vec<String>,
}

fn named<'p>(all: impl Iterator<Item = (&'p str, &'p [String])>) -> Vec<Named> {
    all.map(|(name, permissions)| Named { name: name.into(), permissions: permissions.to_vec() }).collect()
}

fn logins(policy: &Policy) -> Vec<Said> {
    let login = &policy.login;
    vec![
        ("Service", login.name.clone()),
        ("Registration", if login.is_open { "open to anybody" } else { "closed" }.into()),
        ("Letters on keys that end", if policy.tells_of_ends { "14 and 3 days before" } else { "none" }.into()),
        ("A session lasts", login.session.to_string()),
        ("Unused, it lasts", login.idle.to_string()),
        ("Lock on a person", login.person_lockout.to_string()),
        ("Lock on an address", login.ip_lockout.to_string()),
        ("Tokens are signed with", policy.algorithm.name().into()),
    ]
}

/// `GET /dashboard/operator/policy`
pub(crate) async fn show(State(server): State<Server>, operator: Operator) -> Result<Response, Problem> {
    let world = server.app.get_policy(&operator.caller)?;
    let policy = &world.policy;
    let shown = Page {
        frame: operator.frame(&server, "operator/policy", ""),
        since: Moment::new(world.since, server.app.now()),
        kinds: policy.kinds().iter().map(KindLook::new).collect(),
        roles: named(policy.roles()),
        members: named(MemberRole::ALL.into_iter().map(|role| (role.name(), policy.member_permissions(role)))),
        services: named(policy.services()),
        routes: policy.routes().iter().map(RouteLook::new).collect(),
        logins: logins(policy),
        issuers: policy.issuers().iter().map(|issuer| (issuer.name.clone(), issuer.url.clone())).collect(),
        permissions: policy.catalog.names().into_iter().map(str::to_owned).collect(),
    };
    page(StatusCode::OK, &shown)
}
