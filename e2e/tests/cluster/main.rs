//! Tests on a real cluster of two nodes, with the operator installed by its chart: `make e2e`.
//!
//! Every clause of the contract is an assertion somewhere here. The files are named after what they are
//! about; those that stop a part of the cluster run alone.

mod harness;
