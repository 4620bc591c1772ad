//! Keys anybody can have without a credential, where their kind allows it: few an address, and not for long.
//!
//! They belong to one account of the server's own, which the first of them brings along. What a stranger can make is
//! bounded everywhere: keys an address in a span, counts of addresses in memory, live keys in all by the kind's limit, and
//! keys that are over are forgotten. A restart forgets the counts, as it does those of every window.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;

use keywright_core::account::{Account, Standing};
use keywright_core::audit::{Actor, AuditEvent};
use keywright_core::draft::Draft;
use keywright_core::id::AccountId;
use keywright_core::key::Key;
use keywright_core::limit::{self, RateLimit, Window};
use keywright_core::policy::Kind;
use keywright_core::secret::PlainKey;
use keywright_core::time::{Span, Time};
use keywright_store::{Tx, accounts, keys, secrets};
use serde_json::json;

use crate::App;
use crate::accounts::event as account_event;
use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::keys::{event, must_have_room, settings};
use crate::sync::lock_std as lock;
use crate::write::Author;

/// The most addresses that are counted at once.
const MOST: usize = 65_536;
/// How long a key that is over is still known, so that whoever shows it hears that it has expired.
const KEPT: Span = Span::days(1);
/// Keys forgotten at once: other changes wait no longer for it.
const FORGOTTEN_AT_ONCE: i64 = 1_000;
/// When to come again where all keys there may be are given away.
const FULL: Span = Span::minutes(1);

/// A key somebody has been given, with its plaintext, this once.
pub struct Trial {
    /// The key.
    pub key: Key,
    /// Its plaintext.
    pub plain: PlainKey,
}

/// Whom a kind's keys went to: a kind and an address, or whoever has none.
type Taker = (String, Option<IpAddr>);

/// How long a full book is not searched again for what is over: a flood costs a search a second, not one a call.
const SEARCH_EVERY: Span = Span::seconds(1);

/// How many keys each address has had.
#[derive(Default)]
pub(crate) struct Issued(Mutex<Book>);

#[derive(Default)]
struct Book {
    counts: HashMap<Taker, (RateLimit, Window)>,
    /// When it was last searched for what is over.
    searched_ms: i64,
}

impl Issued {
    /// Counts a key for an address, or says how long until it can have one. Both are one step.
    pub(crate) fn take(&self, kind: &str, ip: Option<IpAddr>, limit: &RateLimit, now: Time) -> Result<(), Error> {
        let mut book = lock(&self.0);
        let taker = (kind.to_owned(), ip.map(neighbourhood));
        if book.counts.len() >= MOST && !book.counts.contains_key(&taker) {
            if now.millis() - book.searched_ms >= SEARCH_EVERY.millis() {
                book.forget(now);
            }
            // The limit is a promise and a trial is none: nobody who is counted is forgotten for somebody new.
            if book.counts.len() >= MOST {
                return Err(Error::Limited(limit.window));
            }
        }
        let (known, window) = book.counts.entry(taker).or_insert_with(|| (limit.clone(), Window::default()));
        known.clone_from(limit);
        limit::take(std::slice::from_ref(limit), std::slice::from_mut(window), 1, now)
            .map_err(|(_, left)| Error::Limited(left.reset))
    }

    /// Forgets what is over.
    pub(crate) fn tidy(&self, now: Time) {
        lock(&self.0).forget(now);
    }
}

impl Book {
    fn forget(&mut self, now: Time) {
        self.counts.retain(|_, (limit, window)| !window.is_over(limit, now));
        self.searched_ms = now.millis();
    }
}

/// What counts as one address. In IPv6 whoever has one has the 2^64 beside it (RFC 6177).
fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

impl App {
    /// Gives a key of this kind to whoever asks.
    ///
    /// # Errors
    /// The policy gives no keys of the kind away, the address has had its share, or no more are given away for now.
    pub async fn issue_trial(
        &self,
        kind: &str,
        ip: Option<IpAddr>,
        request_id: Option<String>,
    ) -> Result<Trial, Error> {
        let world = self.world();
        let now = self.clock.now();
        let kind = world.policy.kind(kind).map(|(_, kind)| kind);
        let allowed = kind.and_then(|kind| Some((kind, kind.issue_per_ip.as_ref()?)));
        let (kind, limit) = allowed.ok_or(Error::NotFound("kind of key that anybody can have in the policy"))?;
        self.issued.take(&kind.name, ip, limit, now)?;
        let nobody = Caller {
            actor: Actor::System,
            reach: Reach::Account(AccountId::TRIALS),
            grant: world.policy.catalog.grant([]).into(),
            environment: None,
            session: None,
            must_prove: false,
            request_id,
            noting: None,
        };
        let mut key = self.new_key(kind, AccountId::TRIALS, Draft::default(), &nobody, now);
        world.policy.admit(kind, &mut key, now).map_err(Error::Invalid)?;
        let (plain, secret) = self.issue(kind, &mut key, now)?;
        let kind = kind.clone();
        let key = self
            .write_all(&nobody, move |tx| {
                Box::pin(async move {
                    let mut events = Vec::from_iter(open_account(tx, &kind, &key, now).await?);
                    keys::insert_key(tx, &key).await?;
                    secrets::insert_secret(tx, &secret).await?;
                    let detail = json!({ "ip": ip, "after": settings(&key) });
                    events.push(event("trial.issue", &key, detail));
                    Ok((key, events))
                })
            })
            .await?;
        Ok(Trial { key, plain })
    }

    /// Forgets keys that were given away and have been over for a day. The audit log keeps that there were any.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn forget_trials(&self) -> Result<(), Error> {
        let before = self.clock.now().before(KEPT);
        let forgotten = self
            .write_all(Author::system(), move |tx| {
                Box::pin(async move {
                    let ids = keys::delete_ended_keys(tx, AccountId::TRIALS, before, FORGOTTEN_AT_ONCE).await?;
                    let detail = json!({ "keys": ids.len(), "expired_before": before });
                    let target = AccountId::TRIALS.to_string();
                    let event = AuditEvent {
                        action: "trial.forget",
                        target,
                        account: Some(AccountId::TRIALS),
                        detail: detail.into(),
                    };
                    let events = if ids.is_empty() { Vec::new() } else { vec![event] };
                    Ok((ids, events))
                })
            })
            .await?;
        self.pools.forget(&forgotten);
        Ok(())
    }
}

/// The account of keys that are given away, made where this is the first, with room for one more.
async fn open_account(tx: &mut Tx, kind: &Kind, key: &Key, now: Time) -> Result<Option<AuditEvent>, Error> {
    let known = accounts::find_account(tx, AccountId::TRIALS).await?;
    if known.as_ref().is_some_and(|account| account.standing == Standing::Suspended) {
        return Err(Error::Conflict("no keys are given away at the moment: ask whoever runs this server".into()));
    }
    let made = if known.is_none() {
        let account = Account::new(AccountId::TRIALS, "Trial keys".into(), now);
        accounts::insert_account(tx, &account).await?;
        Some(account_event("account.create", &account))
    } else {
        None
    };
    match must_have_room(tx, kind, key.account, now).await {
        // A stranger can revoke nothing, and need not know how many there are.
        Err(Error::Conflict(_)) => Err(Error::Limited(FULL)),
        room => room.map(|()| made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> RateLimit {
        text.parse::<limit::Rate>().unwrap().named("per_ip")
    }

    #[test]
    fn a_flood_of_addresses_frees_nobody_and_memory_is_bounded() {
        let issued = Issued::default();
        let (limit, now) = (rate("2 in 1m"), Time::from_millis(1_000_000));
        let take = |ip: IpAddr, now| issued.take("trial", Some(ip), &limit, now);
        let victim = IpAddr::from([192, 0, 2, 1]);
        assert!(take(victim, now).is_ok() && take(victim, now).is_ok());
        for number in 0..200_000u32 {
            let _ = take(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(lock(&issued.0).counts.len() <= MOST);
        assert_eq!(take(victim, now), Err(Error::Limited(Span::minutes(1))));
        let later = now.after(Span::minutes(1));
        assert!(take(victim, later).is_ok(), "what is over makes room");
        issued.tidy(later);
        assert_eq!(lock(&issued.0).counts.len(), 1);
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let issued = Issued::default();
        let (limit, now) = (rate("1 in 1m"), Time::from_millis(1_000_000));
        let take = |ip: &str| issued.take("trial", Some(ip.parse().unwrap()), &limit, now).is_ok();
        assert!(take("2001:db8::1") && !take("2001:db8::ffff:1") && take("2001:db8:0:1::1"));
        assert!(take("192.0.2.1") && take("192.0.2.2") && !take("192.0.2.1"));
    }
}
