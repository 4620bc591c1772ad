//! A verification that is only tried: what is asked of a key, and every check with its result, as people read it.

use std::net::IpAddr;

use keywright_app::error::Error;
use keywright_app::explain::Explanation;
use keywright_app::verify::{Ask, Want};
use keywright_core::draft::check_wanted;
use keywright_core::ip::parse_address;
use keywright_core::policy::Policy;
use keywright_core::verify::Outcome;

use super::Form;
use crate::api::verify::detail;
use crate::gateway::meant;

/// Methods a request can be tried with.
pub(super) const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// Fields something can be wrong with.
pub(super) const FIELDS: [&str; 3] = ["path", "permissions", "ip"];

/// What was typed.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) permissions: String,
    pub(super) ip: String,
}

impl Typed {
    pub(super) fn read(form: &Form) -> Self {
        let text = |name: &str| form.text(name).trim().to_owned();
        Self { method: text("method"), path: text("path"), permissions: text("permissions"), ip: text("ip") }
    }

    /// The permissions that are asked for by name.
    pub(super) fn names(&self) -> Vec<String> {
        let words = self.permissions.split([' ', ',', '\n']).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    }

    /// What is asked of a key of this kind: by a request where there is a path, else by names.
    pub(super) fn question<'q>(
        &self,
        policy: &'q Policy,
        kind: Option<&str>,
        names: &'q [String],
    ) -> Result<Question<'q>, Error> {
        let wrong = |field: &'static str| move |reason: String| Error::invalid(field, reason);
        let ip = match self.ip.as_str() {
            "" => None,
            text => Some(parse_address(text).map_err(wrong("ip"))?),
        };
        if self.path.is_empty() {
            check_wanted(names.iter().map(String::as_str)).map_err(wrong("permissions"))?;
            let want = if names.is_empty() { Want::Nothing } else { Want::All(names) };
            return Ok(Question { want, cost: 1, ip, rule: String::new() });
        }
        let meant = meant(policy, kind, &self.method, &self.path).map_err(wrong("path"))?;
        let (route, toll) = (meant.route, meant.toll);
        let asks = match (meant.takes_kind, toll.permissions.as_slice()) {
            (false, _) => "does not take keys of this kind".to_owned(),
            (true, []) => "asks for no permission".to_owned(),
            (true, permissions) => format!("asks for {}", permissions.join(" or ")),
        };
        let rule = format!("Route {} ({} {}) {asks}, and costs {}.", route.name, self.method, route.path, toll.cost);
        Ok(Question { want: meant.want, cost: toll.cost, ip, rule })
    }
}

/// What is asked of a key.
pub(super) struct Question<'q> {
    want: Want<'q>,
    cost: u32,
    ip: Option<IpAddr>,
    /// The route it comes from, in words; empty where none was meant.
    pub(super) rule: String,
}

impl<'q> Question<'q> {
    pub(super) fn ask(&self) -> Ask<'q> {
        Ask { ip: self.ip, want: self.want, cost: self.cost, ..Ask::default() }
    }
}

/// A check and how it went.
pub(super) struct CheckLook {
    pub(super) label: &'static str,
    pub(super) passed: bool,
    pub(super) code: &'static str,
    /// Why it did not pass.
    pub(super) detail: &'static str,
    /// Whether it is the one that decides.
    pub(super) decides: bool,
}

/// What a verification would come to.
pub(super) struct Tried {
    pub(super) is_valid: bool,
    pub(super) code: &'static str,
    pub(super) detail: &'static str,
    pub(super) rule: String,
    pub(super) checks: Vec<CheckLook>,
    pub(super) key: String,
}

impl Tried {
    pub(super) fn new(explained: Explanation, rule: String) -> Self {
        let decides = explained.checks.iter().position(|checked| !checked.passed);
        let look = |(place, checked): (usize, keywright_app::explain::Checked)| CheckLook {
            label: label(checked.refuses_with, place),
            passed: checked.passed,
            code: checked.refuses_with.code(),
            detail: if checked.passed { "" } else { detail(checked.refuses_with) },
            decides: decides == Some(place),
        };
        Self {
            is_valid: explained.outcome == Outcome::Valid,
            code: explained.outcome.code(),
            detail: detail(explained.outcome),
            rule,
            key: explained.key.map(|id| id.to_string()).unwrap_or_default(),
            checks: explained.checks.into_iter().enumerate().map(look).collect(),
        }
    }
}

/// What a check is about. Locks come first of all, rate limits after what the key is.
const fn label(refuses_with: Outcome, place: usize) -> &'static str {
    match refuses_with {
        Outcome::Valid => "It works",
        Outcome::Malformed => "It looks like a key",
        Outcome::NotFound => "There is such a key",
        Outcome::Revoked => "It is not revoked",
        Outcome::Expired => "It has not expired",
        Outcome::Disabled => "It is switched on",
        Outcome::IpNotAllowed => "It may be used from this address",
        Outcome::InsufficientPermissions => "It is permitted what is asked",
        Outcome::WrongEnvironment => "It is for this environment",
        Outcome::AccountSuspended => "Its account is active",
        Outcome::RateLimited if place == 0 => "It is not locked after wrong guesses",
        Outcome::RateLimited => "It is within its rate limits",
        Outcome::CreditsExhausted => "Its credits cover the cost",
    }
}
