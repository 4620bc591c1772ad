//! WAYSCloud's own paths: the Account API, and its dashboard's keys.

use super::{ACCOUNT_API, Body, Operation, PLAIN, made, ok};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/account/profile",
        id: "getProfile",
        group: ACCOUNT_API,
        summary: "See who the account is",
        answers: &[ok("The account.", "Profile")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/account/api-keys",
        id: "listAccountKeys",
        group: ACCOUNT_API,
        summary: "List the account's keys",
        about: "Service keys and access tokens that are not revoked, newest first: at most 1,000 of a kind.",
        answers: &[ok("The keys.", "AccountKeys")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/account/api-keys/service",
        id: "createServiceKey",
        group: ACCOUNT_API,
        summary: "Make a service key",
        about: "The key may read and write its service. The account has to be active, with a verified email and an active subscription or credits, and may have 50 live keys, access tokens among them; where something is missing, the 409 says what.",
        body: Body::Json {
            schema: "CreateServiceKey",
            example: r#"{"service": "database", "description": "CI/CD pipeline"}"#,
        },
        answers: &[made("The new key, with its plaintext this once.", "NewAccountKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/account/api-keys/pat",
        id: "createAccessToken",
        group: ACCOUNT_API,
        summary: "Make a personal access token",
        about: "It can have no scope its maker lacks, cannot outlive it, and works from the addresses that one works from.",
        body: Body::Json {
            schema: "CreateAccessToken",
            example: r#"{"scopes": ["api_keys:write", "services:read"], "description": "Terraform", "expires_in_days": 90}"#,
        },
        answers: &[made("The new token, with its plaintext this once.", "NewAccountKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/account/api-keys/{id}",
        id: "revokeAccountKey",
        group: ACCOUNT_API,
        summary: "Revoke one of the account's keys",
        about: "For ever. Once this has answered, nobody accepts the key. Revoking it again changes nothing.",
        answers: &[ok("Done.", "Deleted")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/account/ssh-keys",
        id: "listSshKeys",
        group: ACCOUNT_API,
        summary: "List SSH keys",
        about: "Oldest first; `vm_count` is how many of the account's machines a key is on.",
        answers: &[ok("The SSH keys.", "SshKeys")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/account/ssh-keys",
        id: "createSshKey",
        group: ACCOUNT_API,
        summary: "Add an SSH key",
        about: "RSA from 2048 bits, Ed25519, ECDSA on nistp256, nistp384 and nistp521. At most 100 an account; one that is there already is a 409.",
        body: Body::Json {
            schema: "CreateSshKey",
            example: r#"{"name": "deploy-server", "public_key": "ssh-ed25519 AAAA… you@machine"}"#,
        },
        answers: &[made("The SSH key.", "SshKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/account/ssh-keys/{id}",
        id: "deleteSshKey",
        group: ACCOUNT_API,
        summary: "Delete an SSH key",
        about: "Machines that have it keep it.",
        answers: &[ok("Done.", "Deleted")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/account/services",
        id: "listOwnServices",
        group: ACCOUNT_API,
        summary: "List the services the account has",
        about: "What the operator has written down at `/v1/accounts/{id}/services`, oldest first.",
        answers: &[ok("The services.", "OwnServices")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/api/v1/dashboard/api-keys",
        id: "createDashboardKey",
        group: "Dashboard",
        summary: "Make a key for one or several services",
        about: "It can do nothing its maker cannot. What the account needs is as for service keys of the Account API.",
        body: Body::Json {
            schema: "CreateDashboardKey",
            example: r#"{"name": "Production Storage Key", "service": "storage", "description": "Images", "ip_allowlist": "203.0.113.0/24"}"#,
        },
        answers: &[made("The new key, with its plaintext this once.", "NewDashboardKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/api/v1/dashboard/api-keys",
        id: "listDashboardKeys",
        group: "Dashboard",
        summary: "List service keys",
        about: "Those that are not revoked, newest first: at most 1,000 of a kind.",
        answers: &[ok("The keys.", "DashboardKeys")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/api/v1/dashboard/api-keys/{id}",
        id: "revokeDashboardKey",
        group: "Dashboard",
        summary: "Revoke a service key",
        about: "For ever. Once this has answered, nobody accepts the key. Revoking it again changes nothing.",
        answers: &[ok("Done.", "Deleted")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/api/v1/dashboard/api-keys/{id}/rotate",
        id: "rotateDashboardKey",
        group: "Dashboard",
        summary: "Give a service key a new secret",
        about: "The secret before works until the grace is over, 7 days where nothing is said.",
        body: Body::Json { schema: "Rotate", example: r#"{"grace": "7d"}"# },
        answers: &[ok("The key with its new plaintext, this once.", "RotatedDashboardKey")],
        conflicts: true,
        ..PLAIN
    },
];
