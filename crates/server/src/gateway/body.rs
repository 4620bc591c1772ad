//! Bodies on their way through: passed on piece by piece, with a limit on silence and, upwards, on size.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::header::CONTENT_LENGTH;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use keywright_core::time::Span;
use tokio::sync::Notify;

use super::headers;
use crate::fields::Fields;
use crate::silence::Silence;

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// What ended a body before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is larger than the route allows.
    TooLarge = 1,
    /// The client fell silent.
    Silent = 2,
    /// The client broke off.
    BrokenOff = 3,
}

/// A client's body, held apart from the request it goes with: where no byte of it has been taken, another upstream can
/// be asked.
pub(super) struct Source {
    body: Mutex<Body>,
    hint: SizeHint,
    limit: u64,
    taken: AtomicU64,
    is_begun: AtomicBool,
    waits_for_client: AtomicBool,
    fault: AtomicU8,
    moved: Notify,
}

impl Source {
    pub(super) fn new(body: Body, limit: u64) -> Arc<Self> {
        let hint = body.size_hint();
        Arc::new(Self {
            body: Mutex::new(body),
            hint,
            limit,
            taken: AtomicU64::new(0),
            is_begun: AtomicBool::new(false),
            waits_for_client: AtomicBool::new(false),
            fault: AtomicU8::new(0),
            moved: Notify::new(),
        })
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.hint.exact() == Some(0)
    }

    /// Whether some of it has been taken.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun.load(Ordering::Acquire) && !self.is_empty()
    }

    /// Whether it is the client who is waited for.
    pub(super) fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Ordering::Acquire)
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        let fault = self.fault.load(Ordering::Acquire);
        [Fault::TooLarge, Fault::Silent, Fault::BrokenOff].into_iter().find(|known| *known as u8 == fault)
    }

    /// Waits for the next piece to be taken.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    fn end(&self, fault: Fault) -> Option<Result<Frame<Bytes>, Broken>> {
        self.fault.store(fault as u8, Ordering::Release);
        Some(Err("the client's body ended before its end".into()))
    }

    /// What is passed on of a piece.
    fn piece(&self, frame: Option<Result<Frame<Bytes>, axum::Error>>) -> Option<Result<Frame<Bytes>, Broken>> {
        self.moved.notify_one();
        let frame = match frame? {
            Ok(frame) => frame,
            Err(_) => return self.end(Fault::BrokenOff),
        };
        match frame.into_data() {
            Ok(data) => {
                let size = data.len() as u64;
                if self.taken.fetch_add(size, Ordering::AcqRel).saturating_add(size) > self.limit {
                    return self.end(Fault::TooLarge);
                }
                Some(Ok(Frame::data(data)))
            }
            Err(frame) => {
                let mut fields = frame.into_trailers().unwrap_or_default();
                headers::trailers(&mut fields);
                Some(Ok(Frame::trailers(fields)))
            }
        }
    }
}

/// A client's body on its way to an upstream.
pub(super) struct Upload {
    source: Arc<Source>,
    idle: Duration,
    silence: Silence,
}

impl Upload {
    pub(super) fn new(source: &Arc<Source>, idle: Duration) -> Self {
        Self { source: Arc::clone(source), idle, silence: Silence::default() }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let source = &this.source;
        source.is_begun.store(true, Ordering::Release);
        let polled = {
            let mut body = source.body.lock().unwrap_or_else(PoisonError::into_inner);
            Pin::new(&mut *body).poll_frame(context)
        };
        source.waits_for_client.store(polled.is_pending(), Ordering::Release);
        match polled {
            Poll::Ready(frame) => {
                this.silence.is_broken();
                Poll::Ready(source.piece(frame))
            }
            Poll::Pending => {
                ready!(this.silence.poll(context, this.idle));
                Poll::Ready(source.end(Fault::Silent))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.hint
    }
}

/// An upstream's body on its way to a client.
pub(super) struct Download {
    body: Incoming,
    idle: Duration,
    silence: Silence,
}

impl Download {
    pub(super) fn new(body: Incoming, idle: Duration) -> Self {
        Self { body, idle, silence: Silence::default() }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                this.silence.is_broken();
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                ready!(this.silence.poll(context, this.idle));
                Poll::Ready(Some(Err("the upstream fell silent".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A length of time as timers take it.
pub(super) fn wait(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.millis()).unwrap_or_default())
}

/// How long a body says it is.
pub(super) fn declared(fields: &(impl Fields + ?Sized)) -> Option<u64> {
    fields.text(&CONTENT_LENGTH)?.parse().ok()
}
