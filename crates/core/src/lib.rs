//! The rules of Keywright.
//!
//! Pure: no async, no I/O, no SQL, no HTTP. Time and randomness are arguments, so that every rule here can be run
//! again with the same outcome, tested against a model and fuzzed.

pub mod account;
pub mod assertion;
pub mod audit;
pub mod brand;
pub mod browser;
pub mod credits;
pub mod draft;
pub mod ending;
pub mod exchange;
pub mod external;
pub mod format;
pub mod forward_auth;
pub mod id;
pub mod import;
pub mod ip;
pub mod key;
pub mod limit;
pub mod lockout;
pub mod login;
pub mod mail;
pub mod member;
pub mod password;
pub mod permission;
pub mod policy;
pub mod proof;
pub mod refresh;
pub mod registry;
pub mod route;
pub mod secret;
pub mod session;
pub mod setup;
pub mod signing;
pub mod ssh;
pub mod ticket;
pub mod time;
pub mod totp;
pub mod verify;

/// At most the first 40 characters of what someone sent, for an error message about it.
pub(crate) fn clip(text: &str) -> String {
    let mut clipped: String =
        text.chars().take(40).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    if text.chars().nth(40).is_some() {
        clipped.push('…');
    }
    clipped
}
