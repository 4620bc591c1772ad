//! How long the other side of a connection may keep us waiting.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// How long nothing has come, or gone.
#[derive(Default)]
pub(crate) struct Silence(Option<Pin<Box<Sleep>>>);

impl Silence {
    /// Something has.
    pub(crate) fn is_broken(&mut self) {
        self.0 = None;
    }

    /// Ready once it has lasted too long.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, longest: Duration) -> Poll<()> {
        self.0.get_or_insert_with(|| Box::pin(sleep(longest))).as_mut().poll(context)
    }

    /// A write that has been tried, which is over where it has waited too long.
    pub(crate) fn of_write<T>(
        &mut self,
        context: &mut Context<'_>,
        longest: Duration,
        tried: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if tried.is_pending() {
            ready!(self.poll(context, longest));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.is_broken();
        tried
    }
}
