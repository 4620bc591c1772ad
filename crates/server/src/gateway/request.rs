//! What a request is for: its host and its path, or why it is refused before anything else is looked at.

use http::Version;
use http::header::HOST;
use http::request::Parts;
use keywright_core::policy::Policy;
use keywright_core::route::{ErrorShape, host_of, plain_path};

use super::Stopped;
use crate::extract::Context;
use crate::problem::Problem;

/// What a request is for.
pub(super) struct Target {
    /// As it was sent, port included.
    pub(super) authority: String,
    /// To look routes up by.
    pub(super) host: String,
    /// The path as any upstream would read it.
    pub(super) plain: String,
}

/// Reads what a request is for.
pub(super) fn read(parts: &Parts, context: &Context, policy: &Policy) -> Result<Target, Stopped> {
    let bad = |shape, detail: &str| Stopped::new(Problem::new("BAD_REQUEST", detail), shape);
    let authority = authority(parts, context).map_err(|detail| bad(ErrorShape::Native, detail))?;
    let host = host_of(&authority).trim_end_matches('.').to_ascii_lowercase();
    let sent = parts.uri.path();
    let plain = plain_path(sent).map_err(|detail| {
        // Told in the words of whoever's path it begins like.
        let meant = policy.routes().iter().find(|route| route.serves(&host) && sent.starts_with(route.path.as_str()));
        bad(meant.map_or(ErrorShape::Native, |route| route.errors), &format!("the path has two readings: {detail}"))
    })?;
    Ok(Target { authority, host, plain })
}

/// The one host a request names.
fn authority(parts: &Parts, context: &Context) -> Result<String, &'static str> {
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
        (None, Some(host)) => Ok(host.to_owned()),
        (Some(absolute), Some(host)) if absolute.as_str().eq_ignore_ascii_case(host) => match parts.uri.scheme_str() {
            Some("http" | "https") => Ok(host.to_owned()),
            _ => Err("only http and https pass"),
        },
        (Some(_), Some(_)) => Err("the request names one host in its line and another in its Host header"),
        // A call inside the process, or of a time before the header.
        (None, None) if context.peer.is_none() || parts.version == Version::HTTP_10 => Ok(String::new()),
        (_, None) => Err("send a Host header"),
    }
}

fn is_authority(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)) && !host_of(text).is_empty()
}
