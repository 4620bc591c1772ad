//! All of Keywright's HTTP: every route, and how a server is run.
//!
//! A handler decodes, calls one function of the app, and encodes. `router.rs` has every route on one page.

mod api;
mod docs;
mod extract;
mod health;
mod problem;
mod request_id;
mod router;
mod scrub;
mod serve;

use std::sync::Arc;

use ipnet::IpNet;
use keywright_app::App;

pub use docs::openapi_json;
pub use extract::LocalOperator;
pub use router::{Needs, ROUTES, router};
pub use serve::serve;

/// How a server is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Proxies whose `X-Forwarded-For` is believed. Nobody's is unless listed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where the outside reaches this server: what links are made of.
    pub public_url: Option<String>,
}

/// What every handler shares.
#[derive(Clone)]
pub(crate) struct Server {
    app: Arc<App>,
    options: Arc<Options>,
    metrics: Arc<health::Metrics>,
}

impl Server {
    fn new(app: Arc<App>, options: Options) -> Self {
        Self { app, options: Arc::new(options), metrics: Arc::default() }
    }
}
