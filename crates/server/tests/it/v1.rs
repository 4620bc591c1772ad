//! The native API.

mod accounts;
mod audit;
mod customers;
mod hashing;
mod introspect;
mod kept;
mod keys;
mod logins;
mod members;
mod operators;
mod registration;
mod registry;
mod revoke;
mod sessions;
mod tokens;
