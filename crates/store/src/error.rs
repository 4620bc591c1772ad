//! What can go wrong below the application: four kinds, because a caller can do four things about it.
//!
//! A reason never holds a value from the database or one meant for it; it may name tables, columns and files.

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first: the name is taken, or the row has changed since it was read. Read again and retry.
    #[error("the row is taken or has changed since it was read")]
    Conflict,
    /// The database cannot be reached, is full, locked or not fit for the request. Nothing was decided.
    #[error("{0}")]
    Unavailable(String),
    /// The database did not say whether it kept a transaction: in the middle of the commit the connection broke off, or the disk
    /// failed.
    #[error("the database did not say whether it kept what was committed")]
    Unanswered,
    /// What is stored is not what Keywright writes: an operator has to look.
    #[error("{0}")]
    Corrupt(String),
}

impl StoreError {
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable(reason.into())
    }

    pub(crate) fn corrupt(reason: impl Into<String>) -> Self {
        Self::Corrupt(reason.into())
    }
}
