//! The native API.

mod accounts;
mod audit;
mod customers;
mod introspect;
mod keys;
mod registry;
mod revoke;
mod sessions;
