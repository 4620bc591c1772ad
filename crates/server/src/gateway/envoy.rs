//! Envoy's `ext_authz` over gRPC: the gate's second door in Envoy's own words, `envoy.service.auth.v3.Authorization/Check`.
//!
//! What must stay true: the request a question is about takes the way every request takes, and is answered in the same
//! words; a denial is an answer and not an error, which Envoy can be told to take for a yes; and of a request that may pass,
//! every header is set that says who asks, and every one taken off that could be mistaken for it.

mod messages;
mod question;
mod verdict;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use keywright_core::forward_auth::Proxy;
use keywright_core::policy::Policy;
use keywright_core::route::ErrorShape;
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic_prost::ProstCodec;
use tower::service_fn;

use self::messages::{CheckRequest, CheckResponse};
use self::question::{Question, Unread};
use super::forward_auth::{UNLISTED, enter_by, vouched};
use super::headers::{Change, Whence, Written as _};
use super::request::Call;
use super::{Stopped, headers};
use crate::Server;
use crate::extract::{Context, address};
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::router::{finish, method_name};

/// Where Envoy asks.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// The most a question may be: four times what Envoy lets the headers of a request be, unless it is told otherwise.
const MOST_BYTES: usize = 256 * 1_024;
/// What requests that could not be read are counted as, instead of by their method.
const UNREAD: &str = "OTHER";
/// How long a question may take, its way here included.
const CALL_TIME: Duration = Duration::from_secs(10);

/// The answer to a call over HTTP/2.
pub(crate) async fn answer(server: &Server, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if request.method() != Method::POST || !kind.starts_with(b"application/grpc") {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    if request.uri().path() != CHECK {
        return Status::unimplemented("over HTTP/2 only Envoy's Authorization/Check is answered").into_http();
    }
    let codec = ProstCodec::<CheckResponse, CheckRequest>::default();
    let mut grpc = Grpc::new(codec).max_decoding_message_size(MOST_BYTES);
    let check = service_fn(async |question: tonic::Request<CheckRequest>| {
        check(server, peer, question.into_inner()).await.map(tonic::Response::new)
    });
    let answered = tokio::time::timeout(CALL_TIME, grpc.unary(check, request)).await;
    answered.unwrap_or_else(|_| Status::deadline_exceeded("the question took too long").into_http())
}

/// Whether a proxy is answered here that connects from this address.
pub(crate) fn hears(policy: &Policy, peer: IpAddr) -> bool {
    let who = policy.forward_auth();
    who.answers(Proxy::Envoy) && who.lists(peer)
}

async fn check(server: &Server, peer: IpAddr, question: CheckRequest) -> Result<CheckResponse, Status> {
    // Asked of each call: what the policy lists may change while a connection stays.
    let world = server.app.world();
    if !world.policy.forward_auth().answers(Proxy::Envoy) {
        return Err(Status::unimplemented("forward_auth.dialects in the policy does not list envoy"));
    }
    if !world.policy.forward_auth().lists(peer) {
        return Err(Status::permission_denied(UNLISTED));
    }
    let question = match question::read(question) {
        Ok(question) => question,
        Err(Unread::Question(says)) => return Err(Status::invalid_argument(says)),
        Err(Unread::Request(detail)) => {
            let stopped = Stopped::new(Problem::new("BAD_REQUEST", detail), ErrorShape::Native);
            let answer = refusal(stopped, &RequestId::of(&HeaderMap::new()));
            // What its method is may be what cannot be read.
            server.metrics.count_request(UNREAD, answer.status());
            return Ok(verdict::denied(&answer));
        }
    };
    let request_id = RequestId::of(&question.parts.headers);
    let context = Context { peer: Some(peer), request_id, is_local: false };
    let decided = decide(server, &context, &world.policy, &question).await;
    let (status, said) = match decided {
        Ok((change, told)) => (StatusCode::OK, verdict::allowed(&change, &told)),
        Err(stopped) => {
            let answer = refusal(stopped, &context.request_id);
            (answer.status(), verdict::denied(&answer))
        }
    };
    let method = &question.parts.method;
    server.metrics.count_request(method_name(method), status);
    tracing::debug!(%method, route = CHECK, status = status.as_u16(), request_id = context.request_id.0.as_str(), "answered");
    Ok(said)
}

/// What becomes of the headers of a request that may pass, and what its client is told.
async fn decide(
    server: &Server,
    context: &Context,
    policy: &Policy,
    question: &Question,
) -> Result<(Change, HeaderMap), Stopped> {
    let Question { parts, from, scheme, host } = question;
    // Whom Envoy sees may be a proxy itself, which is believed where it is listed as one.
    let ip = address(&parts.headers, Some(*from), &server.options);
    let call = Call::of(parts);
    let (way, guest) = enter_by(server, context, policy, &call, ip).await?;
    let whence = Whence { from: ip, scheme, host };
    let mut change = headers::change(&parts.headers, way.choice.route, &guest, &whence, &context.request_id);
    change.set.say(headers::ASSERTION, &vouched(server, context, way, &call, &guest)?);
    Ok((change, guest.limits.map(|limits| *limits).unwrap_or_default()))
}

/// The answer to give to a request that may not pass, as the gate itself would.
fn refusal(stopped: Stopped, id: &RequestId) -> Response<Bytes> {
    let mut answer = stopped.told(id);
    finish(answer.headers_mut(), id);
    // The connection is for Envoy to keep or to close.
    answer.headers_mut().remove(CONNECTION);
    answer
}
