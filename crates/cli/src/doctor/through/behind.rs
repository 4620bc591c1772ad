//! Standing in for the service behind a proxy, to see what reaches it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Requests that are kept: more than are ever sent.
const MOST_REQUESTS: usize = 1_000;

type Requests = Arc<Mutex<Vec<String>>>;

/// A service that answers everything by 200 and keeps what it was asked.
pub(super) struct Behind {
    requests: Requests,
    /// Ends with this.
    _serving: JoinSet<()>,
}

impl Behind {
    /// Listens.
    ///
    /// # Errors
    /// Nobody can listen there.
    pub(super) async fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let requests = Requests::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&requests)));
        Ok(Self { requests, _serving: serving })
    }

    /// The request that carries this mark: its line and headers in lower case, as far as one came.
    pub(super) fn seen(&self, mark: &str) -> Option<String> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().find(|request| request.contains(mark)).cloned()
    }
}

async fn serve(listener: TcpListener, requests: Requests) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let requests = Arc::clone(&requests);
        connections.spawn(async move {
            let service = service_fn(|request| keep(request, &requests));
            // A connection that breaks off is the proxy's to tell of.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn keep(request: Request<Incoming>, requests: &Requests) -> Result<Response<String>, Infallible> {
    let lines = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    let text = format!("{} {}\n{}", request.method(), request.uri(), lines.collect::<String>()).to_ascii_lowercase();
    let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
    if requests.len() < MOST_REQUESTS {
        requests.push(text);
    }
    Ok(Response::new("seen\n".to_owned()))
}
