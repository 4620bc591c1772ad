//! `POST /v1/keys/verify` and its kin: the calls services make on every request of theirs.
//!
//! The single verify is served before the router (`serve.rs`); here it is written so that it needs nothing of it.

use std::borrow::Cow;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response};
use keywright_app::Access;
use keywright_app::batch::AT_ONCE;
use keywright_app::caller::{Caller, Reach};
use keywright_app::error::Error;
use keywright_app::verify::{Ask, Verdict, Verified, Want};
use keywright_core::draft::check_wanted;
use keywright_core::id::KeyId;
use keywright_core::ip::parse_address;
use keywright_core::limit::{RateLimit, Remaining};
use keywright_core::verify::Outcome;
use serde::{Deserialize, Serialize};

use crate::Server;
use crate::extract::{Context, Who, json, read};
use crate::fields::Fields;
use crate::json::Object;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::room;

/// The most one verification can cost.
const MOST_COST: u32 = 1_000_000;
/// Labels one verification can be counted under.
const MOST_TAGS: usize = 10;
/// The longest label, in bytes.
const LONGEST_TAG: usize = 64;
/// Verifications one batch can hold.
const MOST_REQUESTS: usize = 100;
/// The most a batch may be, in bytes.
const MOST_BATCH_BYTES: usize = 512 * 1_024;

/// Room for most answers.
const ROOM: usize = 512;
/// What the answer to a key that works begins with.
const VALID: &[u8] = b"{\"valid\":true,\"code\":\"VALID\"";
/// What a batch's answer begins with.
const BEGIN: &[u8] = b"{\"results\":[";
/// Where what is left of rate limits travels, and what they are.
pub(crate) const LIMIT_HEADERS: [&str; 2] = ["ratelimit", "ratelimit-policy"];

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyRequest<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(default)]
    permissions: Option<Wanted>,
    #[serde(borrow, default)]
    ip: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    user_agent: Option<Cow<'a, str>>,
    #[serde(default)]
    cost: Option<u32>,
    #[serde(borrow, default)]
    environment: Option<Cow<'a, str>>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of permissions, {\"all\": [...]} or {\"any\": [...]}")]
enum Wanted {
    List(Vec<String>),
    Group(Group),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum Group {
    All(Vec<String>),
    Any(Vec<String>),
}

impl Wanted {
    fn want(&self) -> Want<'_> {
        match self {
            Self::List(names) | Self::Group(Group::All(names)) => Want::All(names),
            Self::Group(Group::Any(names)) => Want::Any(names),
        }
    }

    fn names(&self) -> &[String] {
        match self {
            Self::List(names) | Self::Group(Group::All(names) | Group::Any(names)) => names,
        }
    }
}

impl VerifyRequest<'_> {
    /// Checks what was sent.
    fn ask(&self, caller: &Caller) -> Result<Ask<'_>, Error> {
        if let Some(wanted) = &self.permissions {
            if wanted.names().len() > 100 {
                return Err(Error::invalid("permissions", "has more than 100 entries"));
            }
            check_wanted(wanted.names().iter().map(String::as_str))
                .map_err(|reason| Error::invalid("permissions", reason))?;
        }
        let cost = self.cost.unwrap_or(1);
        if cost > MOST_COST {
            return Err(Error::invalid("cost", format!("is from 0 to {MOST_COST}")));
        }
        if self.tags.len() > MOST_TAGS || self.tags.iter().any(|tag| !is_tag(tag)) {
            return Err(Error::invalid(
                "tags",
                format!("is at most {MOST_TAGS} labels of 1 to {LONGEST_TAG} bytes, without control characters"),
            ));
        }
        let ip = self.ip.as_deref().map(parse_address).transpose().map_err(|reason| Error::invalid("ip", reason))?;
        Ok(Ask {
            ip,
            user_agent: self.user_agent.as_deref(),
            want: self.permissions.as_ref().map_or(Want::Nothing, Wanted::want),
            environment: self.environment.as_deref(),
            cost,
            tags: &self.tags,
            request_id: None,
            kind: None,
            within: match caller.reach {
                Reach::Everything => None,
                Reach::Account(own) => Some(own),
            },
        })
    }
}

fn is_tag(tag: &str) -> bool {
    (1..=LONGEST_TAG).contains(&tag.len()) && !tag.chars().any(char::is_control)
}

/// What each outcome means, for people.
pub(crate) const fn detail(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Valid => "the key works for what was asked",
        Outcome::Malformed => "this cannot be a key: its beginning, length, letters or checksum are wrong",
        Outcome::NotFound => "there is no such key",
        Outcome::Revoked => "the key was revoked, which cannot be undone",
        Outcome::Expired => "the key, or this old secret of it, has expired",
        Outcome::Disabled => "the key is switched off",
        Outcome::IpNotAllowed => "the key may not be used from this address, or no address was given",
        Outcome::InsufficientPermissions => "the key is not permitted what was asked",
        Outcome::WrongEnvironment => "the key is for another environment",
        Outcome::AccountSuspended => "the account is suspended",
        Outcome::RateLimited => "over a rate limit, or locked after too many wrong keys: wait for retry_after seconds",
        Outcome::CreditsExhausted => "the key's credits do not cover the cost",
    }
}

/// The answer to a verification, and what its head says of it.
pub(crate) struct Answer {
    /// In room that is lent.
    pub(crate) body: Vec<u8>,
    /// Seconds to wait.
    pub(crate) retry_after: Option<i64>,
    /// What is left of the key's rate limits, and what they are.
    pub(crate) limits: Option<[String; 2]>,
}

impl Answer {
    fn of(server: &Server, verdict: &Verdict) -> Self {
        let left = left(verdict);
        let mut body = room::lend();
        write(server, verdict, &left, &mut body);
        let limits = (!left.is_empty()).then(|| limit_texts(&left));
        Self { body, retry_after: retry_after(verdict), limits }
    }
}

impl From<Answer> for Response<Bytes> {
    fn from(answer: Answer) -> Self {
        let Answer { body, retry_after, limits } = answer;
        let mut response = Self::new(body.into());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        }
        if let Some(limits) = &limits {
            insert_limits(headers, limits);
        }
        response
    }
}

fn retry_after(verdict: &Verdict) -> Option<i64> {
    verdict.retry_after.map(|wait| wait.seconds_up().max(1))
}

/// What is left of the verified key's limits.
fn left(verdict: &Verdict) -> Vec<(&RateLimit, Remaining)> {
    verdict.key.as_ref().map(Verified::limits).unwrap_or_default()
}

/// Writes what a verification came to. What a denied key is, is told to nobody; which key it is, to whoever may verify it.
fn write(server: &Server, verdict: &Verdict, left: &[(&RateLimit, Remaining)], out: &mut Vec<u8>) {
    let (app, valid) = (&server.app, verdict.is_valid());
    let mut answer = if valid {
        Object::begin_with(out, VALID)
    } else {
        let mut answer = Object::begin_with(out, b"{\"valid\":false");
        answer.text("code", verdict.outcome.code());
        answer.text("detail", detail(verdict.outcome));
        answer
    };
    if let Some(wait) = retry_after(verdict) {
        answer.field("retry_after", &wait);
    }
    if let Some(key) = &verdict.key {
        answer.letters("key_id", &key.record().id.letters());
        if let Some(access) = key.access(app).filter(|_| valid) {
            let environment = key.environment().and_then(|number| app.world().policy.environment_at(number));
            answer.text("name", key.record().name.as_str());
            match key.account(app) {
                Some(id) => answer.letters("account_id", &id.letters()),
                None => answer.field("account_id", &()),
            }
            answer.text("kind", &access.kind);
            answer.maybe_text("environment", environment);
            answer.fields_of(access.told.json.get_or_init(|| json_of(access)));
            answer.field("expires_at", &key.record().expires_at());
            if let Some(metadata) = key.metadata() {
                answer.field("metadata", metadata);
            }
        }
        if let Some(credits) = key.credits() {
            answer.field("credits", &credits);
        }
    }
    if !left.is_empty() {
        let left: Vec<Left<'_>> = left.iter().map(|(limit, left)| Left::of(limit, left)).collect();
        answer.field("ratelimits", &left);
    }
    answer.end();
}

/// The same, among the results of a batch, which has no headers to tell limits in.
fn write_result(server: &Server, verdict: &Verdict, out: &mut Vec<u8>) {
    write(server, verdict, &left(verdict), out);
}

/// What all keys of an access have in common, but for what is said before their environment.
fn json_of(access: &Access) -> Box<[u8]> {
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.maybe_text("role", access.role.as_deref());
    object.texts("services", access.services.iter().map(String::as_str));
    object.texts("permissions", access.permissions.iter().map(String::as_str));
    object.end();
    out.into()
}

#[derive(Serialize)]
struct Left<'a> {
    name: &'a str,
    limit: u32,
    remaining: u32,
    /// Seconds until all of it is back.
    reset: i64,
}

impl<'a> Left<'a> {
    fn of(limit: &'a RateLimit, left: &Remaining) -> Self {
        Self { name: &limit.name, limit: limit.limit, remaining: left.units, reset: left.reset.seconds_up() }
    }
}

/// `POST /v1/keys/verify`
pub(crate) async fn verify(
    server: &Server,
    who: &Who,
    headers: &(impl Fields + ?Sized),
    body: &[u8],
    id: &RequestId,
) -> Result<Answer, Problem> {
    let request = read_request(server, who, headers, body)?;
    let ask = Ask { request_id: Some(&id.0), ..request.ask(&who.caller)? };
    let verdict = server.app.verify(request.key.as_bytes(), &ask).await?;
    Ok(Answer::of(server, &verdict))
}

/// The same, where all that it takes is in memory. Where it is not, nothing has been counted or spent.
#[inline]
pub(crate) fn verify_at_once(
    server: &Server,
    who: &Who,
    headers: &(impl Fields + ?Sized),
    body: &[u8],
    id: &RequestId,
) -> Result<Option<Answer>, Problem> {
    let request = read_request(server, who, headers, body)?;
    let ask = Ask { request_id: Some(&id.0), ..request.ask(&who.caller)? };
    let verdict = server.app.verify_at_once(request.key.as_bytes(), &ask);
    Ok(verdict.as_ref().map(|verdict| Answer::of(server, verdict)))
}

/// What is asked, of whoever may ask it.
#[inline]
fn read_request<'b>(
    server: &Server,
    who: &Who,
    headers: &(impl Fields + ?Sized),
    body: &'b [u8],
) -> Result<VerifyRequest<'b>, Problem> {
    who.caller.must_verify(&server.app.world().policy)?;
    json(headers, body)
}

/// `RateLimit` and `RateLimit-Policy` (IETF draft): what the verified key has left, to be passed on to its bearer.
fn limit_texts(left: &[(&RateLimit, Remaining)]) -> [String; 2] {
    let now =
        left.iter().map(|(limit, left)| format!("\"{}\";r={};t={}", limit.name, left.units, left.reset.seconds_up()));
    let policy =
        left.iter().map(|(limit, _)| format!("\"{}\";q={};w={}", limit.name, limit.limit, limit.window.seconds_up()));
    [now.collect::<Vec<_>>().join(", "), policy.collect::<Vec<_>>().join(", ")]
}

fn insert_limits(headers: &mut HeaderMap, limits: &[String; 2]) {
    let [now, policy] = limits.each_ref().map(|text| HeaderValue::from_str(text).ok());
    if let (Some(now), Some(policy)) = (now, policy) {
        headers.insert(LIMIT_HEADERS[0], now);
        headers.insert(LIMIT_HEADERS[1], policy);
    }
}

/// The same, as headers.
pub(crate) fn limit_headers(headers: &mut HeaderMap, key: &Verified) {
    insert_limits(headers, &limit_texts(&key.limits()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    requests: Vec<VerifyRequest<'a>>,
}

/// `POST /v1/keys/verify-batch`
pub(crate) async fn verify_batch(
    State(server): State<Server>,
    Extension(context): Extension<Context>,
    who: Who,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    who.caller.must_verify(&server.app.world().policy)?;
    let (parts, body) = request.into_parts();
    let bytes = read(body, MOST_BATCH_BYTES).await?;
    let Batch { requests } = json(&parts.headers, &bytes)?;
    if !(1..=MOST_REQUESTS).contains(&requests.len()) {
        return Err(Error::invalid("requests", format!("has from 1 to {MOST_REQUESTS} entries")).into());
    }
    // All are checked before any is counted or spends anything.
    let asks = requests.iter().map(|request| request.ask(&who.caller)).collect::<Result<Vec<_>, _>>()?;
    let mut results = Vec::with_capacity(BEGIN.len() + requests.len() * ROOM);
    results.extend_from_slice(BEGIN);
    for (requests, asks) in requests.chunks(AT_ONCE).zip(asks.chunks(AT_ONCE)) {
        let recognised = server.app.recognise_all(requests.iter().map(|request| request.key.as_bytes()));
        for ((request, ask), recognised) in requests.iter().zip(asks).zip(&recognised) {
            let (key, ask) = (request.key.as_bytes(), Ask { request_id: Some(&context.request_id.0), ..*ask });
            if results.len() > BEGIN.len() {
                results.push(b',');
            }
            // Told of where it lies: to move a verdict that was written a moment ago is to wait for it.
            match &server.app.verify_recognised(recognised, key, &ask) {
                Some(verdict) => write_result(&server, verdict, &mut results),
                None => write_result(&server, &server.app.verify(key, &ask).await?, &mut results),
            }
        }
    }
    results.extend_from_slice(b"]}");
    Ok(([(CONTENT_TYPE, "application/json")], results))
}

#[derive(Serialize)]
pub(crate) struct Explained {
    valid: bool,
    code: &'static str,
    key_id: Option<KeyId>,
    checks: Vec<CheckView>,
}

#[derive(Serialize)]
struct CheckView {
    check: &'static str,
    passed: bool,
    detail: Option<&'static str>,
}

/// `POST /v1/keys/explain`
pub(crate) async fn explain(
    State(server): State<Server>,
    who: Who,
    request: Request,
) -> Result<axum::Json<Explained>, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, crate::extract::MOST_BYTES).await?;
    let request: VerifyRequest<'_> = json(&parts.headers, &bytes)?;
    let ask = request.ask(&who.caller)?;
    let explained = server.app.explain_key(&who.caller, request.key.as_bytes(), &ask).await?;
    let checks = explained.checks.iter().map(|checked| CheckView {
        check: checked.refuses_with.code(),
        passed: checked.passed,
        detail: (!checked.passed).then(|| detail(checked.refuses_with)),
    });
    Ok(axum::Json(Explained {
        valid: explained.outcome == Outcome::Valid,
        code: explained.outcome.code(),
        key_id: explained.key,
        checks: checks.collect(),
    }))
}
