//! Whether upstreams are well: those the configuration says a path of are asked there, again and again.
//!
//! What must stay true: what is found out decides in what order upstreams are asked, and nothing else. One that is ill is asked
//! where no other is left, so that a health check that is wrong takes nothing off the air.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use keywright_core::route::{Address, Health, Timeouts};
use keywright_core::time::Span;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::body::{Source, Upload, wait};
use super::upstreams::{KEPT, Place};
use crate::Server;

/// How long an answer may take to begin, however seldom is asked.
const LONGEST: Span = Span::seconds(5);
const TIMES: Timeouts = Timeouts { connect: LONGEST, header: LONGEST, idle: LONGEST };

/// Asks every upstream that has a health check, and closes connections nobody needs, for as long as this is asked.
pub(crate) async fn watch(server: Server) {
    let mut asking = JoinSet::new();
    asking.spawn(sweep(server.clone()));
    for (name, health) in &server.options.health {
        for address in server.options.upstreams.get(name).into_iter().flatten() {
            asking.spawn(ask(server.clone(), name.clone(), address.clone(), health.clone()));
        }
    }
    // None of them ends by itself.
    while asking.join_next().await.is_some() {}
}

async fn sweep(server: Server) {
    let mut turns = interval(KEPT);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        server.gateway.kept.sweep();
    }
}

async fn ask(server: Server, name: String, address: Address, health: Health) {
    let place = Place::of(&name, &address, &server.options);
    let patience = wait(LONGEST.min(health.every));
    let mut turns = interval(wait(health.every));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let is_well = is_well(&server, &place, &health, patience).await;
        let was_well = server.gateway.note_health(place.address, is_well);
        match (was_well, is_well) {
            (true, false) => {
                tracing::warn!(upstream = name, address = %place.address, "the upstream is ill: asked last")
            }
            (false, true) => tracing::info!(upstream = name, address = %place.address, "the upstream is well again"),
            (true, true) | (false, false) => {}
        }
    }
}

/// Whether it answers, and that it is well: any status from 200 to 399.
async fn is_well(server: &Server, place: &Place<'_>, health: &Health, patience: Duration) -> bool {
    let client = server.gateway.client(place, TIMES, &server.options);
    let source = Source::new(Body::empty(), 0);
    let uri = format!("{}{}", place.address, health.path);
    let Ok(request) = Request::get(uri).header("user-agent", "keywright").body(Upload::new(&source, patience)) else {
        return false;
    };
    let asked: Result<Result<Response<Incoming>, _>, _> = timeout(patience, client.request(request)).await;
    // The body is nobody's; dropped, it takes its connection with it unless it has come already.
    matches!(asked, Ok(Ok(answer)) if (200..400).contains(&answer.status().as_u16()))
}
