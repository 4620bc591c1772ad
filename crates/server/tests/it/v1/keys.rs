//! `/v1/keys` and what is below it.

mod create;
mod idempotency;
