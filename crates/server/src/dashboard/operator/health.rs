//! How the server is: what `/health`, `/ready` and the metrics know, on one page.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keywright_core::time::Span;
use keywright_core::verify::Outcome;

use super::{Frame, Operator, page};
use crate::Server;
use crate::dashboard::look::Moment;
use crate::problem::Problem;

/// How long a letter may wait before somebody should look.
const LONG_WAIT: Span = Span::minutes(60);

struct Mail {
    letters: i64,
    oldest: Option<Moment>,
    waits_long: bool,
}

#[derive(Template)]
#[template(path = "dashboard/operator/health.html")]
struct Page {
    frame: Frame,
    version: &'static str,
    started: Moment,
    engine: &'static str,
    storage_fault: String,
    sends_mail: bool,
    mail: Option<Mail>,
    signing_since: Option<Moment>,
    cached: (usize, usize),
    policy_since: Moment,
    locks: usize,
    /// Outcomes that were, and how often.
    verifications: Vec<(&'static str, u64)>,
    verified: u64,
    password_hashes: u64,
    has_factor: bool,
}

/// `GET /dashboard/operator/health`
pub(crate) async fn show(State(server): State<Server>, operator: Operator) -> Result<Response, Problem> {
    let now = server.app.now();
    let health = server.app.get_health(&operator.caller).await?;
    let mail = health.mail.map(|waiting| Mail {
        letters: waiting.letters,
        oldest: (waiting.letters > 0).then(|| Moment::new(waiting.oldest_at, now)),
        waits_long: waiting.letters > 0 && now.since(waiting.oldest_at) > LONG_WAIT.millis(),
    });
    let mut verifications: Vec<(&str, u64)> =
        health.verifications.iter().map(|(outcome, count)| (outcome.code(), *count)).collect();
    verifications.retain(|(code, count)| *count > 0 || *code == Outcome::Valid.code());
    page(
        StatusCode::OK,
        &Page {
            frame: operator.frame(&server, "operator/health", ""),
            version: env!("CARGO_PKG_VERSION"),
            started: Moment::new(health.started_at, now),
            engine: if health.engine == "postgres" { "PostgreSQL" } else { "SQLite" },
            storage_fault: health.storage_fault.unwrap_or_default(),
            sends_mail: health.sends_mail,
            mail,
            signing_since: health.signing_since.map(|since| Moment::new(since, now)),
            cached: health.cached,
            policy_since: Moment::new(health.policy_since, now),
            locks: health.locks,
            verified: verifications.iter().map(|(_, count)| count).sum(),
            verifications,
            password_hashes: health.password_hashes,
            has_factor: operator.person().has_factor,
        },
    )
}
