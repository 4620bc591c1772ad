//! Other providers' APIs over the same functions of the app: a file for each, with its shapes and the bodies of its errors.

pub(crate) mod cloudheed;
pub(crate) mod wavis;
pub(crate) mod wayscloud;

use keywright_core::time::Time;
use serde::{Serialize, Serializer};

/// A time as providers write it: in whole seconds.
#[derive(Clone, Copy)]
struct Seconds(Time);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.in_seconds())
    }
}
