//! Upstreams: connections that are kept for the next request, and which of several is asked first.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use keywright_app::trust::Trust;
use keywright_core::route::{Address, Route, Timeouts, Upstream};
use keywright_core::time::{Span, Time};
use smallvec::SmallVec;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::body::{Upload, wait};
use super::connect::{Connector, Stream};
use super::kept::Kept;
use super::tries::{Failure, unreached};
use crate::Options;

/// How long an upstream that could not be reached is asked last.
const DOWN: Span = Span::seconds(5);
/// How long a connection without work is kept.
pub(super) const KEPT: Duration = Duration::from_secs(30);
/// Connections without work that are kept for one upstream.
pub(super) const MOST_KEPT: usize = 64;
/// WebSockets open at once.
const MOST_TUNNELS: usize = 10_000;

pub(super) type Upstreams = Client<Connector, Upload>;

/// How connections are made: how long that may take and how long they may take nothing, in milliseconds, and the name an
/// authority has that vouches for who is at the other end.
type Manner = (i64, i64, Option<String>);

/// An upstream of a route's.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) address: &'a Address,
    /// The name the configuration has an authority under that vouches for it; none where the machine's do.
    pub(super) trusted: Option<&'a str>,
}

/// Upstreams in the order they are asked. Most routes have one or two.
pub(super) type Places<'a> = SmallVec<[Place<'a>; 2]>;

/// What the gate knows of its upstreams.
pub(crate) struct Gateway {
    clients: Mutex<BTreeMap<Manner, Upstreams>>,
    /// Connections that are asked without the library.
    pub(super) kept: Kept,
    /// Until when an upstream is asked last.
    down: Mutex<HashMap<Address, Time>>,
    /// What health checks found out last.
    well: Mutex<BTreeMap<Address, bool>>,
    turn: AtomicUsize,
    pub(super) tunnels: Arc<Semaphore>,
}

impl<'a> Place<'a> {
    /// One that has a name.
    pub(super) fn of(name: &'a str, address: &'a Address, options: &Options) -> Self {
        let trusted = Some(name).filter(|name| address.is_tls && options.trusted.contains_key(*name));
        Self { address, trusted }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            clients: Mutex::default(),
            kept: Kept::default(),
            down: Mutex::default(),
            well: Mutex::default(),
            turn: AtomicUsize::new(0),
            tunnels: Arc::new(Semaphore::new(MOST_TUNNELS)),
        }
    }
}

impl Gateway {
    /// What an upstream is asked by. Connections are shared only where the same is asked of whoever is at the other end.
    pub(super) fn client(&self, place: &Place<'_>, times: Timeouts, options: &Options) -> Upstreams {
        let make = || make(trust(place, options), times);
        let key = (times.connect.millis(), times.idle.millis(), place.trusted.map(str::to_owned));
        lock(&self.clients).entry(key).or_insert_with(make).clone()
    }

    /// A new connection that is asked without the library.
    pub(super) async fn connect(place: Place<'_>, times: Timeouts, options: &Options) -> Result<Stream, Failure> {
        let trust = if place.address.is_tls { trust(&place, options) } else { None };
        let connector = Connector::new(trust, wait(times.connect), wait(times.idle));
        let uri = place.address.to_string().parse::<Uri>().map_err(|error| unreached(&error))?;
        let connected = connector.oneshot(uri).await.map_err(|error| unreached(&*error))?;
        Ok(connected.into_inner())
    }

    /// A route's upstreams in the order they are asked: in turn, those that were out of reach a moment ago last.
    pub(super) fn addresses<'a>(&self, route: &'a Route, options: &'a Options, now: Time) -> Places<'a> {
        let mut all = Places::new();
        for upstream in &route.upstreams {
            match upstream {
                Upstream::At(address) => all.push(Place { address, trusted: None }),
                Upstream::Named(name) => {
                    let named = options.upstreams.get(name).into_iter().flatten();
                    all.extend(named.map(|address| Place::of(name, address, options)));
                }
            }
        }
        if all.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % all.len();
            all.rotate_left(turn);
            let (down, well) = (lock(&self.down), lock(&self.well));
            let is_ill = |place: &Place<'_>| well.get(place.address).is_some_and(|well| !well);
            let is_down = |place: &Place<'_>| down.get(place.address).is_some_and(|until| *until > now);
            all.sort_by_key(|place| is_ill(place) || is_down(place));
        }
        all
    }

    /// What a health check found out. Says what the one before did; they are taken to be well.
    pub(super) fn note_health(&self, address: &Address, is_well: bool) -> bool {
        lock(&self.well).insert(address.clone(), is_well).unwrap_or(true)
    }

    /// What health checks found out last.
    pub(crate) fn health(&self) -> BTreeMap<Address, bool> {
        lock(&self.well).clone()
    }

    /// An upstream could not be reached.
    pub(super) fn note_down(&self, address: &Address, now: Time) {
        let mut down = lock(&self.down);
        down.retain(|_, until| *until > now);
        down.insert(address.clone(), now.after(DOWN));
    }
}

/// Who vouches for whoever is there.
fn trust(place: &Place<'_>, options: &Options) -> Option<Trust> {
    let own = place.trusted.and_then(|name| options.trusted.get(name));
    own.cloned().or_else(Trust::machine)
}

fn make(trust: Option<Trust>, times: Timeouts) -> Upstreams {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(KEPT).pool_max_idle_per_host(MOST_KEPT);
    builder.build(Connector::new(trust, wait(times.connect), wait(times.idle)))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
