//! Accounts and the services they have.

use super::{Body, CURSOR, DONE, LIMIT, Operation, PLAIN, made, ok};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/accounts",
        id: "createAccount",
        group: "Accounts",
        summary: "Make an account",
        body: Body::Json {
            schema: "CreateAccount",
            example: r#"{"name": "Simula Research Laboratory", "email": "post@example.com", "email_verified": true, "subscription": "active"}"#,
        },
        about: "An `Idempotency-Key` makes it safe to repeat, as with keys.",
        answers: &[
            made("The new account.", "Account"),
            ok("The account an earlier request with this `Idempotency-Key` has made.", "Account"),
        ],
        ..PLAIN
    },
    Operation {
        path: "/v1/accounts",
        id: "listAccounts",
        group: "Accounts",
        summary: "List accounts",
        query: &[CURSOR, LIMIT],
        answers: &[ok("A page of accounts.", "Accounts")],
        ..PLAIN
    },
    Operation {
        path: "/v1/accounts/{id}",
        id: "getAccount",
        group: "Accounts",
        summary: "See an account",
        answers: &[ok("The account.", "Account")],
        ..PLAIN
    },
    Operation {
        method: "PATCH",
        path: "/v1/accounts/{id}",
        id: "updateAccount",
        group: "Accounts",
        summary: "Change or suspend an account",
        about: "Once a suspension has answered, none of the account's keys works until it is active again.",
        body: Body::Json { schema: "UpdateAccount", example: r#"{"status": "suspended"}"# },
        answers: &[ok("The account as it is now.", "Account")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/accounts/{id}/services",
        id: "createService",
        group: "Accounts",
        summary: "Write down a service an account has",
        about: "For the operator's own provisioning: the account then sees it at `/v1/account/services`. An SSH key counts as being \
                on every service of type `vps` whose `metadata.ssh_key_ids` lists its id. An `Idempotency-Key` makes it safe to repeat.",
        body: Body::Json {
            schema: "CreateService",
            example: r#"{"service_type": "vps", "name": "web-1", "region": "oslo", "metadata": {"ssh_key_ids": ["ssh_…"]}}"#,
        },
        answers: &[
            made("The service.", "Service"),
            ok("The service an earlier request with this `Idempotency-Key` has written down.", "Service"),
        ],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/accounts/{id}/services",
        id: "listServices",
        group: "Accounts",
        summary: "List the services an account has",
        query: &[CURSOR, LIMIT],
        answers: &[ok("A page of services, oldest first.", "Services")],
        ..PLAIN
    },
    Operation {
        method: "PATCH",
        path: "/v1/accounts/{id}/services/{service_id}",
        id: "updateService",
        group: "Accounts",
        summary: "Change what is written down of a service",
        about: "Its type stays what it is.",
        body: Body::Json { schema: "UpdateService", example: r#"{"status": "stopped"}"# },
        answers: &[ok("The service as it is now.", "Service")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/accounts/{id}/services/{service_id}",
        id: "deleteService",
        group: "Accounts",
        summary: "Strike a service off",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
];
