//! Who passes: the route a credential takes, and whether it may.

use std::net::IpAddr;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use keywright_app::caller::{Caller, Reach};
use keywright_app::error::Error;
use keywright_app::holding::Held;
use keywright_app::verify::{Ask, Verdict, Verified, Want};
use keywright_app::{Access, App};
use keywright_core::audit::Actor;
use keywright_core::id::{AccountId, KeyId, SessionId, UserId};
use keywright_core::policy::Policy;
use keywright_core::route::{Route, Toll, host_of, plain_path};
use keywright_core::time::Span;
use keywright_core::verify::Outcome;

use super::Stopped;
use super::request::{Call, Target};
use crate::Server;
use crate::api::verify::limit_headers;
use crate::extract::{Presented, presented};
use crate::fields::Fields;
use crate::problem::Problem;
use crate::request_id::RequestId;

/// The route a request takes, and by what.
pub(super) struct Choice<'p, 'r> {
    pub(super) route: &'p Route,
    /// A browser's question that passes without a credential.
    pub(super) is_preflight: bool,
    /// The credential; none where none is shown, or not as it should be.
    presented: Option<Presented<'r>>,
    /// Of a key, its kind's name.
    kind: Option<&'p str>,
}

/// Who passes. Whatever is not known is none, or empty.
#[derive(Default)]
pub(super) struct Guest<'a> {
    pub(super) account: Option<AccountId>,
    pub(super) key: Option<KeyId>,
    /// What the key may do.
    pub(super) access: Option<&'a Access>,
    pub(super) environment: &'a str,
    pub(super) user: Option<UserId>,
    pub(super) session: Option<SessionId>,
    /// What is left of the key's rate limits, for whoever asks.
    pub(super) limits: Option<Box<HeaderMap>>,
}

/// Of several routes of one path, the one for the credential that is shown; without one, the first.
pub(super) fn choose<'p, 'r, F: Fields + ?Sized>(
    policy: &'p Policy,
    call: &Call<'r, F>,
    target: &Target<'_>,
) -> Option<Choice<'p, 'r>> {
    let group = policy.routes_for(&target.host, &target.plain);
    let first = group.first()?;
    if is_preflight(call)
        && let Some(route) = group.iter().find(|route| route.preflight)
    {
        return Some(Choice { route, is_preflight: true, presented: None, kind: None });
    }
    let presented = presented(call.fields, policy).ok();
    let kind = match presented {
        Some(Presented::Key(_, Some(number))) => policy.kind_at(number).map(|kind| kind.name.as_str()),
        _ => None,
    };
    let meant = match presented {
        Some(Presented::Token(_)) => group.iter().find(|route| route.people),
        Some(Presented::Key(..)) => kind.and_then(|kind| group.iter().find(|route| takes(route, kind))),
        None => None,
    };
    Some(Choice { route: meant.unwrap_or(first), is_preflight: false, presented, kind })
}

/// A browser asks whether its page may ask (the Fetch standard, CORS-preflight fetch). It shows no credential.
fn is_preflight<F: Fields + ?Sized>(call: &Call<'_, F>) -> bool {
    let has = |name: &HeaderName| call.fields.all(name).next().is_some();
    *call.method == Method::OPTIONS && has(&ORIGIN) && has(&ACCESS_CONTROL_REQUEST_METHOD)
}

pub(crate) fn kind_of<'p>(policy: &'p Policy, key: &[u8]) -> Option<&'p str> {
    let (number, _) = policy.read(key, true)?;
    policy.kind_at(number).map(|kind| kind.name.as_str())
}

fn takes(route: &Route, kind: &str) -> bool {
    route.kinds.iter().any(|listed| listed == kind)
}

/// What is asked of a key of this kind.
fn wanted<'p>(route: &Route, toll: &'p Toll, kind: Option<&str>) -> Want<'p> {
    match kind {
        // Of no permission at all any one is never met: a key that may not pass is refused before it spends anything.
        Some(kind) if !takes(route, kind) => Want::Any(&[]),
        _ if toll.permissions.is_empty() => Want::Nothing,
        _ => Want::Any(&toll.permissions),
    }
}

/// What the gate would ask of a key for a request.
pub(crate) struct Meant<'p> {
    pub(crate) route: &'p Route,
    pub(crate) toll: &'p Toll,
    pub(crate) want: Want<'p>,
    /// Whether keys of this kind may pass at all.
    pub(crate) takes_kind: bool,
}

/// What the gate would ask of a key of this kind for a request of this method, at a path or a whole address.
///
/// # Errors
/// Why it would ask nothing, in words that go on from the field's name.
pub(crate) fn meant<'p>(
    policy: &'p Policy,
    kind: Option<&str>,
    method: &str,
    place: &str,
) -> Result<Meant<'p>, String> {
    let place = place.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = match place.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", place),
    };
    let host = host_of(host).trim_end_matches('.').to_ascii_lowercase();
    let plain = plain_path(if path.is_empty() { "/" } else { path });
    let plain = plain.map_err(|detail| format!("has two readings, or none: {detail}"))?;
    let group = policy.routes_for(&host, &plain);
    let of_kind = group.iter().find(|route| kind.is_none_or(|kind| takes(route, kind)));
    let route = of_kind.or(group.first()).ok_or("is one that no route of the gate is for")?;
    let toll = route.toll(method).ok_or_else(|| {
        let listed: Vec<&str> = route.methods.iter().map(|(method, _)| method.as_str()).collect();
        format!("is one that takes {} alone", listed.join(", "))
    })?;
    let takes_kind = kind.is_none_or(|kind| takes(route, kind));
    Ok(Meant { route, toll, want: wanted(route, toll, kind), takes_kind })
}

/// Whether a credential may pass, and as whom. This counts, spends and locks as any verification does.
pub(super) async fn admit<'s>(
    server: &'s Server,
    ip: Option<IpAddr>,
    fields: &(impl Fields + ?Sized),
    choice: &Choice<'_, '_>,
    toll: &Toll,
    id: &RequestId,
) -> Result<Guest<'s>, Stopped> {
    let route = choice.route;
    let stopped = |error: Error| Stopped::new(error, route.errors);
    match choice.presented.ok_or(Error::Unauthenticated).map_err(stopped)? {
        Presented::Token(token) => {
            let caller = Box::pin(server.app.authenticate_token(token, ip, None)).await.map_err(stopped)?;
            let need = server.app.world().policy.catalog.any(toll.permissions.iter().map(String::as_str));
            if !route.people || !(toll.permissions.is_empty() || caller.grant.meets(&need)) {
                return Err(stopped(lacks(toll)));
            }
            Ok(person(&caller))
        }
        Presented::Key(key, kind) => {
            let ask = asked(ip, fields, choice, toll, kind, id);
            let verdict = server.app.verify(key, &ask).await.map_err(stopped)?;
            judge(server, &verdict, route, toll)
        }
    }
}

/// The same of a key, where nothing has to be waited for.
pub(super) fn admit_at_once<'s>(
    server: &'s Server,
    ip: Option<IpAddr>,
    fields: &(impl Fields + ?Sized),
    choice: &Choice<'_, '_>,
    toll: &Toll,
    id: &RequestId,
) -> Option<Result<Guest<'s>, Stopped>> {
    let Some(Presented::Key(key, kind)) = choice.presented else { return None };
    let verdict = server.app.verify_at_once(key, &asked(ip, fields, choice, toll, kind, id))?;
    Some(judge(server, &verdict, choice.route, toll))
}

/// What is asked of a key of this kind.
fn asked<'a>(
    ip: Option<IpAddr>,
    fields: &'a (impl Fields + ?Sized),
    choice: &Choice<'_, '_>,
    toll: &'a Toll,
    kind: Option<u8>,
    id: &'a RequestId,
) -> Ask<'a> {
    let want = wanted(choice.route, toll, choice.kind);
    let user_agent = fields.text(&USER_AGENT);
    Ask { ip, user_agent, want, cost: toll.cost, request_id: Some(&id.0), kind, ..Ask::default() }
}

/// Who passes with a key, where they do.
fn judge<'s>(server: &'s Server, verdict: &Verdict, route: &Route, toll: &Toll) -> Result<Guest<'s>, Stopped> {
    let limits = verdict.key.as_ref().filter(|known| !known.limits().is_empty()).map(|known| {
        let mut limits = HeaderMap::new();
        limit_headers(&mut limits, known);
        Box::new(limits)
    });
    match (refusal(verdict, toll), &verdict.key) {
        (None, Some(known)) => Ok(Guest { limits, ..guest(&server.app, known) }),
        (None, None) => Err(Stopped::new(Error::Unauthenticated, route.errors)),
        (Some(problem), _) => {
            let is_about_limits = verdict.outcome == Outcome::RateLimited;
            let headers = limits.filter(|_| is_about_limits).map(|limits| *limits).unwrap_or_default();
            Err(Stopped { problem: problem.into(), headers, shape: route.errors })
        }
    }
}

/// What a guest was let in with, to ask about it again while a connection of theirs stands.
pub(super) fn hold(server: &Server, ip: Option<IpAddr>, parts: &Parts, route: &Route) -> Result<Held, Stopped> {
    let stopped = |error: Error| Stopped::new(error, route.errors);
    let permissions = route.toll(parts.method.as_str()).map_or(&[][..], |toll| &toll.permissions);
    Ok(match presented(&parts.headers, &server.app.world().policy).map_err(stopped)? {
        Presented::Token(token) => server.app.hold_token(token, permissions),
        Presented::Key(key, _) => server.app.hold_key(key, ip, permissions),
    })
}

fn lacks(toll: &Toll) -> Error {
    Error::LacksPermission(toll.permissions.join(" or "))
}

/// Why a key does not pass. That it is known, but ended, suspended or far from home, is told to nobody.
fn refusal(verdict: &Verdict, toll: &Toll) -> Option<Problem> {
    match verdict.outcome {
        Outcome::Valid => None,
        Outcome::Malformed
        | Outcome::NotFound
        | Outcome::Revoked
        | Outcome::Expired
        | Outcome::Disabled
        | Outcome::IpNotAllowed
        | Outcome::WrongEnvironment
        | Outcome::AccountSuspended => Some(Error::Unauthenticated.into()),
        Outcome::InsufficientPermissions => Some(lacks(toll).into()),
        Outcome::RateLimited => Some(Error::Limited(verdict.retry_after.unwrap_or(Span::seconds(1))).into()),
        Outcome::CreditsExhausted => {
            Some(Problem::new("CREDITS_EXHAUSTED", format!("this costs {}, which the key has not left", toll.cost)))
        }
    }
}

fn guest<'a>(app: &'a App, key: &Verified) -> Guest<'a> {
    let environment = key.environment().and_then(|number| app.world().policy.environment_at(number));
    Guest {
        account: key.account(app),
        key: Some(key.record().id),
        access: key.access(app),
        environment: environment.unwrap_or_default(),
        ..Guest::default()
    }
}

fn person(caller: &Caller) -> Guest<'static> {
    let user = match caller.actor {
        Actor::User(id) => Some(id),
        Actor::Key(_) | Actor::Local | Actor::System => None,
    };
    let account = match caller.reach {
        Reach::Account(id) => Some(id),
        Reach::Everything => None,
    };
    Guest { account, user, session: caller.session, ..Guest::default() }
}
