//! A client that costs less than any server: one thread, one epoll, requests that were written down beforehand.
//!
//! Every connection has one request under way at all times, so a server is asked as fast as it answers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use serde_json::Value;

/// One answer: its head, up to and with the empty line, and its body.
pub(crate) struct Answer<'a> {
    pub(crate) head: &'a str,
    pub(crate) body: &'a [u8],
}

/// What a run of requests came to.
pub(crate) struct Run {
    /// From the first request to the last answer.
    pub(crate) wall_ns: u64,
    /// How long each request took, sorted.
    pub(crate) each_ns: Vec<u64>,
}

impl Run {
    /// How long so many hundredths of the requests took at most.
    pub(crate) fn percentile(&self, hundredths: usize) -> u64 {
        let last = self.each_ns.len().saturating_sub(1);
        self.each_ns.get(last * hundredths / 100).copied().unwrap_or_default()
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    sent: Instant,
    request: usize,
}

/// Connections that stay open.
pub(crate) struct Client {
    epoll: OwnedFd,
    connections: Vec<Connection>,
}

impl Client {
    /// Opens so many connections.
    pub(crate) fn connect(address: SocketAddr, count: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for place in 0..count {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
            connections.push(Connection {
                stream,
                buffer: vec![0; 16_384],
                filled: 0,
                sent: Instant::now(),
                request: 0,
            });
        }
        Ok(Self { epoll, connections })
    }

    /// Sends so many requests, in turn from `requests`, and hands every answer to `check` with its request's place.
    pub(crate) fn run(
        &mut self,
        requests: &[Vec<u8>],
        count: usize,
        check: impl FnMut(usize, &Answer<'_>) -> Result<()>,
    ) -> Result<Run> {
        self.run_while(requests, count, |sent, _| sent < count, check)
    }

    /// The same for so long: what is under way then is waited for.
    pub(crate) fn run_for(
        &mut self,
        requests: &[Vec<u8>],
        span: Duration,
        check: impl FnMut(usize, &Answer<'_>) -> Result<()>,
    ) -> Result<Run> {
        self.run_while(requests, 0, |_, begun| begun.elapsed() < span, check)
    }

    /// Sends while `goes_on`, which is told how many were sent and since when; about `room` in all.
    fn run_while(
        &mut self,
        requests: &[Vec<u8>],
        room: usize,
        goes_on: impl Fn(usize, Instant) -> bool,
        mut check: impl FnMut(usize, &Answer<'_>) -> Result<()>,
    ) -> Result<Run> {
        let begun = Instant::now();
        let mut next = 0;
        let mut each_ns = Vec::with_capacity(room);
        for connection in &mut self.connections {
            if goes_on(next, begun) {
                connection.send(requests, next)?;
                next += 1;
            }
        }
        let mut events = Vec::with_capacity(self.connections.len());
        while each_ns.len() < next {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in &events {
                let place = usize::try_from(event.data.u64())?;
                let connection = self.connections.get_mut(place).context("an event of no connection")?;
                if !connection.receive(&mut check)? {
                    continue;
                }
                each_ns.push(nanoseconds(connection.sent));
                if goes_on(next, begun) {
                    connection.send(requests, next)?;
                    next += 1;
                }
            }
        }
        each_ns.sort_unstable();
        Ok(Run { wall_ns: nanoseconds(begun), each_ns })
    }
}

impl Connection {
    fn send(&mut self, requests: &[Vec<u8>], number: usize) -> Result<()> {
        self.request = number % requests.len();
        let request = requests.get(self.request).context("no requests")?;
        self.sent = Instant::now();
        // A request is far smaller than what a socket takes at once.
        ensure!(self.stream.write(request)? == request.len(), "a request was taken only in part");
        Ok(())
    }

    /// Reads what has come. `true` once it is a whole answer.
    fn receive(&mut self, check: &mut impl FnMut(usize, &Answer<'_>) -> Result<()>) -> Result<bool> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        let room = self.buffer.get_mut(self.filled..).context("more than there is room for")?;
        match self.stream.read(room) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(bytes) => self.filled += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let got = self.buffer.get(..self.filled).unwrap_or_default();
        let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
        let (head, body) = got.split_at(end + 4);
        let head = std::str::from_utf8(head)?;
        let length: usize = header(head, "content-length").context("an answer without its length")?.parse()?;
        if body.len() < length {
            return Ok(false);
        }
        check(self.request, &Answer { head, body })?;
        self.filled = 0;
        Ok(true)
    }
}

/// A header of an answer.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A request with a JSON body.
pub(crate) fn post(path: &str, credential: &str, body: &Value) -> Vec<u8> {
    post_with(path, &format!("authorization: Bearer {credential}"), body)
}

/// A request with a JSON body and this header.
pub(crate) fn post_with(path: &str, header: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: keywright.example\r\n{header}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    format!("{head}{body}").into_bytes()
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What is answered to one request by whoever is there, in JSON, where it has this status.
pub(crate) fn one(address: SocketAddr, request: Vec<u8>, status: u16) -> Result<Value> {
    let mut said = Value::Null;
    Client::connect(address, 1)?.run(&[request], 1, |_, answer| {
        ensure!(answer.head.starts_with(&format!("HTTP/1.1 {status}")), "{}", answer.head);
        said = serde_json::from_slice(answer.body)?;
        Ok(())
    })?;
    Ok(said)
}
