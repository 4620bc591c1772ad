//! `keywright gateway`: what a proxy of one's own needs to ask here about its requests.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use keywright_core::route::Address;
use keywright_server::{Options, Snippet, snippet};

use crate::config;
use crate::exit::{Exit, fail};
use crate::options::Global;
use crate::place::{Place, config_file};
use crate::say;

/// Examples of `gateway snippet`.
const HELP: &str = "\
Examples:
  keywright gateway snippet nginx --server http://10.0.0.2:8700 > /etc/nginx/conf.d/keywright.conf
  keywright gateway snippet haproxy-script > /etc/haproxy/keywright.lua
  keywright gateway snippet envoy > /etc/envoy/envoy.yaml";

/// What can be done about proxies.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print a configuration for a proxy that asks here whether a request may pass, made of the policy's routes
    #[command(after_help = HELP)]
    Snippet(Printed),
}

/// `gateway snippet`
#[derive(Args)]
pub(crate) struct Printed {
    /// The proxy
    proxy: Proxy,
    /// Where every route leads [default: the route's own upstream]
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
}

/// A proxy, or a part of what it needs.
#[derive(Clone, Copy, ValueEnum)]
enum Proxy {
    Nginx,
    Caddy,
    Traefik,
    Haproxy,
    HaproxyScript,
    /// Envoy, asking over gRPC
    Envoy,
    /// Envoy, asking over HTTP
    EnvoyHttp,
}

/// Does what was asked. The server that is named is only written down: nobody is asked anything.
pub(crate) fn run(global: &Global, command: &Command) -> Result<Exit> {
    let Command::Snippet(printed) = command;
    let found = match config_file(global) {
        Some(file) => {
            let config = config::load(&file, global.data_dir.as_deref())?;
            (config.place, config.options, config.listen)
        }
        None => (Place::find(global)?, Options::default(), ([127, 0, 0, 1], 8700).into()),
    };
    let (place, options, listen) = found;
    let policy = place.load_policy()?;
    let server = match &global.server {
        Some(url) => read(url.trim_end_matches('/'))?,
        None => Address { is_tls: place.tls.is_some(), authority: listen.to_string(), base: String::new() },
    };
    let upstream = printed.upstream.as_deref().map(read).transpose()?;
    let wanted = match printed.proxy {
        Proxy::Nginx => Snippet::Nginx,
        Proxy::Caddy => Snippet::Caddy,
        Proxy::Traefik => Snippet::Traefik,
        Proxy::Haproxy => Snippet::Haproxy,
        Proxy::HaproxyScript => Snippet::HaproxyScript,
        Proxy::Envoy => Snippet::Envoy,
        Proxy::EnvoyHttp => Snippet::EnvoyHttp,
    };
    let text =
        snippet(wanted, &policy, &options, &server, upstream.as_ref()).map_err(|reason| fail(Exit::Usage, reason))?;
    say::data(text.trim_end())?;
    Ok(Exit::Done)
}

fn read(url: &str) -> Result<Address> {
    url.parse().map_err(|reason: String| fail(Exit::Usage, reason))
}
