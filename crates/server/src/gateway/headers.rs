//! What goes over: a request's headers on their way to the upstream, an answer's on their way back.
//!
//! What must stay true: what concerns one connection stays on it; whatever an upstream could take for the gate's word is
//! removed in every spelling first, and then set, empty where there is nothing to say.

use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE,
};
use keywright_core::route::Route;

use super::admit::Guest;
use super::request::Target;
use crate::extract::{Context, address, is_trusted};
use crate::request_id::{self, RequestId};
use crate::{Server, dashboard};

/// Who asks, as an upstream reads it.
pub const IDENTITY: [&str; 10] = [
    "x-account-id",
    "x-key-id",
    "x-key-kind",
    "x-key-environment",
    "x-key-role",
    "x-key-services",
    "x-key-permissions",
    "x-user-id",
    "x-session-id",
    ASSERTION,
];

/// The same, signed, where the route asks for it.
pub(super) const ASSERTION: &str = "x-keywright-assertion";

/// What some upstream or other takes for a client's address, for another path or for another method than was asked about.
pub const MISLEADING: [&str; 13] = [
    "forwarded",
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// What makes an Envoy that takes a client for one of the house send a request again, which was paid for once.
const REPEATING: [&str; 2] = ["x-envoy-retry-grpc-on", "x-envoy-retry-on"];

/// What concerns one connection (RFC 9110, 7.6.1).
const HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request's headers as the upstream sees them.
pub(super) fn onward(
    server: &Server,
    context: &Context,
    sent: &HeaderMap,
    target: &Target,
    route: &Route,
    guest: &Guest,
    wants_tunnel: bool,
) -> HeaderMap {
    let mut headers = sent.clone();
    let takes_trailers = words(sent, &TE).any(|word| word.eq_ignore_ascii_case("trailers"));
    strip_hops(&mut headers);
    headers.remove(HOST);
    // Bodies are asked for as they are needed, without a word on it beforehand.
    headers.remove(EXPECT);
    let unwanted: Vec<HeaderName> =
        headers.keys().filter(|name| is_unwanted(name, route.forward_credential)).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
    keep_our_cookie(&mut headers);
    identify(&mut headers, guest);
    say_whence(&mut headers, server, context, sent, target);
    set(&mut headers, request_id::HEADER.as_str(), &context.request_id.0);
    if wants_tunnel {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    } else if takes_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    headers
}

/// What a proxy does with the headers of a request that may pass.
pub(super) struct Change {
    /// Whatever was there by these names.
    pub(super) set: HeaderMap,
    pub(super) remove: Vec<HeaderName>,
}

/// What makes of the headers a proxy has what [`onward`] would make of them. What concerns one connection is the proxy's to
/// see to.
pub(super) fn change(sent: &HeaderMap, route: &Route, guest: &Guest, whence: &Whence<'_>, id: &RequestId) -> Change {
    let mut to_set = HeaderMap::new();
    identify(&mut to_set, guest);
    whence.say(&mut to_set);
    set(&mut to_set, request_id::HEADER.as_str(), &id.0);
    let theirs = their_cookies(sent);
    let is_mixed = !sent.get_all(COOKIE).iter().eq(&theirs);
    // A proxy is told what to set in letters. What cannot be told so goes.
    if is_mixed && let Some(line) = joined(&theirs).filter(|line| line.to_str().is_ok()) {
        to_set.insert(COOKIE, line);
    }
    let is_off = |name: &&HeaderName| {
        let is_of_hop = [PROXY_AUTHENTICATE, PROXY_AUTHORIZATION].contains(name);
        let is_ours_to_stop = is_of_hop || REPEATING.contains(&name.as_str());
        is_ours_to_stop || (is_mixed && **name == COOKIE) || is_unwanted(name, route.forward_credential)
    };
    let remove = sent.keys().filter(is_off).filter(|name| !to_set.contains_key(*name)).cloned().collect();
    Change { set: to_set, remove }
}

/// The dashboard may share its host with upstreams. Its session is none of theirs.
fn keep_our_cookie(headers: &mut HeaderMap) {
    let lines = their_cookies(headers);
    headers.remove(COOKIE);
    for line in lines {
        headers.append(COOKIE, line);
    }
}

/// Every cookie that is not ours.
fn their_cookies(headers: &HeaderMap) -> Vec<HeaderValue> {
    let theirs = |line: &HeaderValue| {
        let pairs = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let theirs: Vec<&[u8]> = pairs.filter(|pair| !is_ours(pair)).collect();
        HeaderValue::from_bytes(&theirs.join(b"; ".as_slice())).ok().filter(|line| !line.is_empty())
    };
    headers.get_all(COOKIE).iter().filter_map(theirs).collect()
}

fn joined(cookies: &[HeaderValue]) -> Option<HeaderValue> {
    let lines: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&lines.join(b"; ".as_slice())).ok().filter(|line| !line.is_empty())
}

/// Whether a cookie, as it is sent or set, has the name of ours.
fn is_ours(cookie: &[u8]) -> bool {
    cookie.split(|byte| *byte == b'=').next().is_some_and(|name| name.trim_ascii() == dashboard::COOKIE.as_bytes())
}

/// Says who asks.
pub(super) fn identify(headers: &mut HeaderMap, guest: &Guest) {
    let Guest { account, key, kind, environment, role, services, permissions, user, session, limits: _ } = guest;
    let values = [account, key, kind, environment, role, services, permissions, user, session];
    // What is signed is about a path, which is not known here: until it is, there is nothing in its place.
    let values = values.into_iter().map(String::as_str).chain([""]);
    for (name, value) in IDENTITY.into_iter().zip(values) {
        set(headers, name, value);
    }
}

/// Where a request comes from: what we saw ourselves, or what a listed proxy says it saw.
fn say_whence(headers: &mut HeaderMap, server: &Server, context: &Context, sent: &HeaderMap, target: &Target) {
    let from = address(sent, context.peer, &server.options);
    let is_proxy = context.peer.is_some_and(|peer| is_trusted(peer, &server.options));
    let said = |name: &str| {
        let mut all = sent.get_all(name).iter();
        let only = all.next().filter(|_| is_proxy && all.next().is_none());
        only.and_then(|value| value.to_str().ok())
    };
    let own = if server.options.tls.is_some() { "https" } else { "http" };
    let scheme = said("x-forwarded-proto").filter(|scheme| ["http", "https"].contains(scheme)).unwrap_or(own);
    let is_host = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    let host = said("x-forwarded-host").filter(is_host).unwrap_or(&target.authority);
    Whence { from, scheme, host }.say(headers);
}

/// Where a request comes from, as an upstream reads it.
pub(super) struct Whence<'a> {
    pub(super) from: Option<IpAddr>,
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
}

impl Whence<'_> {
    fn say(&self, headers: &mut HeaderMap) {
        set(headers, "x-forwarded-for", &self.from.map(|address| address.to_string()).unwrap_or_default());
        set(headers, "x-forwarded-proto", self.scheme);
        set(headers, "x-forwarded-host", self.host);
    }
}

/// An answer's headers as the client sees them.
pub(super) fn back(headers: &mut HeaderMap, is_tunnel: bool) {
    let upgrade = headers.get(UPGRADE).cloned().filter(|_| is_tunnel);
    strip_hops(headers);
    // Nor does an upstream log anybody in to the dashboard.
    let set: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).iter().filter(|set| !is_ours(set.as_bytes())).cloned().collect();
    headers.remove(SET_COOKIE);
    for set in set {
        headers.append(SET_COOKIE, set);
    }
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
}

/// Trailers as the upstream sees them: none that could be taken for a header of ours.
pub(super) fn trailers(trailers: &mut HeaderMap) {
    let unwanted: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_unwanted(name, false) || **name == HOST || HOP.contains(name))
        .cloned()
        .collect();
    for name in unwanted {
        trailers.remove(name);
    }
}

fn strip_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = words(headers, &CONNECTION).filter_map(|word| word.parse().ok()).collect();
    for name in HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// Whether a client's header must not reach an upstream. Some servers read `X_Key_Id` and `X.Key.Id` as `X-Key-Id`.
fn is_unwanted(name: &HeaderName, credential_passes: bool) -> bool {
    let alias: String =
        name.as_str().chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let is_credential = alias == AUTHORIZATION.as_str() || alias == "x-api-key";
    if is_credential {
        // Another spelling of it is none that was verified.
        return !credential_passes || alias != name.as_str();
    }
    IDENTITY.contains(&alias.as_str()) || MISLEADING.contains(&alias.as_str()) || alias.starts_with("x-forwarded-")
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
    headers.insert(HeaderName::from_static(name), value);
}
