//! `Idempotency-Key`: the same request twice makes one thing. A key's secret is neither kept nor repeated: a replay
//! answers with the key that was made, without its plaintext.

use keywright_core::time::{Span, Time};
use keywright_store::{Tx, replays};
use sha2::Digest as _;

use crate::App;
use crate::caller::Caller;
use crate::error::Error;

/// How long a replay is recognised.
pub const REMEMBERED: Span = Span::days(1);
/// The longest `Idempotency-Key`, in bytes.
pub const LONGEST: usize = 255;

/// What tells a repeated request from a new one.
#[derive(Clone, Debug)]
pub struct Replay {
    caller: String,
    key: String,
    request: [u8; 32],
}

impl Replay {
    /// From the header, and the request's path and bytes. Each caller has keys of their own.
    ///
    /// # Errors
    /// The header is empty, too long, or has something but visible ASCII.
    pub fn new(caller: &Caller, key: &str, path: &str, body: &[u8]) -> Result<Self, Error> {
        if !(1..=LONGEST).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = format!("is 1 to {LONGEST} visible ASCII characters: a UUID does well");
            return Err(Error::invalid("Idempotency-Key", reason));
        }
        let request = sha2::Sha256::new().chain_update(path).chain_update([0]).chain_update(body).finalize().into();
        Ok(Self { caller: caller.actor.name(), key: key.into(), request })
    }

    /// What an earlier request with this key made.
    pub(crate) async fn find(tx: &mut Tx, replay: Option<&Self>) -> Result<Option<String>, Error> {
        let Some(replay) = replay else { return Ok(None) };
        match replays::find_replay(tx, &replay.caller, &replay.key).await? {
            None => Ok(None),
            Some(earlier) if earlier.request_hash == replay.request => Ok(Some(earlier.target)),
            Some(_) => Err(Error::invalid(
                "Idempotency-Key",
                "was used with another request: use a new one for each new request",
            )),
        }
    }

    pub(crate) async fn keep(tx: &mut Tx, replay: Option<&Self>, target: &str, now: Time) -> Result<(), Error> {
        let Some(replay) = replay else { return Ok(()) };
        let Self { caller, key, request } = replay.clone();
        let kept =
            replays::Replay { caller, idem_key: key, request_hash: request, target: target.into(), created_at: now };
        Ok(replays::insert_replay(tx, &kept).await?)
    }
}

impl App {
    /// Forgets replays that are no longer recognised.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn forget_replays(&self) -> Result<(), Error> {
        let before = self.clock.now().before(REMEMBERED);
        self.meter(move |tx| Box::pin(async move { Ok(replays::delete_replays_before(tx, before).await.map(drop)?) }))
            .await
    }
}
