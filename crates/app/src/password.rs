//! Passwords: argon2id, 19 MiB and two passes (security.md 14).

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};

use crate::error::Error;

/// Hashes a password for storage, as a PHC string.
pub(crate) fn hash(password: &str) -> Result<String, Error> {
    let broken = |_| Error::Internal("a password could not be hashed".into());
    let params =
        Params::new(19 * 1_024, 2, 1, None).map_err(|_| Error::Internal("argon2 refuses its parameters".into()))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password.as_bytes()).map_err(broken)?.to_string())
}
