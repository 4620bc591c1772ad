//! The native API.

mod accounts;
mod audit;
mod customers;
mod introspect;
mod keys;
mod logins;
mod members;
mod registration;
mod registry;
mod revoke;
mod sessions;
mod tokens;
