//! Calls to a running server, as a customer's program makes them.

use serde_json::Value;

/// A server, and whom to be there.
#[derive(Clone)]
pub(crate) struct Api {
    agent: ureq::Agent,
    pub(crate) url: String,
    credential: String,
    /// An account to make keys for.
    pub(crate) account: String,
}

impl Api {
    /// From what `dev --json` printed.
    pub(crate) fn of(ready: &Value) -> Self {
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        // A status is an answer: only a broken connection is an error.
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self {
            agent,
            url: text("url"),
            credential: format!("Bearer {}", text("operator_key")),
            account: text("account_id"),
        }
    }

    /// The same server, asked with another credential.
    pub(crate) fn with(&self, credential: &str) -> Self {
        Self { credential: format!("Bearer {credential}"), ..self.clone() }
    }

    /// Status and body; `None` where the server has gone.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}{path}", self.url)).header("authorization", &self.credential);
        let mut response = request.header("content-type", "application/json").send(body.to_string()).ok()?;
        let text = response.body_mut().read_to_string().ok()?;
        Some((response.status().as_u16(), serde_json::from_str(&text).ok()?))
    }

    pub(crate) fn try_delete(&self, path: &str) -> Option<u16> {
        let request = self.agent.delete(format!("{}{path}", self.url)).header("authorization", &self.credential);
        Some(request.call().ok()?.status().as_u16())
    }

    /// A body as text, whatever the status; `path` may carry a query.
    pub(crate) fn text(&self, path: &str) -> String {
        let request = self.agent.get(format!("{}{path}", self.url)).header("authorization", &self.credential);
        request.call().unwrap().body_mut().read_to_string().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    /// Every page of a list.
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}&limit=200{cursor}"));
            all.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}
