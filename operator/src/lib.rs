//! The operator: from a `MirrorJob` to the objects that carry it out, and from what became of them to
//! its status.
//!
//! The work on a job is five steps: dereference, validate, build, apply, status. Those that decide are pure functions in
//! [`mirrorjob`]; the [`controller`] is the thin shell around them that watches, reads and writes. [`run`] is the process of a
//! replica, [`render`] shows what would be made, and [`kubectl`] is the plugin for people.
//!
//! Invariants: the operator never touches data, and no function that decides reads a clock or a random number.

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
