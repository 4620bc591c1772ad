//! What goes over: a request's headers on their way to the upstream, an answer's on their way back.
//!
//! What must stay true: what concerns one connection stays on it; whatever an upstream could take for the gate's word is
//! removed in every spelling first, and then set, empty where there is nothing to say.

use std::borrow::Cow;
use std::net::IpAddr;

use http::StatusCode;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE,
};
use keywright_app::Access;
use keywright_core::id::{AccountId, KeyId, SessionId, UserId};
use keywright_core::ip::write_address;
use keywright_core::route::Route;
use memchr::memmem;

use super::Onward;
use super::admit::Guest;
use crate::dashboard;
use crate::direct::field;
use crate::extract::is_trusted;
use crate::fields::{Fields, is_named};
use crate::request_id::{self, RequestId};

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

/// Where a credential is shown.
const CREDENTIALS: [&str; 2] = ["authorization", "x-api-key"];

/// What says where a request ends, or which it is: in no other spelling than its own.
const SPELLED: [&str; 3] = ["content-length", "transfer-encoding", request_id::HEADER];

/// What names begin with that say what a proxy saw.
const FORWARDED: &str = "x-forwarded-";
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What concerns one connection (RFC 9110, 7.6.1).
const HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header stays on its connection.
fn is_of_hop(name: &str) -> bool {
    // Most names have another length than all of them.
    matches!(name.len(), 2 | 7 | 10 | 16..=19) && HOP.iter().any(|hop| is_named(name, hop))
}

/// Headers of ours that a request goes on with.
const OURS: usize = 20;

/// Where headers are written: for the library, or for a connection.
pub(super) trait Written {
    /// One that was sent.
    fn pass(&mut self, name: &str, value: &[u8]);

    /// One of ours, which stands alone. What no header can say is said empty.
    fn say(&mut self, name: &'static str, value: &str);

    /// The same of letters that any header can say.
    fn spell(&mut self, name: &'static str, letters: &[u8]);

    /// The same of an address.
    fn point(&mut self, name: &'static str, address: Option<IpAddr>);

    /// What a key may do.
    fn tell(&mut self, access: &Access);
}

impl Written for HeaderMap {
    fn pass(&mut self, name: &str, value: &[u8]) {
        // Whoever reads heads takes no others.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            self.append(name, value);
        }
    }

    fn say(&mut self, name: &'static str, value: &str) {
        self.spell(name, value.as_bytes());
    }

    fn spell(&mut self, name: &'static str, letters: &[u8]) {
        let value = HeaderValue::from_bytes(letters).unwrap_or(HeaderValue::from_static(""));
        self.insert(HeaderName::from_static(name), value);
    }

    fn point(&mut self, name: &'static str, address: Option<IpAddr>) {
        self.spell(name, address.map(|address| address.to_string()).unwrap_or_default().as_bytes());
    }

    fn tell(&mut self, access: &Access) {
        say_access(self, Some(access));
    }
}

impl Written for Vec<u8> {
    fn pass(&mut self, name: &str, value: &[u8]) {
        let begin = self.len();
        field(self, name, value);
        // As the library would write it.
        if let Some(name) = self.get_mut(begin..begin + 2 + name.len()) {
            name.make_ascii_lowercase();
        }
    }

    #[inline]
    fn say(&mut self, name: &'static str, value: &str) {
        // Looking at all of it costs less than stopping at the first that is wrong.
        let is_sayable = value.bytes().fold(true, |all, byte| all & matches!(byte, b'\t' | b' '..=b'~' | 128..));
        field(self, name, if is_sayable { value.as_bytes() } else { b"" });
    }

    #[inline]
    fn spell(&mut self, name: &'static str, letters: &[u8]) {
        field(self, name, letters);
    }

    fn point(&mut self, name: &'static str, address: Option<IpAddr>) {
        field(self, name, b"");
        if let Some(address) = address {
            write_address(address, self);
        }
    }

    fn tell(&mut self, access: &Access) {
        self.extend_from_slice(access.told.fields.get_or_init(|| {
            let mut fields = Self::new();
            say_access(&mut fields, Some(access));
            fields.into()
        }));
    }
}

impl Onward<'_> {
    /// A request's headers as the upstream sees them.
    pub(super) fn headers(&self, signed: &str) -> HeaderMap {
        let sent = self.call.fields;
        let mut headers = HeaderMap::with_capacity(sent.len() + OURS);
        self.write(&mut headers, signed);
        if self.wants_tunnel {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        } else if words(sent, &TE).any(|word| word.eq_ignore_ascii_case("trailers")) {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        headers
    }
}

impl<F: Fields + ?Sized> Onward<'_, F> {
    /// What the upstream sees of a request's headers, and what it is told besides.
    pub(super) fn write(&self, out: &mut impl Written, signed: &str) {
        let Self { context, route, call, guest, .. } = self;
        let named = named(call.fields);
        for (name, value) in call.fields.each() {
            // Bodies are asked for as they are needed, without a word on it beforehand.
            let is_ours = is_named(name, "host") || is_named(name, "expect");
            let stays = is_ours || is_of_hop(name) || named.iter().any(|other| is_named(name, other.as_str()));
            // This one is said anew, below.
            let is_again = is_named(name, request_id::HEADER);
            if stays || is_again || is_unwanted(name, route.forward_credential) {
                continue;
            }
            if !is_named(name, "cookie") {
                out.pass(name, value);
            } else if let Some(theirs) = without_ours(value) {
                out.pass(name, &theirs);
            }
        }
        identify(out, guest, signed);
        self.say_whence(out);
        out.spell(request_id::HEADER, context.request_id.0.as_bytes());
    }

    /// Where a request comes from: what we saw ourselves, or what a listed proxy says it saw.
    fn say_whence(&self, out: &mut impl Written) {
        let Self { server, context, call, authority, .. } = self;
        let is_proxy = context.peer.is_some_and(|peer| is_trusted(peer, &server.options));
        let said = |name| {
            let is_one = is_proxy && call.fields.all(name).count() == 1;
            is_one.then(|| call.fields.text(name)).flatten()
        };
        let own = if server.options.tls.is_some() { "https" } else { "http" };
        let scheme = said(&FORWARDED_PROTO).filter(|scheme| ["http", "https"].contains(scheme)).unwrap_or(own);
        let is_host =
            |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        let host = said(&FORWARDED_HOST).filter(is_host).unwrap_or(authority);
        Whence { from: self.from, scheme, host }.say(out);
    }
}

/// What a proxy does with the headers of a request that may pass.
pub(super) struct Change {
    /// Whatever was there by these names.
    pub(super) set: HeaderMap,
    pub(super) remove: Vec<HeaderName>,
}

/// What makes of the headers a proxy has what [`onward`] would make of them. What concerns one connection is the proxy's to
/// see to.
pub(super) fn change(
    sent: &HeaderMap,
    route: &Route,
    guest: &Guest<'_>,
    whence: &Whence<'_>,
    id: &RequestId,
) -> Change {
    let mut to_set = HeaderMap::new();
    // What is signed is about a path as its upstream reads it, which is not known here.
    identify(&mut to_set, guest, "");
    whence.say(&mut to_set);
    to_set.say(request_id::HEADER, &id.0);
    let theirs = their_cookies(sent);
    let is_mixed = !sent.get_all(COOKIE).iter().eq(&theirs);
    // A proxy is told what to set in letters. What cannot be told so goes.
    if is_mixed && let Some(line) = joined(&theirs).filter(|line| line.to_str().is_ok()) {
        to_set.insert(COOKIE, line);
    }
    let is_off = |name: &&HeaderName| {
        let is_of_hop = [PROXY_AUTHENTICATE, PROXY_AUTHORIZATION].contains(name);
        let is_ours_to_stop = is_of_hop || REPEATING.contains(&name.as_str());
        is_ours_to_stop || (is_mixed && **name == COOKIE) || is_unwanted(name.as_str(), route.forward_credential)
    };
    let remove = sent.keys().filter(is_off).filter(|name| !to_set.contains_key(*name)).cloned().collect();
    Change { set: to_set, remove }
}

/// Every cookie that is not ours. The dashboard may share its host with upstreams, and its session is none of theirs.
fn their_cookies(headers: &HeaderMap) -> Vec<HeaderValue> {
    let theirs = headers.get_all(COOKIE).iter().filter_map(|line| without_ours(line.as_bytes()));
    theirs.filter_map(|line| HeaderValue::from_bytes(&line).ok()).collect()
}

/// A line of cookies without ours, where anything is left of it.
fn without_ours(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memmem::find(line, dashboard::COOKIE.as_bytes()).is_none() {
        return Some(line.into());
    }
    let pairs = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let theirs: Vec<&[u8]> = pairs.filter(|pair| !is_ours(pair)).collect();
    Some(theirs.join(b"; ".as_slice()).into()).filter(|line: &Cow<'_, [u8]>| !line.is_empty())
}

fn joined(cookies: &[HeaderValue]) -> Option<HeaderValue> {
    let lines: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&lines.join(b"; ".as_slice())).ok().filter(|line| !line.is_empty())
}

/// Whether a cookie, as it is sent or set, has the name of ours.
fn is_ours(cookie: &[u8]) -> bool {
    cookie.split(|byte| *byte == b'=').next().is_some_and(|name| name.trim_ascii() == dashboard::COOKIE.as_bytes())
}

/// Says who asks, signed where there is something signed.
pub(super) fn identify(out: &mut impl Written, guest: &Guest<'_>, signed: &str) {
    let Guest { account, key, access, environment, user, session, limits: _ } = guest;
    let [account_id, key_id, _, of_environment, _, _, _, user_id, session_id, assertion] = IDENTITY;
    out.spell(account_id, account.map(AccountId::letters).as_ref().map_or(b"", |letters| letters));
    out.spell(key_id, key.map(KeyId::letters).as_ref().map_or(b"", |letters| letters));
    out.say(of_environment, environment);
    match access {
        Some(access) => out.tell(access),
        None => say_access(out, None),
    }
    out.spell(user_id, user.map(UserId::letters).as_ref().map_or(b"", |letters| letters));
    out.spell(session_id, session.map(SessionId::letters).as_ref().map_or(b"", |letters| letters));
    out.say(assertion, signed);
}

/// Says what a key may do.
fn say_access(out: &mut impl Written, access: Option<&Access>) {
    let [_, _, kind, _, role, services, permissions, ..] = IDENTITY;
    out.say(kind, access.map_or("", |access| &access.kind));
    out.say(role, access.and_then(|access| access.role.as_deref()).unwrap_or_default());
    out.say(services, &words_of(access.map(|access| access.services.as_slice())));
    out.say(permissions, &words_of(access.map(|access| access.permissions.as_slice())));
}

/// Names in a row.
fn words_of(names: Option<&[String]>) -> Cow<'_, str> {
    match names.unwrap_or_default() {
        [] => Cow::Borrowed(""),
        [only] => Cow::Borrowed(only),
        several => Cow::Owned(several.join(" ")),
    }
}

/// Where a request comes from, as an upstream reads it.
pub(super) struct Whence<'a> {
    pub(super) from: Option<IpAddr>,
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
}

impl Whence<'_> {
    fn say(&self, out: &mut impl Written) {
        out.point("x-forwarded-for", self.from);
        out.say("x-forwarded-proto", self.scheme);
        out.say("x-forwarded-host", self.host);
    }
}

/// An answer's headers as the client sees them.
pub(super) fn back(headers: &mut HeaderMap, is_tunnel: bool) {
    let upgrade = headers.get(UPGRADE).cloned().filter(|_| is_tunnel);
    // What comes in chunks has the length they have (RFC 9112, 6.3), whatever else is said.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in named(headers) {
        headers.remove(name);
    }
    for name in HOP {
        headers.remove(name);
    }
    // Nor does an upstream log anybody in to the dashboard.
    if headers.get_all(SET_COOKIE).iter().any(|set| is_ours(set.as_bytes())) {
        let set = headers.get_all(SET_COOKIE).iter().filter(|set| !is_ours(set.as_bytes()));
        let set: Vec<HeaderValue> = set.cloned().collect();
        headers.remove(SET_COOKIE);
        headers.extend(set.into_iter().map(|set| (SET_COOKIE, set)));
    }
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
}

/// The same of an answer that is passed on as it is read.
pub(super) fn write_back(
    status: StatusCode,
    fields: &[httparse::Header<'_>],
    ours: Option<&HeaderMap>,
    id: &RequestId,
    out: &mut Vec<u8>,
) {
    let named = named(fields);
    for httparse::Header { name, value } in fields {
        let is = |other: &str| is_named(name, other);
        let stays = is_of_hop(name) || named.iter().any(|other| is(other.as_str()));
        let is_said_anew =
            is(request_id::HEADER) || ours.iter().flat_map(|ours| ours.keys()).any(|own| is(own.as_str()));
        let is_of_ours = is(SET_COOKIE.as_str()) && is_ours(value);
        // What has no body needs no length.
        let is_idle = status == StatusCode::NOT_MODIFIED && is(CONTENT_LENGTH.as_str());
        if !(stays || is_said_anew || is_of_ours || is_idle) {
            field(out, name, value);
        }
    }
    for (name, value) in ours.into_iter().flatten() {
        out.pass(name.as_str(), value.as_bytes());
    }
    out.spell(request_id::HEADER, id.0.as_bytes());
}

/// Trailers as the upstream sees them: none that could be taken for a header of ours.
pub(super) fn trailers(trailers: &mut HeaderMap) {
    let unwanted: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_unwanted(name.as_str(), false) || **name == HOST || is_of_hop(name.as_str()))
        .cloned()
        .collect();
    for name in unwanted {
        trailers.remove(name);
    }
}

/// The headers that `Connection` names (RFC 9110, 7.6.1).
fn named(headers: &(impl Fields + ?Sized)) -> Vec<HeaderName> {
    let is_name = |word: &&str| !["close", "keep-alive"].iter().any(|other| word.eq_ignore_ascii_case(other));
    words(headers, &CONNECTION).filter(is_name).filter_map(|word| word.parse().ok()).collect()
}

fn words<'h>(headers: &'h (impl Fields + ?Sized), name: &'h HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.all(name).filter_map(|line| std::str::from_utf8(line).ok().filter(|line| line.is_ascii()));
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// Whether a client's header must not reach an upstream. Some servers read `X_Key_Id` and `X.Key.Id` as `X-Key-Id`.
fn is_unwanted(name: &str, credential_passes: bool) -> bool {
    // What is looked for begins with one of these in any spelling, and most others do not.
    if !matches!(name.as_bytes().first().map(u8::to_ascii_lowercase), Some(b'a' | b'c' | b'f' | b'p' | b't' | b'x')) {
        return false;
    }
    let is_any_of = |others: &[&str]| others.iter().any(|other| reads_as(name, other));
    let is_credential = is_any_of(&CREDENTIALS);
    if is_credential || is_any_of(&SPELLED) {
        // Another spelling of a credential is none that was verified; of a length, none that was held to.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        return !is_plain || (is_credential && !credential_passes);
    }
    is_any_of(&IDENTITY)
        || is_any_of(&MISLEADING)
        || name.get(..FORWARDED.len()).is_some_and(|begin| reads_as(begin, FORWARDED))
}

/// Whether a name may be read as another one.
fn reads_as(name: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == other.len() && name.bytes().map(plain).eq(other.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_pass_passes_in_no_spelling() {
        let all = IDENTITY.iter().chain(&MISLEADING).chain(&CREDENTIALS).chain(&["x-forwarded-for", "x-forwarded-x"]);
        for name in all {
            for spelled in [(*name).to_owned(), name.to_uppercase(), name.replace('-', "_"), name.replace('-', ".")] {
                assert!(is_unwanted(&spelled, false), "{spelled}");
            }
        }
        for spelled in ["Content_Length", "content.length", "Transfer_Encoding", "X_Request_ID", "X_Api_Key"] {
            assert!(is_unwanted(spelled, true), "{spelled}");
        }
        for passes in ["Accept", "User-Agent", "Content-Length", "x-request-id", "X-Forwarded", "X-Keys", "Range"] {
            assert!(!is_unwanted(passes, false), "{passes}");
        }
        for name in HOP {
            assert!(is_of_hop(name) && is_of_hop(&name.to_uppercase()), "{name}");
        }
    }
}
