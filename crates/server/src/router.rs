//! Every route, on one page.
//!
//! The table makes both the router and [`ROUTES`], the list the refusal test walks: a route cannot be in one alone. Its
//! sections are dialects: what a section's errors look like is written once, in `problem.rs` and `compat/`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, any, on};
use axum::{Extension, Router};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, StatusCode};
use keywright_app::App;

use crate::api::{
    accounts, audit, factors, identities, import, keys, lifecycle, lockouts, logins, members, own, registration,
    registry, tokens, users, verify,
};
use crate::compat::wavis::user_keys;
use crate::compat::wayscloud::{account, dashboard as service_keys};
use crate::compat::{cloudheed, wavis};
use crate::dashboard::operator;
use crate::extract::{Context, LocalOperator, Who, read};
use crate::problem::Problem;
use crate::request_id::{self, RequestId};
use crate::{Options, Server, dashboard, docs, gateway, health, pages};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: anybody may call it.
    Nothing,
    /// A key that works, whatever it may do.
    Key,
    /// A person's session.
    Session,
    /// A person's session, shown by a browser.
    Browser,
    /// A session of a person who is an operator, shown by a browser, with this permission; with any where it is empty. To
    /// others there is no such page.
    Desk(&'static str),
    /// This permission.
    Permission(&'static str),
    /// This permission, and to be an operator.
    Operator(&'static str),
}

/// Whose clients a route is made for: what its errors look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 9457.
    Native,
    /// WAYSCloud's `{"error", "code"}`.
    Wayscloud,
    /// WAVIS documents statuses and no body: `{"error", "code"}`.
    Wavis,
    /// Cloudheed documents statuses and no body: RFC 9457.
    Cloudheed,
    /// A page.
    Dashboard,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with `{names}` for what differs.
    pub path: &'static str,
    /// What it asks of its caller.
    pub needs: Needs,
    /// What its errors look like.
    pub dialect: Dialect,
}

impl Route {
    /// The dialect of whatever is at a path of the table.
    pub(crate) fn dialect_at(path: &str) -> Dialect {
        ROUTES.iter().find(|route| route.path == path).map_or(Dialect::Native, |route| route.dialect)
    }
}

macro_rules! routes {
    ($($dialect:ident {$($method:ident $path:literal, $needs:expr => $handler:expr;)*})*) => {
        /// Every route.
        pub const ROUTES: &[Route] = &[$($(
            Route { method: stringify!($method), path: $path, needs: $needs, dialect: Dialect::$dialect },
        )*)*];

        fn table() -> Router<Server> {
            Router::new()$($(.route($path, on(MethodFilter::$method, $handler)))*)*
        }
    };
}

use Needs::{Browser, Desk, Key, Nothing, Operator, Permission, Session};

routes! {
    Native {
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
        POST   "/v1/accounts/{id}/services", Operator("accounts:write") => registry::create;
        GET    "/v1/accounts/{id}/services", Permission("accounts:read") => registry::list;
        PATCH  "/v1/accounts/{id}/services/{service_id}", Operator("accounts:write") => registry::update;
        DELETE "/v1/accounts/{id}/services/{service_id}", Operator("accounts:write") => registry::delete;
        GET    "/v1/accounts/{id}/members", Permission("members:read") => members::list;
        POST   "/v1/accounts/{id}/members", Operator("users:write") => members::add;
        PATCH  "/v1/accounts/{id}/members/{user_id}", Permission("members:write") => members::set_role;
        DELETE "/v1/accounts/{id}/members/{user_id}", Permission("members:write") => members::remove;
        POST   "/v1/accounts/{id}/leave", Session              => members::leave;
        POST   "/v1/accounts/{id}/invitations", Permission("members:write") => members::invite;
        GET    "/v1/accounts/{id}/invitations", Permission("members:read") => members::list_invitations;
        DELETE "/v1/accounts/{id}/invitations/{invitation_id}", Permission("members:write") => members::withdraw;
        GET    "/v1/audit",             Permission("audit:read")  => audit::list;
        POST   "/v1/audit/verify",      Operator("audit:read")    => audit::verify;
        GET    "/v1/lockouts",          Operator("lockouts:read")  => lockouts::list;
        DELETE "/v1/lockouts/{id}",     Operator("lockouts:write") => lockouts::lift;
        POST   "/v1/introspect",        Permission("keys:verify") => tokens::introspect;
        POST   "/v1/revoke",            Permission("keys:write")  => tokens::revoke;
        POST   "/v1/token",             Nothing                   => tokens::exchange;
        GET    "/v1/signing-keys",      Operator("signing-keys:read") => tokens::list_keys;
        POST   "/v1/signing-keys/rotate", Operator("signing-keys:write") => tokens::rotate_key;
        POST   "/v1/users",             Operator("users:write")   => users::create;
        GET    "/v1/users",             Operator("users:read")    => users::list;
        POST   "/v1/users/setup-link",  Operator("*")             => users::issue_setup_link;
        GET    "/v1/users/{id}",        Operator("users:read")    => users::get;
        POST   "/v1/users/{id}/sessions", Operator("users:write") => users::begin_session;
        GET    "/v1/users/{id}/sessions", Operator("users:read")  => users::list_sessions;
        DELETE "/v1/users/{id}/sessions/{session_id}", Operator("users:write") => users::end_session;
        POST   "/v1/users/{id}/disable", Operator("users:write")  => users::disable;
        POST   "/v1/users/{id}/enable", Operator("users:write")   => users::enable;
        POST   "/v1/users/{id}/promote", Operator("users:write")  => users::promote;
        POST   "/v1/users/{id}/demote", Operator("users:write")   => users::demote;
        DELETE "/v1/users/{id}/2fa",    Operator("users:write")   => users::reset_factor;
        POST   "/v1/users/{id}/identities", Operator("users:write") => identities::link;
        GET    "/v1/users/{id}/identities", Operator("users:read") => identities::list;
        DELETE "/v1/users/{id}/identities/{identity_id}", Operator("users:write") => identities::unlink;
        GET    "/v1/sessions",          Session                   => users::list_own;
        DELETE "/v1/sessions",          Session                   => users::end_others;
        DELETE "/v1/sessions/{id}",     Session                   => users::end_own;
        GET    "/.well-known/jwks.json", Nothing                  => tokens::public_keys;
        GET    "/metrics",              Operator("metrics:read")  => health::metrics;
        GET    "/health",               Nothing                   => health::health;
        GET    "/ready",                Nothing                   => health::ready;
        GET    "/openapi.json",         Nothing                   => docs::openapi;
        GET    "/docs",                 Nothing                   => docs::page;
        GET    "/docs/style.css",       Nothing                   => docs::style;
        GET    "/verify-email",         Nothing                   => pages::verify_email;
        POST   "/verify-email",         Nothing                   => pages::verified_email;
        GET    "/reset-password",       Nothing                   => pages::reset_password;
        POST   "/reset-password",       Nothing                   => pages::password_reset;
        GET    "/join",                 Nothing                   => pages::join;
        POST   "/join",                 Nothing                   => pages::joined;
    }

    Wayscloud {
        GET    "/v1/account/profile",          Permission("profile:read")   => account::profile;
        GET    "/v1/account/api-keys",         Permission("api_keys:read")  => account::list_keys;
        POST   "/v1/account/api-keys/service", Permission("api_keys:write") => account::create_service_key;
        POST   "/v1/account/api-keys/pat",     Permission("api_keys:write") => account::create_pat;
        DELETE "/v1/account/api-keys/{id}",    Permission("api_keys:write") => account::revoke_key;
        GET    "/v1/account/ssh-keys",         Permission("ssh_keys:read")  => account::list_ssh_keys;
        POST   "/v1/account/ssh-keys",         Permission("ssh_keys:write") => account::create_ssh_key;
        DELETE "/v1/account/ssh-keys/{id}",    Permission("ssh_keys:write") => account::delete_ssh_key;
        GET    "/v1/account/services",         Permission("services:read")  => account::list_services;
        POST   "/api/v1/dashboard/api-keys",             Permission("keys:write") => service_keys::create;
        GET    "/api/v1/dashboard/api-keys",             Permission("keys:read")  => service_keys::list;
        DELETE "/api/v1/dashboard/api-keys/{id}",        Permission("keys:write") => service_keys::revoke;
        POST   "/api/v1/dashboard/api-keys/{id}/rotate", Permission("keys:write") => service_keys::rotate;
    }

    Cloudheed {
        POST   "/v1/auth/login",        Nothing                   => logins::log_in;
        POST   "/v1/auth/refresh",      Nothing                   => logins::refresh;
        POST   "/v1/auth/register",     Nothing                   => registration::register;
        POST   "/v1/auth/email/verify", Nothing                   => registration::verify_email;
        POST   "/v1/auth/email/resend", Session                   => registration::resend;
        POST   "/v1/auth/email",        Session                   => registration::change_email;
        POST   "/v1/auth/password/forgot", Nothing                => registration::forgot_password;
        POST   "/v1/auth/password/reset", Nothing                 => registration::reset_password;
        POST   "/v1/auth/invitations/accept", Nothing             => members::accept;
        POST   "/v1/auth/logout",       Session                   => logins::log_out;
        GET    "/v1/auth/me",           Session                   => logins::me;
        POST   "/v1/auth/password",     Session                   => logins::change_password;
        POST   "/v1/auth/2fa/setup",    Session                   => factors::set_up;
        GET    "/v1/auth/2fa/qr.svg",   Session                   => factors::picture;
        POST   "/v1/auth/2fa/verify",   Session                   => factors::start;
        POST   "/v1/auth/2fa/backup-codes", Session               => factors::renew_codes;
        POST   "/v1/auth/2fa/disable",  Session                   => factors::stop;
        POST   "/v1/auth/api-keys",     Permission("keys:write")  => cloudheed::create;
        GET    "/v1/auth/api-keys",     Permission("keys:read")   => cloudheed::list;
        DELETE "/v1/auth/api-keys/{id}", Permission("keys:write") => cloudheed::revoke;
    }

    Wavis {
        POST   "/api/v1/onboarding/temp-key", Nothing                     => wavis::issue_trial;
        GET    "/api/v1/health",              Permission("status:read")   => wavis::health;
        GET    "/api/v1/status",              Permission("status:read")   => wavis::status;
        GET    "/api/v1/keys",                Permission("keys:read")     => wavis::list_keys;
        POST   "/api/v1/keys/apikey/rotate",  Permission("keys:write")    => wavis::rotate;
        POST   "/api/v1/user/api-keys",       Session                     => user_keys::create;
        DELETE "/api/v1/user/api-keys/{id}",  Session                     => user_keys::revoke;
        GET    "/api/v1/usage",               Permission("usage:read")    => wavis::usage;
        GET    "/api/v1/billing",             Permission("billing:read")  => wavis::billing;
        GET    "/api/v1/invoices",            Permission("invoices:read") => wavis::invoices;
    }

    Dashboard {
        GET    "/dashboard",                  Nothing => dashboard::home;
        GET    "/dashboard/style.css",        Nothing => dashboard::style;
        GET    "/dashboard/script.js",        Nothing => dashboard::script;
        GET    "/dashboard/logo",             Nothing => dashboard::logo;
        GET    "/dashboard/login",            Nothing => dashboard::login;
        POST   "/dashboard/login",            Nothing => dashboard::log_in;
        GET    "/dashboard/register",         Nothing => dashboard::ask_register;
        POST   "/dashboard/register",         Nothing => dashboard::register;
        GET    "/dashboard/forgot",           Nothing => dashboard::ask_forgot;
        POST   "/dashboard/forgot",           Nothing => dashboard::forgot;
        POST   "/dashboard/logout",           Nothing => dashboard::log_out;
        POST   "/dashboard/account",          Browser => dashboard::switch;
        GET    "/dashboard/keys",             Browser => dashboard::list;
        POST   "/dashboard/keys",             Browser => dashboard::create;
        POST   "/dashboard/keys/find",        Browser => dashboard::look_up;
        GET    "/dashboard/keys/new",         Browser => dashboard::new;
        GET    "/dashboard/keys/revoke",      Browser => dashboard::ask_revoke_several;
        POST   "/dashboard/keys/revoke",      Browser => dashboard::revoke_several;
        GET    "/dashboard/keys/{id}",        Browser => dashboard::show;
        GET    "/dashboard/keys/{id}/edit",   Browser => dashboard::ask_edit;
        POST   "/dashboard/keys/{id}/edit",   Browser => dashboard::edit;
        GET    "/dashboard/keys/{id}/refusals", Browser => dashboard::list_refusals;
        POST   "/dashboard/keys/{id}/unlock", Browser => dashboard::unlock;
        GET    "/dashboard/keys/{id}/simulate", Browser => dashboard::ask_simulate;
        POST   "/dashboard/keys/{id}/simulate", Browser => dashboard::simulate;
        GET    "/dashboard/keys/{id}/rotate", Browser => dashboard::ask_rotate;
        POST   "/dashboard/keys/{id}/rotate", Browser => dashboard::rotate;
        POST   "/dashboard/keys/{id}/grace",  Browser => dashboard::set_grace;
        POST   "/dashboard/keys/{id}/enable", Browser => dashboard::enable;
        POST   "/dashboard/keys/{id}/disable", Browser => dashboard::disable;
        GET    "/dashboard/keys/{id}/revoke", Browser => dashboard::ask_revoke;
        POST   "/dashboard/keys/{id}/revoke", Browser => dashboard::revoke;
        GET    "/dashboard/tokens",           Browser => dashboard::list_tokens;
        GET    "/dashboard/members",          Browser => dashboard::list_members;
        POST   "/dashboard/members/invite",   Browser => dashboard::invite;
        POST   "/dashboard/members/{id}/role", Browser => dashboard::set_role;
        POST   "/dashboard/members/{id}/remove", Browser => dashboard::remove_member;
        POST   "/dashboard/invitations/{id}/withdraw", Browser => dashboard::withdraw;
        GET    "/dashboard/ssh-keys",         Browser => dashboard::list_ssh_keys;
        POST   "/dashboard/ssh-keys",         Browser => dashboard::add_ssh_key;
        POST   "/dashboard/ssh-keys/{id}/delete", Browser => dashboard::delete_ssh_key;
        GET    "/dashboard/services",         Browser => dashboard::list_services;
        GET    "/dashboard/audit",            Browser => dashboard::list_audit;
        GET    "/dashboard/audit/{id}",      Browser => dashboard::show_audit;
        GET    "/dashboard/audit.csv",        Browser => dashboard::export_audit;
        GET    "/dashboard/sessions",         Browser => dashboard::list_sessions;
        POST   "/dashboard/sessions/end-others", Browser => dashboard::end_others;
        POST   "/dashboard/sessions/{id}/end", Browser => dashboard::end_session;
        GET    "/dashboard/security",         Browser => dashboard::security;
        POST   "/dashboard/security/password", Browser => dashboard::change_password;
        POST   "/dashboard/security/email",   Browser => dashboard::change_email;
        POST   "/dashboard/security/2fa/setup", Browser => dashboard::set_up_factor;
        GET    "/dashboard/security/2fa/qr.svg", Browser => dashboard::picture;
        POST   "/dashboard/security/2fa/start", Browser => dashboard::start_factor;
        POST   "/dashboard/security/2fa/codes", Browser => dashboard::renew_codes;
        POST   "/dashboard/security/2fa/disable", Browser => dashboard::stop_factor;
        GET    "/setup",                      Nothing => dashboard::ask_set_up;
        POST   "/setup",                      Nothing => dashboard::set_up;
        GET    "/dashboard/operator",         Desk("") => operator::home;
        GET    "/dashboard/operator/confirm", Desk("") => operator::ask_confirm;
        POST   "/dashboard/operator/confirm", Desk("") => operator::confirm;
        GET    "/dashboard/operator/health",  Desk("metrics:read") => operator::health;
        GET    "/dashboard/operator/accounts", Desk("accounts:read") => operator::list_accounts;
        GET    "/dashboard/operator/accounts/{id}", Desk("accounts:read") => operator::show_account;
        POST   "/dashboard/operator/accounts/{id}/suspend", Desk("accounts:write") => operator::suspend;
        POST   "/dashboard/operator/accounts/{id}/resume", Desk("accounts:write") => operator::resume;
        POST   "/dashboard/operator/accounts/{id}/billing", Desk("accounts:write") => operator::set_billing;
        GET    "/dashboard/operator/users",   Desk("users:read") => operator::list_users;
        GET    "/dashboard/operator/users/{id}", Desk("users:read") => operator::show_user;
        POST   "/dashboard/operator/users/{id}/disable", Desk("users:write") => operator::disable_user;
        POST   "/dashboard/operator/users/{id}/enable", Desk("users:write") => operator::enable_user;
        POST   "/dashboard/operator/users/{id}/reset-2fa", Desk("users:write") => operator::reset_factor;
        POST   "/dashboard/operator/users/{id}/promote", Desk("users:write") => operator::promote;
        POST   "/dashboard/operator/users/{id}/demote", Desk("users:write") => operator::demote;
        POST   "/dashboard/operator/users/{id}/sessions/{session_id}/end", Desk("users:write") => operator::end_session;
        GET    "/dashboard/operator/lockouts", Desk("lockouts:read") => operator::list_lockouts;
        POST   "/dashboard/operator/lockouts/{id}/lift", Desk("lockouts:write") => operator::lift;
        GET    "/dashboard/operator/explain", Desk("keys:explain") => operator::ask_explain;
        POST   "/dashboard/operator/explain", Desk("keys:explain") => operator::explain;
        GET    "/dashboard/operator/policy",  Desk("policy:read") => operator::policy;
        GET    "/dashboard/operator/proxies", Desk("policy:read") => operator::proxies;
        GET    "/dashboard/operator/audit",   Desk("audit:read") => operator::list_audit;
        GET    "/dashboard/operator/audit.csv", Desk("audit:read") => operator::export_audit;
    }
}

/// What a path is logged as that is no route's.
const NO_ROUTE: &str = "none";

/// All routes over an app, for a server or for calls inside the process.
pub fn router(app: Arc<App>, options: Options) -> Router {
    routed(Server::new(app, options))
}

pub(crate) fn routed(server: Server) -> Router {
    table()
        // The gate's two doors, which take any method.
        .route(gateway::FORWARD_AUTH, any(gateway::ask))
        .fallback(gateway::pass)
        .method_not_allowed_fallback(async || Problem::new("METHOD_NOT_ALLOWED", "see /docs for what this path takes"))
        .layer(middleware::from_fn_with_state(server.clone(), around))
        .with_state(server)
}

/// The verify route where it is called through the router: the server itself answers it before.
async fn verify_routed(
    State(server): State<Server>,
    Extension(context): Extension<Context>,
    who: Who,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, crate::extract::MOST_BYTES).await?;
    let answer = verify::verify(&server, &who, &parts.headers, &bytes, &context.request_id).await?;
    Ok(http::Response::<Bytes>::from(answer).map(Into::into))
}

/// Around every handler: the request's id, and what every answer has.
async fn around(State(server): State<Server>, mut request: Request, next: Next) -> Response {
    let extensions = request.extensions_mut();
    let is_local = extensions.remove::<LocalOperator>().is_some();
    let context = extensions.remove::<Context>().unwrap_or_else(|| Context {
        peer: None,
        request_id: RequestId::of(request.headers()),
        is_local,
    });
    let asked = Asked::of(&request, &context);
    request.extensions_mut().insert(context);
    asked.answered(&server, next.run(request).await)
}

/// What is kept of a request while it is answered.
pub(crate) struct Asked {
    id: RequestId,
    method: Method,
    /// The route, not the path: somebody will put a key into a path one day, and it must not be in the log.
    route: Cow<'static, str>,
    /// What is missing among the pages looks like a page, whether or not a route is there.
    is_lost_page: bool,
}

impl Asked {
    pub(crate) fn of(request: &Request, context: &Context) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let is_lost_page = matched.is_none() && request.uri().path().starts_with("/dashboard/");
        let route = matched.map_or(NO_ROUTE.into(), |path| path.as_str().to_owned().into());
        Self { id: context.request_id.clone(), method: request.method().clone(), route, is_lost_page }
    }

    /// The same of a request that is for none of the server's own routes.
    pub(crate) fn at_gate(context: &Context, method: &Method) -> Self {
        Self { id: context.request_id.clone(), method: method.clone(), route: NO_ROUTE.into(), is_lost_page: false }
    }

    /// The answer with the headers every answer has and a body for every problem, counted, and told in the log.
    pub(crate) fn answered<B: From<Bytes>>(
        self,
        server: &Server,
        mut response: http::Response<B>,
    ) -> http::Response<B> {
        let Self { id, route, is_lost_page, .. } = &self;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            // The router knows what a path takes (RFC 9110, 15.5.6).
            let allowed = response.headers_mut().remove(ALLOW);
            let dialect = if *is_lost_page { Dialect::Dashboard } else { Route::dialect_at(route) };
            response = problem.answer(id, dialect).map(Into::into);
            response.headers_mut().extend(allowed.map(|allowed| (ALLOW, allowed)));
        }
        if response.extensions().get::<gateway::Passed>().is_some() {
            // Whether an upstream's answer may be kept is for the upstream to say.
            name_request(response.headers_mut(), id);
        } else {
            finish(response.headers_mut(), id);
        }
        self.passed(server, response.status());
        response
    }

    fn passed(self, server: &Server, status: StatusCode) {
        note_answer(server, &self.id, &self.method, &self.route, status);
    }
}

/// Counts an answer to a request that is for none of the server's own routes, and tells of it in the log.
pub(crate) fn passed_gate(server: &Server, context: &Context, method: &Method, status: StatusCode) {
    note_answer(server, &context.request_id, method, NO_ROUTE, status);
}

fn note_answer(server: &Server, id: &RequestId, method: &Method, route: &str, status: StatusCode) {
    server.metrics.count_request(method_name(method), status);
    tracing::debug!(%method, %route, status = status.as_u16(), request_id = id.0.as_str(), "answered");
}

/// Whether a path begins as one of the server's own does, and so may be one.
pub(crate) fn begins_like_own(path: &str) -> bool {
    // By their lengths: those of one length are few.
    static OWN: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
        let paths = ROUTES.iter().map(|route| route.path).chain([gateway::FORWARD_AUTH]);
        let begin = paths.map(|path| beginning(path.split_once('{').map_or(path, |(before, _)| before)));
        let all: BTreeSet<&str> = begin.collect();
        let longest = all.iter().map(|begin| begin.len()).max().unwrap_or(0);
        (0..=longest).map(|length| all.iter().copied().filter(|begin| begin.len() == length).collect()).collect()
    });
    let is_own = |begin: &str| OWN.get(begin.len()).is_some_and(|alike| alike.contains(&begin));
    let two = beginning(path);
    // Of some the second segment may be anything.
    let end = two.bytes().skip(1).position(|byte| byte == b'/');
    let one = end.and_then(|at| two.get(..at + 2));
    is_own(two) || one.is_some_and(is_own)
}

/// The first two segments of a path.
fn beginning(path: &str) -> &str {
    let mut slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    path.get(..slashes.nth(2).map_or(path.len(), |(at, _)| at)).unwrap_or_default()
}

/// Headers every answer has.
pub(crate) fn finish(headers: &mut http::HeaderMap, id: &RequestId) {
    name_request(headers, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

fn name_request(headers: &mut http::HeaderMap, id: &RequestId) {
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(request_id::HEADER, id);
    }
}

/// The methods that are counted apart.
pub(crate) const METHODS: [&str; 7] = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"];

/// A method's name, for counting: made-up methods are one.
pub(crate) fn method_name(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The router is passed by for what does not begin so.
    #[test]
    fn every_path_of_the_table_begins_like_one() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            assert!(begins_like_own(&path), "{path}");
        }
        for path in ["/forward-auth/nginx", "/forward-auth/envoy-http/a/b", "/dashboard", "/v1/keys/a/b/c"] {
            assert!(begins_like_own(path), "{path}");
        }
        for path in ["", "/", "*", "/v1", "/v1/", "/v1/storage", "/v1/storage/keys", "/t", "//v1/keys", "/v1//keys"] {
            assert!(!begins_like_own(path), "{path}");
        }
    }
}
