//! The services an account has: databases, machines, zones. The operator's own provisioning writes them down here; the
//! account reads them.

use serde::Deserialize;
use serde_json::Value;

use crate::draft::FieldError;
use crate::id::{AccountId, ServiceId, SshKeyId};
use crate::key::Metadata;
use crate::time::Time;

/// Services an account may have.
pub const MOST_SERVICES: i64 = 1_000;
/// The type of what SSH keys are put on.
pub const VPS: &str = "vps";
/// Where a machine's metadata says which SSH keys are on it: a list of their ids.
const SSH_KEY_IDS: &str = "ssh_key_ids";
const LONGEST_NAME: usize = 100;
const LONGEST_WORD: usize = 40;

/// A service an account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: ServiceId,
    /// The account that has it.
    pub account: AccountId,
    /// What it is, as in `database`.
    pub service_type: String,
    /// What people call it.
    pub name: String,
    /// How it is, as in `running`.
    pub status: String,
    /// Where it is; empty where that means nothing.
    pub region: String,
    /// Whatever the operator keeps with it: a JSON object.
    pub metadata: Metadata,
    /// When it was written down.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Counts its changes; a write names the version it read.
    pub version: i64,
}

/// What a service is, or is to be from now on. What is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registration {
    /// What it is. It is said once, when the service is written down.
    pub service_type: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// How it is.
    pub status: Option<String>,
    /// Where it is.
    pub region: Option<String>,
    /// Whatever the operator keeps with it.
    pub metadata: Option<Metadata>,
}

impl Registered {
    /// A service of which nothing is said yet.
    #[must_use]
    pub fn new(id: ServiceId, account: AccountId, now: Time) -> Self {
        Self {
            id,
            account,
            service_type: String::new(),
            name: String::new(),
            status: "running".into(),
            region: String::new(),
            metadata: Metadata::default(),
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Lays what is said over the service, and checks what comes of it.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn change(&mut self, said: Registration, now: Time) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut must = |holds: bool, field: &str, reason: String| {
            if !holds {
                errors.push(FieldError { field: field.into(), reason });
            }
        };
        let keeps_type =
            said.service_type.as_ref().is_none_or(|to| self.service_type.is_empty() || *to == self.service_type);
        must(keeps_type, "service_type", "stays what it is: delete the service and write down another".into());
        self.service_type = said.service_type.unwrap_or_else(|| self.service_type.clone());
        self.name = said.name.unwrap_or_else(|| self.name.clone());
        self.status = said.status.unwrap_or_else(|| self.status.clone());
        self.region = said.region.unwrap_or_else(|| self.region.clone());
        self.metadata = said.metadata.unwrap_or_else(|| self.metadata.clone());
        self.updated_at = now;
        let word = format!("is 1 to {LONGEST_WORD} lowercase letters, digits, `-` or `_`");
        must(is_word(&self.service_type), "service_type", format!("{word}, as in database"));
        must(is_word(&self.status), "status", format!("{word}, as in running"));
        must(self.region.is_empty() || is_word(&self.region), "region", format!("{word}, as in oslo; or empty"));
        let is_name =
            (1..=LONGEST_NAME).contains(&self.name.chars().count()) && !self.name.chars().any(char::is_control);
        must(is_name, "name", format!("is required: 1 to {LONGEST_NAME} characters, none of them control characters"));
        let bytes = serde_json::to_string(&self.metadata).map_or(usize::MAX, |text| text.len());
        must(bytes <= Metadata::MAX_BYTES, "metadata", format!("takes at most {} bytes as JSON", Metadata::MAX_BYTES));
        let listed = self.metadata.0.get(SSH_KEY_IDS);
        let is_list = listed.is_none_or(|ids| ids.as_array().is_some_and(|ids| ids.iter().all(Value::is_string)));
        must(is_list, "metadata.ssh_key_ids", "is a list of ids, as in [\"ssh_…\"]".into());
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The SSH keys that are on it: on a machine those its metadata names, on anything else none. Each is there once.
    #[must_use]
    pub fn ssh_keys(&self) -> Vec<SshKeyId> {
        let listed = self.metadata.0.get(SSH_KEY_IDS).filter(|_| self.service_type == VPS).and_then(Value::as_array);
        let mut ids: Vec<SshKeyId> = listed.into_iter().flatten().filter_map(|id| id.as_str()?.parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

fn is_word(text: &str) -> bool {
    let spelled = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_WORD).contains(&text.len()) && text.bytes().all(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(said: &str) -> Result<Registered, Vec<FieldError>> {
        let mut service = Registered::new(ServiceId::from_bits(1), AccountId::from_bits(1), Time::from_millis(1));
        service.change(serde_json::from_str(said).unwrap(), Time::from_millis(2)).map(|()| service)
    }

    #[test]
    fn a_machine_names_each_of_its_keys_once_and_nothing_else_has_any() {
        let key = SshKeyId::from_bits(7);
        let said = |kind: &str| {
            format!(
                r#"{{"service_type":"{kind}","name":"a","metadata":{{"ssh_key_ids":["{key}","nonsense","{key}"]}}}}"#
            )
        };
        assert_eq!(registered(&said(VPS)).unwrap().ssh_keys(), [key]);
        assert_eq!(registered(&said("database")).unwrap().ssh_keys(), []);
        assert_eq!(registered(r#"{"service_type":"vps","name":"a"}"#).unwrap().ssh_keys(), []);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let fields = |said: &str| -> Vec<String> {
            registered(said).unwrap_err().into_iter().map(|error| error.field).collect()
        };
        assert_eq!(fields(r#"{"status":"Running!","region":"O slo"}"#), ["service_type", "status", "region", "name"]);
        let one_id = r#"{"service_type":"vps","name":"a","metadata":{"ssh_key_ids":"ssh_1"}}"#;
        assert_eq!(fields(one_id), ["metadata.ssh_key_ids"]);
        let mut service = registered(r#"{"service_type":"vps","name":"a"}"#).unwrap();
        let other = Registration { service_type: Some("database".into()), ..Registration::default() };
        assert_eq!(service.change(other, Time::from_millis(3)).unwrap_err()[0].field, "service_type");
    }
}
