//! How the native API shows things.

use keywright_core::account::{Account, CustomerType, Profile, Subscription};
use keywright_core::audit::AuditRow;
use keywright_core::id::{AccountId, KeyId, ServiceId};
use keywright_core::ip::IpAllowlist;
use keywright_core::key::{Key, Metadata, Refill, Secret, Status};
use keywright_core::limit::RateLimit;
use keywright_core::policy::Policy;
use keywright_core::registry::Registered;
use keywright_core::time::Time;
use serde::Serialize;
use serde_json::value::RawValue;

/// A key, without anything secret.
#[derive(Serialize)]
pub(crate) struct KeyView {
    id: KeyId,
    prefix: String,
    last_four: String,
    kind: String,
    account_id: AccountId,
    name: String,
    description: String,
    environment: Option<String>,
    role: Option<String>,
    services: Vec<String>,
    permissions: Vec<String>,
    ip_allowlist: IpAllowlist,
    expires_at: Option<Time>,
    credits: Option<i64>,
    refill: Option<Refill>,
    ratelimits: Vec<RateLimit>,
    metadata: Metadata,
    enabled: bool,
    status: Status,
    pub(crate) rotation_due: bool,
    created_by: String,
    created_at: Time,
    updated_at: Time,
    rotated_at: Option<Time>,
    revoked_at: Option<Time>,
    last_used_at: Option<Time>,
    last_used_ip: Option<String>,
    last_used_user_agent: Option<String>,
}

impl KeyView {
    pub(crate) fn new(key: Key, policy: &Policy, now: Time) -> Self {
        let due = policy.kind(&key.kind).and_then(|(_, kind)| kind.rotation_due);
        let (status, rotation_due) = (key.status(now), key.rotation_due(due, now));
        let (last_used_ip, last_used_user_agent) =
            key.last_use.as_ref().map(|used| (used.ip.clone(), used.user_agent.clone())).unwrap_or_default();
        Self {
            id: key.id,
            prefix: key.prefix,
            last_four: key.last_four,
            kind: key.kind,
            account_id: key.account,
            name: key.name,
            description: key.description,
            environment: key.environment,
            role: key.role,
            services: key.services,
            permissions: key.permissions,
            ip_allowlist: key.ip_allowlist,
            expires_at: key.expires_at,
            credits: key.credits,
            refill: key.refill,
            ratelimits: key.ratelimits,
            metadata: key.metadata,
            enabled: key.enabled,
            status,
            rotation_due,
            created_by: key.created_by,
            created_at: key.created_at,
            updated_at: key.updated_at,
            rotated_at: key.rotated_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_use.map(|used| used.at),
            last_used_ip,
            last_used_user_agent,
        }
    }
}

/// A key with the secrets that still work.
#[derive(Serialize)]
pub(crate) struct KeyWithSecrets {
    #[serde(flatten)]
    pub(crate) key: KeyView,
    pub(crate) secrets: Vec<SecretView>,
}

/// What may be shown of a secret.
#[derive(Serialize)]
pub(crate) struct SecretView {
    prefix: String,
    last_four: String,
    created_at: Time,
    expires_at: Option<Time>,
}

impl From<Secret> for SecretView {
    fn from(secret: Secret) -> Self {
        let Secret { prefix, last_four, created_at, expires_at, .. } = secret;
        Self { prefix, last_four, created_at, expires_at }
    }
}

/// A key with its plaintext: shown once, when it is made. Absent where a replay is answered.
#[derive(Serialize)]
pub(crate) struct KeyWithPlaintext<'a> {
    #[serde(flatten)]
    pub(crate) view: KeyView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a str>,
    #[serde(flatten)]
    pub(crate) rotated: Option<RotatedView>,
}

/// What became of the secret before.
#[derive(Serialize)]
pub(crate) struct RotatedView {
    pub(crate) old_prefix: String,
    pub(crate) old_expires_at: Time,
}

/// An account.
#[derive(Serialize)]
pub(crate) struct AccountView {
    id: AccountId,
    name: String,
    status: &'static str,
    email: String,
    email_verified: bool,
    first_name: String,
    last_name: String,
    company: String,
    customer_type: CustomerType,
    subscription: Subscription,
    credits: i64,
    metadata: Metadata,
    created_at: Time,
    updated_at: Time,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        let Account { id, name, standing, profile, subscription, credits, metadata, created_at, updated_at, .. } =
            account;
        let Profile { email, email_verified, first_name, last_name, company, customer_type } = profile;
        Self {
            id,
            name,
            status: standing.name(),
            email,
            email_verified,
            first_name,
            last_name,
            company,
            customer_type,
            subscription,
            credits,
            metadata,
            created_at,
            updated_at,
        }
    }
}

/// A service an account has.
#[derive(Serialize)]
pub(crate) struct ServiceView {
    id: ServiceId,
    account_id: AccountId,
    service_type: String,
    name: String,
    status: String,
    region: String,
    metadata: Metadata,
    created_at: Time,
    updated_at: Time,
}

impl From<Registered> for ServiceView {
    fn from(service: Registered) -> Self {
        let Registered { id, account, service_type, name, status, region, metadata, created_at, updated_at, .. } =
            service;
        Self { id, account_id: account, service_type, name, status, region, metadata, created_at, updated_at }
    }
}

/// A row of the audit log.
#[derive(Serialize)]
pub(crate) struct AuditView {
    seq: i64,
    at: Time,
    actor: String,
    action: String,
    target: String,
    account_id: Option<AccountId>,
    request_id: Option<String>,
    detail: Box<RawValue>,
}

impl From<AuditRow> for AuditView {
    fn from(row: AuditRow) -> Self {
        let AuditRow { seq, at, actor, action, target, account, request_id, detail, .. } = row;
        let detail = RawValue::from_string(detail).unwrap_or_default();
        Self { seq, at, actor, action, target, account_id: account, request_id, detail }
    }
}
