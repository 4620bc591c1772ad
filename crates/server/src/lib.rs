//! All of Keywright's HTTP: every route, and how a server is run.
//!
//! A handler decodes, calls one function of the app, and encodes. `router.rs` has every route on one page.

mod api;
mod compat;
mod dashboard;
mod demo;
mod direct;
mod docs;
mod extract;
mod fields;
mod framing;
mod gateway;
mod health;
mod http2;
mod idempotency;
mod json;
mod pages;
mod problem;
mod request_id;
mod room;
mod router;
mod scrub;
mod serve;
mod silence;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use keywright_app::App;
use keywright_app::trust::Trust;
use keywright_core::route::{Address, Health};

pub use demo::demo_services;
pub use docs::openapi_json;
pub use extract::LocalOperator;
pub use gateway::{IDENTITY, MISLEADING, Snippet, check_routes, snippet};
pub use router::{Dialect, Needs, ROUTES, Route, router};
pub use serve::{reachable, serve};
pub use tls::{Files, Pair, Standing, Tls, Unfit};

/// Every error the API can answer: its code, its status and what it means.
pub fn problems() -> impl Iterator<Item = (&'static str, u16, &'static str)> {
    problem::CODES.into_iter().map(|(code, status, title)| (code, status.as_u16(), title))
}

/// Every outcome a verification can have: its code and what it means.
pub fn outcomes() -> impl Iterator<Item = (&'static str, &'static str)> {
    keywright_core::verify::Outcome::ALL.into_iter().map(|outcome| (outcome.code(), api::verify::detail(outcome)))
}

/// How a server is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Proxies whose `X-Forwarded-For` is believed. Nobody's is unless listed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where the outside reaches this server: what links are made of.
    pub public_url: Option<String>,
    /// Where whoever is on this machine reaches it; where nothing is said, where it listens.
    pub listening: Option<String>,
    /// What it speaks TLS with; plain HTTP without.
    pub tls: Option<Tls>,
    /// Where the upstreams are that the policy's routes name.
    pub upstreams: BTreeMap<String, Vec<Address>>,
    /// How it is found out whether the upstreams of a name are well; where nothing is said, whoever is asked anyway finds out.
    pub health: BTreeMap<String, Health>,
    /// Who vouches for the upstreams of a name, where it is not whom the machine trusts.
    pub trusted: BTreeMap<String, Trust>,
}

/// What stands for the address of a server that listens nowhere: somebody else's passes it its requests.
const NOWHERE: &str = "https://YOUR_SERVER";

/// What every handler shares.
#[derive(Clone)]
pub(crate) struct Server {
    app: Arc<App>,
    options: Arc<Options>,
    metrics: Arc<health::Metrics>,
    gateway: Arc<gateway::Gateway>,
}

impl Server {
    fn new(app: Arc<App>, options: Options) -> Self {
        Self { app, options: Arc::new(options), metrics: Arc::default(), gateway: Arc::default() }
    }

    /// Where it is reached, as well as is known, without a slash at the end.
    fn address(&self) -> &str {
        let Options { public_url, listening, .. } = &*self.options;
        let known = self.app.site().or(public_url.as_deref()).or(listening.as_deref());
        known.unwrap_or(NOWHERE).trim_end_matches('/')
    }
}
