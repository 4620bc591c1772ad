//! What a request is for: its host and its path, or why it is refused before anything else is looked at.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::Version;
use http::header::HOST;
use http::request::Parts;
use keywright_core::policy::Policy;
use keywright_core::route::{ErrorShape, host_of, plain_path};

use super::Stopped;
use crate::extract::Context;
use crate::problem::Problem;

/// What a request is for.
pub(super) struct Target<'r> {
    /// As it was sent, port included.
    pub(super) authority: &'r str,
    /// To look routes up by.
    pub(super) host: Cow<'r, str>,
    /// The path as any upstream would read it.
    pub(super) plain: String,
}

/// Reads what a request is for.
pub(super) fn read<'r>(parts: &'r Parts, context: &Context, policy: &Policy) -> Result<Target<'r>, Stopped> {
    let bad = |shape, detail: &str| Stopped::new(Problem::new("BAD_REQUEST", detail), shape);
    let authority = authority(parts, context).map_err(|detail| bad(ErrorShape::Native, detail))?;
    let host = host_of(authority).trim_end_matches('.');
    let is_lower = !host.bytes().any(|byte| byte.is_ascii_uppercase());
    let host = if is_lower { Cow::Borrowed(host) } else { Cow::Owned(host.to_ascii_lowercase()) };
    let sent = parts.uri.path();
    let plain = plain_path(sent).map_err(|detail| {
        // Told in the words of whoever's path it begins like.
        let meant = policy.routes().iter().find(|route| route.serves(&host) && sent.starts_with(route.path.as_str()));
        bad(meant.map_or(ErrorShape::Native, |route| route.errors), &format!("the path has two readings: {detail}"))
    })?;
    Ok(Target { authority, host, plain })
}

/// The one host a request names.
fn authority<'r>(parts: &'r Parts, context: &Context) -> Result<&'r str, &'static str> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err("send one Host header");
    }
    let named = match first {
        Some(host) => Some(host.to_str().map_err(|_| "the Host header is no host")?),
        None => None,
    };
    if named.is_some_and(|host| !is_authority(host)) {
        return Err("the Host header is no host");
    }
    match (parts.uri.authority(), named) {
        (None, Some(host)) => Ok(host),
        (Some(absolute), Some(host)) if absolute.as_str().eq_ignore_ascii_case(host) => match parts.uri.scheme_str() {
            Some("http" | "https") => Ok(host),
            _ => Err("only http and https pass"),
        },
        (Some(_), Some(_)) => Err("the request names one host in its line and another in its Host header"),
        // A call inside the process, or of a time before the header.
        (None, None) if context.peer.is_none() || parts.version == Version::HTTP_10 => Ok(""),
        (_, None) => Err("send a Host header"),
    }
}

fn is_authority(text: &str) -> bool {
    let host = host_of(text);
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    let port = text.get(host.len()..).unwrap_or_default();
    let is_port = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    is_host && (port.is_empty() || port == ":" || port.strip_prefix(':').is_some_and(is_port))
}
