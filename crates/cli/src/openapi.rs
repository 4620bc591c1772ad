//! `keywright openapi`: the API's description, as a server gives it at `/openapi.json`.

use anyhow::Result;

use crate::exit::Exit;
use crate::say;

/// Prints it.
pub(crate) fn run() -> Result<Exit> {
    say::data(&keywright_server::openapi_json())?;
    Ok(Exit::Done)
}
