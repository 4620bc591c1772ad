//! A browser that keeps one cookie, sends forms as browsers do, and runs no script.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::harness::{Answer, PASSWORD, TestServer, text};

const HOST: &str = "keys.example.com";

/// Somebody at a browser.
pub(crate) struct Browser<'s> {
    pub(crate) server: &'s TestServer,
    pub(crate) cookie: String,
}

impl<'s> Browser<'s> {
    pub(crate) fn new(server: &'s TestServer) -> Self {
        Self { server, cookie: String::new() }
    }

    /// Somebody of this role who has logged in, in an account with all that making keys needs; and the account.
    pub(crate) async fn of(server: &'s TestServer, role: &str) -> (Self, String) {
        let account = server.account().await;
        let standing = json!({ "email": "post@example.com", "email_verified": true, "subscription": "active" });
        server.patch(&format!("/v1/accounts/{account}"), &standing).send().await.is(200);
        let (email, _) = server.registered(&account, role).await;
        let mut browser = Self::new(server);
        browser.log_in(&email, PASSWORD).await.leads_to("/dashboard/keys");
        (browser, account)
    }

    /// An operator who has logged in, belongs to no account, and may do this.
    pub(crate) async fn operator(server: &'s TestServer, permissions: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let email = format!("operator{}@example.com", NUMBER.fetch_add(1, Ordering::Relaxed));
        let person = json!({ "email": email, "password": PASSWORD, "operator_permissions": permissions });
        server.post("/v1/users", &person).send().await.is(201);
        let mut browser = Self::new(server);
        browser.log_in(&email, PASSWORD).await.leads_to("/dashboard/keys");
        browser
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.server.get(path).by_nobody().header("host", HOST).header("cookie", &self.cookie).send().await
    }

    /// Sends a form of a page of ours.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from("https://keys.example.com", path, fields).await
    }

    /// Sends a form of a page of this origin.
    pub(crate) async fn post_from(&self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let call = self.server.call("POST", path).by_nobody().header("host", HOST).header("origin", origin);
        call.header("cookie", &self.cookie).form(&form).send().await
    }

    /// Logs in with a password; keeps the cookie where there is one.
    pub(crate) async fn log_in(&mut self, email: &str, password: &str) -> Answer {
        let answer = self.post("/dashboard/login", &[("email", email), ("password", password)]).await;
        self.keep(&answer);
        answer
    }

    pub(crate) fn keep(&mut self, answer: &Answer) {
        if let Some(set) = answer.header("set-cookie") {
            self.cookie = set.split(';').next().unwrap().to_owned();
        }
    }

    /// A key made by the form, by the id the page leads to; and its plaintext.
    pub(crate) async fn make(&self, fields: &[(&str, &str)]) -> (String, String) {
        let shown = self.post("/dashboard/keys", fields).await.with(201);
        (between(&shown.text, "action=\"/dashboard/keys/", "\""), between(&shown.text, "tabindex=\"0\">", "<"))
    }

    /// The audit log's newest row of an action.
    pub(crate) async fn audited(&self, action: &str) -> serde_json::Value {
        let log = self.server.get("/v1/audit?limit=200").send().await.is(200);
        let row = log["data"].as_array().unwrap().iter().find(|row| text(row, "action") == action);
        row.unwrap_or_else(|| panic!("no {action} in {log:#}")).clone()
    }
}

/// What stands between two texts, the first time.
#[track_caller]
pub(crate) fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0.to_owned()
}

impl Answer {
    /// Requires that the browser is sent to this path.
    #[track_caller]
    pub(crate) fn leads_to(&self, path: &str) {
        assert_eq!((self.status, self.header("location")), (303, Some(path)), "{}", self.text);
    }

    /// Requires a page with this on it.
    #[track_caller]
    pub(crate) fn says(&self, status: u16, words: &str) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(words), "no `{words}` in {}", self.text);
        self
    }
}
