//! The API as its callers meet it: requests in, raw JSON out. A file for each route, at its path.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod certificates;
mod chromium;
mod contract;
mod dashboard;
mod dashboard_account;
mod dashboard_edit;
mod dashboard_keys;
mod described;
mod direct;
mod docs;
mod ending;
mod engines;
mod external;
mod forged;
mod forward_auth;
mod gateway;
mod harness;
mod health;
mod independent;
mod issuer;
mod letters;
mod lockouts;
mod model;
mod node;
mod oidc_provider;
mod operator;
mod operator_audit;
mod operator_explain;
mod problems;
mod python;
mod refusals;
mod running;
mod setup;
mod tls;
mod v1;
mod wire;
