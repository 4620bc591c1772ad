//! One HTTP request, as a command makes it, and what came back. It does not know which way it goes.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use http::Method;
use serde_json::Value;

use crate::exit::{Exit, fail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) patience: Duration,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `null` where there is none, a string where it is not JSON.
    pub(crate) body: Value,
}

impl Call {
    fn new(method: Method, path: String, body: Option<Value>) -> Self {
        Self { method, path, body, idempotency_key: None, patience: PATIENCE }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), None)
    }

    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::POST, path.into(), Some(body))
    }

    pub(crate) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::PATCH, path.into(), Some(body))
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into(), None)
    }

    /// Adds a parameter where there is a value for it.
    pub(crate) fn query(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.path.push(if self.path.contains('?') { '&' } else { '?' });
            self.path.push_str(name);
            self.path.push('=');
            self.path.push_str(&escape(&value.to_string()));
        }
        self
    }

    /// Waits longer for the answer.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl Reply {
    /// The body of a success, or what was wrong and its exit code.
    pub(crate) fn into_result(self) -> Result<Value> {
        if (200..300).contains(&self.status) { Ok(self.body) } else { Err(fail(self.exit(), self.problem())) }
    }

    fn exit(&self) -> Exit {
        match self.status {
            400 | 413 | 415 | 422 => Exit::Usage,
            401 | 403 => Exit::Refused,
            404 => Exit::NotFound,
            502..=504 => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }

    /// What a problem document (RFC 9457) says, for a person.
    pub(crate) fn problem(&self) -> String {
        let text = |name| self.body.get(name).and_then(Value::as_str);
        let said = text("detail").or_else(|| text("title")).or_else(|| self.body.as_str());
        let mut problem = said.map_or_else(|| format!("the server answered {}", self.status), one_line);
        for error in self.body.get("errors").and_then(Value::as_array).into_iter().flatten() {
            let part = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
            let _ = write!(problem, "\n  {}: {}", one_line(part("field")), one_line(part("reason")));
        }
        if self.status == 401 {
            problem.push_str("\n  hint: KEYWRIGHT_API_KEY is to hold a working operator key");
        }
        if let Some(id) = text("request_id").filter(|_| self.status >= 500) {
            let _ = write!(problem, "\n  request {id}");
        }
        problem
    }
}

/// A text that cannot move the cursor of the terminal it is printed on.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A part of a path or a query, percent-encoded (RFC 3986, 2.3).
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_escaped_and_absent_ones_left_out() {
        let call =
            Call::get("/v1/keys").query("prefix", Some("a&b=é")).query("kind", None::<String>).query("limit", Some(5));
        assert_eq!(call.path, "/v1/keys?prefix=a%26b%3D%C3%A9&limit=5");
    }

    #[test]
    fn a_problem_is_told_field_by_field_and_moves_no_cursor() {
        let body = json!({ "detail": "no\u{1b}[2J", "errors": [{ "field": "name", "reason": "is long" }] });
        let reply = Reply { status: 422, body };
        assert_eq!(reply.problem(), "no [2J\n  name: is long");
        assert_eq!(crate::exit::code(&reply.into_result().unwrap_err()), Exit::Usage);
    }
}
