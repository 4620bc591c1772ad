//! `[upstreams]` of the configuration: where services are that routes of the policy name, and who vouches for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keywright_app::trust::Trust;
use keywright_core::route::{Address, Health, plain_path};
use keywright_core::time::Span;
use toml::{Spanned, Value};

use crate::config::{Check, Wrong};

/// Addresses under one name.
const MOST: usize = 16;
/// How often an upstream's health is asked for.
const USUAL: Span = Span::seconds(10);
const SHORTEST: Span = Span::seconds(1);
const LONGEST: Span = Span::minutes(60);

/// A file of those who vouch for an upstream, and where the configuration names it.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    file: PathBuf,
    config: PathBuf,
    line: usize,
}

/// What the configuration says of upstreams, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstreams {
    pub(crate) addresses: BTreeMap<String, Vec<Address>>,
    pub(crate) health: BTreeMap<String, Health>,
    authorities: BTreeMap<String, Authority>,
}

/// An upstream as it is written.
struct Written {
    addresses: Vec<Address>,
    ca: Option<PathBuf>,
    health: Option<Health>,
}

/// Checks `[upstreams]`. Paths count from `base`.
pub(crate) fn parse(raw: BTreeMap<String, Spanned<Value>>, base: &Path, check: &mut Check<'_>) -> Upstreams {
    let mut upstreams = Upstreams::default();
    for (name, value) in raw {
        let (config, line) = check.place(&value.span());
        let Some(written) = check.take(Some(value), |value| read(&name, &value)) else { continue };
        let Written { addresses, ca, health } = written;
        if let Some(health) = health {
            upstreams.health.insert(name.clone(), health);
        }
        if let Some(ca) = ca {
            upstreams.authorities.insert(name.clone(), Authority { file: base.join(ca), config, line });
        }
        upstreams.addresses.insert(name, addresses);
    }
    upstreams
}

impl Upstreams {
    /// Who vouches for those with an authority of their own.
    pub(crate) fn trusted(&self) -> Result<BTreeMap<String, Trust>, Vec<Wrong>> {
        let (mut trusted, mut wrongs) = (BTreeMap::new(), Vec::new());
        for (name, Authority { file, config, line }) in &self.authorities {
            match Trust::read(file) {
                Ok(trust) => drop(trusted.insert(name.clone(), trust)),
                Err(reason) => {
                    let message = format!("upstreams.{name}: ca: {reason}");
                    wrongs.push(Wrong { file: config.clone(), line: *line, message });
                }
            }
        }
        if wrongs.is_empty() { Ok(trusted) } else { Err(wrongs) }
    }
}

/// An address, a list of them, or a table with them and the file of an authority.
fn read(name: &str, value: &Value) -> Result<Written, String> {
    let Some(table) = value.as_table() else {
        return Ok(Written { addresses: addresses(name, value)?, ca: None, health: None });
    };
    if let Some(unknown) = table.keys().find(|key| !["url", "ca", "health", "interval"].contains(&key.as_str())) {
        return Err(format!(
            "upstreams.{name}: `{unknown}` is nothing an upstream has: it has url, ca, health, interval"
        ));
    }
    let url = table.get("url").ok_or_else(|| format!("upstreams.{name}: write its address: url = \"https://…\""))?;
    let addresses = addresses(name, url)?;
    let ca = match table.get("ca") {
        None => None,
        Some(Value::String(file)) if addresses.iter().any(|address| address.is_tls) => Some(file.into()),
        Some(Value::String(_)) => {
            return Err(format!("upstreams.{name}: ca vouches for https addresses, and there is none: leave it out"));
        }
        Some(_) => return Err(format!("upstreams.{name}: ca is the path of a file, as in \"authority.pem\"")),
    };
    Ok(Written { addresses, ca, health: health(name, table)? })
}

/// What it is asked for, to find out whether it is well, and how often.
fn health(name: &str, table: &toml::Table) -> Result<Option<Health>, String> {
    let every = match table.get("interval") {
        None => USUAL,
        Some(Value::String(text)) => text.parse().map_err(|reason| format!("upstreams.{name}: interval: {reason}"))?,
        Some(_) => return Err(format!("upstreams.{name}: interval is a length of time, as in \"10s\"")),
    };
    if !(SHORTEST..=LONGEST).contains(&every) {
        return Err(format!("upstreams.{name}: interval is from {SHORTEST} to {LONGEST}"));
    }
    match table.get("health") {
        None if table.contains_key("interval") => {
            Err(format!("upstreams.{name}: interval is how often health is asked for: write health = \"/health\", too"))
        }
        None => Ok(None),
        Some(Value::String(path)) if plain_path(path.split('?').next().unwrap_or_default()).is_ok() => {
            Ok(Some(Health { path: path.clone(), every }))
        }
        Some(_) => Err(format!("upstreams.{name}: health is a path, as in \"/health\"")),
    }
}

fn addresses(name: &str, value: &Value) -> Result<Vec<Address>, String> {
    let texts: Vec<&Value> = value.as_array().map_or_else(|| vec![value], |all| all.iter().collect());
    if !(1..=MOST).contains(&texts.len()) {
        return Err(format!("upstreams.{name}: write one address, or a list of up to {MOST}"));
    }
    let one = |text: &Value| match text.as_str() {
        Some(text) => text.parse().map_err(|reason| format!("upstreams.{name}: {reason}")),
        None => Err(format!("upstreams.{name}: write an address, as in \"http://10.0.0.5:9000\"")),
    };
    texts.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::config;

    use super::*;

    fn upstreams(text: &str) -> Result<Upstreams, Vec<(usize, String)>> {
        let read = config::parse(Path::new("/etc/keywright/keywright.toml"), text, None);
        read.map(|config| config.place.upstreams)
            .map_err(|wrongs| wrongs.into_iter().map(|wrong| (wrong.line, wrong.message)).collect())
    }

    #[test]
    fn an_upstream_is_an_address_a_list_or_a_table() {
        let text = "[upstreams]\na = \"http://10.0.0.5:9000\"\nb = [\"https://b1\", \"https://b2\"]\n\
                    c = { url = \"https://c\", health = \"/up?full\", interval = \"5s\" }\n[upstreams.d]\nurl = [\"https://d\"]\nca = \"d.pem\"\n";
        let found = upstreams(text).unwrap();
        let shown: Vec<String> = found.addresses.values().flatten().map(ToString::to_string).collect();
        assert_eq!(shown, ["http://10.0.0.5:9000", "https://b1", "https://b2", "https://c", "https://d"]);
        assert_eq!(found.health["c"], Health { path: "/up?full".into(), every: Span::seconds(5) });
        let own: Vec<&str> = found.authorities.keys().map(String::as_str).collect();
        assert_eq!((own, found.authorities["d"].file.as_path()), (vec!["d"], Path::new("/etc/keywright/d.pem")));
        let wrongs = found.trusted().err().unwrap_or_default();
        assert!(wrongs.len() == 1 && wrongs[0].message.contains("upstreams.d: ca: "), "{wrongs:?}");
    }

    #[test]
    fn mistakes_are_told_by_line() {
        for (text, says) in [
            ("a = 1", "upstreams.a: write an address"),
            ("a = []", "write one address, or a list"),
            ("a = \"ftp://a\"", "is no upstream's address"),
            ("a = { ca = \"a.pem\" }", "url = "),
            ("a = { url = \"https://a\", tls = true }", "`tls` is nothing"),
            ("a = { url = \"https://a\", ca = true }", "ca is the path"),
            ("a = { url = \"http://a\", ca = \"a.pem\" }", "leave it out"),
            ("a = { url = \"http://a\", health = \"up\" }", "health is a path"),
            ("a = { url = \"http://a\", interval = \"5s\" }", "write health"),
            ("a = { url = \"http://a\", health = \"/up\", interval = \"5\" }", "interval: "),
            ("a = { url = \"http://a\", health = \"/up\", interval = \"1ms\" }", "from 1s to "),
        ] {
            let wrongs = upstreams(&format!("\n[upstreams]\n{text}\n")).err().unwrap_or_default();
            assert!(wrongs.len() == 1 && wrongs[0].0 == 3 && wrongs[0].1.contains(says), "{text}: {wrongs:?}");
        }
    }
}
