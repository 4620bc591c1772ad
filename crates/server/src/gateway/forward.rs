//! One request to an upstream, by the HTTP library: whatever it carries, and whatever comes of it.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use keywright_core::route::{Address, Route};
use tokio::time::sleep;

use super::body::{Fault, Source, Upload, wait};
use super::tries::{Failure, Sent, Tries, unreachable, unreached};
use super::upstreams::Upstreams;
use super::{Onward, too_large};
use crate::problem::Problem;

/// An upstream's answer.
pub(super) async fn forward(onward: &Onward<'_>, body: Body) -> Result<Response<Incoming>, Problem> {
    let Onward { server, route, .. } = onward;
    let source = Source::new(body, route.body_limit);
    let mut tries = Tries::of(onward);
    loop {
        let place = tries.place()?;
        let client = server.gateway.client(&place, route.timeouts, &server.options);
        let request = request(onward, place.address, &source)?;
        let failed = match send(&client, request, route, &source).await {
            Ok(response) => return expected(response, onward, place.address),
            Err(failed) => failed,
        };
        if let Some(fault) = source.fault() {
            return Err(told(fault, route));
        }
        tries.failed(place, &failed, Sent { is_empty: source.is_empty(), is_begun: source.is_begun() })?;
    }
}

/// An answer, unless it is of a kind that was not asked for.
pub(super) fn expected<F: ?Sized>(
    response: Response<Incoming>,
    onward: &Onward<'_, F>,
    address: &Address,
) -> Result<Response<Incoming>, Problem> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !onward.wants_tunnel {
        tracing::warn!(route = onward.route.name, %address, "the upstream switches protocols unasked");
        return Err(unreachable());
    }
    Ok(response)
}

fn told(fault: Fault, route: &Route) -> Problem {
    match fault {
        Fault::TooLarge => too_large(route),
        Fault::Silent => Problem::new("TIMED_OUT", "nothing more of the body arrived"),
        Fault::BrokenOff => Problem::new("BAD_REQUEST", "the body broke off"),
    }
}

fn request(onward: &Onward<'_>, address: &Address, source: &Arc<Source>) -> Result<Request<Upload>, Problem> {
    let Onward { route, call, .. } = onward;
    let scheme = if address.is_tls { "https://" } else { "http://" };
    let uri = Uri::from_maybe_shared(Bytes::from([scheme, &address.authority, &onward.path(address)].concat()));
    let uri = uri.map_err(|_| Problem::new("BAD_REQUEST", "the path cannot be passed on"))?;
    let mut request = Request::new(Upload::new(source, wait(route.timeouts.idle)));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = onward.headers(&onward.signed(address)?);
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
    if error.is_connect() { unreached(error) } else { Failure::Broken }
}
