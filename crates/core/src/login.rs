//! What the policy says of logging in, under `[login]`.

use crate::lockout::Rule;
use crate::time::Span;

/// How people log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What the service is called, in authenticators and mails.
    pub name: String,
    /// How long a session lasts at most.
    pub session: Span,
    /// How long a session lasts that is not used.
    pub idle: Span,
    /// Whether anybody may register.
    pub is_open: bool,
    /// Where a link that verifies an address leads, `{token}` standing for what it carries; none for our own page.
    pub verify_link: Option<String>,
    /// Where a link that resets a password leads.
    pub reset_link: Option<String>,
    /// Where the link leads that takes an invitation, likewise.
    pub join_link: Option<String>,
    /// When guessing at one person's password or codes locks their logins.
    pub person_lockout: Rule,
    /// When guessing from one address locks it.
    pub ip_lockout: Rule,
}

impl Default for Login {
    fn default() -> Self {
        let rule = |failures| Rule { failures, within: Span::minutes(5), lasts: Span::minutes(15) };
        Self {
            name: "Keywright".into(),
            session: Span::days(30),
            idle: Span::days(7),
            is_open: false,
            verify_link: None,
            reset_link: None,
            join_link: None,
            person_lockout: rule(10),
            ip_lockout: rule(50),
        }
    }
}
