//! Access tokens of identity providers: whose they are here, and the keys they are checked with.
//!
//! What must stay true: keys come from the configured issuer's own documents; at most one fetch is begun per issuer and
//! [`BETWEEN_FETCHES`], whatever tokens say, and everybody who needs it waits for that one; a provider that is down takes
//! nobody out who shows a key that is known, and lets nobody in who does not; what somebody may do is read from the
//! database on every request (security.md 8, 13, 58).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use http::header::CACHE_CONTROL;
use keywright_core::account::Standing;
use keywright_core::audit::Actor;
use keywright_core::external::{self, Identity, Issuer, Keys, Provisioning, Refused};
use keywright_core::id::AccountId;
use keywright_core::time::{Span, Time};
use keywright_store::identities::{self, Place};

use crate::App;
use crate::caller::{Caller, Reach};
use crate::clock::Clock;
use crate::error::Error;
use crate::outbound;
use crate::sync::lock_std as lock;
use crate::world::World;

/// How long after the beginning of a fetch no other is begun, however it ended.
const BETWEEN_FETCHES: Span = Span::seconds(30);
/// How long keys are taken for the provider's newest, where it does not say; and the least and the most it can say.
const FRESH: Span = Span::minutes(5);
const LEAST_FRESH: Span = Span::minutes(1);
const MOST_FRESH: Span = Span::minutes(60);
/// How long keys are used while their provider is down.
const USABLE: Span = Span::days(1);
/// How long the fetch of a document may take, and how long the document may be.
const FETCH_TIME: Duration = Duration::from_secs(5);
const MOST_BYTES: usize = 256 * 1_024;

/// Every issuer's keys, by its identifier.
#[derive(Default)]
pub(crate) struct Sources(Mutex<HashMap<String, Arc<Source>>>);

/// An issuer's keys.
#[derive(Default)]
struct Source {
    state: Mutex<State>,
    /// Held by whoever fetches.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// When the last fetch began, and whether it brought keys.
    tried_at: Option<Time>,
    reached: bool,
}

struct Held {
    keys: Arc<Keys>,
    fetched_at: Time,
    fresh_until: Time,
}

impl Sources {
    fn of(&self, issuer: &Issuer) -> Arc<Source> {
        Arc::clone(lock(&self.0).entry(issuer.url.clone()).or_default())
    }
}

impl Source {
    /// The keys, while they can be used, and whether they are as new as they should be.
    fn held(&self, now: Time) -> Option<(Arc<Keys>, bool)> {
        let state = lock(&self.state);
        let held = state.held.as_ref().filter(|held| now < held.fetched_at.after(USABLE))?;
        Some((Arc::clone(&held.keys), now < held.fresh_until))
    }

    /// Whether a fetch began so lately that no other does. A clock that was set back keeps nobody waiting.
    fn tried_lately(&self, now: Time) -> bool {
        let tried_at = lock(&self.state).tried_at;
        tried_at.is_some_and(|at| at <= now && now < at.after(BETWEEN_FETCHES))
    }

    fn was_reached(&self) -> bool {
        lock(&self.state).reached
    }

    /// Sees to it that the keys are as new as they can be. Whoever comes while they are fetched waits for that fetch.
    async fn refresh(self: &Arc<Self>, issuer: &Issuer, clock: &Clock) {
        if self.tried_lately(clock.now()) {
            drop(self.turn.lock().await);
        } else {
            // A fetch that failed has said so in the log.
            drop(self.begin(issuer, clock).await);
        }
    }

    /// Fetches beside the call: one that is given up does not end it, for others may wait for it.
    fn begin(self: &Arc<Self>, issuer: &Issuer, clock: &Clock) -> tokio::task::JoinHandle<()> {
        let (source, issuer, clock) = (Arc::clone(self), issuer.clone(), clock.clone());
        tokio::spawn(async move {
            let _turn = source.turn.lock().await;
            let now = clock.now();
            if source.tried_lately(now) {
                return;
            }
            lock(&source.state).tried_at = Some(now);
            let fetched = fetch(&issuer).await;
            source.keep(&issuer, fetched, clock.now());
        })
    }

    fn keep(&self, issuer: &Issuer, fetched: Result<(Keys, Span), String>, now: Time) {
        let mut state = lock(&self.state);
        state.reached = fetched.is_ok();
        match fetched {
            Ok((keys, fresh)) => {
                tracing::debug!(issuer = issuer.name, keys = keys.count(), "fetched an issuer's keys");
                let (keys, fresh_until) = (Arc::new(keys), now.after(fresh));
                state.held = Some(Held { keys, fetched_at: now, fresh_until });
            }
            Err(reason) => tracing::warn!(issuer = issuer.name, reason, "an issuer's keys could not be fetched"),
        }
    }
}

/// Fetches an issuer's keys, and how long they may be taken for its newest.
async fn fetch(issuer: &Issuer) -> Result<(Keys, Span), String> {
    let discovery = document(&issuer.discovery_url()).await?;
    let answer = document(&issuer.keys_url(&discovery.body)?).await?;
    let cache_control = answer.headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    Ok((Keys::parse(&answer.body)?, freshness(cache_control)))
}

async fn document(url: &str) -> Result<outbound::Answer, String> {
    let answer = outbound::get(url, MOST_BYTES, FETCH_TIME).await.map_err(|reason| format!("{url}: {reason}"))?;
    if answer.status == StatusCode::OK { Ok(answer) } else { Err(format!("{url} answered {}", answer.status)) }
}

/// How long a document is fresh (RFC 9111, 5.2.2), within our own bounds.
fn freshness(cache_control: Option<&str>) -> Span {
    let directives = || cache_control.into_iter().flat_map(|value| value.split(',')).map(str::trim);
    if directives().any(|one| one.eq_ignore_ascii_case("no-store") || one.eq_ignore_ascii_case("no-cache")) {
        return LEAST_FRESH;
    }
    let max_age =
        directives().find_map(|one| one.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("max-age")));
    let seconds = max_age.and_then(|(_, seconds)| seconds.trim_matches('"').parse::<u32>().ok());
    seconds.map_or(FRESH, |seconds| Span::seconds(seconds.into()).clamp(LEAST_FRESH, MOST_FRESH))
}

impl App {
    /// Who a presented token is, and in which account, whoever issued it.
    ///
    /// # Errors
    /// It does not work, or too many that do not have come from this address; its issuer's keys are out of reach; or it
    /// works, and its person is not known here or has no one account to act in.
    pub async fn authenticate_token(
        &self,
        token: &[u8],
        ip: Option<IpAddr>,
        request_id: Option<String>,
    ) -> Result<Caller, Error> {
        let policy = &self.world().policy;
        let claimed = if policy.issuers().is_empty() { None } else { external::claimed_issuer(token) };
        // What says it is ours is held to our own rules, whatever the policy says.
        let foreign = claimed.filter(|claimed| *claimed != self.issuer);
        match foreign.and_then(|claimed| policy.issuer(&claimed)) {
            Some(issuer) => self.authenticate_external(issuer, token, ip, request_id).await,
            None => self.authenticate_session(token, ip, request_id).await,
        }
    }

    async fn authenticate_external(
        &self,
        issuer: &Issuer,
        token: &[u8],
        ip: Option<IpAddr>,
        request_id: Option<String>,
    ) -> Result<Caller, Error> {
        self.lease.must_hold()?;
        let world = self.world();
        let now = self.clock.now();
        if let Some(wait) = self.locked_for(world, token, ip, now) {
            return Err(Error::Limited(wait));
        }
        let identity = self.identify(world, issuer, token, ip).await?;
        let named = identity.account.as_deref().map(str::parse).transpose().map_err(|_| {
            let claim = issuer.account_claim.join(".");
            Error::Forbidden(format!(
                "the token's `{claim}` is no account's id: have the provider put one there, as in acc_…"
            ))
        })?;
        let found = identities::find_places(&self.db, &issuer.url, &identity.subject).await?;
        let (user, places) = match (found, issuer.provisioning) {
            (Some(found), _) => found,
            (None, Provisioning::Invited) => return Err(unknown()),
            (None, Provisioning::Automatic) => {
                let subject = identity.subject.clone();
                self.provision(issuer, identity, named, request_id.clone()).await?;
                identities::find_places(&self.db, &issuer.url, &subject).await?.ok_or_else(unknown)?
            }
        };
        let place = choose(&places, named)?;
        if place.standing != Standing::Active {
            return Err(Error::Unauthenticated);
        }
        Ok(Caller {
            actor: Actor::User(user),
            reach: Reach::Account(place.account),
            grant: Arc::new(world.policy.member_grant(place.role)),
            environment: None,
            session: None,
            must_prove: false,
            request_id,
            noting: None,
        })
    }

    /// Who a token says somebody is. One that is wrong counts as a guess.
    async fn identify(
        &self,
        world: &World,
        issuer: &Issuer,
        token: &[u8],
        ip: Option<IpAddr>,
    ) -> Result<Identity, Error> {
        let source = self.sources.of(issuer);
        let keys = match source.held(self.clock.now()) {
            Some((keys, is_fresh)) => {
                if !is_fresh && !source.tried_lately(self.clock.now()) {
                    // The next request finds the new ones; this one does not wait for them.
                    drop(source.begin(issuer, &self.clock));
                }
                keys
            }
            None => self.newest(&source, issuer).await?,
        };
        let mut said = external::verify(token, &keys, issuer, self.clock.now());
        if said == Err(Refused::UnknownKey) {
            let keys = self.newest(&source, issuer).await?;
            said = external::verify(token, &keys, issuer, self.clock.now());
        }
        said.map_err(|refused| {
            let is_guess = match refused {
                Refused::Foreign | Refused::Forged => true,
                // While the provider is down, it may well be a new key of the provider's.
                Refused::UnknownKey => source.was_reached(),
                Refused::Untimely => false,
            };
            if is_guess {
                self.count_guess(world, token, ip, self.clock.now());
            }
            Error::Unauthenticated
        })
    }

    /// The newest keys there are.
    async fn newest(&self, source: &Arc<Source>, issuer: &Issuer) -> Result<Arc<Keys>, Error> {
        source.refresh(issuer, &self.clock).await;
        let held = source.held(self.clock.now()).map(|(keys, _)| keys);
        held.ok_or_else(|| Error::Unavailable(format!("the keys of issuer.{} are out of reach", issuer.name)))
    }
}

fn unknown() -> Error {
    Error::Forbidden(
        "this identity is nobody's here: have an operator link it (`keywright users link-identity`), or set \
         provisioning = \"automatic\" for its issuer"
            .into(),
    )
}

/// The account somebody acts in: the one their token names, else the only one they belong to.
fn choose(places: &[Place], named: Option<AccountId>) -> Result<Place, Error> {
    let found = match (named, places) {
        (Some(named), all) => {
            let found = all.iter().find(|place| place.account == named);
            found.ok_or("the token names an account this person does not belong to")
        }
        (None, [only]) => Ok(only),
        (None, []) => Err("this person belongs to no account: have an operator add them to one"),
        (None, _) => Err(
            "this person belongs to several accounts and the token names none: have the provider put the account's id \
             into a claim, and name it as account_claim of the issuer",
        ),
    };
    found.copied().map_err(|reason| Error::Forbidden(reason.into()))
}

#[cfg(test)]
mod tests {
    use keywright_core::member::MemberRole;

    use super::*;

    #[test]
    fn freshness_is_the_providers_within_our_bounds() {
        for (header, seconds) in [
            (None, 300),
            (Some(""), 300),
            (Some("public"), 300),
            (Some("max-age=soon"), 300),
            (Some("max-age=600"), 600),
            (Some("public, Max-Age=600, must-revalidate"), 600),
            (Some("max-age=\"600\""), 600),
            (Some("max-age=0"), 60),
            (Some("max-age=4000000000"), 3_600),
            (Some("max-age=99999999999999"), 300),
            (Some("max-age=600, no-store"), 60),
            (Some("s-maxage=600"), 300),
        ] {
            assert_eq!(freshness(header), Span::seconds(seconds), "{header:?}");
        }
    }

    #[test]
    fn an_account_is_chosen_only_where_there_is_no_doubt() {
        let place = |number| Place {
            account: AccountId::from_bits(number),
            role: MemberRole::Viewer,
            standing: Standing::Active,
        };
        let both = [place(7), place(8)];
        assert_eq!(choose(&both, Some(AccountId::from_bits(8))), Ok(place(8)));
        assert_eq!(choose(&both[..1], None), Ok(place(7)));
        for (places, named, says) in [
            (&both[..], Some(9), "does not belong"),
            (&[], Some(9), "does not belong"),
            (&[], None, "no account"),
            (&both, None, "account_claim"),
        ] {
            let Err(Error::Forbidden(reason)) = choose(places, named.map(AccountId::from_bits)) else {
                panic!("{says}")
            };
            assert!(reason.contains(says), "{reason}");
        }
    }
}
