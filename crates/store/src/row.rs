//! What comes out of a statement, read from the left, each column as the type it must have.
//!
//! Whatever does not decode is [`StoreError::Corrupt`], and the error names the column, never what it holds.

use std::str::FromStr;

use keywright_core::secret::Digest;
use keywright_core::time::{Span, Time};
use serde::de::DeserializeOwned;

use crate::db::RawRow;
use crate::error::StoreError;

/// A row, read column by column in the order its statement names them.
pub struct Row {
    raw: RawRow,
    next: usize,
}

impl Row {
    pub(crate) const fn new(raw: RawRow) -> Self {
        Self { raw, next: 0 }
    }

    const fn step(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    /// The error for the column last read.
    fn wrong(&self) -> StoreError {
        let column = self.raw.column(self.next.saturating_sub(1));
        StoreError::corrupt(format!("column `{column}` holds what Keywright does not write there"))
    }

    pub(crate) fn maybe_int(&mut self) -> Result<Option<i64>, StoreError> {
        let at = self.step();
        self.raw.int(at).ok_or_else(|| self.wrong())
    }

    pub(crate) fn int(&mut self) -> Result<i64, StoreError> {
        self.maybe_int()?.ok_or_else(|| self.wrong())
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, StoreError> {
        let at = self.step();
        self.raw.text(at).ok_or_else(|| self.wrong())
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        self.maybe_text()?.ok_or_else(|| self.wrong())
    }

    pub(crate) fn maybe_bytes(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let at = self.step();
        self.raw.bytes(at).ok_or_else(|| self.wrong())
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        self.maybe_bytes()?.ok_or_else(|| self.wrong())
    }

    pub(crate) fn bytes16(&mut self) -> Result<[u8; 16], StoreError> {
        self.bytes()?.try_into().map_err(|_| self.wrong())
    }

    pub(crate) fn bytes32(&mut self) -> Result<[u8; 32], StoreError> {
        self.bytes()?.try_into().map_err(|_| self.wrong())
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, StoreError> {
        Digest::from_slice(&self.bytes()?).ok_or_else(|| self.wrong())
    }

    pub(crate) fn flag(&mut self) -> Result<bool, StoreError> {
        match self.int()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.wrong()),
        }
    }

    pub(crate) fn time(&mut self) -> Result<Time, StoreError> {
        self.int().map(Time::from_millis)
    }

    pub(crate) fn maybe_time(&mut self) -> Result<Option<Time>, StoreError> {
        Ok(self.maybe_int()?.map(Time::from_millis))
    }

    pub(crate) fn maybe_span(&mut self) -> Result<Option<Span>, StoreError> {
        match self.maybe_int()? {
            Some(millis) if millis < 0 => Err(self.wrong()),
            millis => Ok(millis.map(Span::from_millis)),
        }
    }

    /// A text with a meaning: an id, an allow-list.
    pub(crate) fn parsed<T: FromStr>(&mut self) -> Result<T, StoreError> {
        self.text()?.parse().map_err(|_| self.wrong())
    }

    pub(crate) fn maybe_parsed<T: FromStr>(&mut self) -> Result<Option<T>, StoreError> {
        self.maybe_text()?.map(|text| text.parse().map_err(|_| self.wrong())).transpose()
    }

    /// A value out of a closed list, by its name or number.
    pub(crate) fn named<T>(&mut self, from: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        from(&self.text()?).ok_or_else(|| self.wrong())
    }

    pub(crate) fn maybe_named<T>(&mut self, from: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
        let Some(name) = self.maybe_text()? else { return Ok(None) };
        from(&name).map(Some).ok_or_else(|| self.wrong())
    }

    pub(crate) fn numbered<T>(&mut self, from: impl FnOnce(i64) -> Option<T>) -> Result<T, StoreError> {
        from(self.int()?).ok_or_else(|| self.wrong())
    }

    pub(crate) fn maybe_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        self.maybe_text()?.map(|text| serde_json::from_str(&text).map_err(|_| self.wrong())).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        serde_json::from_str(&self.text()?).map_err(|_| self.wrong())
    }
}
