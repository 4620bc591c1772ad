//! What goes into SQLite's statements and what comes out of them.

use std::sync::Arc;

use rusqlite::Statement;
use rusqlite::types::{Value as Held, ValueRef};

use crate::value::Value;

/// What the columns of a statement are called.
pub(super) type Names = Arc<[String]>;

/// A row, as it was when it was read.
pub(crate) struct SqliteRow {
    held: Vec<Held>,
    names: Names,
}

impl SqliteRow {
    /// Copies a row's columns, which have these names.
    pub(super) fn copied(row: &rusqlite::Row<'_>, names: &Names) -> rusqlite::Result<Self> {
        let held = (0..names.len()).map(|at| row.get_ref(at).map(keep)).collect::<Result<_, _>>()?;
        Ok(Self { held, names: Arc::clone(names) })
    }

    /// A column's name.
    pub(in crate::db) fn name(&self, at: usize) -> Option<&str> {
        self.names.get(at).map(String::as_str)
    }
}

/// A type a column may hold.
pub(in crate::db) trait Taken: Sized {
    /// It out of a row's column, where it is there; `Some(None)` where that holds null.
    fn take(row: &mut SqliteRow, at: usize) -> Option<Option<Self>>;
}

macro_rules! taken {
    ($($type:ty: $held:ident),+) => {
        $(impl Taken for $type {
            fn take(row: &mut SqliteRow, at: usize) -> Option<Option<Self>> {
                match std::mem::replace(row.held.get_mut(at)?, Held::Null) {
                    Held::Null => Some(None),
                    held => if let Held::$held(value) = held { Some(Some(value)) } else { None },
                }
            }
        })+
    };
}

taken!(i64: Integer, String: Text, Vec<u8>: Blob);

/// A value out of SQLite's memory. What is no UTF-8 is no text.
fn keep(value: ValueRef<'_>) -> Held {
    match value {
        ValueRef::Null => Held::Null,
        ValueRef::Integer(value) => Held::Integer(value),
        ValueRef::Real(value) => Held::Real(value),
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) => Held::Text(text.to_owned()),
            Err(_) => Held::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Held::Blob(bytes.to_vec()),
    }
}

/// Binds as many values as there are places for them.
pub(super) fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    let places = statement.parameter_count();
    if places != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(values.len(), places));
    }
    for (at, value) in (1..).zip(values) {
        match value {
            Value::Int(value) => statement.raw_bind_parameter(at, value)?,
            Value::Text(value) => statement.raw_bind_parameter(at, value)?,
            Value::Bytes(value) => statement.raw_bind_parameter(at, value)?,
        }
    }
    Ok(())
}
