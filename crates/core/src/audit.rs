//! What is written down of every change, and the chain that shows when a row was touched.
//!
//! Each row is linked to the one before it by an HMAC over its own canonical text, so a row that was changed, taken
//! out, put in or moved no longer fits. The key is the server's: whoever can only write to the database cannot forge.

use serde_json::Value;

use crate::id::AccountId;
use crate::secret::ChainKey;
use crate::time::Time;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A key, by its id: an operator's or a customer's own.
    Key(crate::id::KeyId),
    /// A person, by their id.
    User(crate::id::UserId),
    /// Somebody at the machine itself, through the command line.
    Local,
    /// Keywright itself.
    System,
}

impl Actor {
    /// How it is written down: `key:key_…`, `local` or `system`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Key(id) => format!("key:{id}"),
            Self::User(id) => format!("user:{id}"),
            Self::Local => "local".into(),
            Self::System => "system".into(),
        }
    }
}

/// What happened. Its detail never holds a secret: names, ids, settings before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// What was done, `key.rotate`.
    pub action: &'static str,
    /// The id of what it was done to.
    pub target: String,
    /// The account it concerns.
    pub account: Option<AccountId>,
    /// What changed.
    pub detail: Detail,
}

/// A JSON object, written out by whoever makes an event, so that the one writer need not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail(String);

impl From<Value> for Detail {
    fn from(value: Value) -> Self {
        Self(value.to_string())
    }
}

impl From<Detail> for String {
    fn from(detail: Detail) -> Self {
        detail.0
    }
}

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place: 1, 2, 3 and so on without a gap.
    pub seq: i64,
    /// When.
    pub at: Time,
    /// Who, as [`Actor::name`] writes it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// Concerning which account.
    pub account: Option<AccountId>,
    /// In which request.
    pub request_id: Option<String>,
    /// What changed, as JSON text.
    pub detail: String,
    /// The link to the row before.
    pub link: [u8; 32],
}

/// The link the first row hangs on.
pub const ANCHOR: [u8; 32] = [0; 32];

impl AuditRow {
    /// The link this row must have after `previous`.
    #[must_use]
    pub fn link_after(&self, previous: &[u8; 32], key: &ChainKey) -> [u8; 32] {
        key.link(previous, &self.canonical())
    }

    /// Every field with its length before it, so that no two rows share a text.
    fn canonical(&self) -> Vec<u8> {
        let (seq, at) = (self.seq.to_string(), self.at.millis().to_string());
        let account = self.account.map(|id| id.to_string()).unwrap_or_default();
        let request = self.request_id.as_deref().unwrap_or_default();
        let fields = [&seq, &at, &self.actor, &self.action, &self.target, &account, request, &self.detail];
        let mut text = Vec::new();
        for field in fields {
            text.extend_from_slice(&(field.len() as u64).to_be_bytes());
            text.extend_from_slice(field.as_bytes());
        }
        text
    }
}

/// Follows the chain row by row.
pub struct Chain<'a> {
    key: &'a ChainKey,
    next: i64,
    link: [u8; 32],
}

/// Where the chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// A row is missing or out of place.
    #[error("row {expected} is missing: row {found} follows row {}", expected - 1)]
    Missing {
        /// The row that should follow.
        expected: i64,
        /// The row that does.
        found: i64,
    },
    /// A row does not fit the one before it.
    #[error("row {0} has been changed, or a row before it was")]
    Changed(i64),
    /// The rows end before, or after, the row the log last wrote.
    #[error("the log ends with row {found}, but row {expected} was written last")]
    Cut {
        /// The row last written.
        expected: i64,
        /// The row found last.
        found: i64,
    },
}

impl<'a> Chain<'a> {
    /// Begins before the first row.
    #[must_use]
    pub const fn new(key: &'a ChainKey) -> Self {
        Self { key, next: 1, link: ANCHOR }
    }

    /// Checks the next row.
    ///
    /// # Errors
    /// Where the chain breaks.
    pub fn follow(&mut self, row: &AuditRow) -> Result<(), Break> {
        if row.seq != self.next {
            return Err(Break::Missing { expected: self.next, found: row.seq });
        }
        let link = row.link_after(&self.link, self.key);
        if !constant_time_eq::constant_time_eq_32(&link, &row.link) {
            return Err(Break::Changed(row.seq));
        }
        self.link = link;
        self.next += 1;
        Ok(())
    }

    /// Checks that the log ends where it was last written.
    ///
    /// # Errors
    /// Rows have been cut off or added.
    pub fn finish(&self, head: (i64, [u8; 32])) -> Result<i64, Break> {
        let found = self.next - 1;
        if head == (found, self.link) { Ok(found) } else { Err(Break::Cut { expected: head.0, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(key: &ChainKey) -> Vec<AuditRow> {
        let mut previous = ANCHOR;
        let mut rows = Vec::new();
        for seq in 1..=4 {
            let mut row = AuditRow {
                seq,
                at: Time::from_millis(seq * 1_000),
                actor: "local".into(),
                action: "key.create".into(),
                target: format!("key_{seq}"),
                account: None,
                request_id: None,
                detail: "{}".into(),
                link: ANCHOR,
            };
            row.link = row.link_after(&previous, key);
            previous = row.link;
            rows.push(row);
        }
        rows
    }

    fn follow(key: &ChainKey, rows: &[AuditRow], head: (i64, [u8; 32])) -> Result<i64, Break> {
        let mut chain = Chain::new(key);
        rows.iter().try_for_each(|row| chain.follow(row))?;
        chain.finish(head)
    }

    #[test]
    fn an_untouched_log_holds() {
        let key = ChainKey::new(&[1; 32]);
        let rows = rows(&key);
        assert_eq!(follow(&key, &rows, (4, rows[3].link)), Ok(4));
        assert_eq!(follow(&key, &[], (0, ANCHOR)), Ok(0));
    }

    #[test]
    fn a_changed_missing_moved_or_cut_row_is_found() {
        let key = ChainKey::new(&[1; 32]);
        let good = rows(&key);
        let head = (4, good[3].link);

        let mut changed = good.clone();
        changed[1].detail = r#"{"a":1}"#.into();
        assert_eq!(follow(&key, &changed, head), Err(Break::Changed(2)));

        let mut missing = good.clone();
        missing.remove(1);
        assert_eq!(follow(&key, &missing, head), Err(Break::Missing { expected: 2, found: 3 }));

        let mut moved = good.clone();
        moved.swap(1, 2);
        (moved[1].seq, moved[2].seq) = (2, 3);
        assert_eq!(follow(&key, &moved, head), Err(Break::Changed(2)));

        assert_eq!(follow(&key, &good[..3], head), Err(Break::Cut { expected: 4, found: 3 }));
        assert_eq!(follow(&ChainKey::new(&[2; 32]), &good, head), Err(Break::Changed(1)));
    }
}
