//! What a proxy of one's own is told, to be copied: the same text as `keywright gateway snippet` prints.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use keywright_core::route::Address;
use serde::Deserialize;

use super::{Frame, Operator, asked, page, query};
use crate::Server;
use crate::dashboard::look::{Mistakes, sentence};
use crate::gateway::{Snippet, snippet};
use crate::problem::Problem;

/// Proxies, what each is called, and where its text goes.
const PROXIES: [(&str, &str, &str, Snippet); 7] = [
    ("nginx", "nginx", "/etc/nginx/conf.d/keywright.conf", Snippet::Nginx),
    ("caddy", "Caddy", "/etc/caddy/Caddyfile", Snippet::Caddy),
    ("traefik", "Traefik", "a file of its file provider", Snippet::Traefik),
    ("haproxy", "HAProxy", "/etc/haproxy/haproxy.cfg", Snippet::Haproxy),
    ("haproxy-script", "HAProxy's script", "/etc/haproxy/keywright.lua", Snippet::HaproxyScript),
    ("envoy", "Envoy", "/etc/envoy/envoy.yaml", Snippet::Envoy),
    ("envoy-http", "Envoy over HTTP", "/etc/envoy/envoy.yaml", Snippet::EnvoyHttp),
];

/// What is asked for; what cannot be read asks for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    proxy: String,
    server: String,
    upstream: String,
}

/// A proxy to go over to.
struct Choice {
    label: &'static str,
    query: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "dashboard/operator/proxies.html")]
struct Proxies {
    frame: Frame,
    asked: Asked,
    choices: Vec<Choice>,
    place: &'static str,
    text: String,
    /// Why there is no text.
    wrong: String,
    mistakes: Mistakes,
}

/// `GET /dashboard/operator/proxies`
pub(crate) async fn show(
    State(server): State<Server>,
    operator: Operator,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let policy = &server.app.world().policy;
    operator.caller.must(&policy.catalog, "policy:read")?;
    let mut asked: Asked = asked(text.as_deref());
    if asked.server.trim().is_empty() {
        let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:8700");
        asked.server = format!("http://{host}");
    }
    let known = PROXIES.iter().find(|(name, ..)| *name == asked.proxy);
    let (name, _, place, wanted) = *known.unwrap_or(&PROXIES[0]);
    let mut mistakes = Mistakes::default();
    let mut read = |field: &str, text: &str| -> Option<Address> {
        text.trim().parse::<Address>().map_err(|reason| mistakes.add(field, &format!("`{text}`: {reason}"))).ok()
    };
    let at = read("server", &asked.server);
    let upstream = if asked.upstream.trim().is_empty() { None } else { read("upstream", &asked.upstream) };
    let made = match at.filter(|_| mistakes.are_none()) {
        Some(at) => snippet(wanted, policy, &server.options, &at, upstream.as_ref()),
        None => Ok(String::new()),
    };
    let choice = |&(other, label, ..): &(&'static str, &'static str, &'static str, Snippet)| Choice {
        label,
        query: query(&[("proxy", other), ("server", &asked.server), ("upstream", &asked.upstream)]),
        is_chosen: other == name,
    };
    let proxies = Proxies {
        frame: operator.frame(&server, "operator/proxies", ""),
        choices: PROXIES.iter().map(choice).collect(),
        place,
        wrong: made.as_ref().err().map(|reason| sentence(reason)).unwrap_or_default(),
        text: made.unwrap_or_default(),
        mistakes,
        asked: Asked { proxy: name.into(), ..asked },
    };
    page(StatusCode::OK, &proxies)
}
