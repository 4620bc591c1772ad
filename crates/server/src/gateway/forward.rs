//! One request to an upstream, to the next one where nothing of it has been sent, and what is told where none answers.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use keywright_core::route::{Address, Route};
use tokio::time::sleep;

use super::assertion::Vouching;
use super::body::{Fault, Source, Upload, wait};
use super::connect::Unproven;
use super::upstreams::Upstreams;
use super::{Onward, headers, too_large};
use crate::problem::Problem;

/// Upstreams one request is tried at.
const MOST_TRIES: usize = 3;

/// Why there is no answer.
enum Failure {
    /// There was no connection: nothing has been sent.
    Unreached { timed_out: bool },
    /// It did not prove who it is: nothing has been sent. Says why.
    Unproven(String),
    /// The connection broke before the answer began.
    Broken,
    /// The answer did not begin in time.
    Slow,
}

/// An upstream's answer.
pub(super) async fn forward(onward: &Onward<'_>, body: Body) -> Result<Response<Incoming>, Problem> {
    let Onward { server, route, parts, .. } = onward;
    let now = server.app.now();
    let addresses = server.gateway.addresses(route, &server.options, now);
    let source = Source::new(body, route.body_limit);
    let mut failure = None;
    let mut tries = 0;
    for place in addresses.iter().cycle() {
        tries += 1;
        let address = place.address;
        let client = server.gateway.client(place, route.timeouts, &server.options);
        let request = request(onward, address, &source)?;
        let failed = match send(&client, request, route, &source).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS && !onward.wants_tunnel => {
                tracing::warn!(route = route.name, %address, "the upstream switches protocols unasked");
                return Err(unreachable());
            }
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        if let Some(fault) = source.fault() {
            return Err(told(fault, route));
        }
        let again = may_try_again(&failed, &parts.method, &source, addresses.len());
        if !matches!(failed, Failure::Slow) {
            server.gateway.note_down(address, now);
        }
        tracing::warn!(route = route.name, %address, again, "{}", why(&failed));
        failure = Some(failed);
        if !again || tries >= MOST_TRIES.min(addresses.len().max(2)) {
            break;
        }
    }
    match failure {
        Some(Failure::Slow | Failure::Unreached { timed_out: true }) => {
            Err(Problem::new("UPSTREAM_TIMED_OUT", "the service behind this path did not answer in time"))
        }
        Some(Failure::Unproven(_)) => {
            let detail = "the service behind this path could not prove who it is, and was told nothing";
            Err(Problem::new("UPSTREAM_UNREACHABLE", detail))
        }
        Some(Failure::Broken | Failure::Unreached { timed_out: false }) | None => Err(unreachable()),
    }
}

fn unreachable() -> Problem {
    Problem::new("UPSTREAM_UNREACHABLE", "the service behind this path is out of reach: try again in a moment")
}

/// Whether another try could do harm. Nothing has been sent without a connection, and what only reads, or leaves the same
/// behind however often it is done (RFC 9110, 9.2.2), may be asked twice where no body was begun.
fn may_try_again(failed: &Failure, method: &Method, source: &Source, upstreams: usize) -> bool {
    match failed {
        Failure::Unreached { .. } | Failure::Unproven(_) => !source.is_begun() && upstreams > 1,
        Failure::Broken => method.is_idempotent() && source.is_empty(),
        Failure::Slow => false,
    }
}

fn why(failed: &Failure) -> &str {
    match failed {
        Failure::Unproven(reason) => reason,
        Failure::Unreached { timed_out: true } => "no connection to the upstream in time",
        Failure::Unreached { timed_out: false } => "no connection to the upstream",
        Failure::Broken => "the upstream broke off before it answered",
        Failure::Slow => "the upstream did not begin to answer in time",
    }
}

fn told(fault: Fault, route: &Route) -> Problem {
    match fault {
        Fault::TooLarge => too_large(route),
        Fault::Silent => Problem::new("TIMED_OUT", "nothing more of the body arrived"),
        Fault::BrokenOff => Problem::new("BAD_REQUEST", "the body broke off"),
    }
}

fn request(onward: &Onward<'_>, address: &Address, source: &Arc<Source>) -> Result<Request<Upload>, Problem> {
    let Onward { server, context, route, parts, guest, path, .. } = onward;
    let uri = Uri::from_maybe_shared(Bytes::from(format!("{address}{path}")));
    let uri = uri.map_err(|_| Problem::new("BAD_REQUEST", "the path cannot be passed on"))?;
    let mut request = Request::new(Upload::new(source, wait(route.timeouts.idle)));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = onward.headers();
    if let Some(vouching) = Vouching::of(server, context, route, guest) {
        // About the path as this upstream reads it, its base included.
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let signed = vouching.sign(&parts.method, target)?;
        request.headers_mut().insert(headers::ASSERTION, signed);
    }
    Ok(request)
}

/// Asks one upstream. The time until its answer begins counts from the last piece of the body it took.
async fn send(
    client: &Upstreams,
    request: Request<Upload>,
    route: &Route,
    source: &Source,
) -> Result<Response<Incoming>, Failure> {
    let header = wait(route.timeouts.header);
    let mut asking = std::pin::pin!(client.request(request));
    loop {
        tokio::select! {
            biased;
            answer = &mut asking => return answer.map_err(|error| failure(&error)),
            () = source.moved() => {}
            () = sleep(header) => {
                if !source.waits_for_client() {
                    return Err(Failure::Slow);
                }
            }
        }
    }
}

fn failure(error: &hyper_util::client::legacy::Error) -> Failure {
    if !error.is_connect() {
        return Failure::Broken;
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(Unproven(reason)) = inner.downcast_ref::<Unproven>() {
            return Failure::Unproven(reason.clone());
        }
        if inner.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Failure::Unreached { timed_out: true };
        }
        cause = inner.source();
    }
    Failure::Unreached { timed_out: false }
}
