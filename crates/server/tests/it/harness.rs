//! What every test stands on: a server of its own on a fresh database, a clock that stands still until it is moved,
//! and calls that read like calls.
//!
//! A server is called through its router, or over a socket where what matters is the way in. Every answer is held
//! against the OpenAPI document on its way to the test: see `described.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::BodyExt as _;
use keywright_app::clock::{Clock, rng};
use keywright_app::core::policy::Policy;
use keywright_app::core::secret::MasterKey;
use keywright_app::core::time::{Span, Time};
use keywright_app::{App, Settings, Tasks};
use keywright_server::{LocalOperator, Options, router, serve};
use keywright_store::testing::{Fresh, sqlite};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::described;

/// When every test begins.
pub(crate) const NOW: &str = "2026-11-21T09:00:00.000Z";
/// An id of the right form that nothing has.
pub(crate) const NO_KEY: &str = "key_01arz3ndektsv4rrffq69g5fav";
/// The same for accounts.
pub(crate) const NO_ACCOUNT: &str = "acc_01arz3ndektsv4rrffq69g5fav";

pub(crate) struct TestServer {
    pub(crate) app: Arc<App>,
    /// A key that may do everything.
    pub(crate) operator: String,
    clock: Clock,
    door: Door,
    _tasks: Tasks,
    _fresh: Fresh,
}

enum Door {
    Router(Router),
    Socket(SocketAddr),
}

/// A key as its creation showed it.
pub(crate) struct Issued {
    pub(crate) id: String,
    pub(crate) key: String,
    /// The whole answer.
    pub(crate) shown: Value,
}

impl Issued {
    /// Its id and its plaintext.
    pub(crate) fn pair(self) -> (String, String) {
        (self.id, self.key)
    }
}

impl TestServer {
    /// On SQLite, called through its router.
    pub(crate) async fn start() -> Self {
        Self::on(sqlite().await).await
    }

    pub(crate) async fn on(fresh: Fresh) -> Self {
        let (app, clock, tasks) = app(&fresh).await;
        let door = Door::Router(router(Arc::clone(&app), Options::default()));
        Self::behind(door, fresh, app, clock, tasks).await
    }

    /// On SQLite, called over a socket.
    pub(crate) async fn listening(options: Options) -> Self {
        let fresh = sqlite().await;
        let (app, clock, tasks) = app(&fresh).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Door::Socket(listener.local_addr().unwrap());
        tokio::spawn(serve(listener, Arc::clone(&app), options, std::future::pending()));
        Self::behind(door, fresh, app, clock, tasks).await
    }

    async fn behind(door: Door, fresh: Fresh, app: Arc<App>, clock: Clock, tasks: Tasks) -> Self {
        let inside = router(Arc::clone(&app), Options::default());
        let mut server =
            Self { app, operator: String::new(), clock, door: Door::Router(inside), _tasks: tasks, _fresh: fresh };
        server.operator = server.operator_with(&["*"]).await;
        Self { door, ..server }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        match self.door {
            Door::Socket(address) => address,
            Door::Router(_) => panic!("this server is called through its router"),
        }
    }

    /// Moves the clock.
    pub(crate) fn wait(&self, span: &str) {
        self.clock.advance(span.parse::<Span>().unwrap());
    }

    /// A request by the operator, until it is said who else makes it.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        let headers = vec![("authorization".into(), format!("Bearer {}", self.operator).into_bytes())];
        Call { server: self, method: method.into(), path: path.into(), headers, body: Vec::new(), is_local: false }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Call<'_> {
        self.call("POST", path).carrying(body)
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Call<'_> {
        self.call("PATCH", path).carrying(body)
    }

    pub(crate) fn delete(&self, path: &str) -> Call<'_> {
        self.call("DELETE", path)
    }

    /// A new account's id.
    pub(crate) async fn account(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("Account {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        text(&self.post("/v1/accounts", &json!({ "name": name })).send().await.is(201), "id")
    }

    /// A new key of a new account, with these fields.
    pub(crate) async fn key(&self, fields: Value) -> Issued {
        let account = self.account().await;
        self.key_of(&account, fields).await
    }

    pub(crate) async fn key_of(&self, account: &str, mut fields: Value) -> Issued {
        fields["account_id"] = account.into();
        let shown = self.post("/v1/keys", &fields).send().await.is(201);
        Issued { id: text(&shown, "id"), key: text(&shown, "key"), shown }
    }

    /// An operator's key with these permissions.
    pub(crate) async fn operator_with(&self, permissions: &[&str]) -> String {
        let fields = json!({ "kind": "operator", "name": "operator", "permissions": permissions });
        let call = self.post("/v1/keys", &fields);
        // The first is made at the machine itself.
        let call = if self.operator.is_empty() { call.by_local() } else { call };
        text(&call.send().await.is(201), "key")
    }

    /// What verifying comes to.
    pub(crate) async fn verify(&self, request: Value) -> Value {
        self.post("/v1/keys/verify", &request).send().await.is(200)
    }

    /// The code verifying this key alone comes to.
    pub(crate) async fn code(&self, key: &str) -> String {
        text(&self.verify(json!({ "key": key })).await, "code")
    }
}

async fn app(fresh: &Fresh) -> (Arc<App>, Clock, Tasks) {
    let clock = Clock::standing_at(NOW.parse::<Time>().unwrap());
    let policy = Policy::parse(Policy::DEV).unwrap();
    let master = MasterKey::generate(&mut rng());
    let settings = Settings { policy, clock: clock.clone(), cached_keys: 10_000 };
    let (app, tasks) = App::start(fresh.db.clone(), &master, settings).await.unwrap();
    (app, clock, tasks)
}

/// A field that must be a text.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("`{field}` is no text in {value}")).to_owned()
}

/// A request under way.
pub(crate) struct Call<'s> {
    server: &'s TestServer,
    method: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    is_local: bool,
}

impl Call<'_> {
    /// With this key, in the usual header.
    pub(crate) fn by(self, key: &str) -> Self {
        self.without("authorization").header("authorization", &format!("Bearer {key}"))
    }

    /// With no credential at all.
    pub(crate) fn by_nobody(self) -> Self {
        self.without("authorization")
    }

    /// Made at the machine itself.
    pub(crate) fn by_local(self) -> Self {
        Self { is_local: true, ..self.by_nobody() }
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.raw_header(name, value.as_bytes())
    }

    pub(crate) fn raw_header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| header != name);
        self
    }

    /// With JSON; with a form, where it is a text; with nothing, where it is null.
    pub(crate) fn carrying(self, body: &Value) -> Self {
        match body {
            Value::Null => self,
            Value::String(form) => self.form(form),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => self.json(body),
        }
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.without("content-type").header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn form(self, body: &str) -> Self {
        self.without("content-type").header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) async fn send(self) -> Answer {
        let (method, path) = (self.method.clone(), self.path.clone());
        let answer = match &self.server.door {
            Door::Router(router) => through(router.clone(), self).await,
            Door::Socket(address) => over(*address, &self).await,
        };
        described::check(&method, &path, &answer);
        answer
    }
}

async fn through(router: Router, call: Call<'_>) -> Answer {
    let mut request =
        Request::builder().method(call.method.as_str()).uri(call.path).body(Body::from(call.body)).unwrap();
    for (name, value) in call.headers {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(&value).unwrap());
    }
    if call.is_local {
        request.extensions_mut().insert(LocalOperator);
    }
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    Answer::new(parts.status.as_u16(), parts.headers, text)
}

async fn over(address: SocketAddr, call: &Call<'_>) -> Answer {
    assert!(!call.is_local, "nobody sits at the machine who comes over a socket");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request =
        format!("{} {} HTTP/1.1\r\nhost: keywright\r\nconnection: close\r\n", call.method, call.path).into_bytes();
    for (name, value) in &call.headers {
        request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    request.extend(format!("content-length: {}\r\n\r\n", call.body.len()).into_bytes());
    request.extend(&call.body);
    // A server that refuses a large body may close while it is still being sent.
    let _ = stream.write_all(&request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    Answer::parse(&String::from_utf8(answer).unwrap())
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body, where it is JSON; else null.
    pub(crate) body: Value,
}

impl Answer {
    fn new(status: u16, headers: HeaderMap, text: String) -> Self {
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, text, body }
    }

    pub(crate) fn parse(answer: &str) -> Self {
        let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines.map(|line| line.split_once(": ").unwrap());
        let headers =
            fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        Self::new(status, headers, text.into())
    }

    /// The body, of an answer of this status.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The answer, where it has this status.
    #[track_caller]
    pub(crate) fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The body, of a problem with this code that is whole in all its parts.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let body = self.is(status);
        assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()), "{body}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("x-request-id"), body["request_id"].as_str());
        assert_eq!(self.header("www-authenticate").is_some(), status == 401);
        body
    }

    /// The reasons given for one field, of a request with wrong fields.
    #[track_caller]
    pub(crate) fn wrong(&self, field: &str) -> String {
        let body = self.problem(422, "INVALID");
        let errors = body["errors"].as_array().unwrap();
        let found = errors.iter().find(|error| error["field"] == field);
        text(found.unwrap_or_else(|| panic!("nothing on `{field}` in {body}")), "reason")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
