//! The `MirrorJob` resource and everything that follows from its text alone.
//!
//! One manifest means the same thing in a cluster and on one machine because both go through this
//! crate: [`mirrorjob`] holds the types, [`schema`] the CustomResourceDefinition made from them,
//! [`manifest`] the strict reader, [`validation`] the rules, [`arguments`] the command lines of the
//! movers and [`outcome`] what their exit codes mean.
//!
//! Everything here is pure: no clock, no file, no socket and no cluster client.

pub mod arguments;
mod finding;
pub mod generated;
pub mod manifest;
pub mod mirrorjob;
pub mod outcome;
pub mod quantity;
pub mod schema;
pub mod validation;

pub use finding::Finding;
pub use manifest::{ManifestError, load_manifest, parse_manifest, to_yaml};
pub use mirrorjob::{MirrorJob, MirrorJobSpec, MirrorJobStatus};
