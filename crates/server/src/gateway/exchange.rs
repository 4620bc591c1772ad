//! One plain request and its answer on one connection to an upstream.
//!
//! What must stay true: an answer is passed on only where it says itself, in one way, where it ends. Any other is the library's
//! to read.

use std::mem::MaybeUninit;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use keywright_core::route::Address;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::body::wait;
use super::connect::Stream;
use super::forward::expected;
use super::relay::{Ceased, Client};
use super::rewound::read_on;
use super::tries::{Failure, Sent, Tries};
use super::upstreams::{Gateway, Place};
use super::{Onward, headers};
use crate::fields::Fields;
use crate::problem::Problem;
use crate::room;

/// The longest head of an answer that is read here.
const LONGEST_HEAD: usize = 16 * 1_024;
/// The most fields it may have.
const MOST_FIELDS: usize = 64;

/// What an upstream answers.
pub(super) enum Reply<'a> {
    /// Its head, and as much of its body as came with it, stand in the client's line; this is still to come.
    Plain(StatusCode, Flow<'a>),
    /// The library reads it.
    Other(Response<Incoming>),
}

/// The rest of an answer's body.
pub(super) struct Flow<'a> {
    pub(super) stream: Stream,
    pub(super) place: Place<'a>,
    pub(super) left: u64,
    /// Whether the connection can be used again afterwards.
    pub(super) stays: bool,
}

enum Stop {
    Failed(Failure),
    /// The connection was closed before a byte of the answer came.
    Closed,
    /// The client has gone.
    Gone,
    /// What is to be asked could not be written.
    Unasked(Box<Problem>),
}

impl From<Ceased> for Stop {
    fn from(ceased: Ceased) -> Self {
        match ceased {
            Ceased::Late => Self::Failed(Failure::Slow),
            Ceased::Gone => Self::Gone,
        }
    }
}

/// Asks upstreams until one answers; nothing where the client has gone before.
pub(super) async fn ask<'a, T: AsyncRead + AsyncWrite + Unpin, F: Fields + ?Sized>(
    onward: &Onward<'a, F>,
    body: &[u8],
    client: &mut Client<'_, T>,
) -> Result<Option<Reply<'a>>, Problem> {
    let mut tries = Tries::of(onward);
    loop {
        let place = tries.place()?;
        let failed = match ask_at(onward, place, body, client).await {
            Ok(Reply::Other(response)) => return expected(response, onward, place.address).map(Reply::Other).map(Some),
            Ok(plain) => return Ok(Some(plain)),
            Err(Stop::Gone) => return Ok(None),
            Err(Stop::Unasked(problem)) => return Err(*problem),
            Err(Stop::Failed(failed)) => failed,
            Err(Stop::Closed) => Failure::Broken,
        };
        // What was to be sent is all here still.
        tries.failed(place, &failed, Sent { is_empty: body.is_empty(), is_begun: false })?;
    }
}

/// Asks one upstream.
async fn ask_at<'a, T: AsyncRead + AsyncWrite + Unpin, F: Fields + ?Sized>(
    onward: &Onward<'a, F>,
    place: Place<'a>,
    body: &[u8],
    client: &mut Client<'_, T>,
) -> Result<Reply<'a>, Stop> {
    let Onward { server, route, call, .. } = onward;
    if let Some(stream) = server.gateway.kept.take(&place, route.timeouts) {
        let asked = converse(onward, place, stream, body, client).await;
        // Its other end may have closed it at this very moment, and may be asked again where that does no harm.
        if !(matches!(asked, Err(Stop::Closed)) && body.is_empty() && call.method.is_idempotent()) {
            return asked;
        }
    }
    // As long as it takes: how long that may be is the connection's affair.
    let connecting = Box::pin(Gateway::connect(place, route.timeouts, &server.options));
    let stream = client.until(i64::MAX, connecting).await?.map_err(Stop::Failed)?;
    converse(onward, place, stream, body, client).await
}

/// Sends the request, and reads its answer.
async fn converse<'a, T: AsyncRead + AsyncWrite + Unpin, F: Fields + ?Sized>(
    onward: &Onward<'a, F>,
    place: Place<'a>,
    mut stream: Stream,
    body: &[u8],
    client: &mut Client<'_, T>,
) -> Result<Reply<'a>, Stop> {
    let mut asked = room::lend();
    write(onward, place.address, body, &mut asked).map_err(|problem| Stop::Unasked(Box::new(problem)))?;
    let mut sent = stream.write_all(&asked).await;
    if sent.is_ok() {
        sent = stream.flush().await;
    }
    room::take_back(&mut asked);
    sent.map_err(|_| Stop::Closed)?;
    let longest = wait(onward.route.timeouts.header);
    let due_ms = client.timer.begin(longest);
    let mut got = Vec::new();
    loop {
        let more = client.until(due_ms, room::read_more(&mut stream, &mut got)).await;
        if !matches!(more?, Ok(more) if more > 0) {
            return Err(if got.is_empty() { Stop::Closed } else { Stop::Failed(Failure::Broken) });
        }
        let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        match head(&got, &mut fields, onward.call.method) {
            Head::Part => {}
            Head::Other => {
                let read = Box::pin(read_on(onward.call.method, got, stream, longest)).await;
                return read.map(Reply::Other).map_err(Stop::Failed);
            }
            Head::Plain { status, reason, fields, head, length, stays } => {
                begin(onward, client, status, reason, fields);
                let body = got.get(head..).unwrap_or_default();
                let here = usize::try_from(length).unwrap_or(usize::MAX).min(body.len());
                client.line.out.extend_from_slice(body.get(..here).unwrap_or_default());
                // What nobody asked for is nobody's answer.
                let flow = Flow { stream, place, left: length - here as u64, stays: stays && here == body.len() };
                room::take_back(&mut got);
                return Ok(Reply::Plain(status, flow));
            }
        }
    }
}

/// Writes the request as the upstream at this address sees it.
fn write<F: Fields + ?Sized>(
    onward: &Onward<'_, F>,
    address: &Address,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    out.extend_from_slice(onward.call.method.as_str().as_bytes());
    out.push(b' ');
    for part in onward.target(address) {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(address.host().as_bytes());
    onward.write(out, &onward.signed(address)?);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    Ok(())
}

/// Writes what the client is answered, up to its body.
fn begin<T: AsyncRead + AsyncWrite + Unpin, F: ?Sized>(
    onward: &Onward<'_, F>,
    client: &mut Client<'_, T>,
    status: StatusCode,
    reason: &str,
    fields: &[httparse::Header<'_>],
) {
    let is_last = client.is_last();
    client.line.begin(status.as_str(), reason);
    let Onward { guest, context, .. } = onward;
    headers::write_back(status, fields, guest.limits.as_deref(), &context.request_id, &mut client.line.out);
    if fields.all(&DATE).next().is_none() {
        client.line.date(onward.server.app.now());
    }
    client.line.end(is_last);
}

/// The head of an answer.
#[derive(Debug)]
enum Head<'b> {
    /// So far.
    Part,
    /// It is plain where this answer ends.
    Plain {
        status: StatusCode,
        reason: &'b str,
        fields: &'b [httparse::Header<'b>],
        /// How long the head is.
        head: usize,
        /// How long the body is.
        length: u64,
        /// Whether another request may follow.
        stays: bool,
    },
    /// It is the library's to read.
    Other,
}

fn head<'b>(bytes: &'b [u8], room: &'b mut [MaybeUninit<httparse::Header<'b>>], method: &Method) -> Head<'b> {
    let mut parsed = httparse::Response::new(&mut []);
    let parse = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, room);
    let head = match parse {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Head::Part,
        Ok(httparse::Status::Partial) | Err(_) => return Head::Other,
    };
    let (Some(1), Some(code), fields) = (parsed.version, parsed.code, &*parsed.headers) else { return Head::Other };
    let Ok(status) = StatusCode::from_u16(code) else { return Head::Other };
    // Whatever comes before an answer, turns the connection into something else, or is framed otherwise than by its length.
    let is_strange = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || fields.all(&TRANSFER_ENCODING).next().is_some();
    if is_strange {
        return Head::Other;
    }
    let mut lengths = fields.all(&CONTENT_LENGTH);
    let length = lengths.next().filter(|value| !value.is_empty() && value.iter().all(u8::is_ascii_digit));
    let length = length.and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
    let (Some(length), None) = (length, lengths.next()) else { return Head::Other };
    let is_bare = *method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    let stays = fields.all(&CONNECTION).all(|value| value.eq_ignore_ascii_case(b"keep-alive"));
    let reason = parsed.reason.filter(|reason| reason.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let reason = reason.unwrap_or_default();
    Head::Plain { status, reason, fields, head, length: if is_bare { 0 } else { length }, stays }
}
