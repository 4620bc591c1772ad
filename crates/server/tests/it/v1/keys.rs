//! `/v1/keys` and what is below it.

mod create;
mod dated;
mod enable;
mod get;
mod grace;
mod idempotency;
mod import;
mod list;
mod own;
mod revoke;
mod rotate;
mod spending;
mod update;
mod usage;
mod verify;
