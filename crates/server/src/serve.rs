//! Running a server: connections, limits on them, and an end that drops no call.
//!
//! `POST /v1/keys/verify` is answered before the router, for it is the call that is made all the time: nearly always before
//! the HTTP library, too (`direct.rs`), and else here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keywright_app::App;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use crate::api::verify;
use crate::direct::{Left, answer_plain};
use crate::extract::{Context, MOST_BYTES, Who, read, who, who_at_once};
use crate::fields::Fields;
use crate::framing::{PATIENCE, Seen, Watched};
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::router::{Asked, Dialect, begins_like_own, finish, method_name, routed};
use crate::tls::Begun;
use crate::{Options, Server, gateway, http2};

/// Connections open at once; more wait to be accepted.
const MOST_CONNECTIONS: u32 = 10_000;
/// How long the head of a request may take to arrive, idle time between requests included.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long calls under way may still take once the server is to stop.
const DRAIN_TIME: Duration = Duration::from_secs(30);
/// How long to wait after the machine could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const VERIFY: &str = "/v1/keys/verify";

type Answer = Response<Either<Full<Bytes>, Body>>;

/// The address a client on this machine takes to what listens there.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

/// Answers calls until `stop`, then finishes those under way.
///
/// # Errors
/// The listener is broken.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    mut options: Options,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    if options.listening.is_none() {
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        options.listening = Some(format!("{scheme}://{}", reachable(listener.local_addr()?)));
    }
    let watching = options.tls.clone().map(|tls| {
        tls.warn(app.now());
        tokio::spawn(tls.watch(Arc::clone(&app)))
    });
    let server = Server::new(app, options);
    let asking = tokio::spawn(gateway::watch(server.clone()));
    let router = routed(server.clone());
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS as usize));
    let (stop_all, stopping) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = &mut stop => break,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let (server, router, stopping) = (server.clone(), router.clone(), stopping.clone());
        tokio::spawn(async move {
            begin(server, router, stream, peer, stopping).await;
            drop(place);
        });
    }
    drop(listener);
    stop_all.send_replace(());
    for task in watching.into_iter().chain([asking]) {
        task.abort();
    }
    // Each connection has a place: once all places are free, all connections have ended.
    if tokio::time::timeout(DRAIN_TIME, connections.acquire_many(MOST_CONNECTIONS)).await.is_err() {
        tracing::warn!("calls still under way after 30 seconds were cut off");
    }
    Ok(())
}

/// One connection, from its first byte.
async fn begin(server: Server, router: Router, stream: TcpStream, peer: SocketAddr, mut stopping: watch::Receiver<()>) {
    let Some(tls) = server.options.tls.clone() else {
        return converse(Desk::new(server, router, peer, false), stream, stopping).await;
    };
    let begun = tokio::select! {
        begun = tls.begin(stream) => begun,
        _ = stopping.changed() => None,
    };
    match begun {
        Some(Begun::Encrypted(stream)) => converse(Desk::new(server, router, peer, false), stream, stopping).await,
        Some(Begun::Plain(stream)) => converse(Desk::new(server, router, peer, true), stream, stopping).await,
        None => {}
    }
}

/// One connection, from its first request to its last answer.
async fn converse<T>(mut desk: Desk, mut stream: T, mut stopping: watch::Receiver<()>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let begun = tokio::select! {
        begun = tokio::time::timeout(HEAD_TIME, http2::begin(&mut stream)) => begun,
        // Nothing has been asked yet.
        _ = stopping.changed() => return,
    };
    let Ok(Ok((begun, is_http2))) = begun else { return };
    // Where it should be encrypted and is not, nothing is spoken but the refusal.
    if is_http2 && !desk.is_bare {
        return http2::converse(desk.server, begun, stream, desk.peer, stopping).await;
    }
    let mut begun = begun;
    if !desk.is_bare {
        let caller = Caller { server: &desk.server, peer: desk.peer };
        match answer_plain(&caller, &mut stream, begun, &stopping).await {
            Ok(Some(Left { read, answer })) => {
                begun = read;
                desk.first = Mutex::new(answer);
            }
            Ok(None) | Err(_) => return,
        }
    }
    let (stream, seen) = Watched::new(begun, stream);
    desk.seen = seen;
    let desk = Arc::new(desk);
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move {
            let mut answer = answer(&desk, request).await;
            // What is answered before its body is here ends its connection, and whoever keeps connections is told so.
            if desk.seen.is_under_way() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    until_over(connection, stopping, |connection| connection.graceful_shutdown()).await;
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and whole: nothing is gained by holding them back.
            stream.set_nodelay(true).ok()?;
            Some((stream, peer, place))
        }
        Err(error) => {
            // Out of files, or the client has gone already: neither is the end of serving.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Waits for a connection's end, which comes after the calls under way once the server is to stop.
pub(crate) async fn until_over<C>(connection: C, mut stopping: watch::Receiver<()>, end: impl FnOnce(Pin<&mut C>))
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The call under way is answered, and no other is taken.
        _ = stopping.changed() => {
            end(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// What every call of a connection needs, behind one count instead of one for each part.
struct Desk {
    server: Server,
    router: Router,
    peer: SocketAddr,
    /// What is known of the connection's bytes.
    seen: Arc<Seen>,
    /// The answer to the first call, where there is one already.
    first: Mutex<Option<Response<Body>>>,
    /// Whether it is not encrypted and should be.
    is_bare: bool,
}

impl Desk {
    fn new(server: Server, router: Router, peer: SocketAddr, is_bare: bool) -> Self {
        Self { server, router, peer, seen: Arc::default(), first: Mutex::default(), is_bare }
    }
}

const TWO_READINGS: &str = "the request has two readings: send one length or chunks, end lines with CR and LF, and leave \
                           out fragments";
const BARE: &str = "this port speaks HTTPS: begin the address with https://";

async fn answer(desk: &Desk, request: Request<Incoming>) -> Answer {
    let Desk { server, router, peer, seen, first, is_bare } = desk;
    if let Some(response) = first.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return send(seen, response);
    }
    let request_id = RequestId::of(request.headers());
    let context = Context { peer: Some(peer.ip()), request_id, is_local: false };
    if *is_bare {
        // What was sent, a key perhaps, was read by whoever listens. To send it on to where it works would hide that.
        return refuse(server, &context, request.method(), BARE);
    }
    if seen.is_broken() {
        return refuse(server, &context, request.method(), TWO_READINGS);
    }
    if request.method() == Method::POST && request.uri().path() == VERIFY {
        let (parts, body) = request.into_parts();
        let caller = Caller { server, peer: *peer };
        let answer = verify_first(&caller, &parts.headers, None, read(body, MOST_BYTES)).await;
        return answer.response().map(|bytes| Either::Left(Full::new(bytes)));
    }
    let mut request = request.map(Body::new);
    let response = if begins_like_own(request.uri().path()) {
        request.extensions_mut().insert(context);
        let answered: Result<_, std::convert::Infallible> = router.clone().oneshot(request).await;
        match answered {
            Ok(response) => response,
            Err(never) => match never {},
        }
    } else {
        // The router would come to the same function, at a price.
        let asked = Asked::of(&request, &context);
        asked.answered(server, gateway::answer(server, &context, request).await)
    };
    send(seen, response)
}

/// An answer on its way out.
fn send(seen: &Seen, response: Response<Body>) -> Answer {
    seen.waits_for(response.extensions().get::<gateway::Passed>().map_or(PATIENCE, |passed| passed.idle));
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        seen.becomes_other();
    }
    response.map(Either::Right)
}

/// The answer to a request that is not looked at, and the end of its connection.
fn refuse(server: &Server, context: &Context, method: &Method, detail: &str) -> Answer {
    let mut response = Problem::new("BAD_REQUEST", detail).answer(&context.request_id, Dialect::Native);
    finish(response.headers_mut(), &context.request_id);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    server.metrics.count_request(method_name(method), response.status());
    response.map(|bytes| Either::Left(Full::new(bytes)))
}

/// Whoever is at the other end of a connection.
pub(crate) struct Caller<'s> {
    pub(crate) server: &'s Server,
    pub(crate) peer: SocketAddr,
}

/// What a verification came to, and the request's name.
pub(crate) struct Verified {
    pub(crate) request_id: RequestId,
    pub(crate) answer: Result<verify::Answer, Problem>,
}

impl Verified {
    /// The whole answer.
    pub(crate) fn response(self) -> Response<Bytes> {
        let Self { request_id, answer } = self;
        let answer = answer.map(Into::into);
        let mut response = answer.unwrap_or_else(|problem: Problem| problem.answer(&request_id, Dialect::Native));
        finish(response.headers_mut(), &request_id);
        response
    }
}

impl Caller<'_> {
    fn context(&self, fields: &(impl Fields + ?Sized)) -> Context {
        Context { peer: Some(self.peer.ip()), request_id: RequestId::of(fields), is_local: false }
    }

    fn verified(&self, context: Context, answer: Result<verify::Answer, Problem>) -> Verified {
        let status = answer.as_ref().map_or_else(Problem::status, |_| StatusCode::OK);
        self.server.metrics.count_request("POST", status);
        Verified { request_id: context.request_id, answer }
    }
}

/// What a verification comes to, whoever has read its head. Its body is waited for once it is known who asks, where that is not
/// known already.
pub(crate) async fn verify_first<B: AsRef<[u8]>>(
    caller: &Caller<'_>,
    fields: &(impl Fields + ?Sized),
    known: Option<Box<Who>>,
    body: impl Future<Output = Result<B, Problem>>,
) -> Verified {
    let context = caller.context(fields);
    let verified = async {
        let who = match known {
            Some(who) => *who,
            None => who(fields, &context, caller.server, None).await?,
        };
        let body = body.await?;
        verify::verify(caller.server, &who, fields, body.as_ref(), &context.request_id).await
    };
    let answer = verified.await;
    caller.verified(context, answer)
}

/// The same, where all that it takes is in memory. Where it is not, it may be known already who asks, and nothing else has been
/// counted or spent.
#[inline]
pub(crate) fn verify_at_once(
    caller: &Caller<'_>,
    fields: &(impl Fields + ?Sized),
    body: &[u8],
) -> Result<Verified, Option<Box<Who>>> {
    let context = caller.context(fields);
    let answer = match who_at_once(fields, &context, caller.server).transpose().ok_or(None)? {
        Ok(who) => verify::verify_at_once(caller.server, &who, fields, body, &context.request_id)
            .transpose()
            .ok_or_else(|| Some(Box::new(who)))?,
        Err(problem) => Err(problem),
    };
    Ok(caller.verified(context, answer))
}
