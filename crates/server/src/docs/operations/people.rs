//! People and their sessions.

use super::{Body, CURSOR, DONE, LIMIT, Operation, PLAIN, made, ok, param};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/users",
        id: "createUser",
        group: "People",
        summary: "Make a person who belongs to an account, or is an operator",
        about: "Without a password they cannot log in, and operators begin their sessions. An address is one person's, in any \
                spelling. With `operator_permissions` they are an operator, at a browser: their tokens reach their account and \
                no further. Nobody gives more than they may do themselves.",
        body: Body::Json {
            schema: "CreateUser",
            example: r#"{"email": "ann@example.com", "account_id": "acc_01k9x3m5q7t2v4w6y8zab1cde3", "role": "developer"}"#,
        },
        answers: &[made("The person.", "User")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/users",
        id: "listUsers",
        group: "People",
        summary: "List people",
        query: &[param("email", "The one with this address."), CURSOR, LIMIT],
        answers: &[ok("A page of people.", "Users")],
        ..PLAIN
    },
    Operation {
        path: "/v1/users/{id}",
        id: "getUser",
        group: "People",
        summary: "See a person",
        answers: &[ok("The person.", "User")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/users/{id}/disable",
        id: "disableUser",
        group: "People",
        summary: "Shut a person out",
        about: "Their sessions are refused from the next request on, and come back when they are let in again. Keys of their own \
                (kinds the policy calls `personal`) are revoked.",
        answers: &[ok("The person.", "User")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/users/{id}/enable",
        id: "enableUser",
        group: "People",
        summary: "Let a person in again",
        answers: &[ok("The person.", "User")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/users/{id}/promote",
        id: "promoteUser",
        group: "People",
        summary: "Make a person an operator",
        about: "Or give an operator other permissions; `*` where none are named. It takes an operator who may do all that the \
                person may and is to. It counts on their next request.",
        body: Body::Json {
            schema: "PromoteUser",
            example: r#"{"operator_permissions": ["accounts:read", "audit:read"]}"#,
        },
        answers: &[ok("The person.", "User")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/users/{id}/demote",
        id: "demoteUser",
        group: "People",
        summary: "Make an operator a person like others",
        about: "It counts on their next request.",
        answers: &[ok("The person.", "User")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/users/setup-link",
        id: "issueSetupLink",
        group: "People",
        summary: "Make a link on which the first operator chooses a password",
        about: "As long as there is no operator who can log in. It is good for a day and for one use, and takes the place of the \
                one before.",
        answers: &[made("The link, this once.", "SetupLink")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/users/{id}/2fa",
        id: "resetSecondFactor",
        group: "People",
        summary: "Turn a person's second factor off",
        about: "For one who has lost their authenticator and their backup codes. Their sessions end.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/users/{id}/sessions",
        id: "beginSession",
        group: "People",
        summary: "Begin a session for a person",
        about: "The access token is a JWT (RFC 9068) that services can check by `/.well-known/jwks.json`. Here it reaches the \
                session's account, with what the person's role is permitted at that moment. It lives an hour at most.",
        body: Body::Json { schema: "BeginSession", example: r#"{"expires_in": "15m"}"# },
        answers: &[made("The session with its token, this once.", "BegunSession")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/users/{id}/sessions",
        id: "listUserSessions",
        group: "People",
        summary: "List a person's sessions that still hold",
        query: &[CURSOR, LIMIT],
        answers: &[ok("A page of sessions, newest first.", "Sessions")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/users/{id}/sessions/{session_id}",
        id: "endUserSession",
        group: "People",
        summary: "End a person's session",
        about: "Its token is refused from the next request on.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/users/{id}/identities",
        id: "linkIdentity",
        group: "People",
        summary: "Link an identity at a provider to a person",
        about: "From now on an access token of this issuer's (`[issuer.NAME]` of the policy) for this subject is the person's, \
                wherever a session's token is taken. Who somebody is is the issuer with the subject, never an address.",
        body: Body::Json {
            schema: "LinkIdentity",
            example: r#"{"issuer": "keycloak", "subject": "f3a1c6d0-8d2e-4c57"}"#,
        },
        answers: &[made("The identity.", "Identity")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/users/{id}/identities",
        id: "listIdentities",
        group: "People",
        summary: "List a person's identities at providers",
        query: &[CURSOR, LIMIT],
        answers: &[ok("A page of identities, oldest first.", "Identities")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/users/{id}/identities/{identity_id}",
        id: "unlinkIdentity",
        group: "People",
        summary: "Unlink an identity from a person",
        about: "Its tokens are nobody's from the next request on; where the issuer provisions automatically, they are a \
                stranger's.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/sessions",
        id: "listSessions",
        group: "People",
        summary: "List your own sessions that still hold",
        query: &[CURSOR, LIMIT],
        answers: &[ok("A page of sessions, newest first.", "Sessions")],
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/sessions",
        id: "endOtherSessions",
        group: "People",
        summary: "End all of your sessions but the one the request is made with",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/sessions/{id}",
        id: "endSession",
        group: "People",
        summary: "End one of your own sessions",
        about: "Also the one the request is made with: that is logging out.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/.well-known/jwks.json",
        id: "getPublicKeys",
        group: "People",
        summary: "The public keys that access tokens are signed with (RFC 7517)",
        answers: &[ok("The keys.", "PublicKeys")],
        ..PLAIN
    },
];
