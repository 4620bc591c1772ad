//! The native API, `/v1`: a file for each thing it is about.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod factors;
pub(crate) mod identities;
pub(crate) mod import;
pub(crate) mod keys;
pub(crate) mod lifecycle;
pub(crate) mod lockouts;
pub(crate) mod logins;
pub(crate) mod members;
pub(crate) mod own;
pub(crate) mod page;
pub(crate) mod registration;
pub(crate) mod registry;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod verify;
pub(crate) mod view;
