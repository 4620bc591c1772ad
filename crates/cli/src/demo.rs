//! Services behind the gate of `keywright dev`: storage on the file system, and one that shows what a service sees.
//!
//! They listen on this machine alone, beneath a path nobody else knows: whoever wants to get to them passes the gate.

mod echo;
mod storage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use keywright_core::route::Address;
use rand::Rng as _;
use tokio::net::TcpListener;

/// What the services know.
struct Demo {
    /// What every path begins with.
    base: String,
    /// Where buckets are kept.
    folder: PathBuf,
}

/// Starts the services, and says where each of them is.
pub(crate) async fn start(folder: &Path) -> Result<BTreeMap<String, Vec<Address>>> {
    let folder = folder.join("storage");
    storage::prepare(&folder).await.with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut rng = keywright_app::clock::rng();
    let base = format!("/{:016x}{:016x}", rng.next_u64(), rng.next_u64());
    let listener = TcpListener::bind("127.0.0.1:0").await.context("the demo services cannot listen")?;
    let authority = listener.local_addr().context("the demo services have no address")?.to_string();
    let at = |name: &str| {
        let address = Address { authority: authority.clone(), base: format!("{base}/{name}") };
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
