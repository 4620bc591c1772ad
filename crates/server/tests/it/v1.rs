//! The native API.

mod keys;
