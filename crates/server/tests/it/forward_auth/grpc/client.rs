//! An Envoy of the tests' own: it writes questions and reads answers as bytes.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::harness::TestServer;

pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A field of a message that has a length: a message, a text or bytes.
pub(super) fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = value.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(value);
    bytes
}

/// A message as gRPC sends it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// What Envoy asks.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) source: String,
    pub(super) method: String,
    pub(super) path: Vec<u8>,
    pub(super) host: String,
    pub(super) scheme: String,
    /// With those HTTP/2 makes of the four above.
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether Envoy was told to `encode_raw_headers`.
    pub(super) listed: bool,
    /// Further fields of the request.
    pub(super) more: Vec<u8>,
}

impl Question {
    pub(super) fn of(method: &str, path: &str) -> Self {
        let pseudo = [(":method", method), (":path", path), (":scheme", "https")];
        Self {
            source: "198.51.100.7".into(),
            method: method.into(),
            path: path.into(),
            host: "api.example:8080".into(),
            scheme: "https".into(),
            headers: pseudo.map(|(name, value)| (name.into(), value.into())).to_vec(),
            listed: false,
            more: Vec::new(),
        }
    }

    pub(super) fn by(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(super) fn header(self, name: &str, value: &str) -> Self {
        self.raw_header(name.as_bytes(), value.as_bytes())
    }

    pub(super) fn raw_header(mut self, name: &[u8], value: &[u8]) -> Self {
        self.headers.push((name.to_vec(), value.to_vec()));
        self
    }

    /// AttributeContext.HttpRequest.
    pub(super) fn http(&self) -> Vec<u8> {
        let header = |(name, value): &(Vec<u8>, Vec<u8>)| {
            [field(1, name), field(if self.listed { 3 } else { 2 }, value)].concat()
        };
        let headers = self.headers.iter().map(header);
        let headers: Vec<u8> = if self.listed {
            field(13, &headers.flat_map(|header| field(1, &header)).collect::<Vec<u8>>())
        } else {
            headers.flat_map(|header| field(3, &header)).collect()
        };
        // Its id, its size and its protocol are said besides.
        let besides = [field(1, b"7"), vec![9 << 3, 5], field(10, b"HTTP/1.1")].concat();
        let said =
            [(2, self.method.as_bytes()), (4, &self.path), (5, self.host.as_bytes()), (6, self.scheme.as_bytes())];
        let said: Vec<u8> = said.into_iter().flat_map(|(number, text)| field(number, text)).collect();
        [besides, said, headers, self.more.clone()].concat()
    }

    /// CheckRequest.
    pub(super) fn message(&self) -> Vec<u8> {
        // A SocketAddress has a port besides, which is a number.
        let address = [field(2, self.source.as_bytes()), vec![3 << 3, 0x50]].concat();
        let source = field(1, &field(1, &field(1, &address)));
        let request = field(4, &[field(1, &[1 << 3, 9]), field(2, &self.http())].concat());
        let extensions = field(10, &[field(1, b"a"), field(2, b"b")].concat());
        field(1, &[source, request, extensions].concat())
    }
}

/// A connection of Envoy's.
#[derive(Clone)]
pub(super) struct Client(pub(super) SendRequest<Body>);

/// What a call came to.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) status: u16,
    /// gRPC's own status; none where it is not gRPC that was answered.
    pub(super) code: Option<u16>,
    pub(super) says: String,
    message: Vec<u8>,
}

impl Client {
    pub(super) async fn of(server: &TestServer) -> Self {
        Self::at(server.address()).await.unwrap()
    }

    pub(super) async fn at(address: std::net::SocketAddr) -> hyper::Result<Self> {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// What a question is answered.
    pub(super) async fn ask(&mut self, question: Question) -> Verdict {
        Verdict::read(&self.check(&question.message()).await)
    }

    /// What this is answered, as a message.
    pub(super) async fn check(&mut self, message: &[u8]) -> Called {
        self.send("POST", CHECK, "application/grpc", Full::from(framed(message)).boxed_unsync()).await.unwrap()
    }

    pub(super) async fn send(&mut self, method: &str, path: &str, kind: &str, body: Body) -> hyper::Result<Called> {
        let request = Request::builder().method(method).uri(format!("http://keywright{path}"));
        let request = request.header("content-type", kind).header("te", "trailers").body(body).unwrap();
        self.0.ready().await?;
        let (parts, body) = self.0.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let said = |headers: &HeaderMap, name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let either = |name| said(&parts.headers, name).or(said(&trailers, name));
        let bytes = body.to_bytes();
        Ok(Called {
            status: parts.status.as_u16(),
            code: either("grpc-status").map(|code| code.parse().unwrap()),
            says: either("grpc-message").unwrap_or_default(),
            message: bytes.get(5..).unwrap_or_default().to_vec(),
        })
    }
}

impl Called {
    /// What it says, where it failed with this status of gRPC's.
    #[track_caller]
    pub(super) fn failed(&self, code: u16) -> &str {
        assert_eq!((self.status, self.code), (200, Some(code)), "{self:?}");
        assert!(!self.says.is_empty() && self.message.is_empty(), "{self:?}");
        &self.says
    }
}

/// A header: its name, its value, and whether it stands beside what is there, where that is said.
pub(super) type Line = (String, String, Option<bool>);

/// What becomes of a request.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    code: u64,
    pub(super) ok: Option<Ok>,
    pub(super) denied: Option<Denied>,
}

/// OkHttpResponse.
#[derive(Debug, Default)]
pub(super) struct Ok {
    pub(super) set: Vec<Line>,
    pub(super) removed: Vec<String>,
    /// What the client is told.
    pub(super) told: Vec<Line>,
}

/// DeniedHttpResponse.
#[derive(Debug, Default)]
pub(super) struct Denied {
    pub(super) status: u64,
    pub(super) headers: Vec<Line>,
    pub(super) body: String,
}

impl Verdict {
    #[track_caller]
    pub(super) fn read(called: &Called) -> Self {
        assert_eq!((called.status, called.code), (200, Some(0)), "{called:?}");
        let mut verdict = Self::default();
        let mut has_status = false;
        for (number, value) in fields(&called.message) {
            match number {
                1 => {
                    has_status = true;
                    verdict.code = fields(value.bytes()).iter().find(|(n, _)| *n == 1).map_or(0, |(_, v)| v.number());
                }
                2 => verdict.denied = Some(Denied::read(value.bytes())),
                3 => verdict.ok = Some(Ok::read(value.bytes())),
                other => panic!("field {other} of CheckResponse is not ours to say"),
            }
        }
        assert!(has_status, "without a status, a denial is none");
        verdict
    }

    #[track_caller]
    pub(super) fn allowed(self) -> Ok {
        assert!(self.code == 0 && self.denied.is_none(), "{self:?}");
        self.ok.unwrap()
    }

    #[track_caller]
    pub(super) fn denied(self, status: u16) -> Denied {
        assert!(self.code != 0 && self.ok.is_none(), "{self:?}");
        let denied = self.denied.unwrap();
        assert_eq!(denied.status, u64::from(status), "{denied:?}");
        denied
    }
}

impl Ok {
    fn read(bytes: &[u8]) -> Self {
        let mut ok = Self::default();
        for (number, value) in fields(bytes) {
            match number {
                2 => ok.set.push(line(value.bytes())),
                5 => ok.removed.push(value.text()),
                6 => ok.told.push(line(value.bytes())),
                other => panic!("field {other} of OkHttpResponse is not ours to say"),
            }
        }
        ok
    }

    #[track_caller]
    pub(super) fn set(&self, name: &str) -> &str {
        &self.set.iter().find(|(set, ..)| set == name).unwrap_or_else(|| panic!("{name} is not set: {self:?}")).1
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set.iter().any(|(set, ..)| set == name)
    }
}

impl Denied {
    fn read(bytes: &[u8]) -> Self {
        let mut denied = Self::default();
        for (number, value) in fields(bytes) {
            match number {
                1 => denied.status = fields(value.bytes())[0].1.number(),
                2 => denied.headers.push(line(value.bytes())),
                3 => denied.body = value.text(),
                other => panic!("field {other} of DeniedHttpResponse is not ours to say"),
            }
        }
        denied
    }

    #[track_caller]
    pub(super) fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(found, ..)| found == name).unwrap_or_else(|| panic!("no {name}: {self:?}")).1
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// HeaderValueOption.
fn line(bytes: &[u8]) -> Line {
    let (mut name, mut value, mut appended) = (String::new(), String::new(), None);
    for (number, said) in fields(bytes) {
        match number {
            1 => {
                for (number, part) in fields(said.bytes()) {
                    *if number == 1 { &mut name } else { &mut value } = part.text();
                    assert!(number < 3, "raw bytes are not read by every Envoy");
                }
            }
            2 => appended = Some(fields(said.bytes()).first().is_some_and(|(_, value)| value.number() == 1)),
            other => panic!("field {other} of HeaderValueOption is not ours to say"),
        }
    }
    (name, value, appended)
}

enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Field {
    #[track_caller]
    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(bytes) => panic!("{bytes:?} is no number"),
        }
    }

    #[track_caller]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("{number} has no length"),
        }
    }

    #[track_caller]
    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

/// A message's fields, by their numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(value.to_vec())
            }
            other => panic!("nothing here is of kind {other}"),
        };
        fields.push((tag >> 3, field));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0.. {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}
