//! Configurations for proxies that ask at the gate's second door, made of the policy: `keywright gateway snippet`.
//!
//! What must stay true: a configuration leads each request to the upstream of the very route it was asked about, so its
//! routes stand in the policy's order and the first that fits is taken; and what a client sends where the gate's word is
//! read is taken off before that is set.

mod envoy;
mod others;

use std::fmt::Write as _;

use keywright_core::policy::Policy;
use keywright_core::route::{Address, Route, Upstream};

use super::headers::{IDENTITY, MISLEADING};
use crate::Options;
use crate::problem::CODES;

/// Whose configuration is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snippet {
    /// nginx.
    Nginx,
    /// Caddy.
    Caddy,
    /// Traefik, for its file provider.
    Traefik,
    /// `HAProxy`.
    Haproxy,
    /// The script in Lua `HAProxy` asks with.
    HaproxyScript,
    /// Envoy, asking over gRPC.
    Envoy,
    /// Envoy, asking over HTTP.
    EnvoyHttp,
}

/// Where a route leads, as a proxy is told.
struct Place<'p> {
    route: &'p Route,
    addresses: Vec<Address>,
    /// Whether every route of the path leaves the credential on.
    forwards_credential: bool,
}

/// A configuration of a proxy for this policy. `server` is this server as the proxy reaches it; `upstream` stands in for
/// the policy's own.
///
/// # Errors
/// Something in the policy has no place in such a configuration. Says what.
pub fn snippet(
    wanted: Snippet,
    policy: &Policy,
    options: &Options,
    server: &Address,
    upstream: Option<&Address>,
) -> Result<String, String> {
    if !server.base.is_empty() {
        return Err(format!("{server}: this server is asked at its host and port alone, as in http://127.0.0.1:8700"));
    }
    if server.is_tls {
        return Err(format!(
            "{server}: a printed configuration has the proxy ask in plain HTTP: write https:// into it by hand"
        ));
    }
    let places = places(policy, options, upstream)?;
    let text = match wanted {
        Snippet::Nginx => nginx(&places),
        Snippet::Caddy => others::caddy(&places),
        Snippet::Traefik => others::traefik(&places),
        Snippet::Haproxy => others::haproxy(&places),
        Snippet::HaproxyScript => others::script(),
        Snippet::Envoy => envoy::over_grpc(&places, server),
        Snippet::EnvoyHttp => envoy::over_http(&places, server),
    };
    Ok(text.replace("@SERVER@", &server.authority))
}

/// Every way a request can go, in the order it is looked for.
fn places<'p>(policy: &'p Policy, options: &Options, instead: Option<&Address>) -> Result<Vec<Place<'p>>, String> {
    let mut places: Vec<Place<'p>> = Vec::new();
    for route in policy.routes() {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~@+,=:".contains(&byte);
        if !route.path.bytes().all(is_plain) {
            return Err(format!("route.{}: {} is no path that every proxy reads alike", route.name, route.path));
        }
        let before =
            places.iter_mut().find(|place| (&place.route.host, &place.route.path) == (&route.host, &route.path));
        if let Some(beside) = before {
            beside.forwards_credential &= route.forward_credential;
            continue;
        }
        let addresses = match instead {
            Some(address) => vec![address.clone()],
            None => addresses(route, options),
        };
        if addresses.is_empty() {
            return Err(format!("route.{} says no upstream: add --upstream http://10.0.0.5:9000", route.name));
        }
        if let Some(based) = addresses.iter().find(|address| !address.base.is_empty()) {
            return Err(format!("route.{}: {based} has a path, and a proxy is told a host and a port", route.name));
        }
        if let Some(encrypted) = addresses.iter().find(|address| address.is_tls) {
            return Err(format!(
                "route.{}: {encrypted}: a printed configuration leads on in plain HTTP: name such an upstream with --upstream",
                route.name
            ));
        }
        places.push(Place { route, addresses, forwards_credential: route.forward_credential });
    }
    if places.is_empty() {
        return Err("the policy has no routes to ask about: add [route.NAME]".into());
    }
    Ok(places)
}

fn addresses(route: &Route, options: &Options) -> Vec<Address> {
    let of = |upstream: &Upstream| match upstream {
        Upstream::At(address) => vec![address.clone()],
        Upstream::Named(name) => options.upstreams.get(name).cloned().unwrap_or_default(),
    };
    route.upstreams.iter().flat_map(of).collect()
}

/// What stands for what in a template.
fn fill(template: &str, holes: &[(&str, String)]) -> String {
    holes.iter().fold(template.to_owned(), |text, (hole, filled)| text.replace(&format!("@{hole}@\n"), filled))
}

/// A line for each of these.
fn lines<T>(all: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> String {
    all.into_iter().map(|one| line(one) + "\n").collect()
}

/// A path as a regular expression that matches it and what is beneath it.
fn beneath(path: &str) -> String {
    format!("^{}(/|$)", plainly(path))
}

/// A text as a regular expression that matches nothing else.
fn plainly(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, char| {
        if matches!(char, '.' | '+' | '[' | ']') {
            escaped.push('\\');
        }
        escaped.push(char);
        escaped
    })
}

/// `x-key-id` as `kw_key_id`, a variable's name.
fn variable(header: &str) -> String {
    format!("kw_{}", header.trim_start_matches("x-").replace('-', "_"))
}

/// Headers no client has a say in besides those on who asks.
fn misleading() -> impl Iterator<Item = &'static str> {
    MISLEADING.into_iter().chain(["x-forwarded-method", "x-forwarded-uri"])
}

fn nginx(places: &[Place<'_>]) -> String {
    let upstreams = places.iter().fold(String::new(), |mut text, Place { route, addresses, .. }| {
        let servers = lines(addresses, |address| format!("    server {};", address.authority));
        let _ = write!(text, "upstream keywright_{} {{\n{servers}}}\n", route.name);
        text
    });
    let refusals: String = CODES
        .iter()
        .filter(|(code, ..)| NGINX_REFUSALS.contains(code))
        .map(|(code, status, title)| {
            let status = status.as_u16();
            let body =
                format!("{{\"title\":\"{}\",\"status\":{status},\"code\":\"{code}\"}}", title.replace('\'', "\\'"));
            format!("        if ($kw_status = {status}) {{ return {status} '{body}'; }}\n")
        })
        .collect();
    let mut hosts: Vec<Option<&str>> = vec![None];
    for place in places {
        let host = place.route.host.as_deref();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let servers: String = hosts
        .iter()
        .map(|host| {
            let of_host =
                places.iter().filter(|place| place.route.host.is_none() || place.route.host.as_deref() == *host);
            let locations: String = of_host.map(location).collect();
            let (listen, name) = match host {
                Some(host) => ("listen 80;", *host),
                None => ("listen 80 default_server;", "_"),
            };
            let server = fill(
                include_str!("snippet/nginx-server.conf"),
                &[
                    ("LISTEN", format!("    {listen}\n    server_name {name};\n")),
                    (
                        "ASKED",
                        lines(IDENTITY, |name| {
                            format!(
                                "    auth_request_set ${} $upstream_http_{};",
                                variable(name),
                                name.replace('-', "_")
                            )
                        }),
                    ),
                    ("SET", lines(IDENTITY, |name| format!("    proxy_set_header {name} ${};", variable(name)))),
                    ("OFF", lines(misleading(), |name| format!("    proxy_set_header {name} \"\";"))),
                    ("LOCATIONS", locations),
                    ("REFUSALS", refusals.clone()),
                ],
            );
            format!("\n{server}")
        })
        .collect();
    fill(include_str!("snippet/nginx.conf"), &[("UPSTREAMS", upstreams), ("SERVERS", servers)])
}

/// What nginx cannot pass on as it was answered, and says in the same words.
const NGINX_REFUSALS: [&str; 8] = [
    "BAD_REQUEST",
    "UNAUTHENTICATED",
    "CREDITS_EXHAUSTED",
    "FORBIDDEN",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "RATE_LIMITED",
    "INTERNAL",
];

fn location(place: &Place<'_>) -> String {
    let Place { route, forwards_credential, .. } = place;
    let or_nothing = |holds: bool, value: &'static str| if holds { value } else { "\"\"" };
    let mut text = format!("\n    # route.{}\n    location ~ {} {{\n", route.name, beneath(&route.path));
    let _ = writeln!(text, "        client_max_body_size {};", route.body_limit);
    for (name, value) in [
        ("kw_authorization", or_nothing(*forwards_credential, "$http_authorization")),
        ("kw_x_api_key", or_nothing(*forwards_credential, "$http_x_api_key")),
        ("kw_upgrade", or_nothing(route.websocket, "$http_upgrade")),
        ("kw_connection", or_nothing(route.websocket, "$kw_wanted_connection")),
    ] {
        let _ = writeln!(text, "        set ${name} {value};");
    }
    if route.strip {
        let _ = writeln!(text, "        rewrite ^{}/?(.*)$ /$1 break;", plainly(&route.path));
    }
    let _ = write!(text, "        proxy_pass http://keywright_{};\n    }}\n", route.name);
    text
}
