//! What can go wrong in a use case. A front door turns this into its own answer once, exhaustively.

use keywright_core::draft::FieldError;
use keywright_core::key::Refusal;
use keywright_core::time::Span;
use keywright_store::StoreError;

/// Why a use case did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No credential, or none that works.
    #[error("the credential is missing or does not work")]
    Unauthenticated,
    /// The address, the password or the challenge of a login is wrong. Nobody is told which.
    #[error("the email or the password is wrong")]
    LoginFailed,
    /// The password is right, the code is not.
    #[error("the code is wrong, or was used before: wait for the next one, or use a backup code")]
    CodeWrong,
    /// The session a refresh token is for is over.
    #[error("this session is over: log in again")]
    SessionOver,
    /// There is no such thing, or it is somebody else's: the two look alike.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The credential is without this permission.
    #[error("this needs the permission {0}, which the credential does not have")]
    LacksPermission(String),
    /// The credential is not permitted this, whatever permissions it has.
    #[error("{0}")]
    Forbidden(String),
    /// Fields of the request are wrong.
    #[error("{}", fields(.0))]
    Invalid(Vec<FieldError>),
    /// The state of things does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// Too much, too soon.
    #[error("too many attempts: try again in {}", Span::seconds(.0.seconds_up()))]
    Limited(Span),
    /// What is needed for an answer is out of reach; nothing was changed.
    #[error("a part of the service is out of reach: {0}")]
    Unavailable(String),
    /// The database did not answer a change, in time or at all, and may have made it or still make it.
    #[error("the database did not answer, and nobody knows whether the change was made")]
    Unanswered,
    /// A fault of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// One wrong field.
    pub fn invalid(field: &str, reason: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), reason: reason.into() }])
    }
}

fn fields(errors: &[FieldError]) -> String {
    let named: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.reason)).collect();
    named.join("; ")
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => {
                Self::Conflict("it was changed by somebody else just now: read it again and retry".into())
            }
            StoreError::Unavailable(reason) => Self::Unavailable(reason),
            StoreError::Unanswered => Self::Unanswered,
            StoreError::Corrupt(reason) => Self::Internal(reason),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Conflict(refusal.to_string())
    }
}
