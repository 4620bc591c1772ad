//! Which upstream a request is tried at, at which one next, and what is told where none answers.

use std::error::Error;
use std::io;

use http::Method;
use keywright_core::route::Route;
use keywright_core::time::Time;

use super::Onward;
use super::connect::Unproven;
use super::upstreams::{Place, Places};
use crate::Server;
use crate::problem::Problem;

/// Upstreams one request is tried at.
const MOST_TRIES: usize = 3;

/// Why there is no answer.
pub(super) enum Failure {
    /// There was no connection: nothing has been sent.
    Unreached { timed_out: bool },
    /// It did not prove who it is: nothing has been sent. Says why.
    Unproven(String),
    /// The connection broke before the answer began.
    Broken,
    /// The answer did not begin in time.
    Slow,
}

/// How much there was to send of a body, and whether some of it was.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) is_empty: bool,
    pub(super) is_begun: bool,
}

/// The tries one request has.
pub(super) struct Tries<'a> {
    server: &'a Server,
    route: &'a Route,
    method: &'a Method,
    places: Places<'a>,
    now: Time,
    made: usize,
}

impl<'a> Tries<'a> {
    /// None has been made.
    pub(super) fn of<F: ?Sized>(onward: &Onward<'a, F>) -> Self {
        let Onward { server, route, call, .. } = onward;
        let now = server.app.now();
        let places = server.gateway.addresses(route, &server.options, now);
        Self { server, route, method: call.method, places, now, made: 0 }
    }

    /// Where the next one is made; nowhere where the route has no upstream.
    pub(super) fn place(&mut self) -> Result<Place<'a>, Problem> {
        let place = self.made.checked_rem(self.places.len()).and_then(|turn| self.places.get(turn));
        self.made += 1;
        place.copied().ok_or_else(unreachable)
    }

    /// One has failed. Tells what its client is told where there is no other.
    pub(super) fn failed(&self, place: Place<'_>, failure: &Failure, sent: Sent) -> Result<(), Problem> {
        let Self { server, route, method, .. } = self;
        let is_left = self.made < MOST_TRIES.min(self.places.len().max(2));
        let again = may_try_again(failure, method, sent, self.places.len());
        if !matches!(failure, Failure::Slow) {
            server.gateway.note_down(place.address, self.now);
        }
        tracing::warn!(route = route.name, address = %place.address, again, "{}", why(failure));
        if again && is_left { Ok(()) } else { Err(told(failure)) }
    }
}

/// What is told where no upstream can be reached.
pub(super) fn unreachable() -> Problem {
    Problem::new("UPSTREAM_UNREACHABLE", "the service behind this path is out of reach: try again in a moment")
}

fn told(failure: &Failure) -> Problem {
    match failure {
        Failure::Slow | Failure::Unreached { timed_out: true } => {
            Problem::new("UPSTREAM_TIMED_OUT", "the service behind this path did not answer in time")
        }
        Failure::Unproven(_) => {
            let detail = "the service behind this path could not prove who it is, and was told nothing";
            Problem::new("UPSTREAM_UNREACHABLE", detail)
        }
        Failure::Broken | Failure::Unreached { timed_out: false } => unreachable(),
    }
}

/// Whether another try could do harm. Nothing has been sent without a connection, and what only reads, or leaves the same
/// behind however often it is done (RFC 9110, 9.2.2), may be asked twice where no body was begun.
fn may_try_again(failed: &Failure, method: &Method, sent: Sent, upstreams: usize) -> bool {
    match failed {
        Failure::Unreached { .. } | Failure::Unproven(_) => !sent.is_begun && upstreams > 1,
        Failure::Broken => method.is_idempotent() && sent.is_empty,
        Failure::Slow => false,
    }
}

fn why(failed: &Failure) -> &str {
    match failed {
        Failure::Unproven(reason) => reason,
        Failure::Unreached { timed_out: true } => "no connection to the upstream in time",
        Failure::Unreached { timed_out: false } => "no connection to the upstream",
        Failure::Broken => "the upstream broke off before it answered",
        Failure::Slow => "the upstream did not begin to answer in time",
    }
}

/// Why there is no connection.
pub(super) fn unreached(error: &(dyn Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(Unproven(reason)) = inner.downcast_ref::<Unproven>() {
            return Failure::Unproven(reason.clone());
        }
        if inner.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Failure::Unreached { timed_out: true };
        }
        cause = inner.source();
    }
    Failure::Unreached { timed_out: false }
}
