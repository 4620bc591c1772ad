//! Where a command's requests go: to a running server over HTTP, or, when none runs, to the same routes inside this
//! process, over the data folder and as the local operator. A command is written once and cannot tell.

use std::future::Future;
use std::pin::Pin;

use anyhow::{Context as _, Result};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use keywright_server::LocalOperator;
use serde_json::Value;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

use crate::call::{Call, Reply};
use crate::dev;
use crate::exit::{Exit, fail};
use crate::folder::Holder;
use crate::options::{Global, api_key};
use crate::place::{House, Place};
use crate::progress;
use crate::remote::Remote;

type Answer = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// A way to a Keywright.
pub(crate) enum Session {
    /// A server.
    Remote(Remote),
    /// This process.
    Local(Local),
}

/// The routes, inside this process.
pub(crate) struct Local {
    ask: Box<dyn Fn(http::Request<Full<Bytes>>) -> Answer + Send + Sync>,
    house: House,
}

impl Session {
    /// Finds the way: the server that was named, the one that runs on the data folder, or the data folder itself.
    pub(crate) async fn open(global: &Global) -> Result<Self> {
        if let Some(url) = &global.server {
            return Ok(Self::Remote(Remote::new(
                url,
                api_key().or_else(|| own_key_for(global, url)).ok_or_else(|| no_key(url))?,
            )?));
        }
        let place = Place::find(global)?;
        match place.folder.take().await? {
            Holder::Us(lock) => Ok(Self::Local(Local::new(place.open_briefly(lock).await?))),
            Holder::Server(note) => {
                let key = api_key().or_else(|| dev::operator_key(&place.folder)).ok_or_else(|| no_key(&note.url))?;
                Ok(Self::Remote(Remote::here(&note, key)?))
            }
        }
    }

    /// Makes a request and takes only a success for an answer.
    pub(crate) async fn call(&self, call: Call) -> Result<Value> {
        progress::wait("waiting for the answer", self.send(call)).await?.into_result()
    }

    /// Makes a request.
    pub(crate) async fn send(&self, call: Call) -> Result<Reply> {
        match self {
            Self::Remote(remote) => remote.send(call).await,
            Self::Local(local) => local.send(call).await,
        }
    }

    /// What this leads to, in words that stay the same from one run to the next.
    pub(crate) fn describe(&self) -> &str {
        match self {
            Self::Remote(remote) => remote.url(),
            Self::Local(local) => &local.house.name,
        }
    }

    /// Ends the way; what was done is then written down.
    pub(crate) async fn close(self) -> Result<()> {
        match self {
            Self::Remote(_) => Ok(()),
            Self::Local(local) => local.close().await,
        }
    }
}

/// Opens a session, uses it, and closes it whatever happened.
pub(crate) async fn with<T>(global: &Global, work: impl AsyncFnOnce(&Session) -> Result<T>) -> Result<T> {
    let session = Session::open(global).await?;
    let done = work(&session).await;
    session.close().await?;
    done
}

/// One request.
pub(crate) async fn call(global: &Global, call: Call) -> Result<Value> {
    with(global, async |session| session.call(call).await).await
}

/// The key `dev` keeps, where the server that was named is the one on that folder.
fn own_key_for(global: &Global, url: &str) -> Option<Zeroizing<String>> {
    let place = Place::find(global).ok()?;
    let note = place.folder.find_server()?;
    (note.url == url.trim_end_matches('/')).then(|| dev::operator_key(&place.folder)).flatten()
}

fn no_key(url: &str) -> anyhow::Error {
    let text = format!(
        "the server {url} wants to know who asks: put an operator key into KEYWRIGHT_API_KEY. `keywright init` printed the \
         first one; with the server stopped, `keywright keys create --kind operator --permission '*'` makes another"
    );
    fail(Exit::Refused, text)
}

impl Local {
    /// The routes over an open house.
    pub(crate) fn new(house: House) -> Self {
        let router = keywright_server::router(std::sync::Arc::clone(&house.app), keywright_server::Options::default());
        let ask = move |request: http::Request<Full<Bytes>>| -> Answer {
            let answered = router.clone().oneshot(request);
            Box::pin(async move {
                let response = answered.await.context("the routes did not answer")?;
                let status = response.status().as_u16();
                let body = response.into_body().collect().await.context("the answer broke off")?.to_bytes();
                Ok(Reply { status, body: read_body(&body) })
            })
        };
        Self { ask: Box::new(ask), house }
    }

    /// Makes a request as the local operator, in a place where only a success is an answer.
    pub(crate) async fn call(&self, call: Call) -> Result<Value> {
        self.send(call).await?.into_result()
    }

    async fn send(&self, call: Call) -> Result<Reply> {
        let mut request = request(&call, "")?.map(Full::from);
        request.extensions_mut().insert(LocalOperator);
        (self.ask)(request).await
    }

    /// The house it is in.
    pub(crate) fn house(&self) -> &House {
        &self.house
    }

    /// Gives the house back, for a server to go on with.
    pub(crate) fn into_house(self) -> House {
        self.house
    }

    async fn close(self) -> Result<()> {
        let Self { ask, house } = self;
        drop(ask);
        house.close().await
    }
}

/// A call as an HTTP request.
pub(crate) fn request(call: &Call, base: &str) -> Result<http::Request<Vec<u8>>> {
    let mut request = http::Request::builder().method(call.method.clone()).uri(format!("{base}{}", call.path));
    if let Some(key) = &call.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let body = match &call.body {
        Some(body) => {
            request = request.header(CONTENT_TYPE, "application/json");
            serde_json::to_vec(body)?
        }
        None => Vec::new(),
    };
    request.body(body).map_err(|_| fail(Exit::Usage, format!("{base}{} is not an address", call.path)))
}

/// The header that shows a key.
pub(crate) fn show_key(request: &mut http::Request<Vec<u8>>, key: &str) -> Result<()> {
    let bearer = Zeroizing::new(format!("Bearer {key}"));
    let value = http::HeaderValue::from_str(&bearer);
    let mut value = value
        .map_err(|_| fail(Exit::Usage, "KEYWRIGHT_API_KEY is not a key: it has characters no header can carry"))?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// A body as JSON, or as the text it is.
pub(crate) fn read_body(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).chars().take(500).collect()))
}
