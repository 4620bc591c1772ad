//! Every route, on one page.
//!
//! The table makes both the router and [`ROUTES`], the list the refusal test walks: a route cannot be in one alone.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use http::header::{ALLOW, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method};
use keywright_app::App;

use crate::api::{accounts, audit, import, keys, lifecycle, own, tokens, verify};
use crate::extract::{Context, LocalOperator, Who, read};
use crate::problem::Problem;
use crate::request_id::{self, RequestId};
use crate::{Options, Server, docs, health};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: anybody may call it.
    Nothing,
    /// A key that works, whatever it may do.
    Key,
    /// This permission.
    Permission(&'static str),
    /// This permission, and to be an operator.
    Operator(&'static str),
}

macro_rules! routes {
    ($($method:ident $path:literal, $needs:expr => $handler:expr;)*) => {
        /// Every route: method, path, what it asks of its caller.
        pub const ROUTES: &[(&str, &str, Needs)] = &[$((stringify!($method), $path, $needs)),*];

        fn table() -> Router<Server> {
            Router::new()$(.route($path, on(MethodFilter::$method, $handler)))*
        }
    };
}

use Needs::{Key, Nothing, Operator, Permission};

routes! {
    POST   "/v1/keys",              Permission("keys:write")  => keys::create;
    GET    "/v1/keys",              Permission("keys:read")   => keys::list;
    POST   "/v1/keys/verify",       Permission("keys:verify") => verify_routed;
    POST   "/v1/keys/verify-batch", Permission("keys:verify") => verify::verify_batch;
    POST   "/v1/keys/explain",      Operator("keys:explain")  => verify::explain;
    POST   "/v1/keys/import",       Operator("keys:import")   => import::import;
    GET    "/v1/keys/self",         Key                       => own::get;
    DELETE "/v1/keys/self",         Key                       => own::revoke;
    POST   "/v1/keys/self/rotate",  Key                       => own::rotate;
    GET    "/v1/keys/{id}",         Permission("keys:read")   => keys::get;
    PATCH  "/v1/keys/{id}",         Permission("keys:write")  => keys::update;
    DELETE "/v1/keys/{id}",         Permission("keys:write")  => keys::revoke;
    GET    "/v1/keys/{id}/usage",   Permission("keys:read")   => keys::usage;
    POST   "/v1/keys/{id}/rotate",  Permission("keys:write")  => lifecycle::rotate;
    POST   "/v1/keys/{id}/grace",   Permission("keys:write")  => lifecycle::set_grace;
    POST   "/v1/keys/{id}/enable",  Permission("keys:write")  => lifecycle::enable;
    POST   "/v1/keys/{id}/disable", Permission("keys:write")  => lifecycle::disable;
    POST   "/v1/accounts",          Operator("accounts:write") => accounts::create;
    GET    "/v1/accounts",          Permission("accounts:read") => accounts::list;
    GET    "/v1/accounts/{id}",     Permission("accounts:read") => accounts::get;
    PATCH  "/v1/accounts/{id}",     Operator("accounts:write") => accounts::update;
    GET    "/v1/audit",             Permission("audit:read")  => audit::list;
    POST   "/v1/audit/verify",      Operator("audit:read")    => audit::verify;
    POST   "/v1/introspect",        Permission("keys:verify") => tokens::introspect;
    POST   "/v1/revoke",            Permission("keys:write")  => tokens::revoke;
    GET    "/metrics",              Operator("metrics:read")  => health::metrics;
    GET    "/health",               Nothing                   => health::health;
    GET    "/ready",                Nothing                   => health::ready;
    GET    "/openapi.json",         Nothing                   => docs::openapi;
    GET    "/docs",                 Nothing                   => docs::page;
    GET    "/docs/style.css",       Nothing                   => docs::style;
}

/// All routes over an app, for a server or for calls inside the process.
pub fn router(app: Arc<App>, options: Options) -> Router {
    routed(Server::new(app, options))
}

pub(crate) fn routed(server: Server) -> Router {
    table()
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::new("METHOD_NOT_ALLOWED", "see /docs for what this path takes"))
        .layer(middleware::from_fn_with_state(server.clone(), around))
        .with_state(server)
}

/// The verify route where it is called through the router: the server itself answers it before.
async fn verify_routed(State(server): State<Server>, who: Who, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, crate::extract::MOST_BYTES).await?;
    Ok(verify::verify(&server, &who, &parts.headers, &bytes).await?.map(Into::into))
}

/// Around every handler: the request's id, the headers every answer has, a body for every problem, a line of log.
async fn around(State(server): State<Server>, mut request: Request, next: Next) -> Response {
    let extensions = request.extensions_mut();
    let is_local = extensions.remove::<LocalOperator>().is_some();
    let context = extensions.remove::<Context>().unwrap_or_else(|| Context {
        peer: None,
        request_id: RequestId::of(request.headers()),
        is_local,
    });
    let id = context.request_id.clone();
    request.extensions_mut().insert(context);
    let method = request.method().clone();
    // The route, not the path: somebody will put a key into a path one day, and it must not be in the log.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        // The router knows what a path takes (RFC 9110, 15.5.6).
        let allowed = response.headers_mut().remove(ALLOW);
        response = problem.answer(&id).map(Into::into);
        response.headers_mut().extend(allowed.map(|allowed| (ALLOW, allowed)));
    }
    finish(response.headers_mut(), &id);
    server.metrics.count_request(method_name(&method), response.status());
    tracing::debug!(%method, route, status = response.status().as_u16(), request_id = id.0, "answered");
    response
}

/// Headers every answer has.
pub(crate) fn finish(headers: &mut http::HeaderMap, id: &RequestId) {
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(request_id::HEADER, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// A method's name, for counting: made-up methods are one.
pub(crate) fn method_name(method: &Method) -> &'static str {
    [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::PUT, Method::HEAD, Method::OPTIONS]
        .iter()
        .zip(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"])
        .find(|(known, _)| *known == method)
        .map_or("OTHER", |(_, name)| name)
}
