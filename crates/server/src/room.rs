//! Room for bytes on their way, lent by each thread for as long as they are.
//!
//! What was given back last is lent first: it is still near the processor. Room of a connection's own would have gone cold
//! until its turn comes round, and whoever waits for a next request would hold it for nothing.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much is lent at first. Whoever needs more grows it.
const ROOM: usize = 4 * 1_024;
/// The most of it that is kept: what something long took is not kept for what is short.
const MOST_ROOM: usize = 16 * 1_024;
/// How many of them a thread keeps.
const MOST_KEPT: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Lends room with nothing in it.
pub(crate) fn lend() -> Vec<u8> {
    let kept = KEPT.try_with(|kept| kept.borrow_mut().pop());
    kept.ok().flatten().unwrap_or_else(|| Vec::with_capacity(ROOM))
}

/// Takes room back, and leaves none behind.
pub(crate) fn take_back(room: &mut Vec<u8>) {
    let mut room = std::mem::take(room);
    if !(ROOM..=MOST_ROOM).contains(&room.capacity()) {
        return;
    }
    room.clear();
    // A thread that ends keeps nothing.
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < MOST_KEPT {
            kept.push(room);
        }
    });
}

/// Reads what comes next, into room that is lent once it is there.
///
/// # Errors
/// The connection broke off.
pub(crate) async fn read_more(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|context| {
        if read.capacity() == 0 {
            *read = lend();
        }
        let more = pin!(stream.read_buf(read)).poll(context);
        if more.is_pending() && read.is_empty() {
            take_back(read);
        }
        more
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn what_was_given_back_last_is_lent_first_and_empty() {
        let (mut first, mut second) = (lend(), lend());
        first.extend_from_slice(b"secret");
        let place = first.as_ptr();
        take_back(&mut second);
        take_back(&mut first);
        assert_eq!(first.capacity(), 0);
        let again = lend();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn no_more_is_kept_than_is_worth_it() {
        take_back(&mut Vec::with_capacity(MOST_ROOM + 1));
        take_back(&mut Vec::with_capacity(ROOM - 1));
        assert_eq!(KEPT.with_borrow(Vec::len), 0);
        (0..=MOST_KEPT).for_each(|_| take_back(&mut Vec::with_capacity(ROOM)));
        assert_eq!(KEPT.with_borrow(Vec::len), MOST_KEPT);
    }

    #[tokio::test]
    async fn whoever_waits_holds_no_room() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut read = Vec::new();
        let waiting = poll_fn(|context| {
            let waits = pin!(read_more(&mut near, &mut read)).poll(context);
            std::task::Poll::Ready(waits.is_pending())
        });
        assert!(waiting.await);
        assert_eq!(read.capacity(), 0);
        far.write_all(b"begun").await.unwrap();
        assert_eq!(read_more(&mut near, &mut read).await.unwrap(), 5);
        // What has begun stays where it is.
        far.write_all(b", ended").await.unwrap();
        assert_eq!(read_more(&mut near, &mut read).await.unwrap(), 7);
        assert_eq!(read, b"begun, ended");
    }
}
