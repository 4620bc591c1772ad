//! The API's description, checked by somebody else's reading of OpenAPI 3.1.

use std::process::Command;

use anyhow::Result;

use super::Ci;
use super::python::{Environment, run};

/// From PyPI.
const VALIDATOR: &str = "openapi-spec-validator==0.9.0";
/// What `cargo xtask docs` keeps up to date.
const DOCUMENT: &str = "docs/reference/openapi.json";

/// Checks the committed description; the step before has made sure that it is what the binary says.
pub(super) fn check(ci: &Ci) -> Result<()> {
    let environment = Environment::with(ci, &[VALIDATOR])?;
    run(ci, Command::new(environment.program("openapi-spec-validator")).arg(ci.root.join(DOCUMENT)))
}
