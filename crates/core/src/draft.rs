//! What someone asks a new or changed key to be, checked against its kind. All mistakes are told at once, by field.

use serde::{Deserialize, Serialize};

use crate::ip::IpAllowlist;
use crate::key::{Key, Metadata, Refill};
use crate::limit::{self, RateLimit};
use crate::permission::{check_name, check_pattern, covers};
use crate::policy::{Kind, Policy};
use crate::time::{Span, Time};

/// The most credits a key can have.
pub const MAX_CREDITS: i64 = 1_000_000_000_000;
/// The most permissions a key can be granted by name.
pub const MAX_PERMISSIONS: usize = 100;

/// One field of a request, what is wrong with it and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// What is wrong and what to write instead.
    pub reason: String,
}

/// What a new key is asked to be. Fields left out get the kind's defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Draft {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The environment it works in.
    pub environment: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// The services it covers.
    pub services: Vec<String>,
    /// What it is granted by name.
    pub permissions: Vec<String>,
    /// Where it may be used from.
    pub ip_allowlist: IpAllowlist,
    /// How long it lives.
    pub expires_in: Option<Span>,
    /// Operations it is good for.
    pub credits: Option<i64>,
    /// How they come back.
    pub refill: Option<Refill>,
    /// Its rate limits.
    pub ratelimits: Option<Vec<RateLimit>>,
    /// Whatever its owner keeps with it.
    pub metadata: Metadata,
}

/// A change to a key. A field left out stays; one that is `null` goes back to nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// What people call it.
    #[serde(deserialize_with = "some")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(deserialize_with = "some")]
    pub description: Option<String>,
    /// Its role.
    #[serde(deserialize_with = "some")]
    pub role: Option<Option<String>>,
    /// The services it covers.
    #[serde(deserialize_with = "some")]
    pub services: Option<Vec<String>>,
    /// What it is granted by name.
    #[serde(deserialize_with = "some")]
    pub permissions: Option<Vec<String>>,
    /// Where it may be used from.
    #[serde(deserialize_with = "some")]
    pub ip_allowlist: Option<IpAllowlist>,
    /// How long it lives from now.
    #[serde(deserialize_with = "some")]
    pub expires_in: Option<Option<Span>>,
    /// Operations it is good for from now.
    #[serde(deserialize_with = "some")]
    pub credits: Option<Option<i64>>,
    /// How they come back.
    #[serde(deserialize_with = "some")]
    pub refill: Option<Option<Refill>>,
    /// Its rate limits.
    #[serde(deserialize_with = "some")]
    pub ratelimits: Option<Vec<RateLimit>>,
    /// Whatever its owner keeps with it.
    #[serde(deserialize_with = "some")]
    pub metadata: Option<Metadata>,
    /// Whether it is switched on.
    #[serde(deserialize_with = "switch")]
    pub enabled: Option<bool>,
}

/// Tells a field that is `null`, and goes back to nothing, from one that is left out.
fn some<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::<T>::deserialize(from).map(|value| Some(value.unwrap_or_default()))
}

/// A switch is on or off: `null` is neither.
fn switch<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(from).map(Some)
}

/// Gathers what is wrong, field by field.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn check(&mut self, field: &str, result: Result<(), String>) {
        if let Err(reason) = result {
            self.0.push(FieldError { field: field.into(), reason });
        }
    }
}

impl Change {
    /// Lays the change over `key`, leaving alone what it does not mention.
    pub fn lay_over(self, key: &mut Key, now: Time) {
        let Self { name, description, role, services, permissions, ip_allowlist, .. } = self;
        key.name = name.unwrap_or_else(|| key.name.clone());
        key.description = description.unwrap_or_else(|| key.description.clone());
        key.role = role.unwrap_or_else(|| key.role.clone());
        key.services = services.unwrap_or_else(|| key.services.clone());
        key.permissions = permissions.unwrap_or_else(|| key.permissions.clone());
        key.ip_allowlist = ip_allowlist.unwrap_or_else(|| key.ip_allowlist.clone());
        key.ratelimits = self.ratelimits.unwrap_or_else(|| key.ratelimits.clone());
        key.metadata = self.metadata.unwrap_or_else(|| key.metadata.clone());
        key.enabled = self.enabled.unwrap_or(key.enabled);
        if let Some(expires_in) = self.expires_in {
            key.expires_at = expires_in.map(|span| now.after(span));
        }
        if let Some(credits) = self.credits {
            key.credits = credits;
        }
        if let Some(refill) = self.refill {
            key.refill = refill;
            key.refill_at = refill.map(|refill| now.after(refill.every));
        }
        key.updated_at = now;
    }
}

impl Policy {
    /// Checks that `key` is something its kind allows, and puts its names in order. Both creating and changing end here.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn admit(&self, kind: &Kind, key: &mut Key, now: Time) -> Result<(), Vec<FieldError>> {
        let mut errors = Errors::default();
        errors.check("name", check_text(&key.name, 100));
        errors.check("description", check_text(&key.description, 1_000));
        errors.check("environment", among("environment", key.environment.as_deref(), &kind.environments));
        errors.check("role", among("role", key.role.as_deref(), &kind.roles));
        errors.check("services", self.settle_services(kind, &mut key.services));
        errors.check("permissions", self.check_permissions(kind, &mut key.permissions));
        errors.check("ratelimits", limit::check(&key.ratelimits));
        errors.check("credits", check_credits(key.credits));
        if let Some(refill) = &key.refill {
            errors.check("refill", check_refill(refill, key.credits.is_some()));
        }
        errors.check("expires_in", check_life(kind, key, now));
        errors.check("metadata", check_metadata(&key.metadata));
        if errors.0.is_empty() { Ok(()) } else { Err(errors.0) }
    }

    fn settle_services(&self, kind: &Kind, services: &mut Vec<String>) -> Result<(), String> {
        for service in services.iter_mut() {
            let known = self.service(service).filter(|name| kind.services.iter().any(|listed| listed == name));
            match known.map(str::to_owned) {
                Some(name) => *service = name,
                None => return Err(unknown("service", service, &kind.services)),
            }
        }
        services.sort_unstable();
        services.dedup();
        if services.is_empty() && kind.format.names_service() {
            return Err(format!("is required: name at least one of {}", kind.services.join(", ")));
        }
        Ok(())
    }

    fn check_permissions(&self, kind: &Kind, permissions: &mut Vec<String>) -> Result<(), String> {
        permissions.sort_unstable();
        permissions.dedup();
        if permissions.len() > MAX_PERMISSIONS {
            return Err(format!("has {} entries: at most {MAX_PERMISSIONS}", permissions.len()));
        }
        for permission in permissions.iter() {
            check_pattern(permission)?;
            if kind.open_permissions {
                continue;
            }
            let covered = kind.permissions.iter().any(|pattern| covers(pattern, permission));
            let reaches = permission.ends_with('*') || self.catalog.knows(permission);
            if !covered || !reaches {
                return Err(unknown("permission", permission, &kind.permissions));
            }
        }
        Ok(())
    }
}

/// Whether a name says nothing of what a key is for (contract row WC3).
#[must_use]
pub fn says_nothing(name: &str) -> bool {
    const NOTHING: [&str; 16] = [
        "key", "apikey", "myapikey", "mykey", "newkey", "testkey", "api", "test", "testing", "asdf", "qwerty", "foo",
        "bar", "temp", "new", "abc",
    ];
    let letters: String = name.chars().filter(|char| char.is_alphabetic()).flat_map(char::to_lowercase).collect();
    letters.chars().count() < 3 || NOTHING.contains(&letters.as_str())
}

fn among(what: &str, name: Option<&str>, listed: &[String]) -> Result<(), String> {
    match name {
        Some(name) if !listed.iter().any(|known| known == name) => Err(unknown(what, name, listed)),
        _ => Ok(()),
    }
}

fn unknown(what: &str, name: &str, listed: &[String]) -> String {
    let name = crate::clip(name);
    if listed.is_empty() {
        format!("`{name}`: keys of this kind have no {what}; leave it out")
    } else {
        format!("`{name}` is no {what} of this kind: use {}", listed.join(", "))
    }
}

fn check_text(text: &str, most: usize) -> Result<(), String> {
    if text.chars().count() > most {
        Err(format!("is longer than {most} characters"))
    } else if text.chars().any(|char| char.is_control() && char != '\n') {
        Err("has a control character: use letters, digits, marks and spaces".into())
    } else {
        Ok(())
    }
}

fn check_credits(credits: Option<i64>) -> Result<(), String> {
    match credits {
        Some(credits) if !(0..=MAX_CREDITS).contains(&credits) => {
            Err(format!("is from 0 to {MAX_CREDITS}; leave it out for no limit"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_refill(refill: &Refill, has_credits: bool) -> Result<(), String> {
    if !has_credits {
        return Err("needs credits: without them there is nothing to fill up".into());
    }
    if !(1..=MAX_CREDITS).contains(&refill.amount) {
        return Err(format!("amount is from 1 to {MAX_CREDITS}"));
    }
    if refill.every < Span::minutes(1) {
        return Err("every is at least 1m".into());
    }
    Ok(())
}

fn check_life(kind: &Kind, key: &Key, now: Time) -> Result<(), String> {
    match (key.expires_at, kind.longest_life) {
        (Some(at), _) if at <= now && key.created_at == now => Err("is at least 1s".into()),
        (Some(at), Some(longest)) if at > key.created_at.after(longest) => {
            Err(format!("is at most {longest} for this kind, counted from when the key was made"))
        }
        (None, Some(longest)) => Err(format!("is required for this kind, and at most {longest}")),
        _ => Ok(()),
    }
}

fn check_metadata(metadata: &Metadata) -> Result<(), String> {
    let bytes = serde_json::to_string(metadata).map_or(usize::MAX, |text| text.len());
    if bytes > Metadata::MAX_BYTES {
        return Err(format!("takes {bytes} bytes as JSON: at most {}", Metadata::MAX_BYTES));
    }
    Ok(())
}

/// Checks permissions asked for in a verification.
///
/// # Errors
/// The first that is not one.
pub fn check_wanted<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    names.into_iter().try_for_each(check_name)
}
