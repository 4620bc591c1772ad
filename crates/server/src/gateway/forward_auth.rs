//! Forward-auth, the gate's second door: a proxy has the request, and asks here whether it may pass and who asks.
//!
//! What must stay true: what was asked for is read from the headers of the proxy's own dialect, which its path names, and
//! from no others; from listed peers alone; and an answer of 200 says everything about who asks, empty where there is
//! nothing to say, so that nothing a client sent can stand there.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONNECTION, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri};
use keywright_core::forward_auth::Proxy;
use keywright_core::policy::Policy;
use keywright_core::route::ErrorShape;

use super::admit::Guest;
use super::assertion::Vouching;
use super::request::Call;
use super::{Stopped, Way, enter, find, headers, with_query};
use crate::Server;
use crate::extract::{Context, seen_by};
use crate::problem::Problem;

/// Where proxies ask.
pub(crate) const PATHS: &str = "/forward-auth/{*proxy}";
/// What every path begins with that proxies ask at.
pub(super) const PREFIX: &str = "/forward-auth/";

/// Why somebody else is not answered.
pub(super) const UNLISTED: &str = "only proxies ask here that the policy lists under forward_auth.peers";

/// The headers in which a proxy says what it was asked for.
struct Names {
    method: &'static str,
    uri: &'static str,
    host: &'static str,
    /// What it says besides, which must be there once, too: a proxy that leaves it out is not set up as we were told.
    besides: &'static [&'static str],
}

const ORIGINAL: Names = Names {
    method: "x-original-method",
    uri: "x-original-uri",
    host: "x-original-host",
    besides: &["x-forwarded-for"],
};
const FORWARDED: Names = Names {
    method: "x-forwarded-method",
    uri: "x-forwarded-uri",
    host: "x-forwarded-host",
    besides: &["x-forwarded-for", "x-forwarded-proto"],
};

/// Whether a request may pass that a proxy has: 200 and who asks, or the answer it should give.
pub(crate) async fn ask(State(server): State<Server>, request: Request) -> Response {
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return Problem::not_found().into_response();
    };
    let (mut parts, _) = request.into_parts();
    match decide(&server, &context, &mut parts).await {
        Ok(headers) => {
            let mut answer = Response::new(Body::empty());
            *answer.headers_mut() = headers;
            answer
        }
        Err(stopped) => {
            let mut answer = stopped.answer(&context);
            // The connection is the proxy's, which others use, too.
            answer.headers_mut().remove(CONNECTION);
            answer.map(Body::from)
        }
    }
}

async fn decide(server: &Server, context: &Context, parts: &mut Parts) -> Result<HeaderMap, Stopped> {
    let world = server.app.world();
    let native = |problem: Problem| Stopped::new(problem, ErrorShape::Native);
    let proxy = dialect(&world.policy, parts.uri.path()).ok_or_else(|| native(Problem::not_found()))?;
    let peer = context.peer.filter(|peer| world.policy.forward_auth().lists(*peer));
    let peer = peer.ok_or_else(|| native(Problem::new("FORBIDDEN", UNLISTED)))?;
    restore(parts, proxy).map_err(|detail| native(Problem::new("BAD_REQUEST", detail)))?;
    let ip = seen_by(peer, &parts.headers, &server.options);
    let call = Call::of(parts);
    let (way, guest) = enter_by(server, context, &world.policy, &call, Some(ip)).await?;
    let mut told = guest.limits.as_deref().cloned().unwrap_or_default();
    let signed = vouched(server, context, way, &call, &guest)?;
    headers::identify(&mut told, &guest, &signed);
    Ok(told)
}

/// The way of a request that a proxy has, and who takes it, if they may. It is paid for here.
pub(super) async fn enter_by<'s, 'p, 'r>(
    server: &'s Server,
    context: &Context,
    policy: &'p Policy,
    call: &Call<'r>,
    ip: Option<IpAddr>,
) -> Result<(Way<'p, 'r>, Guest<'s>), Stopped> {
    let Some(way) = find(context, policy, call)? else {
        return Err(Stopped::new(Problem::not_found(), ErrorShape::Native));
    };
    let guest = enter(server, ip, call, &way.choice, &context.request_id).await?;
    Ok((way, guest))
}

/// What is signed for the upstream of a request that a proxy has, where its route asks for it.
pub(super) fn vouched(
    server: &Server,
    context: &Context,
    way: Way<'_, '_>,
    call: &Call<'_>,
    guest: &Guest<'_>,
) -> Result<String, Stopped> {
    let route = way.choice.route;
    let Some(vouching) = Vouching::of(server, context, route, guest) else { return Ok(String::new()) };
    let signed = vouching.sign(call.method, &with_query("", way.rest, call.query).concat());
    signed.map_err(|problem| Stopped::new(problem, route.errors))
}

/// The way of asking that a path names, where it is one that is answered.
fn dialect(policy: &Policy, path: &str) -> Option<Proxy> {
    let named = path.strip_prefix(PREFIX)?;
    policy.forward_auth().dialects.iter().copied().find(|proxy| match proxy {
        // It asks with the path of the request behind this one.
        Proxy::EnvoyHttp => named.strip_prefix(proxy.name()).is_some_and(|rest| rest.starts_with('/')),
        // It asks over gRPC alone: `envoy.rs`.
        Proxy::Envoy => false,
        Proxy::Nginx | Proxy::Caddy | Proxy::Traefik | Proxy::Haproxy => named == proxy.name(),
    })
}

/// Makes of a proxy's question the request it is about.
fn restore(parts: &mut Parts, proxy: Proxy) -> Result<(), String> {
    let names = match proxy {
        Proxy::Nginx | Proxy::Haproxy => ORIGINAL,
        Proxy::Caddy | Proxy::Traefik => FORWARDED,
        Proxy::Envoy => return Err("Envoy asks here as envoy-http".into()),
        Proxy::EnvoyHttp => {
            let sent = parts.uri.path_and_query().map(PathAndQuery::as_str).unwrap_or_default();
            let begins = PREFIX.len() + proxy.name().len();
            parts.uri = uri(sent.get(begins..).unwrap_or_default())?;
            return Ok(());
        }
    };
    let method = one(&parts.headers, names.method)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("{} is no method", names.method))?;
    let uri = uri(one(&parts.headers, names.uri)?)?;
    let host = one(&parts.headers, names.host)?;
    let host = HeaderValue::from_str(host).map_err(|_| format!("{} is no host", names.host))?;
    for name in names.besides {
        one(&parts.headers, name)?;
    }
    (parts.method, parts.uri) = (method, uri);
    parts.headers.insert(HOST, host);
    Ok(())
}

/// The one value of a header, or which is missing.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, String> {
    let mut all = headers.get_all(name).iter();
    let only = all.next().filter(|_| all.next().is_none());
    let text = only.and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("the proxy says once, and in ASCII, what its client asked for: {name} is not so"))
}

/// A path with its query, as a proxy says it.
pub(super) fn uri(text: &str) -> Result<Uri, String> {
    // A fragment is for clients alone. Some servers cut it off and some do not.
    if !text.starts_with('/') || text.contains('#') {
        return Err("the path the proxy asks about has two readings: it begins with a slash and has no fragment".into());
    }
    text.parse::<PathAndQuery>().map(Uri::from).map_err(|_| "the path the proxy asks about is none".into())
}
