//! The customer that owns keys: who they are, how they stand, and what a kind of key may require of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::draft::FieldError;
use crate::id::{AccountId, UserId};
use crate::key::Metadata;
use crate::time::Time;

/// The longest name of an account, a person or a company, in characters.
pub const LONGEST_NAME: usize = 100;
/// The longest address (RFC 5321, 4.5.3.1.3, without its brackets).
const LONGEST_EMAIL: usize = 254;
/// The longest part of an address before its `@` (RFC 5321, 4.5.3.1.1).
const LONGEST_LOCAL_PART: usize = 64;
/// The most an account's balance can be, either way.
pub const MOST_CREDITS: i64 = 1_000_000_000_000_000;

/// Whether an account's keys work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// They do.
    Active,
    /// None of them does until the account is active again.
    Suspended,
}

impl Standing {
    /// Its name, as stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|standing| standing.name() == name)
    }
}

/// Declares a closed list of names: as an enum, and as the texts that are stored and shown.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $(#[$first_doc:meta])* $first:ident = $first_text:literal, $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            #[default]
            #[serde(rename = $first_text)]
            $(#[$first_doc])*
            $first,
            $(#[serde(rename = $text)] $(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[Self::$first, $(Self::$variant),+];

            /// Its name, as stored and shown.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    Self::$first => $first_text,
                    $(Self::$variant => $text),+
                }
            }

            /// From its name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named! {
    /// Who an account is.
    CustomerType {
        /// A person.
        Private = "private",
        /// A company.
        Business = "business",
    }
}

named! {
    /// How an account's subscription stands.
    Subscription {
        /// There is none.
        None = "none",
        /// Not paid for yet, and in force.
        Trialing = "trialing",
        /// In force.
        Active = "active",
        /// A payment is late: no longer in force.
        PastDue = "past_due",
        /// Ended.
        Canceled = "canceled",
    }
}

named! {
    /// What a kind of key can require of the account a key is made for.
    Requirement {
        /// It is not suspended.
        Active = "active",
        /// Its address is verified.
        VerifiedEmail = "verified-email",
        /// Its subscription is in force, or it has credits.
        SubscriptionOrCredits = "subscription-or-credits",
    }
}

impl Subscription {
    /// Whether it is in force.
    #[must_use]
    pub const fn is_in_force(self) -> bool {
        match self {
            Self::Trialing | Self::Active => true,
            Self::None | Self::PastDue | Self::Canceled => false,
        }
    }
}

/// Which requirement is not met, and what to do.
impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Active => "the account is suspended: have it activated",
            Self::VerifiedEmail => "the account's email is not verified: verify it",
            Self::SubscriptionOrCredits => {
                "the account has neither an active subscription nor credits: subscribe, or buy credits"
            }
        })
    }
}

/// Who an account is. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Their address, normalised.
    pub email: String,
    /// Whether it has been shown that they read what is sent there.
    pub email_verified: bool,
    /// Their first name.
    pub first_name: String,
    /// Their last name.
    pub last_name: String,
    /// Their company.
    pub company: String,
    /// A person or a company.
    pub customer_type: CustomerType,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// Whether its keys work.
    pub standing: Standing,
    /// Who it is.
    pub profile: Profile,
    /// How its subscription stands.
    pub subscription: Subscription,
    /// Its balance, in whatever units the operator counts; it may be overdrawn.
    pub credits: i64,
    /// Whatever the operator keeps with it: a JSON object.
    pub metadata: Metadata,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Counts its changes; a write names the version it read.
    pub version: i64,
}

/// A change to an account. What is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountChange {
    /// What people call it.
    pub name: Option<String>,
    /// Whether its keys work.
    pub status: Option<Standing>,
    /// Its address. A new one is unverified until it is said to be verified.
    pub email: Option<String>,
    /// Whether the address is verified.
    pub email_verified: Option<bool>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// A person or a company.
    pub customer_type: Option<CustomerType>,
    /// How its subscription stands.
    pub subscription: Option<Subscription>,
    /// Its balance.
    pub credits: Option<i64>,
    /// Whatever the operator keeps with it.
    pub metadata: Option<Metadata>,
}

impl Account {
    /// An account of which nothing is known but its name.
    #[must_use]
    pub fn new(id: AccountId, name: String, now: Time) -> Self {
        Self {
            id,
            name,
            standing: Standing::Active,
            profile: Profile::default(),
            subscription: Subscription::None,
            credits: 0,
            metadata: Metadata::default(),
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Lays a change over the account, and checks what comes of it.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn change(&mut self, change: AccountChange, now: Time) -> Result<(), Vec<FieldError>> {
        let AccountChange { name, status, email, email_verified, first_name, last_name, company, .. } = change;
        let profile = &mut self.profile;
        let set = |field: &mut String, to: Option<String>| to.into_iter().for_each(|to| *field = to);
        if let Some(email) = email.map(|email| email.trim().to_lowercase()).filter(|email| *email != profile.email) {
            profile.email = email;
            profile.email_verified = false;
        }
        profile.email_verified = email_verified.unwrap_or(profile.email_verified);
        set(&mut profile.first_name, first_name);
        set(&mut profile.last_name, last_name);
        set(&mut profile.company, company);
        profile.customer_type = change.customer_type.unwrap_or(profile.customer_type);
        set(&mut self.name, name);
        self.standing = status.unwrap_or(self.standing);
        self.subscription = change.subscription.unwrap_or(self.subscription);
        self.credits = change.credits.unwrap_or(self.credits);
        self.metadata = change.metadata.unwrap_or_else(|| self.metadata.clone());
        self.updated_at = now;
        self.check()
    }

    fn check(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut must = |holds: bool, field: &str, reason: String| {
            if !holds {
                errors.push(FieldError { field: field.into(), reason });
            }
        };
        let is_text = |text: &str| text.chars().count() <= LONGEST_NAME && !text.chars().any(char::is_control);
        let reason = format!("is required: 1 to {LONGEST_NAME} characters, none of them control characters");
        must(!self.name.is_empty() && is_text(&self.name), "name", reason);
        let profile = &self.profile;
        let of_person = [("first_name", &profile.first_name), ("last_name", &profile.last_name)];
        for (field, text) in of_person.into_iter().chain([("company", &profile.company)]) {
            must(
                is_text(text),
                field,
                format!("is at most {LONGEST_NAME} characters, none of them control characters"),
            );
        }
        must(
            profile.email.is_empty() || is_email(&profile.email),
            "email",
            "is no address: write name@example.com".into(),
        );
        let is_verifiable = !profile.email_verified || !profile.email.is_empty();
        must(is_verifiable, "email_verified", "needs an email: there is nothing to verify".into());
        let is_within = (-MOST_CREDITS..=MOST_CREDITS).contains(&self.credits);
        must(is_within, "credits", format!("is from -{MOST_CREDITS} to {MOST_CREDITS}"));
        let bytes = serde_json::to_string(&self.metadata).map_or(usize::MAX, |text| text.len());
        must(bytes <= Metadata::MAX_BYTES, "metadata", format!("takes at most {} bytes as JSON", Metadata::MAX_BYTES));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Those of the requirements that it does not meet.
    pub fn lacks(&self, required: &[Requirement]) -> impl Iterator<Item = Requirement> {
        required.iter().copied().filter(|requirement| match requirement {
            Requirement::Active => self.standing != Standing::Active,
            Requirement::VerifiedEmail => !self.profile.email_verified,
            Requirement::SubscriptionOrCredits => !self.subscription.is_in_force() && self.credits <= 0,
        })
    }
}

/// An address in its one spelling (security.md 49); none where the text cannot be one.
#[must_use]
pub fn normal_email(text: &str) -> Option<String> {
    let normal = text.trim().to_lowercase();
    is_email(&normal).then_some(normal)
}

/// Whether a normalised text can be an address. Only mail that arrives shows that it is one.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_visible = |char: char| !char.is_whitespace() && !char.is_control();
    let label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    text.len() <= LONGEST_EMAIL
        && (1..=LONGEST_LOCAL_PART).contains(&local.len())
        && text.chars().all(is_visible)
        && !local.contains(['@', '<', '>', ',', ';', '"', '\\', '(', ')'])
        && domain.contains('.')
        && domain.split('.').all(label)
        && domain.chars().all(|char| char.is_alphanumeric() || matches!(char, '.' | '-'))
}

/// A person who can belong to accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their address, normalised; none of somebody who comes by an identity provider that says none.
    pub email: Option<String>,
    /// When they showed that mail to it reaches them.
    pub email_verified_at: Option<Time>,
    /// When they turned their second factor on.
    pub second_factor_at: Option<Time>,
    /// When an operator shut them out.
    pub disabled_at: Option<Time>,
    /// What they may do as an operator, as an operator's key is permitted; none of whoever is no operator.
    pub operator: Option<Vec<String>>,
    /// When they were made.
    pub created_at: Time,
}

impl User {
    /// A person of whom nothing is known but their address.
    #[must_use]
    pub const fn new(id: UserId, email: Option<String>, now: Time) -> Self {
        Self {
            id,
            email,
            email_verified_at: None,
            second_factor_at: None,
            disabled_at: None,
            operator: None,
            created_at: now,
        }
    }

    /// Their address; empty where they have none.
    #[must_use]
    pub fn address(&self) -> &str {
        self.email.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account::new(AccountId::from_bits(1), "Ada AS".into(), Time::from_millis(1))
    }

    fn changed(change: AccountChange) -> Result<Account, Vec<FieldError>> {
        let mut account = account();
        account.change(change, Time::from_millis(2)).map(|()| account)
    }

    #[test]
    fn a_requirement_is_met_or_named() {
        let all = Requirement::ALL;
        let lacks = |account: &Account| account.lacks(all).collect::<Vec<_>>();
        let mut account = account();
        assert_eq!(lacks(&account), [Requirement::VerifiedEmail, Requirement::SubscriptionOrCredits]);
        account.standing = Standing::Suspended;
        account.profile.email_verified = true;
        account.credits = 1;
        assert_eq!(lacks(&account), [Requirement::Active]);
        account.credits = -1;
        for (subscription, is_enough) in [
            (Subscription::None, false),
            (Subscription::Trialing, true),
            (Subscription::Active, true),
            (Subscription::PastDue, false),
            (Subscription::Canceled, false),
        ] {
            account.subscription = subscription;
            assert_eq!(!lacks(&account).contains(&Requirement::SubscriptionOrCredits), is_enough, "{subscription:?}");
        }
    }

    #[test]
    fn a_new_address_is_unverified_until_it_is_said_to_be_verified() {
        let email = |email: &str, email_verified| AccountChange {
            email: Some(email.into()),
            email_verified,
            ..AccountChange::default()
        };
        let mut account = changed(email(" Ada@Example.com ", Some(true))).unwrap();
        assert_eq!((account.profile.email.as_str(), account.profile.email_verified), ("ada@example.com", true));
        account.change(email("ADA@example.com", None), Time::from_millis(3)).unwrap();
        assert!(account.profile.email_verified, "it is the same address");
        account.change(email("eve@example.com", None), Time::from_millis(4)).unwrap();
        assert!(!account.profile.email_verified);
        let nothing = AccountChange { email_verified: Some(true), ..AccountChange::default() };
        assert_eq!(changed(nothing).unwrap_err()[0].field, "email_verified");
    }

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in ["a@b.no", "kristen.nygaard@simula.no", "a+b@xn--p1ai.example", "ø@bücher.example"] {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "", "a", "@", "a@", "@b.no", "a@b", "a@b..no", "a@-b.no", "a b@c.no", "a@b.no\n", "a@b@c.no", "<a@b.no>",
            "a,b@c.no", &long,
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn every_name_reads_back() {
        for subscription in Subscription::ALL {
            assert_eq!(Subscription::from_name(subscription.name()), Some(*subscription));
            assert_eq!(serde_json::to_value(subscription).unwrap(), subscription.name());
        }
        assert_eq!(Requirement::from_name("verified_email"), None);
    }
}
