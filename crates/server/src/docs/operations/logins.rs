//! Logging in, and what guards it.

use super::{Answer, Body, Content, DONE, Operation, PLAIN, made, ok};

const GROUP: &str = "Logging in";
const ACCEPTED: Answer =
    Answer { status: 202, about: "Taken; what comes of it comes by mail.", content: Content::None };
const PROOF: &str = r#"{"password": "plum tractor ode", "code": "123456"}"#;
/// What proving again who one is can end in.
const REAUTHENTICATES: &[&str] = &["LOGIN_FAILED", "SECOND_FACTOR_WRONG"];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/auth/login",
        id: "logIn",
        group: GROUP,
        summary: "Log in with email and password",
        about: "Where a second factor is on, the answer without a `code` is 401 `SECOND_FACTOR_REQUIRED` with a `challenge`: \
                send the same again with `code`, or within five minutes the challenge with `code`. A code is six digits \
                from an authenticator or a backup code, and is taken once. Of several accounts, `account_id` names the one \
                to enter; else it is the first. Whether there is such a person shows in nothing.",
        body: Body::Json {
            schema: "LogIn",
            example: r#"{"email": "ann@example.com", "password": "plum tractor ode"}"#,
        },
        answers: &[ok("The tokens, this once.", "Tokens")],
        conflicts: true,
        refuses: &["LOGIN_FAILED", "SECOND_FACTOR_REQUIRED", "SECOND_FACTOR_WRONG", "FORBIDDEN"],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/refresh",
        id: "refreshTokens",
        group: GROUP,
        summary: "Have the next tokens for the last ones",
        about: "A refresh token is good once. Shown again within 30 seconds it is answered as before, for the answer may have \
                been lost; later, somebody has a copy of it, and the session ends.",
        body: Body::Json { schema: "RefreshTokens", example: r#"{"refresh_token": "kwr_…"}"# },
        answers: &[ok("The next tokens, this once.", "Tokens")],
        conflicts: true,
        refuses: &["SESSION_OVER"],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/token",
        id: "exchangeKey",
        group: GROUP,
        summary: "Have a short-lived token for an API key (RFC 8693)",
        about: "A JWT of at most 15 minutes, with the scope asked for or all of the key's, that downstream services check by \
                `/.well-known/jwks.json` without asking. Whoever introspects it hears at once when its key is over. It is no \
                credential here. Errors have OAuth's `error` and `error_description` beside the problem's own fields.",
        body: Body::Form {
            schema: "Exchange",
            example: "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=kw_live_…&subject_token_type=urn:ietf:params:oauth:token-type:access_token&scope=documents:read&audience=documents",
        },
        answers: &[ok("The token, this once.", "ExchangedToken")],
        refuses: &["INVALID_REQUEST", "INVALID_SCOPE", "INVALID_TARGET", "UNSUPPORTED_GRANT_TYPE"],
        ..PLAIN
    },
    Operation {
        path: "/v1/signing-keys",
        id: "listSigningKeys",
        group: GROUP,
        summary: "List the keys tokens are signed with",
        answers: &[ok("The keys, the newest first.", "SigningKeys")],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/signing-keys/rotate",
        id: "rotateSigningKey",
        group: GROUP,
        summary: "Have another key sign tokens from now on",
        about: "Of the policy's algorithm. Nobody is logged out: the one before checks what it signed for 65 minutes more.",
        answers: &[made("The key that signs now.", "SigningKey")],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/register",
        id: "register",
        group: GROUP,
        summary: "Register, with an account of your own",
        about: "Where the policy lets anybody (`[login] open`). A mail has a link that confirms the address. The answer is the \
                same for an address that is somebody's: that one is told so by mail.",
        body: Body::Json {
            schema: "Register",
            example: r#"{"email": "ann@example.com", "password": "plum tractor ode", "account_name": "Ann AS"}"#,
        },
        answers: &[ACCEPTED],
        conflicts: true,
        refuses: &["FORBIDDEN"],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/email/verify",
        id: "verifyEmail",
        group: GROUP,
        summary: "Confirm an address by what was mailed to it",
        about: "The token is in the link. An address that was changed becomes yours by this, and your sessions end.",
        body: Body::Json { schema: "VerifyEmail", example: r#"{"token": "kwv_…"}"# },
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/email/resend",
        id: "resendVerification",
        group: GROUP,
        summary: "Be mailed the link to confirm your address once more",
        answers: &[ACCEPTED],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/email",
        id: "changeEmail",
        group: GROUP,
        summary: "Change your address",
        about: "Takes your password, and a `code` where a second factor is on. The new address is mailed a link and becomes \
                yours once it is followed; the present one is told.",
        body: Body::Json {
            schema: "ChangeEmail",
            example: r#"{"email": "ann@example.org", "password": "plum tractor ode"}"#,
        },
        answers: &[ACCEPTED],
        conflicts: true,
        refuses: REAUTHENTICATES,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/password/forgot",
        id: "forgotPassword",
        group: GROUP,
        summary: "Be mailed a link to choose another password by",
        about: "Answered alike whether or not there is such a person.",
        body: Body::Json { schema: "ForgotPassword", example: r#"{"email": "ann@example.com"}"# },
        answers: &[ACCEPTED],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/password/reset",
        id: "resetPassword",
        group: GROUP,
        summary: "Choose another password by what was mailed",
        about: "Takes a `code`, too, where a second factor is on. The token is good for an hour, and once. Every session ends.",
        body: Body::Json {
            schema: "ResetPassword",
            example: r#"{"token": "kwp_…", "new_password": "seven odd green kettles"}"#,
        },
        answers: &[DONE],
        conflicts: true,
        refuses: &["SECOND_FACTOR_WRONG"],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/logout",
        id: "logOut",
        group: GROUP,
        summary: "End the session the request is made with",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/auth/me",
        id: "getSelf",
        group: GROUP,
        summary: "Who you are, and in which account",
        answers: &[ok("The person and their session.", "Self")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/password",
        id: "changePassword",
        group: GROUP,
        summary: "Change your password",
        about: "Takes the present one, and a `code` where a second factor is on. Your other sessions end. A password has 15 \
                characters or more, 8 beside a second factor, and is not among the first that are tried.",
        body: Body::Json {
            schema: "ChangePassword",
            example: r#"{"password": "plum tractor ode", "new_password": "seven odd green kettles"}"#,
        },
        answers: &[DONE],
        conflicts: true,
        refuses: REAUTHENTICATES,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/2fa/setup",
        id: "setUpSecondFactor",
        group: GROUP,
        summary: "Begin to set up a second factor",
        about: "It counts once a code of it was sent to `/v1/auth/2fa/verify`. Asked again before that, it begins anew. The \
            person's address is to be confirmed first.",
        answers: &[ok("What an authenticator is loaded with.", "Enrolment")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        path: "/v1/auth/2fa/qr.svg",
        id: "getSecondFactorPicture",
        group: GROUP,
        summary: "The picture an authenticator's camera reads",
        about: "Of what is set up and does not count yet; afterwards it is never shown again.",
        answers: &[Answer { status: 200, about: "The picture.", content: Content::Media("image/svg+xml") }],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/2fa/verify",
        id: "startSecondFactor",
        group: GROUP,
        summary: "Turn the second factor on by a code of it",
        body: Body::Json { schema: "StartSecondFactor", example: r#"{"code": "123456"}"# },
        answers: &[ok("Ten backup codes, each good once; shown this once.", "BackupCodes")],
        conflicts: true,
        refuses: &["SECOND_FACTOR_WRONG"],
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/2fa/backup-codes",
        id: "renewBackupCodes",
        group: GROUP,
        summary: "Replace the backup codes",
        body: Body::Json { schema: "Reauthentication", example: PROOF },
        answers: &[ok("The new ones, this once; the old ones are void.", "BackupCodes")],
        conflicts: true,
        refuses: REAUTHENTICATES,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/2fa/disable",
        id: "stopSecondFactor",
        group: GROUP,
        summary: "Turn the second factor off",
        about: "A password of fewer than 15 characters is changed first: it does not stand alone.",
        body: Body::Json { schema: "Reauthentication", example: PROOF },
        answers: &[DONE],
        conflicts: true,
        refuses: REAUTHENTICATES,
        ..PLAIN
    },
];
