//! How Keywright is measured: alternating slices, a control beside every figure, CPU time.
//!
//! A figure counts only with its control: the same code as both sides of the same comparison. Where
//! that does not come out near 1, the machine was too busy and the row is void.

pub mod alike;
pub mod cpu;
pub mod measure;
pub mod table;
pub mod tail;
