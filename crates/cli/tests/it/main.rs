//! Black-box tests of the binary: what a person types, and what comes back. Nothing here knows the code.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits for other processes by a clock"
)]

mod accounts;
mod api;
mod backup;
mod canary;
mod crash;
mod dev;
mod disk;
mod doctor;
mod faults;
mod gateway;
mod import;
mod life;
mod mail;
mod manners;
mod people;
mod rekey;
mod serve;
mod support;
mod through;
mod tls;
