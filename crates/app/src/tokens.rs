//! Use cases on tokens: the keys they are signed with, and tokens had for a key (RFC 8693).
//!
//! What must stay true: a token had for a key may do no more than the key, ends no later, and to whoever asks is worth what
//! the key is worth at that moment.

use std::sync::Arc;

use keywright_core::account::Standing;
use keywright_core::assertion::{self, Assertion};
use keywright_core::audit::AuditEvent;
use keywright_core::exchange::Exchanged;
use keywright_core::id::AccountId;
use keywright_core::key::Status;
use keywright_core::permission::check_pattern;
use keywright_core::session::Claims;
use keywright_core::signing::{Algorithm, SigningKey, read};
use keywright_core::time::Time;
use keywright_store::{accounts, keys, sessions};
use rand::Rng as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::caller::{Caller, Reach};
use crate::error::Error;
use crate::verify::Ask;
use crate::{App, clock};

/// The longest name of an audience.
const LONGEST_AUDIENCE: usize = 200;

/// A key tokens are signed with, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownKey {
    /// Its id.
    pub kid: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Whether it signs now.
    pub signs: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it checks no more, where another has taken its place.
    pub retires_at: Option<Time>,
}

/// A token had for a key.
pub struct Exchange {
    /// The token, this once.
    pub token: String,
    /// What it may do.
    pub scope: String,
    /// How long it lives, in seconds.
    pub expires_in: i64,
}

/// A request the gate lets through, for its word on it. What is not known is empty.
pub struct Asserted<'a> {
    /// Whom the word is for.
    pub audience: &'a str,
    /// The account that asks.
    pub account: &'a str,
    /// The key that was shown.
    pub key: &'a str,
    /// The person whose token was shown.
    pub user: &'a str,
    /// The session it belongs to.
    pub session: &'a str,
    /// What the key may do.
    pub permissions: Vec<&'a str>,
    /// The request's method.
    pub method: &'a str,
    /// Its path with its query, as the upstream is asked.
    pub path: &'a str,
    /// Its id.
    pub request_id: &'a str,
}

/// What a token is that still holds.
pub struct Holding {
    /// What it may do, where it says so.
    pub scope: Option<String>,
    /// Whose it is: a key's or a person's id.
    pub subject: String,
    /// The account it reaches.
    pub account: AccountId,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
}

impl App {
    /// Public keys that tokens are checked with, as JWKs.
    #[must_use]
    pub fn public_keys(&self) -> Vec<Value> {
        let keys = self.checking_keys(self.clock.now());
        keys.iter().filter_map(|key| key.jwk().cloned()).collect()
    }

    /// Every key tokens are signed with that is not over, the newest first.
    ///
    /// # Errors
    /// The caller is no operator.
    pub fn list_signing_keys(&self, caller: &Caller) -> Result<Vec<ShownKey>, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "signing-keys:read")?;
        let keys = self.checking_keys(self.clock.now());
        Ok(keys.iter().map(|key| self.shown(key)).collect())
    }

    /// Has another key sign tokens from now on. The one before checks those it signed until they have ended.
    ///
    /// # Errors
    /// The caller is no operator.
    pub async fn rotate_signing_key(&self, caller: &Caller) -> Result<ShownKey, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "signing-keys:write")?;
        let (algorithm, now) = (self.world().policy.algorithm, self.clock.now());
        let (sealed, key) = self.keyring.next_signing_key(&self.db, algorithm, now).await?;
        let kid = key.kid().to_owned();
        self.write(caller, move |tx| {
            Box::pin(async move {
                keywright_store::keyring::insert_keyring(tx, &sealed).await?;
                let detail = json!({ "algorithm": algorithm });
                Ok(((), AuditEvent { action: "signing_key.rotate", target: kid, account: None, detail: detail.into() }))
            })
        })
        .await?;
        self.keyring.take_up(&key);
        Ok(self.shown(&key))
    }

    fn shown(&self, key: &Arc<SigningKey>) -> ShownKey {
        let all = self.keyring.signing_keys();
        let algorithm = self.world().policy.algorithm;
        let retires_at = key.retires_at(&all);
        ShownKey {
            kid: key.kid().into(),
            algorithm: key.algorithm(),
            signs: key.algorithm() == algorithm && retires_at.is_none(),
            created_at: key.created_at(),
            retires_at,
        }
    }

    /// Keys that check tokens. One that is a shared secret checks while the policy has tokens signed so.
    pub(crate) fn checking_keys(&self, now: Time) -> Vec<Arc<SigningKey>> {
        let (all, algorithm) = (self.keyring.signing_keys(), self.world().policy.algorithm);
        let checks = |key: &&Arc<SigningKey>| {
            let is_meant = key.jwk().is_some() || key.algorithm() == algorithm;
            is_meant && key.retires_at(&all).is_none_or(|at| at > now)
        };
        all.iter().filter(checks).map(Arc::clone).collect()
    }

    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        let key = self.keyring.signing_key(self.world().policy.algorithm);
        let token = key.and_then(|key| key.sign(claims));
        token.ok_or_else(|| Error::Internal("a token could not be signed".into()))
    }

    /// The gate's signed word on a request, for its upstream. It is no access token, to nobody.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub fn assert(&self, request: &Asserted<'_>) -> Result<String, Error> {
        let Asserted { audience, account, key, user, session, method, path, request_id, .. } = *request;
        let signing = self.keyring.signing_key(assertion::algorithm(self.world().policy.algorithm));
        let (iat, exp) = assertion::times(self.clock.now());
        let claims = Assertion {
            iss: &self.issuer,
            aud: audience,
            sub: if account.is_empty() { key } else { account },
            key_id: key,
            user_id: user,
            session_id: session,
            permissions: request.permissions.clone(),
            htm: method,
            htp: path,
            iat,
            exp,
            jti: format!("{request_id}.{:016x}", clock::rng().next_u64()),
        };
        let signed = signing.and_then(|signing| signing.sign_as(assertion::TYPE, &claims));
        signed.ok_or_else(|| Error::Internal("an assertion could not be signed".into()))
    }

    /// A token for a key: with the permissions named, or all of the key's; for the audience named, or for us.
    ///
    /// # Errors
    /// The key does not work, or is not permitted what is asked for.
    pub async fn exchange_key(
        &self,
        key: &str,
        ask: &Ask<'_>,
        scope: Option<&str>,
        audience: Option<&str>,
    ) -> Result<Exchange, Error> {
        let is_name = |text: &&str| (1..=LONGEST_AUDIENCE).contains(&text.len()) && !text.contains(char::is_control);
        if audience.is_some_and(|audience| !is_name(&audience)) {
            return Err(Error::invalid("audience", format!("is 1 to {LONGEST_AUDIENCE} visible characters")));
        }
        let (caller, id) = self.authenticate(key.as_bytes(), ask, None).await?;
        let Reach::Account(account) = caller.reach else {
            return Err(Error::Forbidden("an operator's key reaches every account: no token stands for that".into()));
        };
        let found = keys::find_key(&self.db, id).await?.ok_or(Error::Unauthenticated)?;
        let policy = &self.world().policy;
        let scope = match scope.map(str::trim).filter(|scope| !scope.is_empty()) {
            None => policy.grants(&found).join(" "),
            Some(scope) => {
                let asked: Vec<&str> = scope.split_ascii_whitespace().collect();
                for pattern in &asked {
                    check_pattern(pattern).map_err(|reason| Error::invalid("scope", reason))?;
                }
                if !caller.grant.contains(&policy.catalog.grant(asked.iter().copied())) {
                    return Err(Error::invalid("scope", "is more than the key is permitted"));
                }
                asked.join(" ")
            }
        };
        let now = self.clock.now();
        let ends = found.expires_at.into_iter().fold(now.after(policy.exchanged), Time::min);
        let seconds = |time: Time| time.millis().div_euclid(1_000);
        let claims = Exchanged {
            iss: self.issuer.clone(),
            aud: audience.unwrap_or(&self.issuer).to_owned(),
            sub: id,
            client_id: id,
            account_id: account,
            scope: scope.clone(),
            jti: format!("{:032x}", (u128::from(clock::rng().next_u64()) << 64) | u128::from(clock::rng().next_u64())),
            iat: seconds(now),
            exp: seconds(ends),
        };
        Ok(Exchange { token: self.sign(&claims)?, scope, expires_in: claims.exp - claims.iat })
    }

    /// What a token of ours is worth at this moment: none where it is over, or what it stands for is.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn introspect_token(&self, caller: &Caller, token: &[u8]) -> Result<Option<Holding>, Error> {
        caller.must_verify(&self.world().policy)?;
        let (keys, now) = (self.checking_keys(self.clock.now()), self.clock.now());
        let holding = if let Ok(claims) = read::<Exchanged>(token, &keys, &self.issuer, None, now) {
            self.holds(&claims, now).await?.then(|| Holding {
                scope: Some(claims.scope),
                subject: claims.sub.to_string(),
                account: claims.account_id,
                exp: claims.exp,
            })
        } else if let Ok(claims) = read::<Claims>(token, &keys, &self.issuer, Some(&self.issuer), now) {
            let access = sessions::find_access(&self.db, claims.sid).await?;
            let holds = access.is_some_and(|access| {
                let session = &access.session;
                (session.user, session.account) == (claims.sub, claims.account_id)
                    && session.is_live(now)
                    && access.standing == Standing::Active
                    && access.role.is_some()
            });
            holds.then(|| Holding {
                scope: None,
                subject: claims.sub.to_string(),
                account: claims.account_id,
                exp: claims.exp,
            })
        } else {
            None
        };
        Ok(holding.filter(|holding| caller.reaches(holding.account)))
    }

    /// Whether the key a token was had for, and its account, still work.
    async fn holds(&self, claims: &Exchanged, now: Time) -> Result<bool, Error> {
        let Some(key) = keys::find_key(&self.db, claims.sub).await? else { return Ok(false) };
        let is_meant = (key.id, key.account) == (claims.client_id, claims.account_id);
        let account = accounts::find_account(&self.db, key.account).await?;
        let is_open = account.is_some_and(|account| account.standing == Standing::Active);
        Ok(is_meant && is_open && key.status(now) == Status::Active)
    }
}
