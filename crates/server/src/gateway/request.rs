//! What a request is for: its host and its path, or why it is refused before anything else is looked at.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use keywright_core::policy::Policy;
use keywright_core::route::{ErrorShape, host_of, plain_path};

use super::Stopped;
use crate::extract::Context;
use crate::fields::Fields;
use crate::problem::Problem;

/// What a request's head says, whoever has read it.
pub(crate) struct Call<'r, F: ?Sized = HeaderMap> {
    pub(crate) method: &'r Method,
    /// As it was sent.
    pub(crate) path: &'r str,
    pub(crate) query: Option<&'r str>,
    pub(crate) fields: &'r F,
    /// The scheme and the host, where its line names a host.
    absolute: Option<(Option<&'r str>, &'r str)>,
    /// Whether it is of a time when every request named a host.
    has_host: bool,
}

impl<'r> Call<'r> {
    /// What the library has read.
    pub(super) fn of(parts: &'r Parts) -> Self {
        let Parts { method, uri, headers, version, .. } = parts;
        Self {
            method,
            path: uri.path(),
            query: uri.query(),
            fields: headers,
            absolute: uri.authority().map(|authority| (uri.scheme_str(), authority.as_str())),
            has_host: *version != Version::HTTP_10,
        }
    }
}

impl<'r, F: ?Sized> Call<'r, F> {
    /// A request of today that names its path alone.
    pub(crate) fn plain(method: &'r Method, target: &'r str, fields: &'r F) -> Self {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Self { method, path, query, fields, absolute: None, has_host: true }
    }
}

/// What a request is for.
pub(super) struct Target<'r> {
    /// As it was sent, port included.
    pub(super) authority: &'r str,
    /// To look routes up by.
    pub(super) host: Cow<'r, str>,
    /// The path as any upstream would read it.
    pub(super) plain: Cow<'r, str>,
}

/// Reads what a request is for.
pub(super) fn read<'r, F: Fields + ?Sized>(
    call: &Call<'r, F>,
    context: &Context,
    policy: &Policy,
) -> Result<Target<'r>, Stopped> {
    let bad = |shape, detail: &str| Stopped::new(Problem::new("BAD_REQUEST", detail), shape);
    let (authority, host) = authority(call, context).map_err(|detail| bad(ErrorShape::Native, detail))?;
    let host = host.trim_end_matches('.');
    let is_lower = host.bytes().fold(true, |all, byte| all & !byte.is_ascii_uppercase());
    let host = if is_lower { Cow::Borrowed(host) } else { Cow::Owned(host.to_ascii_lowercase()) };
    let sent = call.path;
    let plain = plain_path(sent).map_err(|detail| {
        // Told in the words of whoever's path it begins like.
        let meant = policy.routes().iter().find(|route| route.serves(&host) && sent.starts_with(route.path.as_str()));
        bad(meant.map_or(ErrorShape::Native, |route| route.errors), &format!("the path has two readings: {detail}"))
    })?;
    Ok(Target { authority, host, plain })
}

/// The one host a request names: with its port, and without it.
fn authority<'r, F: Fields + ?Sized>(
    call: &Call<'r, F>,
    context: &Context,
) -> Result<(&'r str, &'r str), &'static str> {
    let mut hosts = call.fields.all(&HOST);
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err("send one Host header");
    }
    let read = |host| std::str::from_utf8(host).ok().and_then(|text| Some((text, host_in(text)?)));
    let named = first.map(|host| read(host).ok_or("the Host header is no host")).transpose()?;
    match (call.absolute, named) {
        (None, Some(named)) => Ok(named),
        (Some((scheme, absolute)), Some(named)) if absolute.eq_ignore_ascii_case(named.0) => match scheme {
            Some("http" | "https") => Ok(named),
            _ => Err("only http and https pass"),
        },
        (Some(_), Some(_)) => Err("the request names one host in its line and another in its Host header"),
        // A call inside the process, or of a time before the header.
        (None, None) if context.peer.is_none() || !call.has_host => Ok(("", "")),
        (_, None) => Err("send a Host header"),
    }
}

/// The host of what is a host, perhaps with a port.
fn host_in(text: &str) -> Option<&str> {
    let host = host_of(text);
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().fold(true, |all, byte| all & is_of_host(byte)),
    };
    let port = text.get(host.len()..).unwrap_or_default();
    let is_port = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    let is_whole = is_host && (port.is_empty() || port == ":" || port.strip_prefix(':').is_some_and(is_port));
    is_whole.then_some(host)
}

const fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_')
}
