//! WAVIS's own paths.

use super::{Body, DONE, Operation, PLAIN, WAVIS, made, ok};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/api/v1/onboarding/temp-key",
        id: "issueTrialKey",
        group: WAVIS,
        summary: "Get a trial key",
        about: "Without a credential. The key works for 30 minutes and 10 operations. One address, in IPv6 one network of 64 bits, gets 5 a minute; 429 says when to come again. Where the policy gives no keys away this is a 404, and a 409 where the operator has suspended the account they belong to.",
        body: Body::Json { schema: "Empty", example: "{}" },
        answers: &[made("The key, this once.", "TrialKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/api/v1/health",
        id: "getWavisHealth",
        group: WAVIS,
        summary: "See whether the service is well",
        about: "Every role may.",
        answers: &[ok("It is well.", "WavisHealth")],
        ..PLAIN
    },
    Operation {
        path: "/api/v1/status",
        id: "getWavisStatus",
        group: WAVIS,
        summary: "See how the own key stands",
        about: "Every role may.",
        answers: &[ok("The key the request was made with.", "WavisStatus")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/api/v1/keys",
        id: "listWavisKeys",
        group: WAVIS,
        summary: "List the account's keys",
        about: "Those that are not revoked, newest first: at most 1,000 of a kind. For viewers, developers and account admins.",
        answers: &[ok("The keys.", "WavisKeys")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/api/v1/keys/apikey/rotate",
        id: "rotateWavisKey",
        group: WAVIS,
        summary: "Renew the own key",
        about: "The key the request was made with goes on working for the grace of its kind, 24 hours, and then stops by itself. For developers and account admins.",
        body: Body::Json { schema: "Empty", example: "{}" },
        answers: &[ok("The new key, this once, and when the one before it ends.", "RotatedWavisKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/api/v1/usage",
        id: "getWavisUsage",
        group: WAVIS,
        summary: "See what the keys were used for this month",
        about: "Environment by environment, in UTC, up to a second late: how often the account's keys were accepted and refused, calls to these paths among them. For viewers, developers and account admins.",
        answers: &[ok("What was counted.", "WavisUsage")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/api/v1/billing",
        id: "getWavisBilling",
        group: WAVIS,
        summary: "See what is known of the bill",
        about: "Keywright makes no bills: this is the account's subscription and balance as the operator keeps them, and how often keys for `live`, the only ones that count for a bill, were accepted this month. For account admins.",
        answers: &[ok("What is known.", "WavisBilling")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/api/v1/invoices",
        id: "listWavisInvoices",
        group: WAVIS,
        summary: "List invoices",
        about: "Keywright makes none, so the list is empty; the path is here for clients that ask. For account admins.",
        answers: &[ok("No invoices.", "WavisInvoices")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/api/v1/user/api-keys",
        id: "createWavisUserKey",
        group: WAVIS,
        summary: "Make a key",
        about: "The role is `developer` where none is named. A person makes ten keys an hour at most.",
        body: Body::Json { schema: "CreateWavisUserKey", example: r#"{"environment": "live", "role": "developer"}"# },
        answers: &[made("The key, this once.", "CreatedWavisUserKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/api/v1/user/api-keys/{id}",
        id: "revokeWavisUserKey",
        group: WAVIS,
        summary: "Revoke a key",
        about: "Once it has answered, nothing accepts the key any more: there is no grace.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
];
