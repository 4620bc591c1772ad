//! What handlers are given: who asks, and a body of the right shape.
//!
//! The one place where a credential is read from a request. It comes from a header, never from a URL (security.md 44),
//! in the way its kind asks for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::HeaderName;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use keywright_app::caller::Caller;
use keywright_app::error::Error;
use keywright_app::logins::Place;
use keywright_app::verify::Ask;
use keywright_core::id::KeyId;
use keywright_core::policy::{HeaderRule, Kind, Policy};
use keywright_core::signing::looks_like_a_token;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::fields::Fields;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::{Options, Server};

/// The most a body may be, where nothing else is said.
pub(crate) const MOST_BYTES: usize = 64 * 1_024;
/// How long a body may take to arrive.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(30);
static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Marks a request as made at the machine itself. It travels beside the request, never in it: only code in this
/// process can set it.
#[derive(Clone, Copy, Debug)]
pub struct LocalOperator;

/// What is known of a request beside what it says.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The address at the other end of the connection; none where there is no connection.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) request_id: RequestId,
    /// Made at the machine itself.
    pub(crate) is_local: bool,
}

/// Who asks, and the id of the key they showed.
pub(crate) struct Who {
    pub(crate) caller: Caller,
    pub(crate) own: Option<KeyId>,
}

impl Who {
    /// The presented key's id; whoever sits at the machine shows none.
    pub(crate) fn own(&self) -> Result<KeyId, Problem> {
        self.own.ok_or_else(|| {
            Error::Conflict("no key was presented: this is about the key a request is made with".into()).into()
        })
    }
}

impl FromRequestParts<Server> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let context = parts.extensions.get::<Context>().ok_or(Error::Unauthenticated)?;
        who(&parts.headers, context, server, Some(context.request_id.0.to_string())).await
    }
}

/// Who makes a request. A caller who will be written down in the audit log is given the request's id.
pub(crate) async fn who(
    headers: &(impl Fields + ?Sized),
    context: &Context,
    server: &Server,
    request_id: Option<String>,
) -> Result<Who, Problem> {
    let world = server.app.world();
    if context.is_local {
        let mut caller = Caller::local(&world.policy.catalog);
        caller.request_id = request_id;
        return Ok(Who { caller, own: None });
    }
    let (credential, kind) = match presented(headers, &world.policy)? {
        Presented::Token(token) => {
            let ip = address(headers, context.peer, &server.options);
            let caller = Box::pin(server.app.authenticate_token(token, ip, request_id)).await?;
            return Ok(Who { caller, own: None });
        }
        Presented::Key(key, kind) => (key, kind),
    };
    let ask = asked(headers, context, server, kind);
    let (caller, own) = server.app.authenticate(credential, &ask, request_id).await?;
    Ok(Who { caller, own: Some(own) })
}

/// The same of a caller whom the audit log will not name, where all that it takes is in memory. Where it is not, nothing has
/// been counted.
#[inline]
pub(crate) fn who_at_once(
    headers: &(impl Fields + ?Sized),
    context: &Context,
    server: &Server,
) -> Result<Option<Who>, Problem> {
    let Presented::Key(key, kind) = presented(headers, &server.app.world().policy)? else { return Ok(None) };
    let found = server.app.authenticate_at_once(key, &asked(headers, context, server, kind))?;
    Ok(found.map(|(caller, own)| Who { caller, own: Some(own) }))
}

/// What is asked of the key that a request is made with.
#[inline]
fn asked<'a>(headers: &'a (impl Fields + ?Sized), context: &'a Context, server: &Server, kind: Option<u8>) -> Ask<'a> {
    let ip = address(headers, context.peer, &server.options);
    let user_agent = headers.text(&USER_AGENT);
    Ask { ip, user_agent, request_id: Some(&context.request_id.0), kind, ..Ask::default() }
}

/// What a request shows.
#[derive(Clone, Copy)]
pub(crate) enum Presented<'a> {
    /// A token of a person's.
    Token(&'a [u8]),
    /// A key, or what is meant to be one, and the number of the kind it is of.
    Key(&'a [u8], Option<u8>),
}

/// The one credential of a request, shown in the way its kind asks for.
pub(crate) fn presented<'a>(headers: &'a (impl Fields + ?Sized), policy: &Policy) -> Result<Presented<'a>, Error> {
    let (credential, shown) = credential(headers).ok_or(Error::Unauthenticated)?;
    if shown == Shown::Bearer && looks_like_a_token(credential) {
        return Ok(Presented::Token(credential));
    }
    let number = policy.read(credential, true).map(|(number, _)| number);
    let kind = number.and_then(|number| policy.kind_at(number));
    if is_shown_properly(kind, shown) { Ok(Presented::Key(credential, number)) } else { Err(Error::Unauthenticated) }
}

/// How a credential was shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Bearer,
    Bare,
    XApiKey,
}

/// The one credential of a request; none where there are two.
fn credential(headers: &(impl Fields + ?Sized)) -> Option<(&[u8], Shown)> {
    let mut all = headers.all(&AUTHORIZATION).map(|value| (value, Shown::Bare));
    let mut named = headers.all(&X_API_KEY).map(|value| (value, Shown::XApiKey));
    let (value, shown) = match (all.next(), named.next()) {
        (Some(only), None) | (None, Some(only)) => only,
        _ => return None,
    };
    if all.next().is_some() || named.next().is_some() {
        return None;
    }
    match value.strip_prefix(b"Bearer ") {
        Some(key) if shown == Shown::Bare => Some((key, Shown::Bearer)),
        _ => Some((value, shown)),
    }
}

/// Whether a key is shown in the way its kind asks for. What is of no kind is left to verification, which counts it.
fn is_shown_properly(kind: Option<&Kind>, shown: Shown) -> bool {
    match kind.map(|kind| kind.header) {
        None => true,
        Some(HeaderRule::Bearer) => shown == Shown::Bearer,
        Some(HeaderRule::BearerOrBare) => matches!(shown, Shown::Bearer | Shown::Bare),
        Some(HeaderRule::XApiKey) => shown == Shown::XApiKey,
    }
}

/// Where a request comes from: the other end of the connection, or what a listed proxy there says.
pub(crate) fn address(headers: &(impl Fields + ?Sized), peer: Option<IpAddr>, options: &Options) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    Some(if is_trusted(peer, options) { seen_by(peer, headers, options) } else { peer })
}

/// Whom a proxy that is believed saw.
pub(crate) fn seen_by(proxy: IpAddr, headers: &(impl Fields + ?Sized), options: &Options) -> IpAddr {
    // Each proxy appends whom it saw, so the list is read from its end; the first that is no proxy of ours made the call.
    let lines = headers.all(&X_FORWARDED_FOR).filter_map(|line| std::str::from_utf8(line).ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    let mut last = proxy.to_canonical();
    for hop in hops.iter().rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        last = address.to_canonical();
        if !is_trusted(last, options) {
            break;
        }
    }
    last
}

/// Whether an address is a listed proxy's.
pub(crate) fn is_trusted(address: IpAddr, options: &Options) -> bool {
    let address = address.to_canonical();
    options.trusted_proxies.iter().any(|proxy| proxy.contains(&address))
}

/// Where a request comes from: its address, what it is made with, and its name in the audit log.
pub(crate) struct Origin(pub(crate) Place);

impl FromRequestParts<Server> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let context = parts.extensions.get::<Context>();
        let peer = context.and_then(|context| context.peer);
        let agent = parts.headers.text(&USER_AGENT);
        Ok(Self(Place {
            ip: address(&parts.headers, peer, &server.options),
            user_agent: agent.map(str::to_owned),
            request_id: context.map(|context| context.request_id.0.to_string()),
        }))
    }
}

/// The id in a path. What is no text is no id of anything, and looks as a missing one does.
pub(crate) struct Id(pub(crate) String);

impl FromRequestParts<Server> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let found = Path::from_request_parts(parts, server).await;
        Ok(Self(found.map(|Path(id)| id).unwrap_or_default()))
    }
}

/// The two ids in a path, of a thing and of what belongs to it.
pub(crate) struct Ids(pub(crate) String, pub(crate) String);

impl FromRequestParts<Server> for Ids {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let found = Path::from_request_parts(parts, server).await;
        let (first, second) = found.map(|Path(ids)| ids).unwrap_or_default();
        Ok(Self(first, second))
    }
}

/// A JSON body of the right shape. An empty one stands for `{}`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Server> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Server) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body, MOST_BYTES).await?;
        json(&parts.headers, &bytes).map(Json)
    }
}

/// Reads a body of at most so many bytes.
pub(crate) async fn read<B>(body: B, most: usize) -> Result<Bytes, Problem>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(Limited::new(body, most).collect());
    // Nearly every body has come with its head; only one that has not is waited for by the clock.
    let collected = match poll_fn(|context| Poll::Ready(body.as_mut().poll(context))).await {
        Poll::Ready(body) => Ok(body),
        Poll::Pending => tokio::time::timeout(BODY_TIME, body).await,
    };
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new("TOO_LARGE", format!("the body is at most {most} bytes")))
        }
        Ok(Err(_)) => Err(Problem::new("INVALID_JSON", "the body broke off")),
        Err(_) => Err(Problem::new("TIMED_OUT", "the body did not arrive within 30 seconds")),
    }
}

/// Decodes JSON; what does not fit is told by its field.
pub(crate) fn json<'de, T>(headers: &(impl Fields + ?Sized), bytes: &'de [u8]) -> Result<T, Problem>
where
    T: Deserialize<'de>,
{
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    if bytes != b"{}" && !is_json(headers) {
        return Err(Problem::new("NOT_JSON", "send the header `Content-Type: application/json`"));
    }
    // A list would be taken for an object's fields in the order they are declared in.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Error::invalid("body", "is a list: send an object, as in {\"field\": …}").into());
    }
    // What is right is read at once; following the path to a mistake costs as much again as reading.
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut from).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            let reason = inner.to_string();
            misfit(error.path(), reason.split(" at line ").next().unwrap_or_default(), "body")
        } else {
            Problem::new("INVALID_JSON", format!("the body is not JSON: {inner}"))
        }
    })?;
    from.end().map_err(|_| Problem::new("INVALID_JSON", "there is something after the end of the JSON"))?;
    Ok(value)
}

/// What is said of a value of the wrong type, without the value: it may be a password, or a code (security.md 53).
fn without_value(reason: &str) -> Cow<'_, str> {
    let is_of_type = ["invalid type: ", "invalid value: "].iter().any(|begins| reason.starts_with(begins));
    let Some((before, expected)) = reason.rsplit_once(", expected ").filter(|_| is_of_type) else {
        return reason.into();
    };
    let kind = before.split(['`', '"']).next().unwrap_or_default().trim_end();
    // A type's name is nobody's who sends JSON.
    let expected = if expected.starts_with("struct ") { "an object" } else { expected };
    format!("{kind}, expected {expected}").into()
}

/// What does not fit the shape asked for, told by its field; `whole` names what is wrong where no field is.
pub(crate) fn misfit(path: &serde_path_to_error::Path, reason: &str, whole: &str) -> Problem {
    let place = path.to_string();
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let field = match (place.as_str(), missing) {
        (".", None) => whole.to_owned(),
        (".", Some(missing)) => missing.to_owned(),
        (_, Some(missing)) => format!("{place}.{missing}"),
        (_, None) => place,
    };
    Error::invalid(&field, if missing.is_some() { "is required".into() } else { without_value(reason) }).into()
}

fn is_json(headers: &(impl Fields + ?Sized)) -> bool {
    let kind = headers.text(&CONTENT_TYPE).unwrap_or_default();
    if kind == "application/json" {
        return true;
    }
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let suffix = kind.as_bytes().last_chunk::<5>();
    kind.eq_ignore_ascii_case("application/json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}

/// A form's fields.
pub(crate) async fn form(request: Request) -> Result<BTreeMap<String, String>, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, MOST_BYTES).await?;
    if !is_form(&parts.headers) {
        return Err(Problem::new(
            "NOT_JSON",
            "send a form: `Content-Type: application/x-www-form-urlencoded` with `name=value`",
        ));
    }
    Ok(serde_urlencoded::from_bytes(&bytes).unwrap_or_default())
}

fn is_form(headers: &impl Fields) -> bool {
    let kind = headers.text(&CONTENT_TYPE).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn from(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
        address(&headers, peer.parse().ok(), &Options { trusted_proxies, ..Options::default() }).unwrap().to_string()
    }

    #[test]
    fn nobodys_forwarded_address_is_believed_unless_listed() {
        assert_eq!(from("203.0.113.9", &["10.0.0.1"], &[]), "203.0.113.9");
        assert_eq!(from("203.0.113.9", &["10.0.0.1"], &["192.0.2.0/24"]), "203.0.113.9");
    }

    #[test]
    fn a_listed_proxy_is_believed_for_whom_it_saw_alone() {
        let trusted = ["127.0.0.0/8", "10.0.0.0/8"];
        assert_eq!(from("127.0.0.1", &["198.51.100.7"], &trusted), "198.51.100.7");
        assert_eq!(from("127.0.0.1", &["1.1.1.1, 198.51.100.7", "10.0.0.2"], &trusted), "198.51.100.7");
        assert_eq!(from("127.0.0.1", &["198.51.100.7, nonsense"], &trusted), "127.0.0.1");
        assert_eq!(from("::ffff:127.0.0.1", &["::ffff:198.51.100.7"], &trusted), "198.51.100.7");
    }

    #[test]
    fn two_credentials_are_none() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        assert!(credential(&headers).is_some_and(|(key, shown)| key == b"a" && shown == Shown::Bearer));
        headers.insert("x-api-key", HeaderValue::from_static("b"));
        assert!(credential(&headers).is_none());
        headers.remove("x-api-key");
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer c"));
        assert!(credential(&headers).is_none());
    }
}
