//! What the walk over all routes acts on: somebody to whom everything belongs, and what each route is sent.

use keywright_core::policy::Policy;
use serde_json::{Value, json};

use crate::harness::{NO_ACCOUNT, NO_USER, SSH_KEY, TestServer, text};

/// Somebody to act on.
pub(super) struct Scene {
    pub(super) server: TestServer,
    pub(super) account: String,
    pub(super) key: String,
    /// A key, an SSH key and a service of WAYSCloud's.
    wayscloud: (String, String, String),
    lockout: String,
    cloudheed: String,
    wavis: String,
    /// A person's id, their session's and its token.
    pub(super) person: (String, String, String),
    /// The person's identity at a provider.
    identity: String,
    invitation: String,
}

impl Scene {
    pub(super) async fn set() -> Self {
        let server = TestServer::start().await;
        let account = server.account().await;
        let (key, _) = server.key_of(&account, json!({})).await.pair();
        let service_key = json!({ "kind": "wayscloud-service", "services": ["storage"] });
        let (wayscloud, _) = server.key_of(&account, service_key).await.pair();
        let (_, pat) = server.key_of(&account, json!({ "permissions": ["ssh_keys:write"] })).await.pair();
        let ssh = server.post("/v1/account/ssh-keys", &body("POST", "/v1/account/ssh-keys")).by(&pat).send().await;
        let service = json!({ "service_type": "vps", "name": "a" });
        let service = server.post(&format!("/v1/accounts/{account}/services"), &service).send().await;
        let wayscloud = (wayscloud, text(&ssh.is(201), "id"), text(&service.is(201), "id"));
        for number in 0..20 {
            let guess = format!("wvs_live_{number:032x}");
            server.verify(json!({ "key": guess, "ip": "192.0.2.1" })).await;
        }
        let lockout = text(&server.get("/v1/lockouts").send().await.is(200)["data"][0], "id");
        let scoped = json!({ "kind": "cloudheed", "permissions": ["org:read"] });
        let (cloudheed, _) = server.key_of(&account, scoped).await.pair();
        let (wavis, _) = server.key_of(&account, json!({ "kind": "wavis" })).await.pair();
        let (user, session, token) = server.person(&account, "owner").await;
        let issuer = "[issuer.main]\nurl = \"https://id.example\"\naudience = [\"keywright\"]";
        server.app.reload_policy(&format!("{}\n{issuer}", Policy::DEV)).unwrap();
        let identity = json!({ "issuer": "main", "subject": "ann" });
        let identity = server.post(&format!("/v1/users/{user}/identities"), &identity).send().await.is(201);
        let (identity, person) = (text(&identity, "id"), (user, session, token));
        let asked = json!({ "email": "ann@example.org", "role": "viewer" });
        let asked = server.post(&format!("/v1/accounts/{account}/invitations"), &asked).send().await;
        let invitation = text(&asked.is(201), "id");
        Self { server, account, key, wayscloud, lockout, cloudheed, wavis, person, identity, invitation }
    }

    /// A route's path with the id of something that is there.
    pub(super) fn path(&self, route: &str) -> String {
        let (service_key, ssh_key, service) = &self.wayscloud;
        let id = match route {
            route if route.starts_with("/v1/accounts") => &self.account,
            "/v1/sessions/{id}" => &self.person.1,
            route if route.starts_with("/v1/users") => &self.person.0,
            "/v1/auth/api-keys/{id}" => &self.cloudheed,
            "/api/v1/user/api-keys/{id}" => &self.wavis,
            route if route.contains("lockouts") => &self.lockout,
            route if route.contains("ssh-keys") => ssh_key,
            route if route.contains("api-keys") => service_key,
            _ => &self.key,
        };
        let others = [
            ("{service_id}", service),
            ("{session_id}", &self.person.1),
            ("{identity_id}", &self.identity),
            ("{user_id}", &self.person.0),
            ("{invitation_id}", &self.invitation),
        ];
        others.into_iter().fold(route.replace("{id}", id), |path, (name, id)| path.replace(name, id))
    }
}

/// A body nothing is wrong with.
pub(super) fn body(method: &str, route: &str) -> Value {
    match (method, route) {
        ("GET" | "DELETE", _) => Value::Null,
        (_, "/v1/keys/verify" | "/v1/keys/explain") => json!({ "key": "kw_live_x" }),
        (_, "/v1/keys/verify-batch") => json!({ "requests": [{ "key": "kw_live_x" }] }),
        (_, "/v1/keys/import") => json!({ "keys": [] }),
        (_, "/v1/keys/{id}/grace") => json!({ "grace": "1h" }),
        (_, "/v1/introspect" | "/v1/revoke") => json!("token=kw_live_x"),
        (_, "/v1/auth/api-keys") => json!({ "name": "a", "scopes": ["org:read"] }),
        (_, "/v1/auth/password") => json!({ "password": "a", "new_password": "b" }),
        (_, "/v1/auth/email") => json!({ "email": "eve@example.org", "password": "a" }),
        (_, "/v1/auth/2fa/verify") => json!({ "code": "123456" }),
        (_, "/v1/auth/2fa/disable" | "/v1/auth/2fa/backup-codes") => json!({ "password": "a" }),
        (_, "/v1/users") => json!({ "email": "eve@example.com", "account_id": NO_ACCOUNT, "role": "viewer" }),
        (_, "/v1/users/{id}/promote") => json!({ "operator_permissions": ["users:write"] }),
        (_, "/v1/users/{id}/identities") => json!({ "issuer": "main", "subject": "eve" }),
        (_, "/v1/accounts") => json!({ "name": "Eve AS" }),
        (_, "/v1/accounts/{id}/members") => json!({ "user_id": NO_USER, "role": "viewer" }),
        (_, "/v1/accounts/{id}/members/{user_id}") => json!({ "role": "owner" }),
        (_, "/v1/accounts/{id}/invitations") => json!({ "email": "eve@example.com", "role": "viewer" }),
        (_, "/v1/accounts/{id}/services") => json!({ "service_type": "database", "name": "a" }),
        (_, "/v1/account/api-keys/service") => json!({ "service": "database" }),
        (_, "/v1/account/api-keys/pat") => json!({ "scopes": ["services:read"] }),
        (_, "/v1/account/ssh-keys") => json!({ "name": "a", "public_key": SSH_KEY }),
        (_, "/api/v1/dashboard/api-keys") => json!({ "name": "Backup", "service": "storage" }),
        _ => json!({}),
    }
}

/// Whether a route takes JSON.
pub(super) fn takes_json(method: &str, route: &str) -> bool {
    let ignores = [
        "/enable",
        "{id}/disable",
        "signing-keys/rotate",
        "/audit/verify",
        "/auth/logout",
        "/2fa/setup",
        "/email/resend",
        "/leave",
        "/demote",
        "/setup-link",
    ]
    .iter()
    .any(|end| route.ends_with(end));
    body(method, route).is_object() && !ignores
}
