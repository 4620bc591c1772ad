//! Tokens had for a key (RFC 8693): for a short while downstream services can check them without asking.
//!
//! What must stay true: such a token may do no more than its key, ends no later, and is no session: nothing of ours takes
//! it as a credential.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, KeyId};
use crate::signing::Timed;
use crate::time::Span;

/// The longest one lives.
pub const LONGEST: Span = Span::minutes(15);

/// What a token says that was had for a key (RFC 9068, 2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The key it was had for: what it stands for dies with it.
    pub sub: KeyId,
    /// The same (RFC 8693, 4.3).
    pub client_id: KeyId,
    /// The account the key belongs to.
    pub account_id: AccountId,
    /// What it may do: permissions with a space between them (RFC 8693, 4.2).
    pub scope: String,
    /// Its own id.
    pub jti: String,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
}

impl Timed for Exchanged {
    const LONGEST: Span = LONGEST;

    fn times(&self) -> (i64, i64) {
        (self.iat, self.exp)
    }
}
