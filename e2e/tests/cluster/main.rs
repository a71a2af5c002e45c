//! Tests on a real cluster of two nodes, with the operator installed by its chart: `make e2e`.
//!
//! Every clause of the contract is an assertion somewhere here. The files are named after what they are
//! about; tests that stop a part of the cluster run alone. Tests start in the order of their names.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod alone;
mod chart;
mod common;
mod content;
mod deletion;
mod examples;
mod faults;
mod happy_path;
mod harness;
mod metrics;
mod pending;
mod placement;
mod plugin;
mod refusals;
mod scale;
mod security;
mod transport;
mod verdict;
