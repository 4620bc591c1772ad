//! What each route is, in the words of the API's description. A test holds it against `router::ROUTES`.

mod accounts;
mod cloudheed;
mod logins;
mod members;
mod people;
mod wavis;
mod wayscloud;

/// A parameter in the path or the query.
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

/// What a request carries.
pub(super) enum Body {
    None,
    Json { schema: &'static str, example: &'static str },
    Form { schema: &'static str, example: &'static str },
}

/// An answer that is no error.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    /// A schema's name, or a media type for what has none; nothing where there is no body.
    pub(super) content: Content,
}

pub(super) enum Content {
    None,
    Schema(&'static str),
    Media(&'static str),
}

/// One route.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) group: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    pub(super) query: &'static [Param],
    pub(super) body: Body,
    pub(super) answers: &'static [Answer],
    /// It may find nothing, or find that things do not allow it.
    pub(super) conflicts: bool,
    /// Codes of errors it has beside those its needs, its body and its path bring with them.
    pub(super) refuses: &'static [&'static str],
}

/// The group of what takes a personal access token.
pub(super) const ACCOUNT_API: &str = "Account API";
/// The group of Cloudheed's keys.
pub(super) const CLOUDHEED: &str = "Cloudheed";
/// The group of WAVIS's own paths.
const WAVIS: &str = "WAVIS";
/// Groups in the order they are shown.
pub(super) const GROUPS: [(&str, &str); 15] = [
    ("Verification", "What your services ask on every request of theirs."),
    ("Keys", "Make keys, see them, change them."),
    ("A key's life", "Rotate, switch off, revoke."),
    ("Own key", "What a key may do with itself."),
    ("Accounts", "The customers that own keys."),
    ("Logging in", "Passwords, second factors, how a session goes on, and tokens."),
    ("People", "People, and their sessions."),
    ("Members", "Who belongs to an account, as what, and who is asked to."),
    ("Audit", "What was changed, by whom."),
    ("Lockouts", "Who is locked out after too many wrong keys."),
    (
        ACCOUNT_API,
        "What an account does for itself with a personal access token, as WAYSCloud's clients expect it. The account is the \
         token's own. Errors are `{\"error\", \"code\"}`.",
    ),
    (
        "Dashboard",
        "An account's WAYSCloud service keys, for a key of the account's own that may manage keys. Errors are \
         `{\"error\", \"code\"}`.",
    ),
    (CLOUDHEED, "An account's keys with scopes, for its people, as Cloudheed's clients expect it."),
    (
        WAVIS,
        "What WAVIS's clients call. Times are in whole seconds, and none of it costs an operation. Errors are `{\"error\", \
         \"code\"}`.",
    ),
    ("Server", "How the server is."),
];

/// Every route.
pub(super) fn operations() -> impl Iterator<Item = &'static Operation> {
    NATIVE
        .iter()
        .chain(accounts::OPERATIONS)
        .chain(logins::OPERATIONS)
        .chain(people::OPERATIONS)
        .chain(members::OPERATIONS)
        .chain(wayscloud::OPERATIONS)
        .chain(cloudheed::OPERATIONS)
        .chain(wavis::OPERATIONS)
}

const fn param(name: &'static str, about: &'static str) -> Param {
    Param { name, about }
}

const fn ok(about: &'static str, schema: &'static str) -> Answer {
    Answer { status: 200, about, content: Content::Schema(schema) }
}

const fn made(about: &'static str, schema: &'static str) -> Answer {
    Answer { status: 201, about, content: Content::Schema(schema) }
}

const DONE: Answer = Answer { status: 204, about: "Done.", content: Content::None };
const CURSOR: Param = param("cursor", "`next_cursor` of the page before.");
const LIMIT: Param = param("limit", "Rows a page has: 1 to 200, 50 where it is left out.");
const KEY: [Answer; 1] = [ok("The key as it is now.", "Key")];

const PLAIN: Operation = Operation {
    method: "GET",
    path: "",
    id: "",
    group: "",
    summary: "",
    about: "",
    query: &[],
    body: Body::None,
    answers: &[],
    conflicts: false,
    refuses: &[],
};

const VERIFY: &str = r#"{"key": "kw_live_…", "permissions": ["documents:read"], "ip": "203.0.113.7"}"#;

/// Every route but the providers' own.
const NATIVE: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/keys/verify",
        id: "verifyKey",
        group: "Verification",
        summary: "Verify a key",
        about: "Says whether a presented key works for what is asked of it, who it is and what it has left. The answer is 200 \
                whatever the outcome; `Retry-After`, `RateLimit` and `RateLimit-Policy` are there to be passed on.",
        body: Body::Json { schema: "Verify", example: VERIFY },
        answers: &[ok("The verdict.", "Verdict")],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys/verify-batch",
        id: "verifyKeys",
        group: "Verification",
        summary: "Verify up to 100 keys",
        about: "As many single verifications in order. All requests are checked before any is counted.",
        body: Body::Json {
            schema: "VerifyBatch",
            example: r#"{"requests": [{"key": "kw_live_…"}, {"key": "kw_test_…"}]}"#,
        },
        answers: &[ok("The verdicts.", "Verdicts")],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys/explain",
        id: "explainKey",
        group: "Verification",
        summary: "See every check of a verification",
        about: "For operators who are asked why. Nothing is counted, spent or locked by it. `RATE_LIMITED` is there twice: \
                first for lockouts, later for the key's own limits.",
        body: Body::Json { schema: "Verify", example: VERIFY },
        answers: &[ok("The checks.", "Explanation")],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/introspect",
        id: "introspectToken",
        group: "Verification",
        summary: "Introspect a token (RFC 7662)",
        about: "For software that speaks the standard. Costs nothing.",
        body: Body::Form { schema: "Token", example: "token=kw_live_…" },
        answers: &[ok("What it is.", "Introspection")],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys",
        id: "createKey",
        group: "Keys",
        summary: "Make a key",
        about: "The whole key is in this answer and never again. With an `Idempotency-Key` a repeated request makes no second key: \
                for 24 hours it answers 200 with the key that was made, without `key`, and with `Idempotent-Replayed: true`; the \
                secret is neither kept nor repeated. Nobody but an operator can make a key that may do more than the one they use.",
        body: Body::Json {
            schema: "CreateKey",
            example: r#"{"account_id": "acc_…", "name": "Nightly backup", "permissions": ["documents:read"], "expires_in": "90d"}"#,
        },
        answers: &[
            made("The new key.", "CreatedKey"),
            ok("The key an earlier request with this `Idempotency-Key` has made.", "Key"),
        ],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/keys",
        id: "listKeys",
        group: "Keys",
        summary: "List keys",
        about: "Oldest first. Filters are combined. Times are RFC 3339, or a length of time: `unused_since=30d` is thirty days ago, \
                `expiring_before=14d` is in fourteen days.",
        query: &[
            param("account_id", "Keys of this account."),
            param("kind", "Keys of this kind."),
            param("environment", "Keys for this environment."),
            param("status", "`active`, `disabled`, `expired` or `revoked`."),
            param("unused_since", "Keys not used since then; one never used counts by when it was made."),
            param("expiring_before", "Keys that expire before then."),
            param("rotation_due", "`true` for active keys that are due for rotation."),
            param("prefix", "Keys whose shown part begins so."),
            param("search", "Keys with this in their name or description, in small or large letters."),
            CURSOR,
            LIMIT,
        ],
        answers: &[ok("A page of keys.", "Keys")],
        ..PLAIN
    },
    Operation {
        path: "/v1/keys/{id}",
        id: "getKey",
        group: "Keys",
        summary: "See a key",
        about: "With the secrets that still work, as far as they may be shown.",
        answers: &[ok("The key.", "KeyWithSecrets")],
        ..PLAIN
    },
    Operation {
        method: "PATCH",
        path: "/v1/keys/{id}",
        id: "updateKey",
        group: "Keys",
        summary: "Change a key",
        about: "The change is in force once this has answered.",
        body: Body::Json { schema: "UpdateKey", example: r#"{"name": "Weekly backup", "expires_in": null}"# },
        answers: &KEY,
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/keys/{id}/usage",
        id: "listKeyUsage",
        group: "Keys",
        summary: "See how often a key was used",
        about: "By hour, outcome and tag; a week where nothing is said, at most 92 days. Up to a second late.",
        query: &[param("from", "The first hour: a time, or so long ago."), param("to", "The last hour.")],
        answers: &[ok("The counts.", "Usage")],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys/import",
        id: "importKeys",
        group: "Keys",
        summary: "Bring in keys by their hashes",
        about: "A bad row is refused with its reason and the others go in. A row that is there already is no mistake.",
        body: Body::Json {
            schema: "Import",
            example: r#"{"account_id": "acc_…", "keys": [{"hash": "9f86d081…", "name": "old key"}]}"#,
        },
        answers: &[ok("What became of each row.", "ImportReport")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys/{id}/rotate",
        id: "rotateKey",
        group: "A key's life",
        summary: "Give a key a new secret",
        about: "Id, limits, credits and history stay. The secret before works until the grace is over. A key that is a \
            person's own (of a kind the policy calls `personal`) is renewed, and changed, by them alone.",
        body: Body::Json { schema: "Rotate", example: r#"{"grace": "24h"}"# },
        answers: &[ok("The key with its new plaintext, this once.", "RotatedKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys/{id}/grace",
        id: "setKeyGrace",
        group: "A key's life",
        summary: "End or extend a grace",
        about: "Earlier secrets work for so long from now; `0s` ends them.",
        body: Body::Json { schema: "Grace", example: r#"{"grace": "0s"}"# },
        answers: &KEY,
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys/{id}/enable",
        id: "enableKey",
        group: "A key's life",
        summary: "Switch a key on",
        answers: &KEY,
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys/{id}/disable",
        id: "disableKey",
        group: "A key's life",
        summary: "Switch a key off",
        about: "It can be switched on again.",
        answers: &KEY,
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/keys/{id}",
        id: "revokeKey",
        group: "A key's life",
        summary: "Revoke a key",
        about: "For ever. Once this has answered, nobody accepts the key. Revoking it again changes nothing.",
        answers: &[DONE],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/revoke",
        id: "revokeToken",
        group: "A key's life",
        summary: "Revoke a token (RFC 7009)",
        about: "The answer is the same whether or not there was such a key.",
        body: Body::Form { schema: "Token", example: "token=kw_live_…" },
        answers: &[Answer {
            status: 200,
            about: "It does not work, whether or not it did before.",
            content: Content::None,
        }],
        ..PLAIN
    },
    Operation {
        path: "/v1/keys/self",
        id: "getOwnKey",
        group: "Own key",
        summary: "See the key you use",
        answers: &[ok("The key.", "Key")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/keys/self/rotate",
        id: "rotateOwnKey",
        group: "Own key",
        summary: "Give the key you use a new secret",
        about: "A key needs no permission to renew itself.",
        body: Body::Json { schema: "Rotate", example: r#"{"grace": "24h"}"# },
        answers: &[ok("The key with its new plaintext, this once.", "RotatedKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/keys/self",
        id: "revokeOwnKey",
        group: "Own key",
        summary: "Revoke the key you use",
        about: "For whoever finds one that has leaked.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/audit",
        id: "listAudit",
        group: "Audit",
        summary: "Read the audit log",
        query: &[
            param("account_id", "What concerns this account."),
            param("target", "What was done to this id."),
            param("action", "As in `key.rotate`."),
            param("actor", "As in `key:key_…`."),
            CURSOR,
            LIMIT,
        ],
        answers: &[ok("A page of the log.", "AuditPage")],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/audit/verify",
        id: "verifyAudit",
        group: "Audit",
        summary: "Check that the audit log is whole",
        about: "Follows the chain from the first row to the last: finds a changed, missing or moved one.",
        answers: &[ok("Whether it is.", "AuditVerified")],
        ..PLAIN
    },
    Operation {
        path: "/v1/lockouts",
        id: "listLockouts",
        group: "Lockouts",
        summary: "List lockouts",
        about: "Keys and addresses for which nothing is tried for now, after too many wrong keys. Each ends by itself.",
        query: &[CURSOR, LIMIT],
        answers: &[ok("A page of lockouts, newest first.", "Lockouts")],
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/lockouts/{id}",
        id: "liftLockout",
        group: "Lockouts",
        summary: "Lift a lockout",
        about: "Whoever was locked out may try again at once, with nothing counted against them.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/health",
        id: "getHealth",
        group: "Server",
        summary: "Whether the process answers",
        answers: &[ok("It does.", "Health")],
        ..PLAIN
    },
    Operation {
        path: "/ready",
        id: "getReadiness",
        group: "Server",
        summary: "Whether what answers need is within reach",
        answers: &[
            ok("It is.", "Health"),
            Answer { status: 503, about: "The database is out of reach.", content: Content::Schema("Health") },
        ],
        ..PLAIN
    },
    Operation {
        path: "/metrics",
        id: "getMetrics",
        group: "Server",
        summary: "Metrics for Prometheus",
        answers: &[Answer {
            status: 200,
            about: "The metrics.",
            content: Content::Media("application/openmetrics-text"),
        }],
        ..PLAIN
    },
    Operation {
        path: "/openapi.json",
        id: "getOpenApi",
        group: "Server",
        summary: "This description, for machines",
        answers: &[Answer {
            status: 200,
            about: "An OpenAPI 3.1 document.",
            content: Content::Media("application/json"),
        }],
        ..PLAIN
    },
    Operation {
        path: "/docs",
        id: "getDocs",
        group: "Server",
        summary: "This description, for people",
        answers: &[Answer { status: 200, about: "A page.", content: Content::Media("text/html") }],
        ..PLAIN
    },
];
