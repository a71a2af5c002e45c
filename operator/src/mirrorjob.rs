//! The steps of the work on one `MirrorJob` that need no cluster.
//!
//! [`validate`] turns the object into a [`validate::ValidatedJob`] or says why it is refused, [`build`]
//! makes the objects of an attempt from that and from what was found in the cluster, and [`status`] says
//! what became of it. All three are pure.

pub mod apply;
pub mod attempt;
pub mod build;
pub mod claimants;
pub mod conflict;
pub mod dereference;
pub mod placement;
pub mod queue;
pub mod status;
pub mod step;
pub mod validate;
