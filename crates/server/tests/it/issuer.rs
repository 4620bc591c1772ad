//! An identity provider of a test's own on loopback: what it publishes is what the test says at the moment, and what is
//! fetched from it is counted.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::{CACHE_CONTROL, LOCATION};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use keywright_core::policy::Policy;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{TestServer, text};

/// [`crate::harness::NOW`], in seconds since the Unix epoch.
pub(crate) const SECOND: i64 = 1_795_251_600;

pub(crate) struct Issuer {
    pub(crate) url: String,
    book: Arc<Mutex<Book>>,
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Mood {
    /// As it should.
    Well,
    /// With an error, to everything.
    Down,
    /// As somebody else.
    Named(&'static str),
    /// Its keys are elsewhere.
    KeysAt(&'static str),
    /// Its keys with a redirect to itself.
    Redirecting,
    /// Its keys with so much room after them.
    Padded(usize),
}

struct Book {
    mood: Mood,
    keys: Vec<Value>,
    cache_control: &'static str,
    fetches: usize,
}

type Shared = State<(String, Arc<Mutex<Book>>)>;

impl Issuer {
    /// One that signs with the key of this seed.
    pub(crate) async fn start(seed: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book = Book { mood: Mood::Well, keys: vec![jwk(seed)], cache_control: "max-age=600", fetches: 0 };
        let book = Arc::new(Mutex::new(book));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(keys))
            .with_state((url.clone(), Arc::clone(&book)));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, book }
    }

    /// Has a server take its tokens, with these lines about it in the policy.
    pub(crate) fn trusted_by(&self, server: &TestServer, lines: &str) {
        let issuer = format!("[issuer.main]\nurl = \"{}\"\naudience = [\"keywright\"]\n{lines}", self.url);
        server.app.reload_policy(&format!("{}\n{issuer}", Policy::DEV)).unwrap();
    }

    /// A person of this role in an account, whose identity is this subject: their id.
    pub(crate) async fn person(&self, server: &TestServer, account: &str, role: &str, subject: &str) -> String {
        let (user, _, _) = server.person(account, role).await;
        self.link(server, &user, subject).await;
        user
    }

    pub(crate) async fn link(&self, server: &TestServer, user: &str, subject: &str) -> String {
        let identity = json!({ "issuer": self.url, "subject": subject });
        text(&server.post(&format!("/v1/users/{user}/identities"), &identity).send().await.is(201), "id")
    }

    pub(crate) fn feels(&self, mood: Mood) {
        self.book.lock().unwrap().mood = mood;
    }

    /// From now on it publishes the keys of these seeds and no others.
    pub(crate) fn publishes(&self, seeds: &[u8]) {
        self.book.lock().unwrap().keys = seeds.iter().copied().map(jwk).collect();
    }

    /// From now on it publishes these keys and no others.
    pub(crate) fn publishes_these(&self, keys: &[Value]) {
        self.book.lock().unwrap().keys = keys.to_vec();
    }

    pub(crate) fn caches(&self, cache_control: &'static str) {
        self.book.lock().unwrap().cache_control = cache_control;
    }

    /// How often anybody has tried to fetch its keys.
    pub(crate) fn fetches(&self) -> usize {
        self.book.lock().unwrap().fetches
    }

    /// What a token of its for this subject says, for an hour and a day.
    pub(crate) fn claims(&self, subject: &str) -> Value {
        json!({ "iss": self.url, "aud": "keywright", "sub": subject, "iat": SECOND, "exp": SECOND + 90_000 })
    }

    /// A token for this subject by the key of seed 1.
    pub(crate) fn token(&self, subject: &str) -> String {
        sign(1, &self.claims(subject))
    }
}

/// A token by the key of this seed.
pub(crate) fn sign(seed: u8, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    (header.typ, header.kid) = (Some("at+jwt".into()), Some(format!("key-{seed}")));
    encode(&header, claims, &key(seed)).unwrap()
}

fn key(seed: u8) -> EncodingKey {
    let head = URL_SAFE_NO_PAD.decode("MC4CAQAwBQYDK2VwBCIEIA").unwrap();
    EncodingKey::from_ed_der(&[head, vec![seed; 32]].concat())
}

fn jwk(seed: u8) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key(seed), Algorithm::EdDSA).unwrap()).unwrap();
    jwk["kid"] = format!("key-{seed}").into();
    jwk["use"] = "sig".into();
    jwk
}

async fn discovery(State((url, book)): Shared) -> Response {
    let mut book = book.lock().unwrap();
    book.fetches += 1;
    let (issuer, keys) = match book.mood.clone() {
        Mood::Down => return StatusCode::BAD_GATEWAY.into_response(),
        Mood::Named(other) => (other.to_owned(), format!("{url}/jwks")),
        Mood::KeysAt(elsewhere) => (url, elsewhere.to_owned()),
        Mood::Well | Mood::Redirecting | Mood::Padded(_) => (url.clone(), format!("{url}/jwks")),
    };
    axum::Json(json!({ "issuer": issuer, "jwks_uri": keys })).into_response()
}

async fn keys(State((_, book)): Shared) -> Response {
    let book = book.lock().unwrap();
    let body = json!({ "keys": book.keys }).to_string();
    let headers = [(CACHE_CONTROL, book.cache_control)];
    match book.mood {
        Mood::Down => StatusCode::BAD_GATEWAY.into_response(),
        Mood::Redirecting => (StatusCode::FOUND, [(LOCATION, "/jwks")], body).into_response(),
        Mood::Padded(room) => (headers, format!("{body}{}", " ".repeat(room))).into_response(),
        Mood::Well | Mood::Named(_) | Mood::KeysAt(_) => (headers, body).into_response(),
    }
}
