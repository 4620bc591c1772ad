//! Answers on their way out of a connection, written as the library would write them.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::CONNECTION;
use keywright_core::time::Time;

use crate::api::verify::LIMIT_HEADERS;
use crate::request_id;
use crate::room;
use crate::serve::Verified;

/// Answers that are yet to be sent.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) out: Vec<u8>,
    date: Date,
}

impl Line {
    /// Writes a whole answer.
    pub(crate) fn write(&mut self, now: Time, answer: &Response<Bytes>, is_last: bool) {
        let (status, body) = (answer.status(), answer.body());
        self.begin(status.as_str(), status.canonical_reason().unwrap_or_default());
        for (name, value) in answer.headers() {
            field(&mut self.out, name.as_str(), value.as_bytes());
        }
        self.length(body.len());
        self.date(now);
        self.end(is_last);
        self.out.extend_from_slice(body);
    }

    /// Writes a verification's answer: as [`Line::write`] would, but for what it costs to put a head together and to take it apart.
    pub(crate) fn verified(&mut self, now: Time, verified: Verified, is_last: bool) {
        let Verified { request_id, answer: Ok(mut answer) } = verified else {
            return self.write(now, &verified.response(), is_last);
        };
        self.lend();
        self.out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json");
        if let Some(wait) = answer.retry_after {
            field(&mut self.out, "retry-after", wait.to_string().as_bytes());
        }
        for (name, value) in LIMIT_HEADERS.into_iter().zip(answer.limits.iter().flatten()) {
            field(&mut self.out, name, value.as_bytes());
        }
        field(&mut self.out, request_id::HEADER, request_id.0.as_bytes());
        self.out.extend_from_slice(b"\r\nx-content-type-options: nosniff\r\ncache-control: no-store");
        self.length(answer.body.len());
        self.date(now);
        self.end(is_last);
        self.out.extend_from_slice(&answer.body);
        room::take_back(&mut answer.body);
    }

    fn lend(&mut self) {
        if self.out.capacity() == 0 {
            self.out = room::lend();
        }
    }

    /// Writes what an answer begins with. Its fields follow.
    pub(crate) fn begin(&mut self, status: &str, reason: &str) {
        self.lend();
        for part in ["HTTP/1.1 ", status, " ", reason] {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    /// Writes how long the body is.
    fn length(&mut self, length: usize) {
        field(&mut self.out, "content-length", itoa::Buffer::new().format(length).as_bytes());
    }

    /// Writes the date.
    pub(crate) fn date(&mut self, now: Time) {
        field(&mut self.out, "date", self.date.at(now).as_bytes());
    }

    /// Writes the end of a head.
    pub(crate) fn end(&mut self, is_last: bool) {
        if is_last {
            field(&mut self.out, CONNECTION.as_str(), b"close");
        }
        self.out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Writes one more field of a head.
#[inline]
pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    // Written out: what has a known length costs one instruction.
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
}

/// The date as HTTP writes it, written once a second.
#[derive(Default)]
struct Date {
    second: i64,
    text: String,
}

impl Date {
    fn at(&mut self, now: Time) -> &str {
        let second = now.millis().div_euclid(1_000);
        if self.text.is_empty() || second != self.second {
            let since = Duration::from_secs(second.unsigned_abs());
            *self = Self { second, text: httpdate::fmt_http_date(std::time::UNIX_EPOCH + since) };
        }
        &self.text
    }
}
