//! Whether the server lives, is ready, and what it has done: for load balancers and Prometheus.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::Server;
use crate::extract::Who;
use crate::problem::Problem;
use crate::router::METHODS;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: Status,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Status(u16);

impl EncodeLabelValue for Status {
    fn encode(&self, to: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        write!(to, "{}", self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    address: String,
}

/// What the server counts of itself.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    /// The counters of what nearly all requests are, at hand so that nothing is looked up.
    fine: [OnceLock<Counter>; METHODS.len()],
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn count_request(&self, method: &'static str, status: StatusCode) {
        let place = METHODS.iter().position(|known| *known == method).filter(|_| status == StatusCode::OK);
        match place.and_then(|place| self.fine.get(place)) {
            Some(fine) => fine.get_or_init(|| self.counter(method, status)).inc(),
            None => self.counter(method, status).inc(),
        };
    }

    fn counter(&self, method: &'static str, status: StatusCode) -> Counter {
        self.requests.get_or_create_owned(&RequestLabels { method, status: Status(status.as_u16()) })
    }
}

/// `GET /health`: the process answers.
pub(crate) async fn health() -> axum::Json<Value> {
    axum::Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /ready`: what an answer needs is within reach.
pub(crate) async fn ready(State(server): State<Server>) -> Response {
    match server.app.db().ping().await {
        Ok(()) => axum::Json(json!({ "status": "ready" })).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({ "status": "the database is out of reach" })))
            .into_response(),
    }
}

/// `GET /metrics`: the text format Prometheus scrapes.
pub(crate) async fn metrics(State(server): State<Server>, who: Who) -> Result<Response, Problem> {
    who.caller.must_be_operator()?;
    who.caller.must(&server.app.world().policy.catalog, "metrics:read")?;
    let verifications = Family::<OutcomeLabels, Counter>::default();
    for (outcome, count) in server.app.verification_totals() {
        verifications.get_or_create(&OutcomeLabels { outcome: outcome.code() }).inc_by(count);
    }
    let mut registry = Registry::with_prefix("keywright");
    registry.register("verifications", "Verifications since the start, by outcome", verifications);
    registry.register("http_requests", "Requests answered, by method and status", server.metrics.requests.clone());
    let hashes = Counter::<u64>::default();
    hashes.inc_by(server.app.password_hashes());
    registry.register("password_hashes", "Passwords hashed since the start, to be stored or compared", hashes);
    if let Some(tls) = &server.options.tls {
        let ends = Gauge::<i64>::default();
        ends.set(tls.ends().millis().div_euclid(1_000));
        registry.register("certificate_end_timestamp_seconds", "When the server's own certificate ends", ends);
    }
    let upstreams = Family::<UpstreamLabels, Gauge>::default();
    for (address, is_well) in server.gateway.health() {
        upstreams.get_or_create(&UpstreamLabels { address: address.to_string() }).set(i64::from(is_well));
    }
    registry.register("upstream_up", "Whether an upstream with a health check is well", upstreams);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| Problem::new("INTERNAL", "the metrics could not be written"))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
