//! The operator: from a `MirrorJob` to the objects that carry it out, and from what became of them to
//! its status.
//!
//! The work on a job is five steps: dereference, validate, build, apply, status. This crate holds the
//! three that need no cluster, as pure functions in [`mirrorjob`], and [`render`], which shows what they
//! make. The controller that reads and writes the cluster around them is not part of it yet.
//!
//! Invariants: the operator never touches data, and no function here reads a clock or a random number
//! except in [`identity`].

pub mod admin;
pub mod authority;
pub mod cli;
pub mod conditions;
pub mod controller;
pub mod events;
#[cfg(test)]
mod fake_api;
pub mod follow;
pub mod identity;
pub mod kubectl;
pub mod leader;
pub mod metrics;
pub mod mirrorjob;
pub mod render;
pub mod run;
pub mod settings;
pub mod workqueue;
