//! What a key is asked to be, as options of a command and as texts of an import, and how those become JSON.
//!
//! Only the shape is checked here. What a kind allows is the server's to say.

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::exit::{Exit, fail};

/// The fields `keys create` and `keys update` share.
#[derive(Args)]
pub(crate) struct Fields {
    /// What people call it
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Its role, where its kind has roles
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// A service it covers; repeat it or separate several by commas
    #[arg(long = "service", value_name = "SERVICE", value_delimiter = ',')]
    services: Option<Vec<String>>,
    /// A permission it has, as in documents:read or documents:*; repeat it or separate several by commas
    #[arg(long = "permission", value_name = "PERMISSION", value_delimiter = ',')]
    permissions: Option<Vec<String>>,
    /// An address or network it may be used from; repeat it or separate several by commas
    #[arg(long = "allow-ip", value_name = "IP", value_delimiter = ',')]
    ip_allowlist: Option<Vec<String>>,
    /// How long it lives from now, as in 30d, 24h or 1y
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<String>,
    /// How many operations it is good for
    #[arg(long, value_name = "COUNT")]
    credits: Option<i64>,
    /// How credits come back: the balance and how often, as in 1000/30d
    #[arg(long, value_name = "AMOUNT/SPAN", value_parser = parse_refill)]
    refill: Option<Value>,
    /// A rate limit, as in requests=100/1m; repeat it for several
    #[arg(long = "ratelimit", value_name = "NAME=LIMIT/SPAN", value_parser = parse_ratelimit)]
    ratelimits: Option<Vec<Value>>,
    /// Whatever is to be kept with it: a JSON object
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Value>,
}

impl Fields {
    /// The fields that were given, as the API takes them. An empty text in a list clears it.
    pub(crate) fn into_json(self) -> Map<String, Value> {
        let list = |items: Option<Vec<String>>| {
            items.map(|items| items.into_iter().filter(|item| !item.is_empty()).collect::<Vec<_>>())
        };
        let fields = [
            ("name", self.name.map(Value::from)),
            ("description", self.description.map(Value::from)),
            ("role", self.role.map(Value::from)),
            ("services", list(self.services).map(Value::from)),
            ("permissions", list(self.permissions).map(Value::from)),
            ("ip_allowlist", list(self.ip_allowlist).map(Value::from)),
            ("expires_in", self.expires_in.map(Value::from)),
            ("credits", self.credits.map(Value::from)),
            ("refill", self.refill),
            ("ratelimits", self.ratelimits.map(Value::from)),
            ("metadata", self.metadata),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// `1000/30d`
pub(crate) fn parse_refill(text: &str) -> Result<Value, String> {
    let parts =
        text.split_once('/').and_then(|(amount, every)| Some((amount.trim().parse::<i64>().ok()?, every.trim())));
    let (amount, every) =
        parts.ok_or_else(|| format!("`{text}` is no refill: write 1000/30d for a balance of 1000 every 30 days"))?;
    Ok(json!({ "amount": amount, "every": every }))
}

/// `requests=100/1m`
pub(crate) fn parse_ratelimit(text: &str) -> Result<Value, String> {
    let parts = text.split_once('=').and_then(|(name, rest)| {
        let (limit, window) = rest.split_once('/')?;
        Some((name.trim(), limit.trim().parse::<u32>().ok()?, window.trim()))
    });
    let wrong = || format!("`{text}` is no rate limit: write requests=100/1m for 100 a minute");
    let (name, limit, window) = parts.filter(|(name, ..)| !name.is_empty()).ok_or_else(wrong)?;
    Ok(json!({ "name": name, "limit": limit, "window": window }))
}

/// A JSON object.
pub(crate) fn parse_object(text: &str) -> Result<Value, String> {
    let value = serde_json::from_str(text).ok().filter(Value::is_object);
    value.ok_or_else(|| "is not a JSON object: write {\"team\": \"billing\"}".into())
}

/// A request that changes nothing is a slip.
pub(crate) fn must_change(fields: &Map<String, Value>) -> Result<()> {
    if fields.is_empty() {
        return Err(fail(Exit::Usage, "say what is to change, as in --name or --expires-in; see --help"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_become_the_apis_own() {
        assert_eq!(parse_refill("1000/30d").unwrap(), json!({ "amount": 1000, "every": "30d" }));
        assert_eq!(
            parse_ratelimit("requests=100/1m").unwrap(),
            json!({ "name": "requests", "limit": 100, "window": "1m" })
        );
        for wrong in ["1000", "x/30d", "=1/1m", "a=b/1m", "a=1"] {
            assert!(parse_refill(wrong).is_err() && parse_ratelimit(wrong).is_err(), "{wrong} was taken");
        }
        assert!(parse_object("[1]").is_err());
    }
}
