//! Services behind the gate of `keywright dev`: storage on the file system, and one that shows what a service sees.
//!
//! They listen on this machine alone, beneath a path nobody else knows: whoever wants to get to them passes the gate.

mod echo;
mod storage;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use keywright_core::id::KeyId;
use keywright_core::route::Address;
use tokio::net::TcpListener;

/// What the services know.
struct Demo {
    /// What every path begins with.
    base: String,
    /// Where buckets are kept.
    folder: PathBuf,
}

/// Starts the services, and says where each of them is. Buckets are kept in a folder of this one.
///
/// # Errors
/// The folder cannot be made, or no port is free.
pub async fn demo_services(folder: &Path) -> io::Result<BTreeMap<String, Vec<Address>>> {
    let folder = folder.join("storage");
    storage::prepare(&folder).await?;
    let clock = keywright_app::clock::Clock::System;
    // Eighty random bits.
    let base = format!("/{}", KeyId::new(clock.now(), &mut keywright_app::clock::rng()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let authority = listener.local_addr()?.to_string();
    let at = |name: &str| {
        let address = Address { is_tls: false, authority: authority.clone(), base: format!("{base}/{name}") };
        (name.to_owned(), vec![address])
    };
    let addresses = ["storage", "echo"].map(at).into();
    let router = Router::new().fallback(answer).with_state(Arc::new(Demo { base, folder }));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "the demo services ended");
        }
    });
    Ok(addresses)
}

async fn answer(State(demo): State<Arc<Demo>>, request: Request<Body>) -> Response {
    let path = request.uri().path().to_owned();
    let within = |name: &str| path.strip_prefix(&demo.base)?.strip_prefix('/')?.strip_prefix(name).map(str::to_owned);
    if let Some(path) = within("storage") {
        storage::answer(&demo.folder, &path, request).await
    } else if let Some(path) = within("echo") {
        echo::answer(&path, request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}
