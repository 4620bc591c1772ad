//! A server of a test's own: a fresh database, a clock that stands still until it is moved, an operator's key.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use keywright_app::caller::Caller;
use keywright_app::clock::Clock;
use keywright_app::{App, Settings, Tasks};
use keywright_core::draft::Draft;
use keywright_core::policy::{OPERATOR_KIND, Policy};
use keywright_core::secret::MasterKey;
use keywright_core::time::{Span, Time};
use keywright_server::Options;
use keywright_store::testing::{Fresh, sqlite};
use serde_json::{Value, json};
use tower::ServiceExt;

/// When every test begins: 2026-11-21T09:30:00.000Z.
const START: Time = Time::from_millis(1_795_253_400_000);

pub(crate) struct TestServer {
    pub(crate) app: Arc<App>,
    /// An operator's key that may do everything.
    pub(crate) operator: String,
    clock: Clock,
    router: Router,
    _tasks: Tasks,
    _fresh: Fresh,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    /// The body, where it is JSON.
    pub(crate) body: Value,
}

impl Answer {
    /// A header's value; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A field of the body as text.
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no text {field} in {self:?}")).to_owned()
    }

    /// Fails unless this is a problem document of this status and code, whole in all its parts.
    #[track_caller]
    pub(crate) fn must_be_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["request_id"].as_str(), Some(self.header("x-request-id")));
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401);
    }

    /// Fails unless this is a 422 about exactly these fields.
    #[track_caller]
    pub(crate) fn must_be_invalid(&self, fields: &[&str]) {
        self.must_be_problem(422, "INVALID");
        let named: Vec<&str> =
            self.body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!(named, fields, "{self:?}");
    }

    /// The answer, where it has this status.
    #[track_caller]
    pub(crate) fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        let fresh = sqlite().await;
        let clock = Clock::standing_at(START);
        let policy = Policy::parse(Policy::DEV).unwrap();
        let master = MasterKey::generate(&mut keywright_app::clock::rng());
        let settings = Settings { policy, clock: clock.clone(), cached_keys: 10_000 };
        let (app, tasks) = App::start(fresh.db.clone(), &master, settings).await.unwrap();
        let caller = Caller::local(&app.world().policy.catalog);
        let draft = Draft { name: "first".into(), permissions: vec!["*".into()], ..Draft::default() };
        let created = app.create_key(&caller, None, Some(OPERATOR_KIND), draft, None).await.unwrap();
        let operator = created.plain.unwrap().reveal().to_owned();
        let router = keywright_server::router(Arc::clone(&app), Options::default());
        Self { app, operator, clock, router, _tasks: tasks, _fresh: fresh }
    }

    /// Moves the clock.
    pub(crate) fn wait(&self, span: &str) {
        self.clock.advance(span.parse::<Span>().unwrap());
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status.as_u16(), headers: parts.headers, bytes, body }
    }

    /// Calls with these headers; a body of `null` is none, and a text is a form.
    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let (kind, body) = if body.is_null() {
            (None, Body::empty())
        } else if let Some(form) = body.as_str() {
            (Some("application/x-www-form-urlencoded"), form.to_owned().into())
        } else {
            (Some("application/json"), body.to_string().into())
        };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers.iter().copied().chain(kind.map(|kind| ("content-type", kind))) {
            request = request.header(name, value);
        }
        self.send(request.body(body).unwrap()).await
    }

    /// Calls with a key, in the header most kinds ask for.
    pub(crate) async fn call_as(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        self.call(method, path, &[("authorization", &format!("Bearer {key}"))], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call_as(&self.operator, "GET", path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call_as(&self.operator, "POST", path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call_as(&self.operator, "PATCH", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call_as(&self.operator, "DELETE", path, Value::Null).await
    }

    /// A new account's id.
    pub(crate) async fn account(&self) -> String {
        self.post("/v1/accounts", json!({ "name": "Ada AS" })).await.with(201).text("id")
    }

    /// A new key of an account: its id and its plaintext.
    pub(crate) async fn key(&self, account: &str, mut fields: Value) -> (String, String) {
        fields["account_id"] = account.into();
        let made = self.post("/v1/keys", fields).await.with(201);
        (made.text("id"), made.text("key"))
    }

    /// A new operator's key with these permissions.
    pub(crate) async fn operator(&self, permissions: &[&str]) -> String {
        let fields = json!({ "kind": "operator", "permissions": permissions });
        self.post("/v1/keys", fields).await.with(201).text("key")
    }

    /// Asks whether a key works.
    pub(crate) async fn verify(&self, request: Value) -> Value {
        self.post("/v1/keys/verify", request).await.with(200).body
    }

    /// What verifying a key comes to.
    pub(crate) async fn code(&self, key: &str) -> String {
        let body = self.verify(json!({ "key": key })).await;
        assert_eq!(body["valid"], body["code"] == "VALID");
        body["code"].as_str().unwrap().to_owned()
    }
}
