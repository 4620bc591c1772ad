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
use keywright_app::core::secret::MasterKey;
use keywright_app::core::time::Span;
use keywright_app::{App, Keyring, Tasks};
use keywright_server::{LocalOperator, Options, router, serve};
use keywright_store::testing::{Fresh, sqlite};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::described;
use crate::running::Running;

/// When every test begins.
pub(crate) const NOW: &str = "2026-11-21T09:00:00.000Z";
/// An id of the right form that nothing has.
pub(crate) const NO_KEY: &str = "key_01arz3ndektsv4rrffq69g5fav";
/// The same for people.
pub(crate) const NO_USER: &str = "usr_01arz3ndektsv4rrffq69g5fav";
/// The same for accounts.
pub(crate) const NO_ACCOUNT: &str = "acc_01arz3ndektsv4rrffq69g5fav";

/// Where people find the server.
pub(crate) const SITE: &str = "https://keys.example.com";

/// What people log in with.
pub(crate) const PASSWORD: &str = "plum tractor ode";

/// An SSH public key.
pub(crate) const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@workstation";

pub(crate) struct TestServer {
    pub(crate) app: Arc<App>,
    /// A key that may do everything.
    pub(crate) operator: String,
    clock: Clock,
    door: Door,
    tasks: Tasks,
    master: MasterKey,
    pub(crate) fresh: Fresh,
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
        let running = Running::begin(&fresh, Some(SITE)).await;
        let door = Door::Router(router(Arc::clone(&running.app), Options::default()));
        Self::behind(door, fresh, running).await
    }

    /// On SQLite, called over a socket.
    pub(crate) async fn listening(options: Options) -> Self {
        Self::listening_at(options, Some(SITE)).await
    }

    /// The same, of which nobody has said where it is reached.
    pub(crate) async fn placeless() -> Self {
        Self::listening_at(Options::default(), None).await
    }

    async fn listening_at(options: Options, site: Option<&str>) -> Self {
        let fresh = sqlite().await;
        let running = Running::begin(&fresh, site).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Door::Socket(listener.local_addr().unwrap());
        tokio::spawn(serve(listener, Arc::clone(&running.app), options, std::future::pending()));
        Self::behind(door, fresh, running).await
    }

    async fn behind(door: Door, fresh: Fresh, running: Running) -> Self {
        let Running { app, clock, tasks, master } = running;
        let inside = router(Arc::clone(&app), Options::default());
        let mut server = Self { app, operator: String::new(), clock, door: Door::Router(inside), tasks, master, fresh };
        server.operator = server.operator_with(&["*"]).await;
        Self { door, ..server }
    }

    /// Stops, and starts again over the same data when so long has passed; under a new master key, where asked.
    pub(crate) async fn restarted(self, passed: &str, rekeyed: bool) -> Self {
        let Self { app, operator, clock, door, tasks, mut master, fresh } = self;
        drop((app, door));
        tasks.stop().await.unwrap();
        clock.advance(passed.parse::<Span>().unwrap());
        if rekeyed {
            let next = MasterKey::generate(&mut rng());
            Keyring::rekey(&fresh.db, &master, &next, clock.now()).await.unwrap();
            master = next;
        }
        let Running { app, clock, tasks, master } = Running::over(&fresh, clock, master, Some(SITE)).await;
        let door = Door::Router(router(Arc::clone(&app), Options::default()));
        Self { app, operator, clock, door, tasks, master, fresh }
    }

    /// What begins over the same data where this one is taken to have crashed.
    pub(crate) async fn successor(&self) -> Arc<App> {
        Running::over(&self.fresh, self.clock.clone(), self.master.clone(), Some(SITE)).await.app
    }

    /// Everything in the files of its SQLite database.
    pub(crate) fn stored(&self) -> Vec<u8> {
        let path = self.fresh.url.strip_prefix("sqlite:").unwrap();
        let file = |end: &str| std::fs::read(format!("{path}{end}")).unwrap_or_default();
        [file(""), file("-wal")].concat()
    }

    /// The seed of its newest signing key for this purpose: what somebody has who stole its database and its master key.
    pub(crate) async fn seed(&self, purpose: &str) -> Vec<u8> {
        let rows = keywright_store::keyring::list_keyring(self.app.db()).await.unwrap();
        let row = rows.iter().rfind(|row| row.purpose == purpose).unwrap();
        self.master.open(&format!("keywright {purpose} {}", row.version), &row.sealed).unwrap().to_vec()
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

    /// A new account's id. It is as every kind of key requires.
    pub(crate) async fn account(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("Account {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let fields = json!({
            "name": name, "email": "post@example.com", "email_verified": true, "subscription": "active",
        });
        text(&self.post("/v1/accounts", &fields).send().await.is(201), "id")
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

    /// A personal access token of an account's, with these scopes.
    pub(crate) async fn pat(&self, account: &str, scopes: &[&str]) -> Issued {
        self.key_of(account, json!({ "kind": "wayscloud-pat", "permissions": scopes })).await
    }

    /// A new person in an account: their id, their session's and its token.
    pub(crate) async fn person(&self, account: &str, role: &str) -> (String, String, String) {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let email = format!("person{}@example.com", NUMBER.fetch_add(1, Ordering::Relaxed));
        let person = json!({ "email": email, "account_id": account, "role": role });
        let id = text(&self.post("/v1/users", &person).send().await.is(201), "id");
        let (session, token) = self.session_of(&id).await;
        (id, session, token)
    }

    /// A person who can log in with [`PASSWORD`]: their address and their id.
    pub(crate) async fn registered(&self, account: &str, role: &str) -> (String, String) {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let email = format!("ann{}@example.com", NUMBER.fetch_add(1, Ordering::Relaxed));
        let person = json!({ "email": email, "account_id": account, "role": role, "password": PASSWORD });
        let made = self.post("/v1/users", &person).send().await.is(201);
        (email, text(&made, "id"))
    }

    /// A new session of a person's: its id and its token.
    pub(crate) async fn session_of(&self, user: &str) -> (String, String) {
        let begun = self.post(&format!("/v1/users/{user}/sessions"), &json!({})).send().await.is(201);
        (text(&begun, "id"), text(&begun, "access_token"))
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

    /// With this key, in the header of access tokens.
    pub(crate) fn by_token(self, key: &str) -> Self {
        self.without("authorization").header("x-api-key", key)
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

    /// The body, of an error as WAYSCloud's clients know it, byte for byte where it is documented; the code is ours.
    #[track_caller]
    pub(crate) fn wayscloud_error(&self, status: u16, code: &str) -> Value {
        let body = self.is(status);
        match (status, code) {
            (401, _) => assert_eq!(self.text, r#"{"error":"Invalid or expired API key","code":"AUTH_FAILED"}"#),
            (403, "FORBIDDEN") => assert_eq!(
                self.text,
                r#"{"error":"API key does not have permission for this service","code":"INSUFFICIENT_PERMISSIONS"}"#
            ),
            _ => assert_eq!(body["code"], code, "{body}"),
        }
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert!(self.header("x-request-id").is_some());
        assert_eq!(self.header("www-authenticate").is_some(), status == 401);
        body
    }

    /// The body, of an error as WAVIS's clients know it; the code is ours.
    #[track_caller]
    pub(crate) fn wavis_error(&self, status: u16, code: &str) -> Value {
        let body = self.is(status);
        let code = match (status, code) {
            (401, _) => "INVALID_API_KEY",
            (403, "FORBIDDEN") => "INSUFFICIENT_ROLE",
            (_, code) => code,
        };
        assert_eq!(body["code"], code, "{body}");
        assert!(body["error"].is_string(), "{body}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert!(self.header("x-request-id").is_some());
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
