//! The heads of verifications that a thread has read lately: a service sends the same one with every call, and what it says need
//! not be found out again.
//!
//! What must stay true: a head is known by every one of its bytes, and what is told of it is what `head.rs` read in them.

use std::cell::RefCell;
use std::ops::Range;

use arrayvec::ArrayVec;
use constant_time_eq::constant_time_eq;

use super::head::{END, MOST_FIELDS};

/// Heads a thread knows: of so many services at once.
const MOST_KNOWN: usize = 4;
/// Of so many that are not known one is remembered. Where every call has a head of its own, remembering them is for nothing.
const ONE_IN: u32 = 8;
/// After so many in a row that were not known one in [`ONE_IN`] is looked for: to look for them is for nothing, too.
const MANY: u32 = 4 * ONE_IN;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known::nothing()) };
}

/// The fields of a head.
pub(super) type Read<'b> = ArrayVec<httparse::Header<'b>, MOST_FIELDS>;

struct Known {
    /// The one that was last asked for comes first.
    heads: ArrayVec<Head, MOST_KNOWN>,
    /// How many were not known and could have been remembered.
    unknown: u32,
    /// How many in a row were not known.
    in_a_row: u32,
}

#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// How long the body is.
    length: usize,
}

impl Head {
    /// Whether these bytes begin with it. There is somebody's credential in it: how long it takes to find out that a head is another
    /// one tells how long they are, and no more.
    #[inline]
    fn begins(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.bytes.len()).is_some_and(|head| head.ends_with(END) && constant_time_eq(head, &self.bytes))
    }
}

/// Where in its head a field's name and value are.
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// Tells of the request at the beginning of these bytes, where its head is known and its body is there: its fields, its body, and how
/// long it is with both.
#[inline]
pub(super) fn recall<'b>(bytes: &'b [u8], fields: &mut Read<'b>) -> Option<(&'b [u8], usize)> {
    let recall = |known: &RefCell<Known>| known.borrow_mut().recall(bytes, fields);
    KNOWN.try_with(recall).ok().flatten()
}

/// Remembers what was read in a head, and how long the body is that it announces.
pub(super) fn remember(head: &[u8], fields: &[httparse::Header<'_>], length: usize) {
    // A thread that ends remembers nothing.
    let _ = KNOWN.try_with(|known| known.borrow_mut().remember(head, fields, length));
}

impl Known {
    const fn nothing() -> Self {
        Self { heads: ArrayVec::new_const(), unknown: 0, in_a_row: 0 }
    }

    fn recall<'b>(&mut self, bytes: &'b [u8], fields: &mut Read<'b>) -> Option<(&'b [u8], usize)> {
        let is_looked_for = self.in_a_row < MANY || self.in_a_row.is_multiple_of(ONE_IN);
        self.in_a_row = self.in_a_row.wrapping_add(1);
        let place = self.heads.iter().position(|head| is_looked_for && head.begins(bytes))?;
        self.in_a_row = 0;
        self.heads.swap(0, place);
        let head = self.heads.first()?;
        let body = bytes.get(head.bytes.len()..)?.get(..head.length)?;
        for field in &head.fields {
            let name = std::str::from_utf8(bytes.get(field.name.clone())?).ok()?;
            fields.try_push(httparse::Header { name, value: bytes.get(field.value.clone())? }).ok()?;
        }
        Some((body, head.bytes.len() + head.length))
    }

    fn remember(&mut self, head: &[u8], fields: &[httparse::Header<'_>], length: usize) {
        self.unknown = self.unknown.wrapping_add(1);
        if self.unknown % ONE_IN != 1 {
            return;
        }
        let place = |part: &[u8]| match part {
            // It may be anywhere.
            [] => 0..0,
            _ => {
                let begin = part.as_ptr() as usize - head.as_ptr() as usize;
                begin..begin + part.len()
            }
        };
        let fields = fields.iter().map(|field| Field { name: place(field.name.as_bytes()), value: place(field.value) });
        let mut kept = if self.heads.is_full() { self.heads.pop().unwrap_or_default() } else { Head::default() };
        head.clone_into(&mut kept.bytes);
        kept.fields.clear();
        kept.fields.extend(fields);
        self.heads.insert(0, Head { length, ..kept });
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use proptest::prelude::*;

    use super::super::head::tests::changed;
    use super::super::head::{Next, next};
    use super::*;

    const ORDINARY: &str = "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer b\r\nX-Empty:\r\n\
        Content-Type: application/json\r\nConnection: keep-alive\r\nContent-Length: 11\r\n\r\n{\"key\":\"c\"}";

    /// The fields' names and values, the body, and how long all of it is.
    type Seen = (Vec<(String, Vec<u8>)>, Vec<u8>, usize);

    fn seen(fields: &[httparse::Header<'_>], body: &[u8], length: usize) -> Seen {
        let fields = fields.iter().map(|field| (field.name.to_owned(), field.value.to_vec()));
        (fields.collect(), body.to_vec(), length)
    }

    /// What is read in these bytes, and remembered.
    fn read(known: &mut Known, bytes: &[u8]) -> Option<Seen> {
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let Next::Verification { fields, body, length } = next(bytes, &mut room, |_| false) else { return None };
        known.unknown = 0;
        known.remember(&bytes[..length - body.len()], fields, body.len());
        Some(seen(fields, body, length))
    }

    fn recalled(known: &mut Known, bytes: &[u8]) -> Option<Seen> {
        let mut fields = Read::new();
        known.recall(bytes, &mut fields).map(|(body, length)| seen(&fields, body, length))
    }

    #[test]
    fn what_is_told_of_a_head_is_what_was_read_in_it() {
        let mut known = Known::nothing();
        assert!(recalled(&mut known, ORDINARY.as_bytes()).is_none());
        let found = read(&mut known, ORDINARY.as_bytes()).unwrap();
        assert_eq!(found.0.len(), 6);
        assert_eq!(recalled(&mut known, ORDINARY.as_bytes()), Some(found.clone()));
        // With another body of that length, and more behind it.
        let other = [&ORDINARY.replace("\"c\"", "\"d\""), "POST"].concat();
        assert_eq!(recalled(&mut known, other.as_bytes()), Some((found.0, b"{\"key\":\"d\"}".to_vec(), found.2)));
    }

    #[test]
    fn another_byte_is_another_head_and_half_a_body_is_none() {
        let mut known = Known::nothing();
        read(&mut known, ORDINARY.as_bytes()).unwrap();
        for end in 0..ORDINARY.len() {
            assert!(recalled(&mut known, &ORDINARY.as_bytes()[..end]).is_none(), "{end}");
        }
        for at in 0..ORDINARY.len() - "{\"key\":\"c\"}".len() {
            let mut bytes = ORDINARY.as_bytes().to_vec();
            bytes[at] ^= 0x20;
            assert!(recalled(&mut known, &bytes).is_none(), "{at}");
        }
    }

    #[test]
    fn few_heads_are_known_those_asked_for_last_and_few_of_many_are_remembered() {
        let mut known = Known::nothing();
        let head = |number: u32| ORDINARY.replace("Bearer b", &format!("Bearer {number}"));
        for number in 0..20 {
            read(&mut known, head(number).as_bytes()).unwrap();
            assert!(recalled(&mut known, head(0).as_bytes()).is_some(), "{number}");
        }
        assert_eq!(known.heads.len(), MOST_KNOWN);
        let mut known = Known::nothing();
        let (mut room, text) = ([const { MaybeUninit::uninit() }; MOST_FIELDS], head(0));
        let Next::Verification { fields, body, length } = next(text.as_bytes(), &mut room, |_| false) else { panic!() };
        for times in 1..=2 * ONE_IN + 1 {
            known.remember(&text.as_bytes()[..length - body.len()], fields, body.len());
            assert_eq!(known.heads.len(), times.div_ceil(ONE_IN) as usize);
        }
    }

    #[test]
    fn what_is_never_known_is_seldom_looked_for_until_something_is_known_again() {
        let mut known = Known::nothing();
        let other = ORDINARY.replace("Bearer b", "Bearer c");
        read(&mut known, ORDINARY.as_bytes()).unwrap();
        for _ in 0..=10 * MANY {
            assert!(recalled(&mut known, other.as_bytes()).is_none());
        }
        let tries = (1..).find(|_| recalled(&mut known, ORDINARY.as_bytes()).is_some());
        assert_eq!(tries, Some(ONE_IN));
        assert!((0..100).all(|_| recalled(&mut known, ORDINARY.as_bytes()).is_some()));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_told_again(bytes in changed(ORDINARY, 0..4)) {
            let mut known = Known::nothing();
            let found = read(&mut known, &bytes);
            prop_assert_eq!(recalled(&mut known, &bytes), found);
        }
    }
}
