//! The statements: each is written once, in the dialect both engines share, and listed where it is written.
//!
//! Only `statements!` makes an [`Sql`], and only an [`Sql`] can be run from outside `db.rs`; so the test that prepares
//! every listed statement on both engines cannot miss one.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::db::Connection;
use crate::error::StoreError;

/// The text of one statement.
#[derive(Clone, Copy, Debug)]
pub struct Sql(&'static str);

/// How the placeholders of a bulk statement are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// By their numbers.
    Numbered,
    /// As they come.
    InTurn,
}

impl Marks {
    /// As a connection's engine takes them: SQLite finds those without names sooner, PostgreSQL has none such.
    pub(crate) const fn of(connection: &Connection) -> Self {
        match connection {
            Connection::Sqlite(_) => Self::InTurn,
            Connection::Postgres(_) => Self::Numbered,
        }
    }
}

impl Sql {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self(text)
    }

    /// Its text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.0
    }

    /// The statement with its row of `values (…)` written `rows` times, each with placeholders of its own.
    ///
    /// # Errors
    /// The statement has no such row.
    pub(crate) fn repeated(self, rows: usize, marks: Marks) -> Result<Cow<'static, str>, StoreError> {
        let parts = self.around_values().ok_or_else(|| StoreError::corrupt("a bulk statement has no row of values"))?;
        let (head, row, tail) = parts;
        let width = row.bytes().filter(|byte| *byte == b'$').count();
        let mut text = String::with_capacity(head.len() + tail.len() + rows * (row.len() + 4 * width));
        text.push_str(head);
        for place in 0..rows {
            text.push_str(if place == 0 { "" } else { ", " });
            let mut pieces = row.split('$');
            text.push_str(pieces.next().unwrap_or_default());
            for (turn, piece) in pieces.enumerate() {
                let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
                let (number, rest) = piece.split_at_checked(digits).unwrap_or((piece, ""));
                let number: usize = number.parse().unwrap_or_default();
                // Writing to a string does not fail.
                let _ = match marks {
                    Marks::Numbered => write!(text, "${}{rest}", number + place * width),
                    Marks::InTurn if number == turn + 1 => write!(text, "?{rest}"),
                    Marks::InTurn => return Err(StoreError::corrupt("a bulk statement names its values out of turn")),
                };
            }
        }
        text.push_str(tail);
        Ok(Cow::Owned(text))
    }

    fn around_values(self) -> Option<(&'static str, &'static str, &'static str)> {
        const START: &str = "values ";
        let start = self.0.find(START)? + START.len();
        let (head, rest) = self.0.split_at_checked(start)?;
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

/// Defines statements and lists them as `STATEMENTS` of their file.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)+) => {
        $($(#[$doc])* const $name: $crate::sql::Sql = $crate::sql::Sql::new($text);)+
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
        let sql = Sql::new("insert into t (a, b) values ($1, cast($2 as text)) on conflict do nothing");
        assert_eq!(
            sql.repeated(3, Marks::Numbered).unwrap(),
            "insert into t (a, b) values ($1, cast($2 as text)), ($3, cast($4 as text)), ($5, cast($6 as text)) \
             on conflict do nothing"
        );
        assert_eq!(
            sql.repeated(2, Marks::InTurn).unwrap(),
            "insert into t (a, b) values (?, cast(? as text)), (?, cast(? as text)) on conflict do nothing"
        );
        assert!(Sql::new("insert into t (a, b) values ($2, $1)").repeated(2, Marks::InTurn).is_err());
        assert!(Sql::new("select 1").repeated(2, Marks::Numbered).is_err());
    }
}
