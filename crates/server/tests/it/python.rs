//! Programs of the tests' own in Python, over libraries that share no line with ours: `tests/support/python`.
//!
//! `KEYWRIGHT_TEST_PYTHON` is a Python with PyJWT, `cryptography`, pyotp, requests, openai and websockets, and with Envoy
//! beside it.
//! Without it their tests say nothing; with `KEYWRIGHT_CI=1` they fail instead.

use std::process::{Command, Stdio};

use serde_json::Value;

/// The Python, where there is one.
pub(crate) fn program() -> Option<String> {
    let python = std::env::var("KEYWRIGHT_TEST_PYTHON").ok();
    let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
    assert!(python.is_some() || !ci, "KEYWRIGHT_TEST_PYTHON must name a Python with what CI installs");
    python
}

/// What a program says, given this. `None` where there is no Python for it.
pub(crate) fn run(program: &str, given: &Value) -> Option<Value> {
    Some(said(Command::new(self::program()?).args(["-c", program]), given))
}

/// What a command answers on its standard output to JSON on its standard input.
pub(crate) fn said(command: &mut Command, given: &Value) -> Value {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), given).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}
