//! The gate: requests for real services, let through where the policy's routes say so.
//!
//! It is asked for every path that is none of the server's own. A request is matched to a route by its path as any
//! upstream would read it, its credential is verified as `POST /v1/keys/verify` does, with the same limits, credits and
//! lockouts, and what goes on to the upstream says who asks. What must stay true: nothing a client sends can stand where
//! the gate's own word is read, and a denial never reaches an upstream.
//!
//! A proxy of somebody's own can have the requests and ask about each (`forward_auth.rs`): the same route is found, and the
//! same is asked of whoever would enter.

mod admit;
mod assertion;
mod body;
mod connect;
mod envoy;
mod exchange;
mod forward;
mod forward_auth;
mod headers;
mod health;
mod kept;
mod relay;
mod request;
mod rewound;
mod snippet;
mod tries;
mod tunnel;
mod upstreams;

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::Incoming;
use keywright_core::policy::{Policy, PolicyError};
use keywright_core::route::{Address, ErrorShape, Route, Toll, Upstream};

use crate::extract::{Context, address};
use crate::fields::Fields;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::router::{Dialect, ROUTES};
use crate::{Options, Server, dashboard};

use assertion::Vouching;

pub(crate) use admit::{kind_of, meant};
pub(crate) use envoy::{answer as check, hears as hears_envoy};
pub(crate) use forward_auth::{PATHS as FORWARD_AUTH, ask};
pub use headers::{IDENTITY, MISLEADING};
pub(crate) use health::watch;
pub(crate) use relay::{Client, Relayed, is_for_gate, relay};
pub(crate) use request::Call;
pub use snippet::{Snippet, snippet};
pub(crate) use upstreams::Gateway;

/// Marks an answer as an upstream's: its headers are its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    /// How long its client may take nothing of it.
    pub(crate) idle: Duration,
}

/// A request that stops at the gate, and what its answer has besides.
struct Stopped {
    problem: Box<Problem>,
    headers: HeaderMap,
    shape: ErrorShape,
}

impl Stopped {
    fn new(problem: impl Into<Problem>, shape: ErrorShape) -> Self {
        Self { problem: Box::new(problem.into()), headers: HeaderMap::new(), shape }
    }

    /// The whole answer, in the words of its route.
    fn told(self, id: &RequestId) -> http::Response<Bytes> {
        let mut answer = self.problem.answer(id, dialect(self.shape));
        answer.headers_mut().extend(self.headers);
        answer
    }

    fn answer(self, context: &Context) -> http::Response<Bytes> {
        let mut answer = self.told(&context.request_id);
        if answer.status() == StatusCode::BAD_REQUEST {
            // Whoever sends what has two readings is not listened to any further.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

fn dialect(shape: ErrorShape) -> Dialect {
    match shape {
        ErrorShape::Native => Dialect::Native,
        ErrorShape::Wayscloud => Dialect::Wayscloud,
        ErrorShape::Wavis => Dialect::Wavis,
        ErrorShape::Cloudheed => Dialect::Cloudheed,
    }
}

/// Every path that is none of the server's own, where the router comes to it.
pub(crate) async fn pass(State(server): State<Server>, request: Request) -> Response {
    match request.extensions().get::<Context>().cloned() {
        Some(context) => answer(&server, &context, request).await,
        None => Problem::not_found().into_response(),
    }
}

/// The answer to a request for such a path.
pub(crate) async fn answer(server: &Server, context: &Context, request: Request) -> Response {
    let is_front = request.method() == Method::GET && request.uri().path() == "/";
    if server.app.world().policy.routes().is_empty() {
        return nowhere(is_front).await;
    }
    match through(server, context, request).await {
        Ok(Some(response)) => response,
        Ok(None) => nowhere(is_front).await,
        Err(stopped) => stopped.answer(context).map(Body::from),
    }
}

/// Where no route leads. Whoever comes in by the front finds people's pages.
async fn nowhere(is_front: bool) -> Response {
    if is_front { dashboard::home().await } else { Problem::not_found().into_response() }
}

/// The upstream's answer; none where no route is for such a path.
async fn through(server: &Server, context: &Context, request: Request) -> Result<Option<Response>, Stopped> {
    let world = server.app.world();
    let (parts, body) = request.into_parts();
    let call = Call::of(&parts);
    let Some(mut onward) = Onward::of(server, &world.policy, context, &call).await? else { return Ok(None) };
    onward.wants_tunnel = onward.route.websocket && tunnel::is_wanted(&parts);
    let mut response = forward::forward(&onward, body).await.map_err(|problem| onward.stopped(problem))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some(onward.answered(response)));
    }
    let Onward { route, from, guest, .. } = onward;
    let held = admit::hold(server, from, &parts, route)?;
    let joined = tunnel::join(server, route, held, &parts, &mut response);
    joined.map_err(|problem| Stopped::new(problem, route.errors))?;
    Ok(Some(answered(response, &guest, route, true)))
}

/// A request as it goes on, but for its body.
struct Onward<'a, F: ?Sized = HeaderMap> {
    server: &'a Server,
    context: &'a Context,
    route: &'a Route,
    /// As it came.
    call: &'a Call<'a, F>,
    /// The host it names, port included.
    authority: &'a str,
    guest: admit::Guest<'a>,
    from: Option<IpAddr>,
    /// What the upstream is asked for beneath its base.
    rest: &'a str,
    wants_tunnel: bool,
}

impl<'a, F: Fields + ?Sized> Onward<'a, F> {
    /// A request that may pass, and is paid for; none where no route is for such a path.
    async fn of(
        server: &'a Server,
        policy: &'a Policy,
        context: &'a Context,
        call: &'a Call<'a, F>,
    ) -> Result<Option<Self>, Stopped> {
        let Some(way) = leading(context, policy, call)? else { return Ok(None) };
        let from = address(call.fields, context.peer, &server.options);
        let guest = enter(server, from, call, &way.choice, &context.request_id).await?;
        Self::past(server, context, call, way, from, guest).map(Some)
    }

    /// The same, where nothing has to be waited for. Apart: what is never kept across a wait is kept where it costs least.
    fn at_once(
        server: &'a Server,
        policy: &'a Policy,
        context: &'a Context,
        call: &'a Call<'a, F>,
    ) -> Option<Result<Option<Self>, Stopped>> {
        let way = match leading(context, policy, call) {
            Ok(Some(way)) => way,
            Ok(None) => return Some(Ok(None)),
            Err(stopped) => return Some(Err(stopped)),
        };
        let from = address(call.fields, context.peer, &server.options);
        let guest = enter_at_once(server, from, call, &way.choice, &context.request_id)?;
        Some(guest.and_then(|guest| Self::past(server, context, call, way, from, guest)).map(Some))
    }

    /// One whose guest has been let in.
    fn past(
        server: &'a Server,
        context: &'a Context,
        call: &'a Call<'a, F>,
        way: Way<'a, 'a>,
        from: Option<IpAddr>,
        guest: admit::Guest<'a>,
    ) -> Result<Self, Stopped> {
        let Way { target, choice, rest } = way;
        let route = choice.route;
        if body::declared(call.fields).is_some_and(|length| length > route.body_limit) {
            return Err(Stopped::new(too_large(route), route.errors));
        }
        let authority = target.authority;
        Ok(Self { server, context, route, call, authority, guest, from, rest, wants_tunnel: false })
    }

    fn stopped(&self, problem: Problem) -> Stopped {
        Stopped::new(problem, self.route.errors)
    }

    /// What the upstream at this address is asked for, with the query of what was asked here.
    fn path(&self, address: &Address) -> String {
        self.target(address).concat()
    }

    /// The same in its parts.
    fn target<'t>(&'t self, address: &'t Address) -> [&'t str; 4] {
        with_query(&address.base, self.rest, self.call.query)
    }

    /// What is signed for the upstream at this address; nothing where its route asks for nothing signed.
    fn signed(&self, address: &Address) -> Result<String, Problem> {
        let Self { server, context, route, call, guest, .. } = self;
        match Vouching::of(server, context, route, guest) {
            // About the path as this upstream reads it, its base included.
            Some(vouching) => vouching.sign(call.method, &self.path(address)),
            None => Ok(String::new()),
        }
    }

    /// The upstream's answer as the client sees it.
    fn answered(&self, response: http::Response<Incoming>) -> Response {
        answered(response, &self.guest, self.route, self.wants_tunnel)
    }
}

fn answered(
    mut response: http::Response<Incoming>,
    guest: &admit::Guest<'_>,
    route: &Route,
    is_tunnel: bool,
) -> Response {
    headers::back(response.headers_mut(), is_tunnel);
    if let Some(limits) = &guest.limits {
        response.headers_mut().extend(HeaderMap::clone(limits));
    }
    let idle = body::wait(route.timeouts.idle);
    response.extensions_mut().insert(Passed { idle });
    response.map(|body| Body::new(body::Download::new(body, idle)))
}

/// What an upstream is asked for, with the query of what was asked here.
fn with_query<'t>(base: &'t str, rest: &'t str, query: Option<&'t str>) -> [&'t str; 4] {
    [base, rest, query.map_or("", |_| "?"), query.unwrap_or_default()]
}

/// The way a request takes.
struct Way<'p, 'r> {
    target: request::Target<'r>,
    choice: admit::Choice<'p, 'r>,
    /// What the upstream is asked for.
    rest: &'r str,
}

/// The way for a request; none where no route is for such a path.
fn find<'p, 'r, F: Fields + ?Sized>(
    context: &Context,
    policy: &'p Policy,
    call: &Call<'r, F>,
) -> Result<Option<Way<'p, 'r>>, Stopped> {
    let target = request::read(call, context, policy)?;
    let Some(choice) = admit::choose(policy, call, &target) else { return Ok(None) };
    let route = choice.route;
    let Some(rest) = route.beyond(call.path) else {
        let problem = Problem::new("BAD_REQUEST", format!("write {} in plain letters", route.path));
        return Err(Stopped::new(problem, route.errors));
    };
    Ok(Some(Way { target, choice, rest }))
}

/// The same, where it leads somewhere. Where a route leads nowhere, only proxies ask about it.
fn leading<'p, 'r, F: Fields + ?Sized>(
    context: &Context,
    policy: &'p Policy,
    call: &Call<'r, F>,
) -> Result<Option<Way<'p, 'r>>, Stopped> {
    Ok(find(context, policy, call)?.filter(|way| !way.choice.route.upstreams.is_empty()))
}

/// Who goes this way, if they may. It is paid for here.
async fn enter<'s, F: Fields + ?Sized>(
    server: &'s Server,
    ip: Option<IpAddr>,
    call: &Call<'_, F>,
    choice: &admit::Choice<'_, '_>,
    id: &RequestId,
) -> Result<admit::Guest<'s>, Stopped> {
    match toll(call, choice)? {
        Some(toll) => admit::admit(server, ip, call.fields, choice, toll, id).await,
        None => Ok(admit::Guest::default()),
    }
}

/// The same, where nothing has to be waited for.
fn enter_at_once<'s, F: Fields + ?Sized>(
    server: &'s Server,
    ip: Option<IpAddr>,
    call: &Call<'_, F>,
    choice: &admit::Choice<'_, '_>,
    id: &RequestId,
) -> Option<Result<admit::Guest<'s>, Stopped>> {
    match toll(call, choice) {
        Ok(Some(toll)) => admit::admit_at_once(server, ip, call.fields, choice, toll, id),
        Ok(None) => Some(Ok(admit::Guest::default())),
        Err(stopped) => Some(Err(stopped)),
    }
}

/// What this way asks for; nothing where a browser only asks whether it may ask.
fn toll<'p, F: ?Sized>(call: &Call<'_, F>, choice: &admit::Choice<'p, '_>) -> Result<Option<&'p Toll>, Stopped> {
    let route = choice.route;
    match route.toll(call.method.as_str()) {
        _ if choice.is_preflight => Ok(None),
        Some(toll) => Ok(Some(toll)),
        None => Err(not_allowed(route)),
    }
}

fn not_allowed(route: &Route) -> Stopped {
    let listed: Vec<&str> = route.methods.iter().map(|(method, _)| method.as_str()).collect();
    let problem = Problem::new("METHOD_NOT_ALLOWED", format!("this path takes {}", listed.join(", ")));
    let mut stopped = Stopped::new(problem, route.errors);
    if let Ok(listed) = HeaderValue::from_str(&listed.join(", ")) {
        stopped.headers.insert(ALLOW, listed);
    }
    stopped
}

fn too_large(route: &Route) -> Problem {
    Problem::new("TOO_LARGE", format!("the body is at most {} bytes", route.body_limit))
}

/// What is wrong with a policy's routes that only this server can tell: upstreams it has no address of, and paths it
/// answers itself.
#[must_use]
pub fn check_routes(policy: &Policy, options: &Options) -> Vec<PolicyError> {
    let mut errors = Vec::new();
    for route in policy.routes() {
        for upstream in &route.upstreams {
            let Upstream::Named(name) = upstream else { continue };
            if !options.upstreams.contains_key(name) {
                let message = format!(
                    "route.{}: the configuration has no upstream `{name}`: add {name} = \"http://10.0.0.5:9000\" under \
                     [upstreams] there, or write the address here",
                    route.name
                );
                errors.push(PolicyError { line: route.line, message });
            }
        }
        let own = ROUTES.iter().map(|own| own.path).find(|own| is_own(own, &route.path));
        let asked = route.path.starts_with(forward_auth::PREFIX).then_some(FORWARD_AUTH);
        if let Some(own) = own.or(asked) {
            let message = format!(
                "route.{}: the server answers {own} itself, and nothing would pass here: choose another path",
                route.name
            );
            errors.push(PolicyError { line: route.line, message });
        }
    }
    errors
}

fn is_own(template: &str, path: &str) -> bool {
    let (own, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    own.len() == path.len() && own.iter().zip(&path).all(|(own, part)| own.starts_with('{') || own == part)
}
