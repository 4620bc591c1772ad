//! Black-box tests of the binary: what a person types, and what comes back. Nothing here knows the code.

mod backup;
mod dev;
mod doctor;
mod import;
mod life;
mod manners;
mod rekey;
mod serve;
mod support;
