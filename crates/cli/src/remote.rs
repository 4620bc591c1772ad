//! A server somewhere else, spoken to over HTTP.

use anyhow::{Result, anyhow};
use ureq::tls::TlsConfig;
use zeroize::Zeroizing;

use crate::call::{Call, Reply};
use crate::exit::{Exit, fail};
use crate::folder::ServerNote;
use crate::say;
use crate::session::{read_body, request, show_key};

/// How long it may take to reach a server.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(10);
/// The longest answer that is read.
const MOST_BYTES: u64 = 64 * 1_024 * 1_024;

/// A server and the key to show it.
pub(crate) struct Remote {
    agent: ureq::Agent,
    url: String,
    key: Zeroizing<String>,
}

impl Remote {
    /// A server by the address somebody named.
    pub(crate) fn new(url: &str, key: Zeroizing<String>) -> Result<Self> {
        Self::with(url, key, false)
    }

    /// The server that runs on a data folder of this machine, by the note in it.
    ///
    /// Its certificate is for the name the world calls it by, and not for this address, so it is not looked at. What
    /// vouches for the server is the folder: the note is there, which is its owner's alone, and the way does not leave the
    /// machine.
    pub(crate) fn here(note: &ServerNote, key: Zeroizing<String>) -> Result<Self> {
        Self::with(&note.url, key, true)
    }

    fn with(url: &str, key: Zeroizing<String>, is_ours: bool) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let uri: http::Uri = url.parse().map_err(|_| not_a_url(&url))?;
        let host = uri.host().unwrap_or_default();
        if !matches!(uri.scheme_str(), Some("http" | "https")) || host.is_empty() || uri.path() != "/" {
            return Err(not_a_url(&url));
        }
        let is_here = is_loopback(host);
        if uri.scheme_str() == Some("http") && !is_here {
            say::note(&format!("warning: the key goes to {url} without encryption: use https where others can listen"));
        }
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would take the key elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("keywright/", env!("CARGO_PKG_VERSION")));
        if is_here || is_ours {
            config = config.proxy(None);
        }
        if is_ours {
            config = config.tls_config(TlsConfig::builder().disable_verification(true).build());
        }
        Ok(Self { agent: config.build().new_agent(), url, key })
    }

    /// Where the server is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn send(&self, call: Call) -> Result<Reply> {
        let mut request = request(&call, &self.url)?;
        show_key(&mut request, &self.key)?;
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let sent = tokio::task::spawn_blocking(move || exchange(&agent, request, &url, call.patience)).await;
        sent.map_err(|_| anyhow!("the request was given up"))?
    }
}

fn exchange(
    agent: &ureq::Agent,
    request: http::Request<Vec<u8>>,
    url: &str,
    patience: std::time::Duration,
) -> Result<Reply> {
    let configured = agent.configure_request(request).timeout_recv_response(Some(patience)).build();
    let unreachable = |error: &ureq::Error| {
        fail(
            Exit::Unreachable,
            format!("{url} cannot be reached: {error}. Is the server running, and is this its address?"),
        )
    };
    let mut response = agent.run(configured).map_err(|error| unreachable(&error))?;
    let status = response.status().as_u16();
    if (300..400).contains(&status) {
        let to = response.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or("elsewhere");
        return Err(fail(Exit::Usage, format!("{url} sends us to {to}: use that address, the key is not taken along")));
    }
    let body =
        response.body_mut().with_config().limit(MOST_BYTES).read_to_vec().map_err(|error| unreachable(&error))?;
    Ok(Reply { status, body: read_body(&body) })
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn not_a_url(url: &str) -> anyhow::Error {
    fail(
        Exit::Usage,
        format!("`{url}` is not the address of a server: write https://keys.example.com or http://127.0.0.1:8700"),
    )
}
