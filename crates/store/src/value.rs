//! What goes into a statement: one of three types, and a null has one too, for PostgreSQL wants to know.

use keywright_core::id::{AccountId, IdentityId, InvitationId, KeyId, MailId, ServiceId, SessionId, SshKeyId, UserId};
use keywright_core::secret::Digest;
use keywright_core::time::Time;
use serde::Serialize;

use crate::error::StoreError;

/// A parameter of a statement.
#[derive(Clone)]
pub enum Value {
    /// `bigint`, `integer`.
    Int(Option<i64>),
    /// `text`.
    Text(Option<String>),
    /// `bytea`, `blob`.
    Bytes(Option<Vec<u8>>),
}

/// The parameters of a statement, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::value::Value::from($value)),*] };
}
pub(crate) use values;

/// A value kept as JSON text.
pub(crate) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::corrupt("a value cannot be written as JSON"))
}

/// The pattern of texts that have this in them.
pub(crate) fn containing(words: &str) -> String {
    let mut pattern = String::from("%");
    for char in words.to_ascii_lowercase().chars() {
        if matches!(char, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(char);
    }
    pattern.push('%');
    pattern
}

macro_rules! from {
    ($($type:ty => |$value:ident| $variant:ident($some:expr);)+) => {
        $(
            impl From<$type> for Value {
                fn from($value: $type) -> Self {
                    Self::$variant(Some($some))
                }
            }

            impl From<Option<$type>> for Value {
                fn from(value: Option<$type>) -> Self {
                    Self::$variant(value.map(|$value| $some))
                }
            }
        )+
    };
}

from! {
    i64 => |value| Int(value);
    bool => |value| Int(i64::from(value));
    Time => |value| Int(value.millis());
    String => |value| Text(value);
    &String => |value| Text(value.clone());
    &str => |value| Text(value.to_owned());
    KeyId => |value| Text(value.to_string());
    AccountId => |value| Text(value.to_string());
    SessionId => |value| Text(value.to_string());
    IdentityId => |value| Text(value.to_string());
    InvitationId => |value| Text(value.to_string());
    UserId => |value| Text(value.to_string());
    SshKeyId => |value| Text(value.to_string());
    ServiceId => |value| Text(value.to_string());
    MailId => |value| Text(value.to_string());
    Digest => |value| Bytes(value.bytes().to_vec());
    &Digest => |value| Bytes(value.bytes().to_vec());
    &[u8] => |value| Bytes(value.to_vec());
    &[u8; 16] => |value| Bytes(value.to_vec());
    &[u8; 32] => |value| Bytes(value.to_vec());
}
