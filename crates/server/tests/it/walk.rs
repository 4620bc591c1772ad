//! Walks along whole tables: every route's refusals, every outcome of a verification, everything it spends and counts.

mod harness;
mod lockouts;
mod refusals;
mod spending;
mod usage;
mod verify;
mod widening;
