//! Cloudheed's routes.

use super::{Body, CLOUDHEED, DONE, Operation, PLAIN, made, ok};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/auth/api-keys",
        id: "createCloudheedKey",
        group: CLOUDHEED,
        summary: "Make a key with scopes and an expiry",
        about: "The whole key is in this answer alone.",
        body: Body::Json {
            schema: "CreateCloudheedKey",
            example: r#"{"name": "Production Key", "scopes": ["databases:read", "databases:write"], "expires_in": "365d"}"#,
        },
        answers: &[made("The key, this once.", "CreatedCloudheedKey")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/auth/api-keys",
        id: "listCloudheedKeys",
        group: CLOUDHEED,
        summary: "List the account's keys that are not revoked",
        answers: &[ok("The keys, newest first, on one page.", "CloudheedKeys")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/auth/api-keys/{id}",
        id: "revokeCloudheedKey",
        group: CLOUDHEED,
        summary: "Revoke a key",
        about: "Once it has answered, nothing accepts the key any more.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
];
