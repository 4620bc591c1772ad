//! What comes next on a connection, and whether it is so plain that the library is not needed for it.

use std::mem::MaybeUninit;
use std::sync::LazyLock;

use http::header::{CONNECTION, EXPECT, HOST, TE, UPGRADE};
use http::{HeaderName, Method};
use memchr::memmem;

use crate::extract::MOST_BYTES;
use crate::fields::is_named;
use crate::framing::{is_sound, plain_length};
use crate::gateway::Call;

/// What every verification that is answered here begins with.
const VERIFICATION: &[u8; 31] = b"POST /v1/keys/verify HTTP/1.1\r\n";
/// What every request begins with that may be passed on from here.
static METHODS: [(&[u8], Method); 7] = [
    (b"GET /", Method::GET),
    (b"POST /", Method::POST),
    (b"PUT /", Method::PUT),
    (b"PATCH /", Method::PATCH),
    (b"DELETE /", Method::DELETE),
    (b"HEAD /", Method::HEAD),
    (b"OPTIONS /", Method::OPTIONS),
];
/// What every head ends with.
pub(super) const END: &[u8] = b"\r\n\r\n";
static FIND_END: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(END));
/// The longest head that is read here.
pub(super) const LONGEST_HEAD: usize = 4 * 1_024;
/// The most fields a head may have to be read here.
pub(super) const MOST_FIELDS: usize = 32;

/// What comes next on a connection.
pub(super) enum Next<'b> {
    /// A verification, with its body, and its whole length.
    Verification { fields: &'b [httparse::Header<'b>], body: &'b [u8], length: usize },
    /// A request that may be for the gate, with its body, and its whole length.
    Other { call: Call<'b, [httparse::Header<'b>]>, body: &'b [u8], length: usize },
    /// Nothing yet, or the beginning of one of these.
    Part,
    /// The head of such a request, and not all of its body.
    Short,
    /// Something that is left to the library.
    Strange,
}

/// Whether what comes next can only be a verification.
#[inline]
pub(super) fn is_verification(bytes: &[u8]) -> bool {
    // Compared here and now: to call for it costs more.
    let same = |line: &[u8]| line.iter().zip(VERIFICATION).fold(true, |all, (byte, wanted)| all & (byte == wanted));
    bytes.get(..VERIFICATION.len()).is_some_and(same)
}

/// Reads what comes next. Whether a path may be the gate's is for `is_for_gate` to say.
pub(super) fn next<'b>(
    bytes: &'b [u8],
    room: &'b mut [MaybeUninit<httparse::Header<'b>>],
    is_for_gate: impl Fn(&str) -> bool,
) -> Next<'b> {
    let is_verification = is_verification(bytes);
    // A verification is of one method, and needs no other to be looked for.
    let begins = |(begin, _): &&(&[u8], Method)| begin.starts_with(bytes) || bytes.starts_with(begin);
    let method = if is_verification { None } else { METHODS.iter().find(begins) };
    if !is_verification && method.is_none() {
        return Next::Strange;
    }
    let Some(end) = FIND_END.find(bytes.get(..LONGEST_HEAD).unwrap_or(bytes)) else {
        // Whoever ends lines in another way is refused at once, and waits for no more.
        return if bytes.len() < LONGEST_HEAD && is_sound(bytes) { Next::Part } else { Next::Strange };
    };
    let (head, body) = bytes.split_at(end + END.len());
    let length = plain_length(head).and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length <= MOST_BYTES) else { return Next::Strange };
    let mut parsed = httparse::Request::new(&mut []);
    let whole = parsed.parse_with_uninit_headers(head, room);
    if !whole.is_ok_and(|whole| whole.is_complete()) || !is_ordinary(parsed.headers) {
        return Next::Strange;
    }
    if is_verification {
        return match body.get(..length) {
            Some(body) => Next::Verification { fields: parsed.headers, body, length: head.len() + length },
            None => Next::Part,
        };
    }
    let (Some((_, method)), Some(target), Some(1)) = (method, parsed.path, parsed.version) else {
        return Next::Strange;
    };
    if !is_spelled_out(target) || !is_for_gate(target) {
        return Next::Strange;
    }
    let Some(body) = body.get(..length) else { return Next::Short };
    Next::Other { call: Call::plain(method, target, parsed.headers), body, length: head.len() + length }
}

/// Whether a path and its query are spelled in letters that no reader takes for anything else (RFC 3986, 3.3 and 3.4).
fn is_spelled_out(target: &str) -> bool {
    let is_letter = |byte| matches!(byte, b'a'..=b'z' | b'$'..=b';' | b'?'..=b'Z' | b'!' | b'=' | b'_' | b'~');
    target.bytes().fold(true, |all, byte| all & is_letter(byte))
}

/// Whether a head asks for nothing but its answer.
fn is_ordinary(fields: &[httparse::Header<'_>]) -> bool {
    let mut hosts = 0;
    let asks_for_more = |field: &httparse::Header<'_>| {
        let is = |name: HeaderName| is_named(field.name, name.as_str());
        hosts += usize::from(is(HOST));
        is(EXPECT) || is(TE) || is(UPGRADE) || (is(CONNECTION) && !field.value.eq_ignore_ascii_case(b"keep-alive"))
    };
    !fields.iter().any(asks_for_more) && hosts == 1
}

#[cfg(test)]
pub(super) mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::framing::is_whole;

    const ORDINARY: &str = "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer b\r\n\
        Content-Type: application/json\r\nConnection: keep-alive\r\nContent-Length: 11\r\n\r\n{\"key\":\"c\"}";

    const PASSING: &str = "PUT /v1/t/a?b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer b\r\nAccept: */*\r\n\
        Connection: keep-alive\r\nContent-Length: 11\r\n\r\nGET / HTTP/";

    /// How long the request is that would be answered; nothing for the beginning of one.
    fn seen(bytes: &[u8]) -> Result<Option<usize>, ()> {
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        match next(bytes, &mut room, |path| path.starts_with("/v1/t/")) {
            Next::Verification { length, .. } | Next::Other { length, .. } => Ok(Some(length)),
            Next::Part | Next::Short => Ok(None),
            Next::Strange => Err(()),
        }
    }

    #[test]
    fn a_request_is_waited_for_to_its_last_byte_and_no_further() {
        for ordinary in [ORDINARY, PASSING] {
            let twice = ordinary.repeat(2);
            for end in 0..ordinary.len() {
                assert_eq!(seen(&twice.as_bytes()[..end]), Ok(None), "{end}");
            }
            for end in ordinary.len()..twice.len() {
                assert_eq!(seen(&twice.as_bytes()[..end]), Ok(Some(ordinary.len())), "{end}");
            }
        }
    }

    #[test]
    fn whatever_is_out_of_the_ordinary_is_left_to_the_library() {
        let long = format!("Host: a\r\nX: {}", "x".repeat(LONGEST_HEAD));
        let many = format!("Host: a{}", "\r\nX: x".repeat(MOST_FIELDS));
        for (what, instead) in [
            ("POST /v1/keys/verify HTTP/1.1", "GET /v1/keys/verify HTTP/1.1"),
            ("POST /v1/keys/verify HTTP/1.1", "POST /v1/keys/verify?a HTTP/1.1"),
            ("POST /v1/keys/verify HTTP/1.1", "POST /v1/keys/verify-batch HTTP/1.1"),
            ("POST /v1/keys/verify HTTP/1.1", "POST http://a/v1/keys/verify HTTP/1.1"),
            ("POST /v1/keys/verify HTTP/1.1", "POST /v1/keys/verify HTTP/1.0"),
            ("POST /v1/keys/verify HTTP/1.1\r\n", "\r\nPOST /v1/keys/verify HTTP/1.1\r\n"),
            ("POST /v1/keys/verify HTTP/1.1\r\n", "POST /v1/keys/verify HTTP/1.1\n"),
            ("Host: a", "Host: a\r\nHost: b"),
            ("Host: a", "X: a"),
            ("Host: a", "Host: a\r\nExpect: 100-continue"),
            ("Host: a", "Host: a\r\nUpgrade: h2c"),
            ("Host: a", "Host : a"),
            ("Host: a", "Host: a\r\n b"),
            ("Host: a", "Host: a\0"),
            ("Host: a\r\n", "Host: a\n"),
            ("Host: a", &long),
            ("Host: a", &many),
            ("Connection: keep-alive", "Connection: close"),
            ("Connection: keep-alive", "Connection: keep-alive, te"),
            ("Connection: keep-alive", "Connection: keep-alive\r\nConnection: x-api-key"),
            ("Content-Length: 11", "Content-Length: 11\r\nContent-Length: 11"),
            ("Content-Length: 11", "Content-Length: +11"),
            ("Content-Length: 11", "Content-Length: 65537"),
            ("Content-Length: 11", "Transfer-Encoding: chunked"),
            ("Content-Length: 11", "Content-Length: 11\r\nTransfer-Encoding: chunked"),
        ] {
            let text = ORDINARY.replace(what, instead);
            assert!(text != ORDINARY && seen(text.as_bytes()).is_err(), "{text:?}");
            let text = PASSING.replace(what, instead);
            assert!(text == PASSING || seen(text.as_bytes()).is_err(), "{text:?}");
        }
        for (what, instead) in [
            ("PUT /v1/t/a?b HTTP/1.1", "PUT /v1/t/a?b HTTP/1.0"),
            ("PUT /v1/t/a?b HTTP/1.1", "PUT http://a/v1/t/a HTTP/1.1"),
            ("PUT /v1/t/a?b HTTP/1.1", "PUT /v1/keys/a HTTP/1.1"),
            ("PUT /v1/t/a?b HTTP/1.1", "PUT /v1/t/a#b HTTP/1.1"),
            ("PUT /v1/t/a?b HTTP/1.1", "put /v1/t/a HTTP/1.1"),
            ("PUT /v1/t/a?b HTTP/1.1", "PURGE /v1/t/a HTTP/1.1"),
            ("Accept: */*", "TE: trailers"),
            ("Accept: */*", "Upgrade: websocket"),
        ] {
            let text = PASSING.replace(what, instead);
            assert!(text != PASSING && seen(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_target_is_taken_apart_as_the_library_does() {
        let odd = (0..=u8::MAX).map(char::from).map(|odd| [format!("/v1/t/a{odd}b"), format!("/v1/t/a?b{odd}c?d")]);
        let targets = odd.flatten().chain(["/", "/?", "/a?", "/a??b", "/a/../b", "/a//b"].map(str::to_owned));
        let mut taken = 0;
        for target in targets.filter(|target| is_spelled_out(target)) {
            let uri: http::Uri = target.parse().unwrap();
            let call = Call::plain(&Method::GET, &target, &[][..] as &[httparse::Header<'_>]);
            assert_eq!((call.path, call.query), (uri.path(), uri.query()), "{target}");
            taken += 1;
        }
        assert_eq!(taken, 2 * 82 + 6);
    }

    /// A request in which some bytes are others, and another one behind it.
    pub(in super::super) fn changed(ordinary: &'static str, times: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        let byte = prop::sample::select(b"\r\n :;,\0\t0x1aT".as_slice());
        let changes = prop::collection::vec((any::<prop::sample::Index>(), byte, any::<bool>()), times);
        changes.prop_map(move |changes| {
            let mut bytes = ordinary.as_bytes().to_vec();
            for (at, byte, is_added) in changes {
                let at = at.index(bytes.len());
                if is_added { bytes.insert(at, byte) } else { bytes[at] = byte }
            }
            bytes.extend_from_slice(ordinary.as_bytes());
            bytes
        })
    }

    proptest! {
        /// Whatever is answered here ends, for those who watch the library's reader, where it ends here.
        #[test]
        fn no_two_readers_see_two_requests(
            bytes in prop::sample::select(vec![ORDINARY, PASSING]).prop_flat_map(|ordinary| changed(ordinary, 1..4))
        ) {
            if let Ok(Some(length)) = seen(&bytes) {
                prop_assert!(is_whole(&bytes[..length]), "{:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}
