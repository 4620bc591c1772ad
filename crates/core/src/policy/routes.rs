//! `[route.NAME]`: what passes the gate, each route checked whole and all of them together.

use toml::Spanned;

use super::compile::{Check, check_word};
use super::raw::{RawAssertion, RawPolicy, RawRoute, RawToll, RawTollTable};
use super::{OPERATOR_KIND, Policy};
use crate::permission::check_name;
use crate::route::{Route, Timeouts, Toll, Upstream, host_of, plain_path};
use crate::time::Span;

const MAX_ROUTES: usize = 256;
/// Upstreams a route can have.
const MAX_UPSTREAMS: usize = 16;
/// The most one request can cost.
const MOST_COST: u32 = 1_000_000;
/// Methods a route can list. What a TRACE would show is nobody's business, and a CONNECT is no request.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// What holds where the policy does not say.
const USUAL: Timeouts = Timeouts { connect: Span::seconds(5), header: Span::seconds(60), idle: Span::minutes(5) };
/// The longest a route may wait for anything.
const LONGEST: Span = Span::days(1);
/// The longest name of whom an assertion is for.
const LONGEST_AUDIENCE: usize = 200;
/// The largest body where the policy does not say: 1 GB.
const BODY: u64 = 1 << 30;

pub(super) fn routes(raw: &RawPolicy, policy: &Policy, check: &mut Check<'_>) -> Vec<Route> {
    let mut written: Vec<_> = raw.route.iter().collect();
    written.sort_by_key(|(name, _)| name.span().start);
    if let Some((name, _)) = written.get(MAX_ROUTES) {
        check.say(&name.span(), format!("there are more than {MAX_ROUTES} routes: leave some out"));
    }
    let mut routes: Vec<Route> = Vec::with_capacity(written.len());
    for (name, raw) in written {
        let route = route(name, raw, policy, check);
        check_beside(raw, &route, &routes, check);
        routes.push(route);
    }
    // Routes of a host before those of any, the longest first; those of one path stay together, as they are written.
    routes.sort_by(|one, other| {
        let key = |route: &Route| (route.host.is_none(), std::cmp::Reverse(route.path.len()));
        key(one).cmp(&key(other)).then_with(|| (&one.host, &one.path).cmp(&(&other.host, &other.path)))
    });
    routes
}

fn route(name: &Spanned<String>, raw: &RawRoute, policy: &Policy, check: &mut Check<'_>) -> Route {
    check.take(name, check_word(name.get_ref()));
    if let Some(host) = &raw.host {
        let text = host.get_ref().as_str();
        let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
        if text.is_empty() || host_of(text) != text || text.ends_with('.') || !text.bytes().all(is_host) {
            check.say(&host.span(), "host is a name in lowercase, without a port, as in api.example.com");
        }
    }
    Route {
        name: name.get_ref().clone(),
        about: raw.about.clone(),
        host: raw.host.as_ref().map(|host| host.get_ref().clone()),
        path: path(&raw.path, check),
        strip: raw.strip,
        upstreams: upstreams(raw, policy, check),
        methods: methods(raw, policy, check),
        kinds: kinds(raw, policy, check),
        people: raw.people,
        errors: raw.errors,
        timeouts: timeouts(raw, check),
        body_limit: raw.body_limit.as_ref().and_then(|size| check.take(size, bytes(size.get_ref()))).unwrap_or(BODY),
        preflight: raw.preflight,
        websocket: raw.websocket,
        forward_credential: raw.forward_credential,
        assertion: assertion(name.get_ref(), raw, check),
        line: check.line(&raw.upstream.as_ref().map_or(raw.path.span(), Spanned::span)),
    }
}

/// Two routes of one path are for different credentials, or nobody could say which is meant.
fn check_beside(raw: &RawRoute, route: &Route, before: &[Route], check: &mut Check<'_>) {
    let beside = before.iter().filter(|other| other.host == route.host && other.path == route.path);
    for other in beside {
        if let Some(kind) = route.kinds.iter().find(|kind| other.kinds.contains(kind)) {
            let message = format!(
                "is the path of route.{} already, where keys of `{kind}` pass, too: give each route kinds of its own",
                other.name
            );
            check.say(&raw.path.span(), message);
        } else if route.people && other.people {
            let message =
                format!("is the path of route.{} already, where people pass, too: take people out of one", other.name);
            check.say(&raw.path.span(), message);
        }
    }
}

fn path(path: &Spanned<String>, check: &mut Check<'_>) -> String {
    let text = path.get_ref().as_str();
    let is_plain = plain_path(text).is_ok_and(|plain| plain == text);
    if !is_plain || text.contains(['?', '#', '{', '*']) {
        check.say(
            &path.span(),
            "path is what paths begin with, in plain letters, as in /v1/storage: no patterns, no queries",
        );
    } else if text.len() > 1 && text.ends_with('/') {
        check.say(&path.span(), format!("path is written without a slash at its end: {}", text.trim_end_matches('/')));
    }
    text.trim_end_matches('/').to_owned()
}

/// Where a route leads. One that proxies ask about needs to lead nowhere.
fn upstreams(raw: &RawRoute, policy: &Policy, check: &mut Check<'_>) -> Vec<Upstream> {
    let Some(said) = &raw.upstream else {
        if policy.forward_auth.dialects.is_empty() {
            let message = "upstream is missing: say where the route leads, or under [forward_auth] which proxies ask about \
                           requests and lead them on themselves";
            check.say(&raw.path.span(), message);
        }
        return Vec::new();
    };
    let texts = said.get_ref().all();
    if !(1..=MAX_UPSTREAMS).contains(&texts.len()) {
        check.say(
            &said.span(),
            format!("upstream is an address, a name of the configuration's, or 1 to {MAX_UPSTREAMS} of them"),
        );
    }
    let mut found: Vec<Upstream> = Vec::with_capacity(texts.len());
    for text in texts {
        let one = match text.contains([':', '/']) {
            true => text.parse().map(Upstream::At),
            false => check_word(text).map(|()| Upstream::Named(text.clone())),
        };
        let Some(one) = check.take(said, one) else { continue };
        if found.contains(&one) {
            check.say(&said.span(), format!("upstream has `{text}` twice"));
        }
        found.push(one);
    }
    found
}

fn methods(raw: &RawRoute, policy: &Policy, check: &mut Check<'_>) -> Vec<(String, Toll)> {
    if raw.methods.get_ref().is_empty() {
        check.say(
            &raw.methods.span(),
            "methods is empty: say what each asks for, as in methods = { GET = \"documents:read\" }",
        );
    }
    let mut methods = Vec::with_capacity(raw.methods.get_ref().len());
    for (method, asked) in raw.methods.get_ref() {
        if !METHODS.contains(&method.get_ref().as_str()) {
            let message = format!(
                "`{}` is no method a route can have: use {}",
                crate::clip(method.get_ref()),
                METHODS.join(", ")
            );
            check.say(&method.span(), message);
        }
        let (names, cost) = match asked.get_ref() {
            RawToll::Any(names) => (names.all(), 1),
            RawToll::Toll(RawTollTable { permissions, cost }) => (permissions.all(), cost.unwrap_or(1)),
        };
        if cost > MOST_COST {
            check.say(&asked.span(), format!("cost is from 0 to {MOST_COST}"));
        }
        for name in names {
            let known = check_name(name).and_then(|()| {
                let unknown =
                    || format!("`{name}` is not declared: add [permission.\"{name}\"], or use one that is there");
                if policy.catalog.knows(name) { Ok(()) } else { Err(unknown()) }
            });
            // An unsound catalogue has been told of already.
            if !policy.catalog.names().is_empty() {
                check.take(asked, known);
            }
        }
        methods.push((method.get_ref().clone(), Toll { permissions: names.to_vec(), cost }));
    }
    methods
}

/// Whose keys may pass: whoever is named, or all but those who run this server.
fn kinds(raw: &RawRoute, policy: &Policy, check: &mut Check<'_>) -> Vec<String> {
    let names = || policy.kinds().iter().map(|kind| kind.name.clone());
    let Some(listed) = &raw.kinds else { return names().filter(|name| name != OPERATOR_KIND).collect() };
    if listed.get_ref().is_empty() && !raw.people {
        check.say(&listed.span(), "kinds is empty and people may not pass either: nobody could");
    }
    for name in listed.get_ref() {
        if policy.kind(name.get_ref()).is_none() {
            let known: Vec<String> = names().collect();
            let message = format!("there is no kind `{}`: use {}", crate::clip(name.get_ref()), known.join(", "));
            check.say(&name.span(), message);
        }
    }
    listed.get_ref().iter().map(|name| name.get_ref().clone()).collect()
}

/// Whom a signed word is for: the route, unless it says otherwise.
fn assertion(name: &str, raw: &RawRoute, check: &mut Check<'_>) -> Option<String> {
    let said = raw.assertion.as_ref()?;
    match said.get_ref() {
        RawAssertion::Is(is) => is.then(|| name.to_owned()),
        RawAssertion::For(audience) => {
            if !(1..=LONGEST_AUDIENCE).contains(&audience.len())
                || !audience.bytes().all(|byte| byte.is_ascii_graphic())
            {
                let message = format!("assertion is true, or whom it is for: 1 to {LONGEST_AUDIENCE} visible letters");
                check.say(&said.span(), message);
            }
            Some(audience.clone())
        }
    }
}

fn timeouts(raw: &RawRoute, check: &mut Check<'_>) -> Timeouts {
    let mut of = |name: &str, said: &Option<Spanned<Span>>, usual: Span| {
        let Some(span) = said else { return usual };
        if !(100..=LONGEST.millis()).contains(&span.get_ref().millis()) {
            check.say(&span.span(), format!("timeout.{name} is from 100ms to {LONGEST}"));
        }
        *span.get_ref()
    };
    let said = &raw.timeout;
    Timeouts {
        connect: of("connect", &said.connect, USUAL.connect),
        header: of("header", &said.header, USUAL.header),
        idle: of("idle", &said.idle, USUAL.idle),
    }
}

/// `512KB`, `10MB`, `5GB`.
fn bytes(text: &str) -> Result<u64, String> {
    let units = [("KB", 10), ("MB", 20), ("GB", 30)];
    let found = units.iter().find_map(|(unit, bits)| text.strip_suffix(unit).map(|number| (number, bits)));
    let size = found.and_then(|(number, bits)| {
        number.parse::<u64>().ok().filter(|count| (1..=1 << 20).contains(count)).map(|count| count << bits)
    });
    size.ok_or_else(|| "body_limit is a size, as in 512KB, 10MB or 5GB".to_owned())
}
