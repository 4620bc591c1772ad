//! The statements: each is written once, in the dialect both engines share, and listed where it is written.
//!
//! Only `statements!` makes an [`Sql`], and only an [`Sql`] can be run from outside `db.rs`; so the test that prepares
//! every listed statement on both engines cannot miss one.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::error::StoreError;

/// The text of one statement.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    text: &'static str,
    question_marks: &'static str,
}

impl Sql {
    pub(crate) const fn new(text: &'static str, question_marks: &'static [u8]) -> Self {
        match str::from_utf8(question_marks) {
            Ok(question_marks) => Self { text, question_marks },
            Err(_) => Self { text, question_marks: text },
        }
    }

    /// Its text, with `$1` for the first value.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.text
    }

    /// Its text, with `?1` for the first value: to SQLite `$1` is a name, which has to be looked up.
    pub(crate) const fn with_question_marks(self) -> &'static str {
        self.question_marks
    }

    /// The statement with its row of `values (…)` written `rows` times, each with placeholders of its own.
    ///
    /// # Errors
    /// The statement has no such row.
    pub(crate) fn repeated(self, rows: usize) -> Result<Cow<'static, str>, StoreError> {
        let parts = self.around_values().ok_or_else(|| StoreError::corrupt("a bulk statement has no row of values"))?;
        let (head, row, tail) = parts;
        let width = row.bytes().filter(|byte| *byte == b'$').count();
        let mut text = String::with_capacity(head.len() + tail.len() + rows * (row.len() + 4 * width));
        text.push_str(head);
        for place in 0..rows {
            text.push_str(if place == 0 { "" } else { ", " });
            let mut pieces = row.split('$');
            text.push_str(pieces.next().unwrap_or_default());
            for piece in pieces {
                let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
                let (number, rest) = piece.split_at_checked(digits).unwrap_or((piece, ""));
                let number: usize = number.parse().unwrap_or_default();
                // Writing to a string does not fail.
                let _ = write!(text, "${}{rest}", number + place * width);
            }
        }
        text.push_str(tail);
        Ok(Cow::Owned(text))
    }

    fn around_values(self) -> Option<(&'static str, &'static str, &'static str)> {
        const START: &str = "values ";
        let start = self.text.find(START)? + START.len();
        let (head, rest) = self.text.split_at_checked(start)?;
        let mut depth = 0_usize;
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' if depth == 1 => {
                    let (row, tail) = rest.split_at_checked(at + 1)?;
                    return Some((head, row, tail));
                }
                b')' => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
        None
    }
}

/// The text of [`Sql::with_question_marks`].
pub(crate) const fn question_marks<const N: usize>(text: &str) -> [u8; N] {
    let mut marked = [0; N];
    marked.copy_from_slice(text.as_bytes());
    let mut left = marked.as_mut_slice();
    while let [byte, rest @ ..] = left {
        if *byte == b'$' {
            *byte = b'?';
        }
        left = rest;
    }
    marked
}

/// Defines statements and lists them as `STATEMENTS` of their file.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)+) => {
        $($(#[$doc])* const $name: $crate::sql::Sql = {
            const TEXT: &str = $text;
            const QUESTION_MARKS: [u8; TEXT.len()] = $crate::sql::question_marks(TEXT);
            $crate::sql::Sql::new(TEXT, &QUESTION_MARKS)
        };)+
        #[cfg(feature = "testing")]
        pub(crate) const STATEMENTS: &[(&str, $crate::sql::Sql)] = &[$((stringify!($name), $name)),+];
    };
}
pub(crate) use statements;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_values_is_repeated_with_fresh_placeholders() {
        let sql = Sql::new("insert into t (a, b) values ($1, cast($2 as text)) on conflict do nothing", b"");
        assert_eq!(
            sql.repeated(3).unwrap(),
            "insert into t (a, b) values ($1, cast($2 as text)), ($3, cast($4 as text)), ($5, cast($6 as text)) \
             on conflict do nothing"
        );
        assert!(Sql::new("select 1", b"").repeated(2).is_err());
    }
    #[test]
    fn a_value_is_marked_for_either_engine() {
        const TEXT: &str = "select $2 where a = $1 and b in ($10, $2)";
        const QUESTION_MARKS: [u8; TEXT.len()] = question_marks(TEXT);
        let pick = Sql::new(TEXT, &QUESTION_MARKS);
        assert_eq!(pick.text(), TEXT);
        assert_eq!(pick.with_question_marks(), "select ?2 where a = ?1 and b in (?10, ?2)");
    }
}
