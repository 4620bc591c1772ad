//! Whether what was let in still would be: for connections that outlive the request they began with.
//!
//! What must stay true: the answer is the one a request would be given at this moment, and asking costs nothing: no use is
//! counted, no limit or credit taken, and nobody is locked out for it.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use keywright_core::secret::Digest;
use keywright_core::verify::Outcome;
use zeroize::Zeroizing;

use crate::App;
use crate::cache::{Lookup, Tag};
use crate::error::Error;
use crate::verify::{Ask, Known, Want};

/// What a connection was let in with, kept for as long as it stands.
pub struct Held {
    credential: Credential,
    ip: Option<IpAddr>,
    /// Any one of these has to be granted; of none at all, the credential only has to work.
    permissions: Vec<String>,
}

enum Credential {
    /// What a key is looked for by in memory, and every digest it may be stored under: the key itself is not kept.
    Key(Tag, Vec<Digest>),
    Token(Zeroizing<Vec<u8>>),
}

impl Held {
    /// Whether asking about it costs no more than looking into memory, but for the first time.
    #[must_use]
    pub const fn is_in_memory(&self) -> bool {
        matches!(self.credential, Credential::Key(..))
    }
}

impl App {
    /// How many commits have changed something since the start. Where this stands still, only time can have ended anything.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Keeps what is needed to ask about a key again.
    #[must_use]
    pub fn hold_key(&self, key: &[u8], ip: Option<IpAddr>, permissions: &[String]) -> Held {
        let credential = Credential::Key(self.cache.tag_of(key), self.digests(key));
        Held { credential, ip, permissions: permissions.to_vec() }
    }

    /// Keeps what is needed to ask about a person's token again.
    #[must_use]
    pub fn hold_token(&self, token: &[u8], permissions: &[String]) -> Held {
        let credential = Credential::Token(Zeroizing::new(token.to_vec()));
        Held { credential, ip: None, permissions: permissions.to_vec() }
    }

    /// Whether it would be let in now.
    ///
    /// # Errors
    /// The database has to be asked and is out of reach.
    pub async fn still_holds(&self, held: &Held) -> Result<bool, Error> {
        match &held.credential {
            Credential::Key(tag, digests) => self.key_holds(*tag, digests, held).await,
            Credential::Token(token) => {
                // Without an address nobody is held to have guessed: tokens end, and that is no guess.
                let caller = match self.authenticate_token(token, None, None).await {
                    Ok(caller) => caller,
                    Err(Error::Unavailable(reason)) => return Err(Error::Unavailable(reason)),
                    Err(_) => return Ok(false),
                };
                let need = self.world().policy.catalog.any(held.permissions.iter().map(String::as_str));
                Ok(held.permissions.is_empty() || caller.grant.meets(&need))
            }
        }
    }

    async fn key_holds(&self, tag: Tag, digests: &[Digest], held: &Held) -> Result<bool, Error> {
        self.lease.must_hold()?;
        let want = if held.permissions.is_empty() { Want::Nothing } else { Want::Any(&held.permissions) };
        let ask = Ask { ip: held.ip, want, ..Ask::default() };
        let Some((facts, record)) = self.known(tag, digests).await? else { return Ok(false) };
        let outcome = self.decide(self.world(), facts, Some(&record), &ask, self.clock.now());
        // Under another policy than it was read with nothing is known: the next time it is read anew.
        Ok(outcome.is_none_or(|outcome| outcome == Outcome::Valid))
    }

    /// What is known of a key, from memory where it is there.
    async fn known(&self, tag: Tag, digests: &[Digest]) -> Result<Option<Known>, Error> {
        match self.cache.find(tag) {
            Lookup::Known(hit) => {
                if let Some(record) = self.cache.record(&hit) {
                    return Ok(Some((hit.facts(), record)));
                }
            }
            Lookup::Absent => return Ok(None),
            Lookup::Unknown => {}
        }
        Ok(self.load_stored(tag, digests).await?.map(|(known, _)| known))
    }
}
