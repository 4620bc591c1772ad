//! Makes of Envoy's question the request it is about.
//!
//! What must stay true: nothing is read from two places that could differ; and what a client can bring about is its own
//! mistake, which is answered, and never a fault of the question, which an Envoy told to fail open would take for a yes.

use std::net::IpAddr;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::messages::{CheckRequest, HeaderValue as Line, HttpRequest};
use crate::gateway::forward_auth::uri;

/// A request Envoy has.
pub(super) struct Question {
    pub(super) parts: Parts,
    /// Where it comes from, as Envoy sees it.
    pub(super) from: IpAddr,
    pub(super) scheme: &'static str,
    /// As it was sent, port included.
    pub(super) host: String,
}

/// Why nothing is decided.
pub(super) enum Unread {
    /// Envoy does not ask as it was told to.
    Question(&'static str),
    /// What its client sent has two readings, or none.
    Request(String),
}

/// Reads a question.
pub(super) fn read(question: CheckRequest) -> Result<Question, Unread> {
    let attributes = question.attributes.unwrap_or_default();
    let sender = attributes.source.and_then(|source| source.address).and_then(|address| address.socket_address);
    let http = attributes
        .request
        .and_then(|request| request.http)
        .ok_or(Unread::Question("the question is about no HTTP request: ask by Envoy's filter for HTTP"))?;
    // The zone of a link-local address is of Envoy's machine.
    let from = sender.and_then(|sender| sender.address.split('%').next().and_then(|text| text.parse().ok()));
    let from = from.ok_or(Unread::Question("the question does not say what address the request comes from"))?;
    if !http.query.is_empty() || !http.fragment.is_empty() {
        return Err(Unread::Question("the question says the query or the fragment apart from the path"));
    }
    let headers = headers(&http)?;
    let client = |detail: &str| Unread::Request(detail.to_owned());
    let method = Method::from_bytes(&http.method).map_err(|_| client("the method is none"))?;
    let path = std::str::from_utf8(&http.path).map_err(|_| client("the path is not UTF-8"))?;
    let host = std::str::from_utf8(&http.host).map_err(|_| client("the host is none"))?.to_owned();
    let scheme = match http.scheme.as_ref() {
        b"https" => "https",
        b"http" | b"" => "http",
        _ => return Err(client("only http and https pass")),
    };
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.headers) = (method, uri(path).map_err(Unread::Request)?, headers);
    if !host.is_empty() {
        let host = HeaderValue::from_str(&host).map_err(|_| client("the host is none"))?;
        parts.headers.insert(HOST, host);
    }
    Ok(Question { parts, from, scheme, host })
}

/// A request's headers, from the one of two places where Envoy writes them.
fn headers(http: &HttpRequest) -> Result<HeaderMap, Unread> {
    let listed = http.header_map.as_ref().map(|map| map.headers.as_slice()).unwrap_or_default();
    let lines = match (http.headers.as_slice(), listed) {
        (joined, []) => joined,
        ([], listed) => listed,
        _ => return Err(Unread::Question("the question says the headers twice")),
    };
    let is_map = listed.is_empty();
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = value(line)?;
        if line.key.starts_with(b":") {
            agree(http, &line.key, value)?;
            continue;
        }
        let name = HeaderName::from_bytes(&line.key).map_err(|_| bad("the name of a header is none"))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| bad("the value of a header is none"))?;
        if name == HOST {
            agree(http, b":authority", value.as_bytes())?;
            continue;
        }
        let is_there = headers.try_append(name, value).map_err(|_| bad("there are too many headers"))?;
        if is_there && is_map {
            return Err(Unread::Question("the question says a header twice"));
        }
    }
    Ok(headers)
}

fn bad(detail: &str) -> Unread {
    Unread::Request(detail.to_owned())
}

/// The value of a header, from the one of two places where Envoy writes it.
fn value(line: &Line) -> Result<&[u8], Unread> {
    match (line.value.as_ref(), line.raw_value.as_ref()) {
        (text, []) => Ok(text),
        ([], raw) => Ok(raw),
        _ => Err(Unread::Question("the question says the value of a header twice")),
    }
}

/// What HTTP/2 makes a header of is said among the headers, too.
fn agree(http: &HttpRequest, name: &[u8], value: &[u8]) -> Result<(), Unread> {
    let said = match name {
        b":method" => &http.method,
        b":path" => &http.path,
        b":authority" => &http.host,
        b":scheme" => &http.scheme,
        // Of HTTP/2's other ones nothing is read.
        _ => return Ok(()),
    };
    if said == value { Ok(()) } else { Err(Unread::Question("the question has two readings of what was asked for")) }
}
